"""The rules, one by one. What holds whatever happens is in `test_core_always.py`."""

from __future__ import annotations

import pytest

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Acknowledged,
    Announce,
    Close,
    Command,
    ConditionsFound,
    Deadline,
    DesiredState,
    DrainAsked,
    Event,
    Exited,
    JobRecord,
    KeepDesired,
    LogDone,
    NotStored,
    OfferedAgain,
    ProcessesBack,
    RuntimeGone,
    RuntimeReady,
    Save,
    Seen,
    StateCallBegan,
    StateCallEnded,
    StopAsked,
    StoreJob,
    TerminateAsked,
)
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobNotStarted, JobStarted, Outcome, StartJob, StopJob
from airflow_edge.protocol.messages import Accepted, Ended, Obeyed, Offer, Refused, Released, Stop, Void
from airflow_edge.protocol.states import WorkerState

JOB = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
KEY = AssignmentKey(JOB, 1)
SAID = (Accepted, Refused, Released, Ended, Obeyed)


def offer(job_id: str = JOB, assignment: int = 1, *, slots: int = 1, lease: float = 10.0) -> Offer:
    return Offer(job_id=job_id, assignment=assignment, kind="task", queue="q", slots=slots, lease=lease, workload=b"{}")


def ready(*alive: AssignmentKey) -> RuntimeReady:
    return RuntimeReady(frozenset(alive), {})


def accepted(key: AssignmentKey = KEY) -> Accepted:
    return Accepted(job_id=key.job_id, assignment=key.assignment)


def stop(reason: str = "cleared", key: AssignmentKey = KEY) -> Stop:
    return Stop(job_id=key.job_id, assignment=key.assignment, reason=reason)


def void(reason: str) -> Void:
    return Void(job_id=JOB, assignment=1, reason=reason)


def started(key: AssignmentKey = KEY) -> JobStarted:
    return JobStarted(job_id=key.job_id, assignment=key.assignment, pid=4711)


def start(key: AssignmentKey = KEY) -> StartJob:
    return StartJob(job_id=key.job_id, assignment=key.assignment, folder=f"jobs/{key}")


def stopped(reason: str, key: AssignmentKey = KEY) -> StopJob:
    return StopJob(job_id=key.job_id, assignment=key.assignment, grace=5.0, reason=reason)


def ended(key: AssignmentKey = KEY, **how: object) -> Ended:
    return Ended(job_id=key.job_id, assignment=key.assignment, **how)  # type: ignore[arg-type]


STORE = StoreJob(JobRecord(key=KEY, kind="task", slots=1), offer())


class Site:
    """A core whose wishes to store come true at once."""

    def __init__(self, concurrency: int = 4, records: list[JobRecord] | None = None, *, warm: bool = True) -> None:
        self.core = Core(concurrency, records or [])
        self.now = 0.0
        if warm:
            self.let(ready())

    def let(self, *events: Event) -> list[Command]:
        """Let these happen; give all that is to be done."""
        commands: list[Command] = []
        for event in events:
            for command in self.core.handle(event, self.now):
                commands.append(command)
                if isinstance(command, StoreJob):
                    commands += self.let(command)
        return commands

    def said(self, *events: Event) -> list[Command]:
        return did(self.let(*events), *SAID)

    def running(self, key: AssignmentKey = KEY, *, slots: int = 1) -> None:
        self.let(offer(*key, slots=slots), started(key))


def did(commands: list[Command], *kinds: type) -> list[Command]:
    return [command for command in commands if isinstance(command, kinds)]


def test_what_is_wrong_with_the_machine_is_told_and_costs_new_jobs_only() -> None:
    site = Site()
    site.running()
    assert did(site.let(ConditionsFound(("the disk is full", "and more"))), Announce, StopJob) == [Announce()]
    (refused,) = site.said(offer(OTHER))
    assert refused == Refused(job_id=OTHER, assignment=1, reason="the disk is full; and more")
    site.let(ConditionsFound(()))
    assert did(site.let(offer(OTHER, 2)), StartJob) == [start(AssignmentKey(OTHER, 2))]


# The way of a job


def test_an_offer_is_stored_before_it_is_accepted_and_started() -> None:
    core = Core(4)
    core.handle(ready(), 0)
    commands = core.handle(offer(), 0)
    assert did(commands, StoreJob, *SAID, StartJob) == [STORE]
    assert did(core.handle(STORE, 0), *SAID, StartJob) == [accepted(), start()]


def test_a_job_that_cannot_be_stored_is_refused_and_its_slots_are_free() -> None:
    core = Core(1)
    core.handle(ready(), 0)
    core.handle(offer(), 0)
    commands = core.handle(NotStored(KEY, "disk full"), 0)
    assert did(commands, *SAID) == [Refused(job_id=JOB, assignment=1, reason="disk full")]
    assert core.free == 1
    assert core.worker.state is WorkerState.IDLE


