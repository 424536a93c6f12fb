"""What the commands of `airflow edge` about many workers do: they parse, call the fleet and print."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final, TypeVar, cast

from airflow import settings
from airflow.utils.platform import getuser
from sqlalchemy.orm import Session

from airflow_edge.admin.audit import record
from airflow_edge.admin.config import read_patience
from airflow_edge.admin.fleet import Fleet, Outcome, UnknownWorkerError
from airflow_edge.cli.centre.printing import as_text, audited, harmless, print_as, say
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.model import MAX_QUEUE_LENGTH, Worker
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import JobFilter
from airflow_edge.store.store import Store
from airflow_edge.store.transactions import SessionFactory

Choice = TypeVar("Choice", bound=StrEnum)

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at an order that waits for its worker."""


@audited
def list_jobs(args: argparse.Namespace) -> None:
    """List jobs."""
    wanted = JobFilter(
        dag_id=args.dag_id,
        run_id=args.run_id,
        queue=args.queue,
        worker=args.worker,
        team_name=args.team,
        states=frozenset(one_of(JobState, args.state)),
    )
    page = _store().fleet.find_jobs(wanted, order="-queued_at", limit=args.limit)
    print_as(
        [
            {
                "id": str(job.id),
                "dag_id": job.dag_id,
                "run_id": job.run_id,
                "task_id": job.task_id,
                "map_index": job.map_index,
                "try": job.try_number,
                "state": job.state.value,
                "queue": job.queue,
                "worker": job.worker,
                "slots": job.slots,
                "queued_at": as_text(job.queued_at),
                "started_at": as_text(job.started_at),
                "ended_at": as_text(job.ended_at),
                "reason": job.reason,
            }
            for job in page.items
        ],
        args.output,
    )
    if page.total > len(page.items):
        say(f"These are the newest {len(page.items)} of {page.total}; see --limit and the filters.")


@audited
def list_queues(args: argparse.Namespace) -> None:
    """List queues, with what waits in them and who serves them."""
    print_as(
        [
            {
                "queue": queue.queue,
                "team": queue.team_name or "",
                "queued": queue.queued,
                "running": queue.running,
                "oldest_queued_at": as_text(queue.oldest_queued_at),
                "workers": queue.workers,
                "ready_workers": queue.ready_workers,
                "free_slots": queue.free_slots,
            }
            for queue in _fleet().queues()
        ],
        args.output,
    )


@audited
def explain_job(args: argparse.Namespace) -> None:
    """Say in one sentence why a task is not running."""
    # Airflow's models of Dags and tasks, which no other command waits for.
    from airflow_edge.admin.airflow_facts import task_facts

    try:
        patience = read_patience()
    except ValueError as error:
        raise SystemExit(str(error)) from None
    with _sessions() as session:
        task = task_facts(session, args.dag_id, args.run_id, args.task_id, args.map_index)
    fleet = _fleet()
    job = fleet.newest_job(args.dag_id, args.run_id, args.task_id, args.map_index)
    print(harmless(fleet.explain(task, job, patience=patience).sentence))


@audited
def request_maintenance(args: argparse.Namespace) -> None:
    """Ask workers to go into maintenance."""
    _order(args, Wish("maintenance", args.comments))


@audited
def update_maintenance_comment(args: argparse.Namespace) -> None:
    """Change the comment on a maintenance."""
    _order(args, Wish("maintenance comment", args.comments))


@audited
def exit_maintenance(args: argparse.Namespace) -> None:
    """Ask workers to leave maintenance."""
    _order(args, Wish("exit maintenance"))


@audited
def shutdown_worker(args: argparse.Namespace) -> None:
    """Ask workers to finish their jobs and end."""
    _order(args, Wish("shutdown"))


@audited
def shutdown_all_workers(args: argparse.Namespace) -> None:
    """Ask every worker that is there to finish its jobs and end."""
    fleet = _fleet()
    workers = fleet.linked()
    if not workers:
        raise SystemExit("No worker is linked.")
    if not args.yes:
        say(f"Shut down {_names(workers)}? They finish their jobs, and nothing starts them again [y/N]")
        try:
            answer = input()
        except EOFError:
            raise SystemExit("Nothing was done: there is nobody to ask; --yes does it without a question.") from None
        if answer.strip().lower() not in {"y", "yes"}:
            raise SystemExit("Nothing was done.")
    _report(args, fleet, "shutdown", fleet.give_order(workers, Wish("shutdown"), by=getuser()))


@audited
def restart_worker(args: argparse.Namespace) -> None:
    """Ask workers to replace their agent by a new one."""
    _order(args, Wish("restart"))


@audited
def rename_worker(args: argparse.Namespace) -> None:
    """Give a worker another name."""
    args.workers = [args.name]
    _order(args, Wish("rename", args.new_name))


