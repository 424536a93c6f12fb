"""Carries out what the core decides, in rounds: what the events of one round have written shares one commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Announce,
    Close,
    Command,
    DesiredState,
    Event,
    ExitAsked,
    JobRecord,
    KeepDesired,
    MaintenanceAsked,
    NotStored,
    OfferedAgain,
    Rename,
    Restart,
    Save,
    StoreJob,
    TimePassed,
)
from airflow_edge.agent.effects import NAMES, Deed, Effects, lane
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.history import History
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.agent.threads import Threads
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, StartJob, StopJob
from airflow_edge.protocol.messages import Offer, Order, Refused, one_line

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

RETRY_INTERVAL = 2.0
"""Seconds between two attempts to write a journal that could not be written, or at what else has failed."""
LONGEST_FAULT = 500
"""Characters of an error that are shown."""


class Driver:
    """The only one who talks to the core."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        folders: JobFolders,
        *,
        worker_name: str,
        api_socket: str,
        site_policy: SitePolicyFile | None = None,
    ) -> None:
        """:param worker_name: what tasks report as their host
        :param api_socket: where supervisors find the agent
        :param site_policy: says which jobs are not taken here; None for none
        :raises AgentError: there is no thread to be had in which to write.
        """
        self.core = core
        self.history = History()
        self._journal = journal
        self._folders = folders
        self._worker_name = worker_name
        self._api_socket = api_socket
        self._site_policy = site_policy or SitePolicyFile(None)
        # Of its own: what else takes its time must not hold up what has to be written.
        self._thread = Threads(1, "journal")
        self._journal_failure = "the journal could not be written at the start" if journal.owed else ""
        """Why the journal cannot be written now, for a person."""
        self._owed: dict[AssignmentKey, JobRecord] = {record.key: record for record in journal.owed}
        """What the journal does not have yet, because it could not be written."""
        self._owed_desired: DesiredState | None = None
        self._undone: list[Deed] = []
        """What an effect has failed at, and what has to come after it."""
        self._failure = ""
        """The last words of such a failure."""
        self._retry_at = 0.0
        self._posted: list[tuple[Event, Callable[[], None] | None]] = []
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()

    @property
    def condition(self) -> str:
        """What cannot be done now and is tried again and again, for a person; empty if there is nothing."""
        return "; ".join(failure for failure in (self._journal_failure, self._failure) if failure)

    def post(self, event: Event, done: Callable[[], None] | None = None) -> None:
        """Let something happen; `done` is called when everything that follows from it is done."""
        self._posted.append((event, done))
        self._wake.set()

    async def written(self, event: Event) -> None:
        """Let something happen, and come back when it is written down, so that the next agent knows of it.

        :raises AgentError: it cannot be written now; it holds for this agent, and is written as soon as it can be.
        """
        dealt_with: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.post(event, lambda: None if dealt_with.done() else dealt_with.set_result(None))
        await dealt_with
        if self._owed_desired is not None:
            raise AgentError(f"it is done, and an agent that takes over would not know of it: {self._journal_failure}")

    async def wait_until(self, condition: Callable[[Core], bool]) -> None:
        """Wait until the core is like that."""
        async with self._moved:
            await self._moved.wait_for(lambda: condition(self.core))

    async def run(self, effects: Effects) -> None:
        """Handle what is posted, round by round, until cancelled: nothing that fails ends a round or is forgotten."""
        while True:
            await self._until_due()
            now = time.monotonic()
            if self.condition and now >= self._retry_at:
                await self._try_again(effects)
            if self.core.due is not None and now >= self.core.due:
                self.post(TimePassed())
            self._wake.clear()
            posted, self._posted = self._posted, []
            try:
                await self._round([event for event, _ in posted], effects)
            finally:
                # Whatever has happened: nobody gives these again, and a link waits for it.
                for event, done in posted:
                    self._tell(event, done)
            async with self._moved:
                self._moved.notify_all()

    @staticmethod
    def _tell(event: Event, done: Callable[[], None] | None) -> None:
        if done is not None:
            try:
                done()
            except Exception:
                log.exception("that %s is dealt with could not be told", type(event).__name__)

    async def _in_thread(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _until_due(self) -> None:
        """Wait for something to handle, or until it is time to try again what has failed, or for what the core said."""
        times = [self._retry_at] if self.condition else []
        if self.core.due is not None:
            times.append(self.core.due)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(times) - time.monotonic()) if times else None):
                await self._wake.wait()

    async def _round(self, events: Sequence[Event], effects: Effects) -> None:
        now = time.monotonic()
        known = await self._look_up([event.key for event in events if isinstance(event, Offer)])
        while events:
            commands = [command for event in events for command in self._handle(event, known, now)]
            events = await self._write_down(commands, effects)
            for command in commands:
                if not isinstance(command, StoreJob | Save | KeepDesired):
                    self._do(command, effects)

    async def _look_up(self, keys: Sequence[AssignmentKey]) -> Mapping[AssignmentKey, JobRecord | Exception]:
        """Give what the journal knows of offers, or why that cannot be known."""
        if not keys:
            return {}
        try:
            return await self._in_thread(self._find, keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, the offers have to be answered
            return dict.fromkeys(keys, error)

    def _find(self, keys: Sequence[AssignmentKey]) -> dict[AssignmentKey, JobRecord | Exception]:
        self._site_policy.look()
        known: dict[AssignmentKey, JobRecord | Exception] = {}
        for key in keys:
            try:
                if record := self._owed.get(key) or self._journal.find(key):
                    known[key] = record
            except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this offer only
                log.error("the journal cannot be read: %s; restart the worker to begin a new one", error)
                known[key] = error
        return known

    def _handle(
        self, event: Event, known: Mapping[AssignmentKey, JobRecord | Exception], now: float
    ) -> Sequence[Command]:
        commands: Sequence[Command]
        match event:
            case Order():
                log.info("the centre passes on: %s", f"{event.kind} {event.text or event.number or ''}".strip())
            case MaintenanceAsked():
                log.info("maintenance, by somebody at the site: %s", event.comment)
            case ExitAsked():
                log.info("maintenance is to end, by somebody at the site")
        if isinstance(event, Offer) and event.key not in self.core.jobs:
            found = known.get(event.key)
            if isinstance(found, JobRecord):
                event = OfferedAgain(found)
            elif refused := self._refused(event, found):
                self.history.note(event, [refused])
                return [refused]
        failure = ""
        try:
            commands = self.core.handle(event, now)
        except Exception as error:
            # What it has led to so far counts: the core has changed by so much.
            commands, failure = self.core.commands, f"{type(error).__name__}: {error}"
            before = self.history.about(getattr(event, "key", None))
            log.exception("%s could not be dealt with; what came before:\n%s", type(event).__name__, before)
        self.history.note(event, commands, failure)
        return commands

    def _refused(self, offer: Offer, unreadable: Exception | None) -> Refused | None:
        """Refuse an offer that the core is not to hear of; None for one that it decides on."""
        if unreadable is not None:
            # Perhaps it was started here before.
            reason = f"the site cannot read its journal: {unreadable}"[:LONGEST_FAULT]
            return Refused(**offer.key._asdict(), reason=reason)
        if denial := self._site_policy.judge(offer):
            log.warning("job %s is not taken: %s", offer.key, denial.reason)
            return Refused(**offer.key._asdict(), reason=denial.reason, denied=denial.for_good)
        return None

    # Doing

    def _do(self, deed: Deed, effects: Effects) -> None:
        """Do it, in its turn: after what has failed before it and is about the same."""
        if isinstance(deed, Close):
            # The process is gone: there is nothing to start or stop any more.
            self._undone = [
                one for one in self._undone if not (isinstance(one, StartJob | StopJob) and one.key == deed.key)
            ]
        if any(lane(one) == lane(deed) for one in self._undone):
            if deed not in self._undone:
                self._undone.append(deed)
            return
        try:
            self._carry_out(deed, effects)
        except Exception as error:  # noqa: BLE001 - whatever a part does, the round goes on and nothing of it is lost
            self._undone.append(deed)
            self._note_failure(deed, error)

    def _carry_out(self, deed: Deed, effects: Effects) -> None:
        match deed:
            case JobFile():
                effects.admit(deed)
                effects.follow(deed.key, Path(deed.log_path), deed.terms)
            case StartJob():
                log.info("starting job %s: %s", deed.key, one_line(self._folders.task_of(deed.key)))
                effects.start(deed)
            case StopJob():
                log.info("stopping job %s: %s", deed.key, deed.reason)
                effects.stop(deed)
            case Close(key):
                effects.close(key)
            case Announce():
                effects.announce()
            case Rename(name):
                self._worker_name = name
                effects.rename(name)
            case Restart():
                if self._owed_desired is not None:
                    raise AgentError("the next agent would not know that it was obeyed")
                effects.restart()
            case StoreJob() | Save() | KeepDesired():
                """It was written down already."""
            case message:
                effects.send(message)

    def _note_failure(self, deed: Deed, error: Exception) -> None:
        about = f" of job {deed.key}" if isinstance(deed, JobFile | StartJob | StopJob | Close) else ""
        failure = f"{NAMES.get(type(deed), type(deed).__name__)}{about} has failed: {error}"[:LONGEST_FAULT]
        if failure != self._failure:
            log.error("%s; it is tried again", failure, exc_info=error)
        self._due_later()
        self._failure = failure

    def _due_later(self) -> None:
        if not self.condition:
            self._retry_at = time.monotonic() + RETRY_INTERVAL

    async def _try_again(self, effects: Effects) -> None:
        undone, self._undone = self._undone, []
        for deed in undone:
            self._do(deed, effects)
        if self._failure and not self._undone:
            self._failure = ""
            log.info("what had failed is done")
        if self._journal_failure:
            try:
                await self._in_thread(self._try_journal)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._note_journal_failure(error)
            else:
                self._journal_failure = ""
                log.info("the journal can be written again")
        self._retry_at = time.monotonic() + RETRY_INTERVAL

    # Writing

    async def _write_down(self, commands: Sequence[Command], effects: Effects) -> list[Event]:
        """Write what is to be written before anything is done; give the events that follow from it."""
        stores = [command for command in commands if isinstance(command, StoreJob)]
        records = {command.record.key: command.record for command in commands if isinstance(command, Save)}
        desired = [command.desired for command in commands if isinstance(command, KeepDesired)]
        if not stores and not records and not desired:
            return []
        self._owed |= records
        self._owed_desired = desired[-1] if desired else self._owed_desired
        try:
            stored = await self._in_thread(self._write, stores)
        except Exception as error:  # noqa: BLE001 - without a thread, say: what is owed stays owed
            self._note_journal_failure(error)
            stored = dict.fromkeys((store.record.key for store in stores), f"the site cannot write anything: {error}")
        events: list[Event] = []
        for store in stores:
            match stored[store.record.key]:
                case JobFile() as job:
                    self._do(job, effects)
                    events.append(store)
                case reason:
                    events.append(NotStored(store.record.key, reason[:LONGEST_FAULT]))
        return events

    def _write(self, stores: Sequence[StoreJob]) -> dict[AssignmentKey, JobFile | str]:
        """Give what was stored, or why it could not be."""
        result: dict[AssignmentKey, JobFile | str] = {}
        records: list[JobRecord] = []
        for store in stores:
            key = store.record.key
            try:
                job = self._job_file(store.offer)
                self._folders.write(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this job only
                result[key] = f"the site cannot write the job's folder: {error}"
            else:
                result[key] = job
                records.append(store.record)
        try:
            self._journal.write([*records, *self._owed.values()], self._owed_desired)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the agent
            self._note_journal_failure(error)
            for record in records:
                self._folders.remove(record.key)
                result[record.key] = f"the site cannot write its journal: {error}"
            with contextlib.suppress(Exception):
                # For a new job there is no room; for what happens to those that are here, there is a reserve.
                self._journal.write_with_reserve(self._owed.values(), self._owed_desired)
                self._paid()
        else:
            self._paid()
        return result

    def _paid(self) -> None:
        for record in self._owed.values():
            if record.finished:
                try:
                    self._folders.put_away(record.key)
                except Exception as error:  # noqa: BLE001 - it is of no concern to what was written
                    # The next agent tidies up what is left.
                    log.warning("the folder of job %s cannot be put away: %s", record.key, error)
        self._owed = {}
        self._owed_desired = None

    def _try_journal(self) -> None:
        self._journal.write_with_reserve(self._owed.values(), self._owed_desired)
        self._paid()
        self._journal.try_out()

    def _note_journal_failure(self, error: Exception) -> None:
        failure = (
            f"the journal in the state folder cannot be written ({error}); make room on the disk of the state folder"
        )
        if failure != self._journal_failure:
            log.error("%s", failure)
        self._due_later()
        self._journal_failure = failure

    def _job_file(self, offer: Offer) -> JobFile:
        return JobFile(
            **offer.key._asdict(),
            kind=offer.kind,
            worker_name=self._worker_name,
            workload=offer.workload.decode(),
            api_socket=self._api_socket,
            log_path=str(self._folders.log_file(offer.key)),
            terms=self._site_policy.terms,
        )