def test_a_job_is_finished_when_its_end_is_acknowledged_and_its_log_is_complete() -> None:
    site = Site()
    site.running()
    over = site.let(Exited(KEY, 0, None, Outcome(job_id=JOB, assignment=1, exit_code=0)))
    assert did(over, Close, *SAID) == [Close(KEY), ended(exit_code=0)]
    (acknowledged,) = did(site.let(Acknowledged(KEY)), Save)
    (finished,) = did(site.let(LogDone(KEY)), Save)
    assert isinstance(acknowledged, Save)
    assert isinstance(finished, Save)
    assert (acknowledged.record.finished, finished.record.finished) == (False, True)
    assert not site.core.jobs


@pytest.mark.parametrize("events", [(Acknowledged(KEY),), (LogDone(KEY),)])
def test_nothing_is_over_while_the_job_runs(events: tuple[Event, ...]) -> None:
    site = Site()
    site.running()
    assert site.let(*events) == []


def test_an_outcome_tells_more_than_an_exit_status() -> None:
    site = Site()
    site.running()
    outcome = Outcome(job_id=JOB, assignment=1, exit_code=3, reason="no bundle")
    assert site.said(Exited(KEY, None, 9, outcome)) == [ended(exit_code=3, reason="no bundle")]


def test_without_an_outcome_the_signal_is_told() -> None:
    site = Site()
    site.running()
    assert site.said(Exited(KEY, None, 9, None)) == [ended(signal=9)]


def test_a_job_that_could_not_be_started_has_ended() -> None:
    site = Site()
    site.let(offer())
    assert site.said(JobNotStarted(job_id=JOB, assignment=1, reason="no memory")) == [ended(reason="no memory")]


def test_a_job_for_which_the_machine_had_no_process_waits_and_has_not_ended() -> None:
    site = Site()
    site.let(offer())
    passing = JobNotStarted(job_id=JOB, assignment=1, reason="no process", passing=True)
    assert site.let(passing) == []
    assert site.core.free == 3
    assert did(site.let(ProcessesBack()), StartJob, *SAID) == [start()]
    assert site.let(passing) == []
    # Nor is it forgotten when the runtime is another one, or started twice.
    assert did(site.let(RuntimeGone(), ready()), StartJob, *SAID) == [start()]
    assert did(site.let(ProcessesBack()), StartJob, *SAID) == []
    assert site.said(started(), passing, stop("cleared")) == []


def test_a_job_that_waits_for_a_process_can_be_stopped() -> None:
    site = Site()
    site.let(offer(), JobNotStarted(job_id=JOB, assignment=1, reason="no process", passing=True))
    assert site.said(stop("cleared")) == [ended(reason="cleared")]
    assert did(site.let(ProcessesBack()), StartJob) == []


def test_an_offer_that_waits_is_given_back_when_the_site_cannot_work() -> None:
    site = Site(warm=False)
    assert site.said(offer()) == []
    refused = Refused(job_id=JOB, assignment=1, reason="the runtime does not answer")
    assert site.said(ConditionsFound(("the runtime does not answer",))) == [refused]


# Slots


def test_slots_are_those_of_jobs_not_released() -> None:
    site = Site(concurrency=4)
    site.running(slots=3)
    assert site.core.free == 1
    assert site.said(offer(OTHER, slots=2)) == [Refused(job_id=OTHER, assignment=1, reason="1 of 4 slots are free")]
    assert site.said(StateCallBegan(KEY), StateCallEnded(KEY, passed=True)) == [Released(job_id=JOB, assignment=1)]
    assert site.core.free == 4
    assert site.said(offer(OTHER, slots=4)) == [accepted(AssignmentKey(OTHER, 1))]


def test_a_job_larger_than_the_worker_is_refused() -> None:
    (refused,) = Site(concurrency=4).said(offer(slots=5))
    assert isinstance(refused, Refused)
    assert "needs 5 slots" in refused.reason


# Offers that come again, late or in the wrong order


def test_a_repeated_offer_is_answered_as_before_and_not_started_again() -> None:
    site = Site()
    site.running()
    assert did(site.let(offer()), *SAID, StartJob, StoreJob) == [accepted()]
    site.let(StateCallBegan(KEY), StateCallEnded(KEY, passed=True), Exited(KEY, 0, None, None))
    assert did(site.let(offer()), *SAID, StartJob, StoreJob) == [accepted(), ended(exit_code=0)]