@audited
def set_worker_concurrency(args: argparse.Namespace) -> None:
    """Set how many slots workers have."""
    _order(args, Wish("concurrency", number=args.concurrency))


@audited
def add_worker_queues(args: argparse.Namespace) -> None:
    """Have workers serve more queues."""
    queues = queue_names(args.queues)
    _change(args, "add queues", lambda fleet, workers: fleet.add_queues(workers, queues), queues=queues)


@audited
def remove_worker_queues(args: argparse.Namespace) -> None:
    """Have workers serve these queues no more."""
    queues = queue_names(args.queues)
    _change(args, "remove queues", lambda fleet, workers: fleet.remove_queues(workers, queues), queues=queues)


@audited
def revoke_worker(args: argparse.Namespace) -> None:
    """Revoke workers' keys."""
    _change(args, "revoke", lambda fleet, workers: fleet.revoke(workers))


@audited
def remove_worker(args: argparse.Namespace) -> None:
    """Forget workers that are offline or revoked."""
    _change(args, "remove", lambda fleet, workers: fleet.remove(workers))


def queue_names(text: str) -> list[str]:
    """Read a comma-separated list of queues.

    :raises SystemExit: there is none, or one is too long.
    """
    queues = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not queues:
        raise SystemExit("Name at least one queue: --queues default,gpu")
    if too_long := next((queue for queue in queues if len(queue) > MAX_QUEUE_LENGTH), None):
        raise SystemExit(f"A queue's name has at most {MAX_QUEUE_LENGTH} characters, not {len(too_long)}.")
    return queues


def one_of(kind: type[Choice], names: Iterable[str] | None) -> list[Choice]:
    """Read the names of states.

    :raises SystemExit: one is none.
    """
    try:
        return [kind(name) for name in names or ()]
    except ValueError as error:
        raise SystemExit(f"{error}; there are: {', '.join(kind)}") from None


def _order(args: argparse.Namespace, wish: Wish) -> None:
    fleet = _fleet()
    workers = _selected(args, fleet)
    say(f"{wish.kind}: {_names(workers)}")
    _report(args, fleet, wish.kind, fleet.give_order(workers, wish, by=getuser()), text=wish.text, number=wish.number)


def _change(
    args: argparse.Namespace, event: str, act: Callable[[Fleet, list[Worker]], list[Outcome]], **wish: object
) -> None:
    fleet = _fleet()
    workers = _selected(args, fleet)
    say(f"{event}: {_names(workers)}")
    _report(args, fleet, event, act(fleet, workers), **wish)


def _selected(args: argparse.Namespace, fleet: Fleet) -> list[Worker]:
    patterns = [*args.workers, *(args.edge_hostname or ())] if hasattr(args, "edge_hostname") else args.workers
    if not patterns:
        raise SystemExit("Name a worker, several, or a pattern like 'factory-*'; see: airflow edge list-workers")
    try:
        return fleet.select(patterns)
    except UnknownWorkerError as error:
        raise SystemExit(str(error)) from None


def _report(args: argparse.Namespace, fleet: Fleet, event: str, outcomes: Sequence[Outcome], **wish: object) -> None:
    """Wait a little for the workers' answers, print them, note them, and fail if one refused."""
    deadline = time.monotonic() + getattr(args, "patience", 0.0)
    final = list(outcomes)
    try:
        while any(_waits(outcome) for outcome in final) and time.monotonic() < deadline:
            time.sleep(LOOK_INTERVAL)
            final = [_again(fleet, outcome) for outcome in final]
    finally:
        # Whoever does not want to wait has asked all the same.
        with _sessions() as session:
            said = {name: value for name, value in wish.items() if value}
            record(session, event, by=getuser(), wish=said, outcomes=final)
    print_as(
        [
            {"worker": one.worker, "result": one.result, "detail": one.detail or _explain(one), "order": one.order_id}
            for one in final
        ],
        args.output,
    )
    if any(outcome.result == "refused" for outcome in final):
        raise SystemExit(1)


def _waits(outcome: Outcome) -> bool:
    return outcome.result == "waiting"


def _again(fleet: Fleet, outcome: Outcome) -> Outcome:
    if not _waits(outcome) or outcome.order_id is None:
        return outcome
    return fleet.outcome(outcome.order_id) or outcome


def _explain(outcome: Outcome) -> str:
    return "it will be told as soon as it is linked" if _waits(outcome) else ""


def _names(workers: Sequence[Worker]) -> str:
    return f"{len(workers)} worker{'s' if len(workers) > 1 else ''} ({', '.join(worker.name for worker in workers)})"


def _sessions() -> Session:
    return cast("SessionFactory", settings.NonScopedSession)()


def _store() -> Store:
    return Store(lambda: cast("SessionFactory", settings.NonScopedSession)())


def _fleet() -> Fleet:
    return Fleet(_store())
