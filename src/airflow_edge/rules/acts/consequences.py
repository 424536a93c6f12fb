"""What would come of an act on a worker, and what happens to the tasks there: said before anything is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final, Literal, NamedTuple

from airflow_edge.protocol.errors import IllegalTransitionError
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.acts.maintaining import describe_maintenance
from airflow_edge.rules.durations import format_duration
from airflow_edge.rules.orders import AlreadySoError, Wish, effect
from airflow_edge.rules.worker import Worker

REMOVABLE: Final = frozenset({WorkerState.OFFLINE, WorkerState.OFFLINE_MAINTENANCE})
NO_QUEUE_LEFT: Final = "a worker has to serve at least one queue; add another one first, or shut it down"
REVOKED_ALREADY: Final = "it was revoked already"
NAME_TAKEN: Final = "another worker is called '{}'; choose another name, or remove that one"
NAMED: Final = 3
"""Tasks that are called by name; the others are counted."""


@dataclass(frozen=True, slots=True)
class JobsThere:
    """What a worker has of jobs."""

    running: int = 0
    """Accepted, and not ended as far as the centre knows."""
    offered: int = 0
    names: tuple[str, ...] = ()
    """Those of the first running ones, as `dag/task`."""


NOTHING_THERE: Final = JobsThere()


class Foreseen(NamedTuple):
    """What would come of an act; `done` is what is so already."""

    result: Literal["would", "done", "refused"]
    detail: str


def foresee_order(worker: Worker, wish: Wish, there: JobsThere, *, taken: bool = False) -> Foreseen:
    """Say what an order would do.

    :param taken: another worker has the name that is wanted
    """
    changes = (wish.text, wish.until) != (worker.maintenance_comment, worker.maintenance_until)
    try:
        effect(worker.state, wish.kind, revoked=worker.revoked_at is not None, comment_changes=changes)
    except AlreadySoError as so:
        return Foreseen("done", str(so))
    except IllegalTransitionError as refusal:
        return Foreseen("refused", str(refusal))
    if wish.kind == "rename" and taken:
        return Foreseen("refused", NAME_TAKEN.format(wish.text))
    hears = worker.link_id is not None and not worker.silent and worker.state is not WorkerState.UNKNOWN
    return Foreseen("would", f"{'' if hears else 'when it is linked again: '}{_ordered(worker, wish, there)}")


def foresee_revocation(worker: Worker, there: JobsThere) -> Foreseen:
    """Say what a revocation would do: nothing that runs there is waited for."""
    if worker.revoked_at is not None:
        return Foreseen("done", REVOKED_ALREADY)
    lost = f"{_tasks(there, 'is', 'are')} lost{_named(there)}" if there.running else "no task runs there"
    offered = f"; {there.offered} offered {'goes' if there.offered == 1 else 'go'} back into the queue"
    return Foreseen("would", f"it is cut off at once; {lost}{offered if there.offered else ''}")


def foresee_removal(worker: Worker, there: JobsThere) -> Foreseen:
    """Say whether a worker would be forgotten."""
    held = there.running + there.offered
    if why_not := why_not_removed(worker.name, worker.state, revoked=worker.revoked_at is not None, jobs=held):
        return Foreseen("refused", why_not)
    return Foreseen("would", "it is forgotten, with its measurements and orders; no task runs there")


def why_not_removed(name: str, state: WorkerState, *, revoked: bool, jobs: int) -> str:
    """Say why a worker cannot be forgotten, and what to do first; empty if it can.

    :param jobs: that it has and that have not ended
    """
    if not revoked and state not in REMOVABLE:
        return (
            f"it is {state}; shut it down first (airflow edge shutdown-remote-edge-worker {name}), or revoke it: "
            f"airflow edge revoke-worker {name}"
        )
    if jobs:
        return (
            f"{jobs} of its jobs have not ended; wait until its grace is over, or give them up: "
            f"airflow edge revoke-worker {name}"
        )
    return ""


def foresee_queues(
    worker: Worker, there: JobsThere, *, add: Sequence[str] = (), remove: Collection[str] = ()
) -> Foreseen:
    """Say which queues a worker would serve."""
    queues = [queue for queue in dict.fromkeys([*worker.queues, *add]) if queue not in remove]
    if not queues:
        return Foreseen("refused", NO_QUEUE_LEFT)
    asked, added = worker.asked_queues, {*worker.added_queues, *add}
    served = [queue for queue in queues if asked is None or queue in asked or queue in added]
    goes_on = f"; {_tasks(there, 'goes', 'go')} on" if remove and there.running else ""
    return Foreseen("would", f"serves {', '.join(served) or 'no queue that it was started for'}{goes_on}")


def foresee_grace(_: Worker, there: JobsThere, *, grace: timedelta | None) -> Foreseen:
    """Say for how long jobs would be waited for."""
    concerned = f"; {there.running} run there" if there.running else ""
    return Foreseen("would", f"{waited_for(grace)}{concerned}")


def waited_for(grace: timedelta | None) -> str:
    """Say for how long a worker's jobs are waited for; None is what the settings say."""
    return f"its jobs are waited for {'as long as the settings say' if grace is None else format_duration(grace)}"


def _ordered(worker: Worker, wish: Wish, there: JobsThere) -> str:
    goes_on = f"{_tasks(there, 'goes', 'go')} on{_named(there)}" if there.running else "no task runs there"
    match wish.kind:
        case "maintenance":
            ends = (
                "" if wish.until is None else f"; it ends by itself at {wish.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            )
            return f"takes no new task; {goes_on}{ends}"
        case "maintenance comment":
            return "people see the new comment"
        case "exit maintenance":
            was = describe_maintenance(worker.maintenance_comment, worker.maintenance_by, worker.maintenance_until)
            return f"takes tasks again{f'; it was {was}' if was else ''}"
        case "shutdown":
            last = "it ends with the last one" if there.running else "it ends"
            return f"takes no new task; {goes_on}; {last}, and nothing here starts it again"
        case "restart":
            return f"its agent is replaced; {goes_on}"
        case "rename":
            return f"is called '{wish.text}'; {goes_on}"
        case "concurrency":
            fewer = "; it takes no new task while more are taken" if there.running > (wish.number or 0) else ""
            return f"{worker.concurrency} slots become {wish.number}; {goes_on}{fewer}"


def _tasks(there: JobsThere, one: str, many: str) -> str:
    return f"1 task {one}" if there.running == 1 else f"{there.running} tasks {many}"


def _named(there: JobsThere) -> str:
    if not there.names:
        return ""
    more = ", …" if there.running > NAMED else ""
    return f" ({', '.join(there.names[:NAMED])}{more})"