def test_an_offer_of_a_finished_job_is_answered_from_the_journal() -> None:
    record = JobRecord(
        key=KEY,
        kind="task",
        slots=1,
        phase="ended",
        ended=ended(exit_code=7),
        acknowledged=True,
        log_done=True,
    )
    commands = Site().let(OfferedAgain(record))
    assert did(commands, *SAID, StartJob, StoreJob) == [accepted(), ended(exit_code=7)]


def test_a_job_that_no_runtime_has_begun_is_given_to_the_next_one() -> None:
    site = Site()
    site.let(offer(), RuntimeGone())
    assert did(site.let(RuntimeReady(frozenset(), {}, frozenset({KEY}))), StartJob, *SAID) == [start()]
    # Also by the next agent; and what has been stopped meanwhile ends without a start.
    again = Site(records=[JobRecord(key=KEY, kind="task", slots=1)], warm=False)
    again.let(stop("enough"))
    said = again.said(RuntimeReady(frozenset(), {}, frozenset({KEY})))
    assert ended(reason="enough") in said


def test_a_newer_assignment_waits_until_the_older_one_is_gone() -> None:
    site = Site(concurrency=1)
    site.running()
    assert did(site.let(offer(assignment=2)), StopJob, *SAID, StoreJob) == [
        stopped("the centre has handed the job out anew")
    ]
    commands = site.let(Exited(KEY, None, 15, None))
    assert did(commands, *SAID, StartJob) == [accepted(AssignmentKey(JOB, 2)), start(AssignmentKey(JOB, 2))]


def test_a_waiting_offer_whose_lease_ran_out_is_dropped() -> None:
    site = Site(concurrency=1)
    site.running()
    site.let(offer(assignment=2))
    site.now = 11.0
    assert did(site.let(Exited(KEY, None, 15, None)), *SAID, StartJob, StoreJob) == []


def test_an_older_assignment_is_refused() -> None:
    site = Site()
    site.running(AssignmentKey(JOB, 2))
    (refused,) = site.said(offer(assignment=1))
    assert isinstance(refused, Refused)


def test_offers_wait_for_the_runtime() -> None:
    site = Site(warm=False)
    assert site.core.worker.state is WorkerState.STARTING
    assert did(site.let(offer()), *SAID, StoreJob) == []
    assert did(site.let(ready()), *SAID, StartJob) == [accepted(), start()]


# Stopping


def test_a_stopped_job_reports_how_it_ended() -> None:
    site = Site()
    site.running()
    commands = site.let(stop("the task was cleared"))
    assert did(commands, StopJob, *SAID) == [stopped("the task was cleared")]
    assert site.let(stop("the task was cleared")) == []
    assert site.said(Exited(KEY, None, 9, None)) == [ended(signal=9, reason="the task was cleared")]


def test_a_released_job_is_not_stopped() -> None:
    site = Site()
    site.running()
    site.let(StateCallBegan(KEY), StateCallEnded(KEY, passed=True))
    assert site.let(stop("the task has failed")) == []


def test_a_stop_waits_for_the_state_that_is_on_its_way() -> None:
    site = Site()
    site.running()
    site.let(StateCallBegan(KEY))
    assert did(site.let(stop("marked failed")), StopJob) == []
    assert did(site.let(StateCallEnded(KEY, passed=True)), StopJob) == []
    assert site.said(Exited(KEY, 1, None, None)) == [ended(exit_code=1)]


def test_a_stop_is_carried_out_when_the_state_did_not_pass() -> None:
    site = Site()
    site.running()
    site.let(StateCallBegan(KEY), stop("marked failed"))
    assert did(site.let(StateCallEnded(KEY, passed=False)), StopJob) != []


def test_a_stop_is_remembered_and_repeated_to_a_runtime_that_was_away() -> None:
    site = Site()
    site.running()
    site.let(RuntimeGone())
    (save,) = site.let(stop("cleared"))
    assert isinstance(save, Save)
    taken_over = Site(records=[save.record], warm=False)
    taken_over.let(ready(KEY))
    assert did(taken_over.let(Seen(KEY)), StopJob) != []


def test_a_task_taken_over_is_not_stopped_before_its_supervisor_has_asked_again_for_the_answer_it_missed() -> None:
    site = Site()
    site.running()
    (save,) = site.let(stop("the task was set to success"))[:1]
    assert isinstance(save, Save)
    taken_over = Site(records=[save.record], warm=False)
    assert did(taken_over.let(ready(KEY), StateCallBegan(KEY)), StopJob) == []
    assert did(taken_over.let(StateCallEnded(KEY, passed=True)), StopJob) == []
    ended = taken_over.said(Exited(KEY, 0, None, None))[-1]
    assert isinstance(ended, Ended)
    assert ended.exit_code == 0


