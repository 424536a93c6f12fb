"""Whether anything was lost, doubled or stuck. Pure: evidence in, findings out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.evidence import Entry, Evidence, Job, Kill, TaskTry, Try

ENDED_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
JOB_ENDED_STATES = frozenset({"succeeded", "failed", "lost", "cancelled"})
RUN_ENDED_STATES = frozenset({"success", "failed"})


class Kind(StrEnum):
    """What went wrong."""

    LOST = "lost"
    """Work that was done or was to be done, and nobody knows of it; or that was killed, and no fault explains it."""
    DOUBLED = "doubled"
    """Work that was done twice."""
    STUCK = "stuck"
    """Something that has not ended."""


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong, and with what."""

    kind: Kind
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}: {self.what}"


@dataclass(frozen=True)
class _Story:
    """All that is known of one try."""

    of: Try
    starts: tuple[Entry, ...]
    ends: tuple[Entry, ...]
    airflow: TaskTry | None
    jobs: tuple[Job, ...]
    """Oldest first. More than one if Airflow has queued the try again."""


def check(evidence: Evidence) -> list[Finding]:
    """Compare everything; nothing found means that nothing was lost, doubled or stuck."""
    findings: list[Finding] = []
    for story in _stories(evidence):
        findings += _of_try(story, evidence.kills)
        findings += _of_its_jobs(story, evidence.kills)
    findings += _overlaps(evidence)
    findings += _of_runs(evidence)
    findings += _of_jobs(evidence)
    findings += _of_logs(evidence)
    findings += [
        Finding(Kind.STUCK, leftover.worker, f"still there: {leftover.what}") for leftover in evidence.leftovers
    ]
    return findings


def killed(evidence: Evidence) -> int:
    """How many tries began and did not end because they were killed on purpose."""
    return sum(
        1 for story in _stories(evidence) if story.starts and not story.ends and _was_killed(story, evidence.kills)
    )


def _stories(evidence: Evidence) -> list[_Story]:
    starts, ends = defaultdict[Try, list[Entry]](list), defaultdict[Try, list[Entry]](list)
    for entry in evidence.entries:
        (starts if entry.what == "start" else ends)[entry.of].append(entry)
    airflow = {held.of: held for held in evidence.tries if held.of.number > 0}
    jobs = defaultdict[Try, list[Job]](list)
    for job in evidence.jobs:
        jobs[job.of].append(job)
    return [
        _Story(of, tuple(starts[of]), tuple(ends[of]), airflow.get(of), tuple(jobs[of]))
        for of in sorted({*starts, *ends, *airflow, *jobs})
    ]


def _of_try(story: _Story, kills: tuple[Kill, ...]) -> Iterator[Finding]:
    subject = str(story.of)
    state = story.airflow.state if story.airflow else None
    if len(story.starts) > 1:
        where = ", ".join(f"{entry.worker} at {entry.time:.1f} (pid {entry.pid})" for entry in story.starts)
        yield Finding(Kind.DOUBLED, subject, f"started {len(story.starts)} times: {where}")
    if story.airflow is None:
        if story.starts or story.ends:
            yield Finding(Kind.LOST, subject, "ran at a site, and Airflow does not know of it")
    elif state == "success":
        if not story.starts or not story.ends:
            missing = " and ".join(what for what, there in (("start", story.starts), ("end", story.ends)) if not there)
            yield Finding(Kind.LOST, subject, f"a success to Airflow, without a {missing} in any ledger")
    elif state not in ENDED_STATES:
        yield Finding(Kind.STUCK, subject, f"still {state}")
    elif not _was_killed(story, kills):
        why = "; ".join(f"{job.state}: {job.reason or 'no reason given'}" for job in story.jobs) or "no job of ours"
        if story.ends:
            yield Finding(Kind.LOST, subject, f"succeeded at its site, and is {state} to Airflow ({why})")
        elif story.starts:
            yield Finding(Kind.LOST, subject, f"began, and is {state} to Airflow, though nobody killed it ({why})")
        else:
            yield Finding(Kind.LOST, subject, f"{state} before it began, though nobody killed it ({why})")
    if story.airflow and story.airflow.latest and state in {"failed", "upstream_failed", "removed"}:
        yield Finding(Kind.LOST, subject, f"the task was given up: {state}")


