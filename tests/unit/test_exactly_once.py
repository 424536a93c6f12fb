"""Agent, session and centre together: whatever happens between them, a job runs once and its end is heard.

The parts are the real ones; the network, the database and the processes are simulated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_edge.agent.core.events import Exited
from airflow_edge.gateway.links.reconcile import Arrival, Kept, reconcile
from airflow_edge.gateway.links.registry import Parked
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import decode_site_frame, encode
from airflow_edge.protocol.handshake import NEWEST, OLDEST, CentreHandshake
from airflow_edge.protocol.local import Outcome
from airflow_edge.protocol.messages import Ended, Offer, Ping, Refused, Void
from airflow_edge.protocol.session import centre_session
from airflow_edge.protocol.states import JOB_ENDED, JobEvent, JobState, WorkerState, next_job_state
from airflow_edge.rules.reports import Reading
from airflow_edge.rules.worker import Admission, judge_instance
from airflow_edge.store.store import Store
from airflow_edge.store.workers.instances import Claim
from airflow_edge.store.workers.workers import LinkFacts
from tests.unit.simulated import CONCURRENCY, JOBS, LEASE, NOW, WORKERS, Database, GatewayLink, SiteEnd

GATEWAYS = [0, 1]
MOST_COPIES = 2
workers = st.sampled_from(WORKERS)


class World(RuleBasedStateMachine):
    """Two sites, two gateways, one database."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.database = Database()
        self.links: list[GatewayLink] = []
        """Those that the centre thinks are open."""
        self.parked: dict[tuple[int, UUID], GatewayLink] = {}
        self.admitted: dict[str, set[AssignmentKey]] = {job_id: set() for job_id in JOBS}
        """Which assignments of a job were let into the task API: whose tasks have begun."""
        self.made = 0
        self.sites = {worker: SiteEnd(worker) for worker in WORKERS}
        self.copies: list[SiteEnd] = []
        """Machines with a copy of a site's state folder."""

    # Connections

    @rule(worker=workers, gateway=st.sampled_from(GATEWAYS), in_vain=st.booleans())
    def connect(self, worker: UUID, gateway: int, in_vain: bool) -> None:
        """A site links, whatever became of its last connection; `in_vain`: it never hears its welcome."""
        self.link(worker, gateway)
        link = self.sites[worker].link
        if in_vain and link is not None:
            self.close(link)
        elif link is not None:
            self.take_down(self.sites[worker])

    def link(self, worker: UUID, gateway: int) -> None:
        self.link_site(self.sites[worker], gateway)

    def link_site(self, site: SiteEnd, gateway: int) -> None:
        """Let a site in, or refuse it, as the gateway does: asked is whoever has a link that may be dead."""
        handshake = CentreHandshake(site.greet(), release="1", oldest=OLDEST, newest=NEWEST)
        dead_link: UUID | None = None
        while (kept := self.enter(site, gateway, handshake, dead_link)) is not None:
            if not kept.asks or self.lives(site.id):
                site.refused(as_copy=kept.asks)
                return
            dead_link = kept.holder.link_id

    def enter(self, site: SiteEnd, gateway: int, handshake: CentreHandshake, dead_link: UUID | None) -> Kept | None:
        worker, hello = site.id, handshake.hello
        for old in [link for link in self.links if (link.worker, link.gateway) == (worker, gateway)]:
            verdict = judge_instance(
                old.holder, instance=site.instance, life=site.life, last_link=hello.last_link, dead_link=dead_link
            )
            if verdict is not Admission.ENTER:
                return Kept(holder=old.holder, asks=verdict is Admission.ASK)
            self.close(old)
        parked = self.parked.pop((gateway, worker), None)
        if parked is not None and not handshake.continues(parked.session):
            parked = None
        self.made += 1
        facts = LinkFacts(
            link_id=uuid5(worker, str(self.made)),
            gateway_id=str(gateway),
            transport="WebSocket",
            boot_id="boot",
            agent_version="1",
            airflow_version="3",
            concurrency=CONCURRENCY,
            state=WorkerState.IDLE,
            instance=site.instance,
            life=site.life,
        )
        arrival = Arrival(
            worker_id=worker,
            jobs=handshake.hello.jobs,
            facts=facts,
            parked=Parked(parked.id, parked.session) if parked is not None else None,
            claim=Claim(hello.last_link, dead_link),
        )
        (reconciled,) = reconcile(cast("Store", self.database), [arrival], now=NOW)
        if isinstance(reconciled, Kept):
            if parked is not None:
                self.parked[gateway, worker] = parked
            return reconciled
        assert not reconciled.lost
        session = parked.session if parked is not None and reconciled.resumed else centre_session(str(facts.link_id))
        try:
            welcome, again = handshake.welcome(
                session,
                resumed=reconciled.resumed,
                name="worker",
                queues=("q",),
                heartbeat_interval=5,
                link=str(facts.link_id),
            )
        except RemoteProtocolError:
            return None
        holder = self.database.holders[worker]
        link = GatewayLink(facts.link_id, worker, gateway, session, site, holder)
        for job in reconciled.held:
            link.slots.hold(job.key, job.slots)
        link.down.extend(encode(frame) for frame in (welcome, *again))
        for key in reconciled.void:
            link.send(Void(job_id=key.job_id, assignment=key.assignment, reason="not here"))
        self.links.append(link)
        site.link = link
        return None

    def close(self, link: GatewayLink, *, resumable: bool = True) -> None:
        link.open = False
        self.links.remove(link)
        if resumable:
            self.parked[link.gateway, link.worker] = link
        if link.site.link is link:
            link.site.link = None

    @precondition(lambda self: self.links)
    @rule(data=st.data(), committed=st.booleans())
    def cut(self, data: st.DataObject, committed: bool) -> None:
        """What is under way is lost; what was being settled may have been committed all the same."""
        link = data.draw(st.sampled_from(self.links))
        if committed:
            self.database.settle(link.worker, [report for _, report in link.waiting], now=NOW)
        self.close(link)

    @precondition(lambda self: any(site.link for site in self.everybody()))
    @rule(data=st.data())
    def hang_up_unnoticed(self, data: st.DataObject) -> None:
        """The site gives its connection up, and the centre does not know: what was sent may still arrive."""
        site = data.draw(st.sampled_from([site for site in self.everybody() if site.link]))
        site.link = None

    @rule(worker=workers)
    def crash(self, worker: UUID) -> None:
        self.sites[worker].boot()

    @rule(gateway=st.sampled_from(GATEWAYS))
    def restart_gateway(self, gateway: int) -> None:
        for link in [link for link in self.links if link.gateway == gateway]:
            self.close(link)
        self.parked = {where: link for where, link in self.parked.items() if where[0] != gateway}

    # Copied state folders

    @precondition(lambda self: len(self.copies) < MOST_COPIES)
    @rule(worker=workers, is_told=st.booleans())
    def copy_site(self, worker: UUID, is_told: bool) -> None:
        """Somebody starts a copy of a site's machine or folder; not `is_told`: nothing at the machine tells them apart.

        Then only who is alive does: that one is refused which comes while the other one is linked.
        """
        site = self.sites[worker]
        if is_told or self.lives(worker):
            copy = site.copy(is_told=is_told)
            self.copies.append(copy)
            self.link_site(copy, 0)

    @precondition(lambda self: self.copies)
    @rule(data=st.data(), gateway=st.sampled_from(GATEWAYS))
    def connect_copy(self, data: st.DataObject, gateway: int) -> None:
        copy = data.draw(st.sampled_from(self.copies))
        self.link_site(copy, gateway)
        if copy.link is not None:
            self.take_down(copy)

    @rule(worker=workers)
    def fall_silent(self, worker: UUID) -> None:
        """Who has the key was not heard of for so long that it is out of reach."""
        for link in [link for link in self.links if link.worker == worker and link.site.link is not link]:
            self.close(link)
        holder = self.database.holders.get(worker)
        if holder is not None and not self.lives(worker):
            self.database.holders[worker] = replace(holder, gone=True)

    def lives(self, worker: UUID) -> bool:
        """Whether the worker's link stands at both ends."""
        holder = self.database.holders.get(worker)
        return any(holder and link.id == holder.link_id and link.site.link is link for link in self.links)

    def everybody(self) -> list[SiteEnd]:
        return [*self.sites.values(), *self.copies]

    # Frames

    @precondition(lambda self: any(link.up for link in self.links))
    @rule(data=st.data(), times=st.integers(1, 2))
    def centre_hears(self, data: st.DataObject, times: int) -> None:
        self.take_up(data.draw(st.sampled_from([link for link in self.links if link.up])), times)

    def take_up(self, link: GatewayLink, times: int = 1) -> None:
        message = link.up.popleft()
        for _ in range(times):
            frame = decode_site_frame(message)
            try:
                if link.session.receive(frame) and frame.seq:
                    link.waiting.append((frame.seq, frame.body))  # type: ignore[arg-type]
            except RemoteProtocolError:
                self.close(link, resumable=False)
                return

    @precondition(lambda self: any(link.waiting for link in self.links))
    @rule(data=st.data())
    def centre_settles(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.sampled_from([link for link in self.links if link.waiting])))

    def settle(self, link: GatewayLink) -> None:
        batch, link.waiting = link.waiting, []
        readings = self.database.settle(link.worker, [report for _, report in batch], now=NOW)
        for (seq, report), reading in zip(batch, readings, strict=True):
            key = report.key
            if isinstance(report, Refused):
                link.slots.refuse(key, now=self.now)
            elif reading is Reading.VOID:
                link.slots.free(key)
                link.send(Void(job_id=key.job_id, assignment=key.assignment, reason="void"))
            elif isinstance(report, Ended):
                link.slots.free(key)
            else:
                link.slots.accept(key)
            link.progress.finish(seq)
            link.session.handle(link.progress.done)
        link.send(Ping())

    @precondition(lambda self: any(site.link and site.link.down for site in self.everybody()))
    @rule(data=st.data())
    def site_hears(self, data: st.DataObject) -> None:
        self.take_down(data.draw(st.sampled_from([s for s in self.everybody() if s.link and s.link.down])))

    @staticmethod
    def take_down(site: SiteEnd) -> None:
        assert site.link is not None
        site.hear(site.link.down.popleft())

    @precondition(lambda self: any(len(link.up) > 1 for link in self.links))
    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from([link for link in self.links if len(link.up) > 1])).up.rotate(1)

    # The centre

    @rule()
    def hand_out(self) -> None:
        for link in list(self.links):
            for job_id, row in self.database.rows.items():
                if row.state is JobState.QUEUED and link.slots.available(self.now):
                    row.state = next_job_state(row.state, JobEvent.CLAIM)
                    row.assignment += 1
                    row.worker = link.worker
                    link.slots.offer(AssignmentKey(job_id, row.assignment), 1, deadline=self.now + LEASE)
                    link.send(
                        Offer(
                            job_id=job_id,
                            assignment=row.assignment,
                            kind="task",
                            queue="q",
                            slots=1,
                            lease=LEASE,
                            workload=b"",
                        )
                    )

    @rule()
    def let_leases_expire(self) -> None:
        self.now += LEASE + 1
        for row in self.database.rows.values():
            if row.state is JobState.LEASED:
                row.state = next_job_state(row.state, JobEvent.EXPIRE)

    # The tasks

    @precondition(lambda self: any(site.alive for site in self.everybody()))
    @rule(data=st.data())
    def task_begins(self, data: st.DataObject) -> None:
        """A supervisor asks the task API for leave to run its task; without it, the task never begins."""
        site = data.draw(st.sampled_from([site for site in self.everybody() if site.alive]))
        self.begin_task(site, data.draw(st.sampled_from(sorted(site.alive))))

    def begin_task(self, site: SiteEnd, key: AssignmentKey) -> None:
        if self.database.confirm(site.id, key):
            self.admitted[key.job_id].add(key)
        else:
            self.end_process(site, key, 1)

    @precondition(lambda self: any(site.alive for site in self.everybody()))
    @rule(data=st.data(), code=st.integers(0, 1), crashes=st.booleans())
    def process_ends(self, data: st.DataObject, code: int, crashes: bool) -> None:
        site = data.draw(st.sampled_from([site for site in self.everybody() if site.alive]))
        self.end_process(site, data.draw(st.sampled_from(sorted(site.alive))), code, crashes=crashes)

    @staticmethod
    def end_process(site: SiteEnd, key: AssignmentKey, code: int, *, crashes: bool = False) -> None:
        site.alive.discard(key)
        site.outcomes[key] = Outcome(job_id=key.job_id, assignment=key.assignment, exit_code=code)
        if crashes:
            site.boot()
        else:
            site.let(Exited(key, code, None, site.outcomes[key]))

    # What must hold

    @invariant()
    def an_assignment_is_started_once_and_at_one_site(self) -> None:
        orders = sum((site.orders for site in self.everybody()), Counter())
        assert all(count == 1 for count in orders.values())

    @invariant()
    def no_task_runs_whose_job_has_ended(self) -> None:
        """Else another try would run beside it."""
        for site in self.everybody():
            for job_id, assignment in site.alive:
                row = self.database.rows[job_id]
                assert row.assignment != assignment or row.state not in JOB_ENDED

    @invariant()
    def a_task_begins_under_one_assignment_only(self) -> None:
        assert all(len(keys) <= 1 for keys in self.admitted.values())

    def teardown(self) -> None:
        """Once nothing is lost any more, every job comes to its end, and the centre knows how."""
        if not hasattr(self, "sites"):
            return
        self.switch_copies_off()
        for _ in range(12):
            for worker in WORKERS:
                if self.sites[worker].link not in self.links:
                    self.link(worker, 0)
                if self.sites[worker].link not in self.links:
                    self.fall_silent(worker)
            self.hand_out()
            self.deliver()
            for site in self.sites.values():
                for key in sorted(site.alive):
                    self.begin_task(site, key)
                for key in sorted(site.alive):
                    self.end_process(site, key, 0)
            self.deliver()
            self.let_leases_expire()
        for job_id, row in self.database.rows.items():
            assert row.state in JOB_ENDED, (job_id, row)
            assert row.worker is not None
            if row.state is JobState.LOST:
                continue
            record = self.sites[row.worker].journal[AssignmentKey(job_id, row.assignment)]
            assert record.ended is not None
            assert (row.state is JobState.SUCCEEDED) == (record.ended.exit_code == 0)
        for site in self.sites.values():
            assert all(job.record.acknowledged for job in site.core.jobs.values())
        self.an_assignment_is_started_once_and_at_one_site()
        self.a_task_begins_under_one_assignment_only()

    def switch_copies_off(self) -> None:
        """Their machines are gone, and the grace of the jobs that they had is over."""
        gone = self.copies
        for link in [link for link in self.links if link.site in gone]:
            self.close(link)
        for job_id, row in self.database.rows.items():
            key = AssignmentKey(job_id, row.assignment)
            if row.state is JobState.RUNNING and any(key in copy.orders for copy in gone):
                row.state = next_job_state(row.state, JobEvent.LOSE)
        for copy in gone:
            self.sites[copy.id].journal = copy.journal | self.sites[copy.id].journal
        self.copies = []

    def deliver(self) -> None:
        """Let everything that is under way arrive."""
        while True:
            for link in [link for link in self.links if link.up]:
                self.take_up(link)
            for link in [link for link in self.links if link.waiting]:
                self.settle(link)
            for site in [site for site in self.everybody() if site.link and site.link.down]:
                self.take_down(site)
            if not any(link.up or link.waiting for link in self.links) and not any(
                site.link and site.link.down for site in self.everybody()
            ):
                return


World.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestWorld = World.TestCase


def test_a_gateway_that_forgot_and_whose_welcome_was_lost_is_understood_all_the_same() -> None:
    world = World()
    world.begin()
    site = world.sites[WORKERS[0]]
    world.link(site.id, 0)
    world.hand_out()
    world.deliver()
    # The agent's second life has said something that was acknowledged, and something that was not.
    site.boot()
    world.link(site.id, 0)
    world.deliver()
    world.restart_gateway(0)
    key = min(site.alive)
    world.begin_task(site, key)
    world.end_process(site, key, 0)
    world.link(site.id, 0)
    assert site.link is not None
    world.close(site.link)
    world.teardown()