def test_one_that_is_not_wanted_at_all_is_stopped_though_nothing_was_heard_of_it() -> None:
    site = Site()
    site.running()
    (save, *_) = site.let(void("it runs elsewhere"))
    assert isinstance(save, Save)
    taken_over = Site(records=[save.record], warm=False)
    assert did(taken_over.let(ready(KEY)), StopJob) != []


def test_a_job_that_was_never_started_ends_at_once() -> None:
    core = Core(4)
    core.handle(ready(), 0)
    core.handle(offer(), 0)
    core.handle(stop("cleared"), 0)
    commands = core.handle(STORE, 0)
    assert did(commands, *SAID, StartJob) == [accepted(), ended(reason="cleared")]


def test_a_void_job_is_ended_without_a_word() -> None:
    site = Site()
    site.running()
    site.let(StateCallBegan(KEY))
    assert did(site.let(void("given to another")), StopJob) != []
    assert did(site.let(Exited(KEY, None, 9, None)), *SAID) == []
    assert site.core.jobs.held() == ()
    assert did(site.let(LogDone(KEY)), Save) != []


def test_what_is_void_is_not_accepted() -> None:
    site = Site(warm=False)
    site.let(offer(), void("expired"))
    assert did(site.let(ready()), *SAID, StartJob, StoreJob) == []


# The runtime


def test_after_the_runtime_was_away_its_word_counts() -> None:
    site = Site()
    site.running()
    site.running(AssignmentKey(OTHER, 1))
    site.let(RuntimeGone())
    outcome = Outcome(job_id=OTHER, assignment=1, exit_code=0)
    commands = site.let(RuntimeReady(frozenset({KEY}), {AssignmentKey(OTHER, 1): outcome}))
    assert did(commands, *SAID, StartJob) == [ended(AssignmentKey(OTHER, 1), exit_code=0)]


def test_a_job_that_nobody_knows_of_has_ended() -> None:
    site = Site()
    site.running()
    (message,) = site.said(RuntimeGone(), ready())
    assert isinstance(message, Ended)
    assert (message.exit_code, message.signal) == (None, None)
    assert "runtime" in message.reason


def test_a_process_that_should_not_be_is_stopped() -> None:
    site = Site()
    assert did(site.let(started()), StopJob) != []
    assert did(site.let(RuntimeGone(), ready(KEY)), StopJob) != []


# What others ask


def test_the_worker_goes_from_starting_to_idle_to_running_and_back() -> None:
    site = Site(warm=False)
    states = [site.core.worker.state]
    for event in (ready(), offer(), Exited(KEY, 0, None, None)):
        assert did(site.let(event), Announce) == [Announce()]
        states.append(site.core.worker.state)
    assert states == ["starting", "idle", "running", "idle"]


def test_a_draining_worker_refuses_and_is_over_with_its_last_job() -> None:
    site = Site()
    site.running()
    assert did(site.let(DrainAsked()), StopJob) == []
    assert site.core.worker.state is WorkerState.TERMINATING
    (refused,) = site.said(offer(OTHER))
    assert isinstance(refused, Refused)
    assert not site.core.worker.over
    site.let(Exited(KEY, 0, None, None))
    assert site.core.worker.over


@pytest.mark.parametrize("asked", [DrainAsked(), StopAsked()])
def test_a_worker_without_jobs_is_over_at_once(asked: Event) -> None:
    for warm in (True, False):
        site = Site(warm=warm)
        site.let(asked)
        assert site.core.worker.over


def test_a_worker_that_was_stopped_and_whose_jobs_a_reboot_has_ended_takes_jobs_again() -> None:
    there = JobRecord(key=KEY, kind="task", slots=1)
    gone = JobRecord(key=KEY, kind="task", slots=1, phase="ended", ended=ended())
    desired = DesiredState(leaving=True, deadline=Deadline(1000.0, 600.0))
    assert Core(4, [there], desired).worker.leaving
    core = Core(4, [gone], desired)
    commands = core.handle(ready(), 0)
    assert core.worker.state is WorkerState.IDLE
    # Written down too: the next agent must not leave for it.
    assert KeepDesired(DesiredState()) in commands


def test_a_terminated_worker_stops_its_jobs_whatever_they_are_doing() -> None:
    site = Site()
    site.running()
    site.let(StateCallBegan(KEY))
    site.let(DrainAsked())
    assert did(site.let(TerminateAsked()), StopJob) != []
    assert site.said(Exited(KEY, None, 15, None)) == [ended(signal=15, reason="the worker was terminated")]
    assert site.core.worker.over


def test_a_terminated_worker_stops_jobs_of_the_last_agent_when_the_runtime_answers() -> None:
    site = Site(records=[JobRecord(key=KEY, kind="task", slots=1)], warm=False)
    site.let(TerminateAsked())
    assert not site.core.worker.over
    assert did(site.let(ready(KEY)), StopJob) != []