def _of_its_jobs(story: _Story, kills: tuple[Kill, ...]) -> Iterator[Finding]:
    """Whether our table says of a try what Airflow and the ledgers say."""
    subject = str(story.of)
    succeeded = [job for job in story.jobs if job.state == "succeeded"]
    if len(succeeded) > 1:
        yield Finding(Kind.DOUBLED, subject, f"{len(succeeded)} of our jobs have succeeded with it")
    if not story.jobs:
        yield Finding(Kind.LOST, subject, "there is no job of it in our table")
    elif story.airflow and story.airflow.state == "success" and not _was_killed(story, kills):
        # What was killed may have told Airflow, and nobody how it ended. What has not ended is a finding of its own.
        states = ", ".join(job.state for job in story.jobs)
        if not {job.state for job in story.jobs} <= JOB_ENDED_STATES - {"succeeded"}:
            return
        yield Finding(Kind.LOST, subject, f"a success to Airflow, and {states} in our table")


def _was_killed(story: _Story, kills: tuple[Kill, ...]) -> bool:
    """Whether a process of its own was killed on purpose: its supervisor or its task, not an agent or a runtime.

    Only the last assignment counts: if the centre has handed the job out anew, what happened to the one before is no
    excuse.
    """
    last = story.jobs[-1].assignment if story.jobs else None
    return any(last in kill.assignments for kill in kills)


def _overlaps(evidence: Evidence) -> Iterator[Finding]:
    """Two tries of one task at work at once."""
    by_task = defaultdict[tuple[str, str, str, int], list[Entry]](list)
    for entry in evidence.entries:
        by_task[entry.of.task].append(entry)
    for entries in by_task.values():
        for later in (entry for entry in entries if entry.what == "start"):
            for earlier in entries:
                if earlier.of.number < later.of.number and earlier.time > later.time:
                    what = f"began at {later.worker} while try {earlier.of.number} was at work at {earlier.worker}"
                    yield Finding(Kind.DOUBLED, str(later.of), what)


def _of_runs(evidence: Evidence) -> Iterator[Finding]:
    for run_id in evidence.asked_for:
        if run_id not in evidence.runs:
            yield Finding(Kind.LOST, run_id, "Airflow has begun this Dag run, and does not know of it")
    for run_id, state in sorted(evidence.runs.items()):
        if state not in RUN_ENDED_STATES:
            yield Finding(Kind.STUCK, run_id, f"the Dag run is still {state}")
    for held in evidence.tries:
        # Number 0 was never queued. A run that succeeds leaves nothing like that behind.
        if held.of.number == 0 and held.latest and evidence.runs.get(held.of.run_id) in RUN_ENDED_STATES:
            yield Finding(Kind.LOST, str(held.of), f"never queued ({held.state}), and its Dag run has ended")


def _of_jobs(evidence: Evidence) -> Iterator[Finding]:
    for job in evidence.jobs:
        subject = f"job of {job.of}"
        if job.state not in JOB_ENDED_STATES:
            yield Finding(Kind.STUCK, subject, f"still {job.state} at {job.worker}")
        elif job.owned and not job.booked:
            # Without an owner nobody waits for it: its scheduler has died, and whoever took over found that Airflow
            # has the task's end already. That Airflow really has it is checked with its try.
            yield Finding(Kind.STUCK, subject, f"{job.state}, and no scheduler has booked it")
        if job.to_stop:
            yield Finding(Kind.STUCK, subject, f"{job.worker} has not said that it stopped it")


def _of_logs(evidence: Evidence) -> Iterator[Finding]:
    spoiled = {job.of for job in evidence.jobs if job.assignment in evidence.spoiled_logs}
    for job in evidence.jobs:
        if job.started is not None and job.state in JOB_ENDED_STATES and not job.log_complete and job.of not in spoiled:
            yield Finding(Kind.LOST, str(job.of), f"its log at the centre is not complete ({job.state})")
    without_room = set(_without_room(evidence))
    for log in evidence.logs:
        if log.of in spoiled:
            continue
        times = Counter(log.lines)
        # One that was killed has printed some of its lines, from the first one on.
        expected = log.expected if log.whole else max(log.lines, default=-1) + 1
        missing = [number for number in range(expected) if number not in times]
        if missing and log.of not in without_room:
            yield Finding(Kind.LOST, str(log.of), f"{len(missing)} of {expected} lines are not in its log")
        if doubled := [number for number, count in times.items() if count > 1]:
            yield Finding(Kind.DOUBLED, str(log.of), f"{len(doubled)} lines are in its log more than once")
        elif list(log.lines) != sorted(log.lines):
            yield Finding(Kind.LOST, str(log.of), "the lines of its log are out of order")


def _without_room(evidence: Evidence) -> Iterator[Try]:
    """Give the tries that were at work while the disk of their site was full."""
    ends = {entry.of: entry.time for entry in evidence.entries if entry.what == "end"}
    for start in (entry for entry in evidence.entries if entry.what == "start"):
        for full in evidence.full_disks:
            if full.worker == start.worker and start.time < full.end and ends.get(start.of, full.begin) >= full.begin:
                yield start.of
