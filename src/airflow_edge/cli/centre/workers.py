"""What the commands of `airflow edge` about workers do: they parse, call the fleet and print."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from airflow.utils.platform import getuser

from airflow_edge.admin.config import session
from airflow_edge.admin.fleet import Fleet, OrderOutcome, UnknownWorkerError, record
from airflow_edge.cli.centre.common import (
    TABLES,
    audited,
    counted,
    one_of,
    patience,
    print_as,
    queue_names,
    say,
    warn_if_unserved,
    watch,
)
from airflow_edge.protocol.states import REQUESTS, WorkerState
from airflow_edge.rules.durations import format_duration
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.overview import WorkerFilter, WorkerView
from airflow_edge.rules.worker import CONDITIONS, WARNINGS, Worker, describe_others, trying
from airflow_edge.store.jobs.unreachable import AwaitedJobs
from airflow_edge.store.store import Store

MOST_WORKERS: Final = 100_000
LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at an order that waits for its worker."""

Act = Callable[[Fleet, Worker], OrderOutcome]


@audited
def list_workers(args: argparse.Namespace) -> None:
    """List the enrolled workers."""
    wanted = WorkerFilter(
        name_pattern=args.worker_name_pattern,
        states=frozenset(one_of(WorkerState, args.state)),
        queue=args.queue,
        team_name=args.team,
    )
    watch(args, lambda: _show_workers(args, wanted))


_WORKERS: Final = {
    "!": 1,
    "name": 18,
    "state": 16,
    "queues": 16,
    "jobs": 4,
    "free_slots": 10,
    "last_seen_at": 12,
    "trouble": 19,
}


def _show_workers(args: argparse.Namespace, wanted: WorkerFilter) -> None:
    waits, store, now = patience(), Store(session), datetime.now(UTC)
    awaited = store.jobs.awaited(waits, now=now)
    silent_before = waits.silent_before(now)
    views = store.fleet.find_workers(wanted, limit=MOST_WORKERS).items
    rows = [_worker_fields(view, awaited.get(view.worker.id), silent_before, now) for view in views]
    print_as(rows, args.output, _WORKERS)
    if args.output in TABLES:
        states = Counter(str(row["state"]) for row in rows)
        troubled = sum(bool(row["trouble"]) for row in rows)
        parts = [f"{number} {state}" for state, number in sorted(states.items())]
        trouble = f"; {troubled} in trouble" if troubled else ""
        say(f"{counted(len(rows), 'worker')}{': ' if parts else ''}{', '.join(parts)}{trouble}.")
        warn_if_unserved(store)


@audited
def set_disconnect_grace(args: argparse.Namespace) -> None:
    """Set, or take back, the grace of single workers."""
    if unknown := Store(session).workers.set_disconnect_grace(args.names, args.grace):
        raise SystemExit(
            f"There is no worker {' and none '.join(map(repr, unknown))}; nothing was changed; "
            "see: airflow edge list-workers"
        )
    names = ", ".join(f"'{name}'" for name in args.names)
    if args.grace is None:
        print(f"Jobs of {names} are waited for as [edge] queue_disconnect_grace and disconnect_grace say.")
    else:
        print(f"Jobs of {names} are waited for {format_duration(args.grace)} while the worker is out of reach.")


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
    fleet = Fleet(Store(session))
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
    _carry_out(args, fleet, workers, "shutdown", _giving(Wish("shutdown")))


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
    _change(args, "add queues", lambda fleet, worker: fleet.change_queues(worker, add=queues), queues=queues)


@audited
def remove_worker_queues(args: argparse.Namespace) -> None:
    """Have workers serve these queues no more."""
    queues = queue_names(args.queues)
    _change(args, "remove queues", lambda fleet, worker: fleet.change_queues(worker, remove=queues), queues=queues)


@audited
def revoke_worker(args: argparse.Namespace) -> None:
    """Revoke workers' keys."""
    _change(args, "revoke", Fleet.revoke)


@audited
def remove_worker(args: argparse.Namespace) -> None:
    """Forget workers that are offline or revoked."""
    _change(args, "remove", Fleet.remove)


def _order(args: argparse.Namespace, wish: Wish) -> None:
    _change(args, wish.kind, _giving(wish), text=wish.text, number=wish.number)


def _giving(wish: Wish) -> Act:
    return lambda fleet, worker: fleet.give_order(worker, wish, by=getuser())


def _change(args: argparse.Namespace, event: str, act: Act, **wish: object) -> None:
    fleet = Fleet(Store(session))
    workers = _selected(args, fleet)
    say(f"{event}: {_names(workers)}")
    _carry_out(args, fleet, workers, event, act, **wish)


def _selected(args: argparse.Namespace, fleet: Fleet) -> list[Worker]:
    patterns = [*args.workers, *(args.edge_hostname or ())] if hasattr(args, "edge_hostname") else args.workers
    if not patterns:
        raise SystemExit("Name a worker, several, or a pattern like 'press-*'; see: airflow edge list-workers")
    try:
        return fleet.select(patterns)
    except UnknownWorkerError as error:
        raise SystemExit(str(error)) from None


def _carry_out(
    args: argparse.Namespace, fleet: Fleet, workers: Sequence[Worker], event: str, act: Act, **wish: object
) -> None:
    """Do it, wait a little for the workers' answers, print them, note them, and fail if one refused."""
    outcomes: list[OrderOutcome] = []
    try:
        for worker in workers:
            outcomes.append(act(fleet, worker))
        deadline = time.monotonic() + getattr(args, "patience", 0.0)
        while any(outcome.result == "waiting" for outcome in outcomes) and time.monotonic() < deadline:
            time.sleep(LOOK_INTERVAL)
            outcomes = [_again(fleet, outcome) for outcome in outcomes]
    finally:
        # What was done before something failed was done all the same, and whoever does not want to wait has asked.
        with session() as airflow:
            record(airflow, event, by=getuser(), wish=wish, outcomes=outcomes)
    waits = {"waiting": "it will be told as soon as it is linked"}
    print_as(
        [
            {
                "worker": one.worker,
                "result": one.result,
                "detail": one.detail or waits.get(one.result, ""),
                "order": one.order_id,
            }
            for one in outcomes
        ],
        args.output,
    )
    if any(outcome.result == "refused" for outcome in outcomes):
        raise SystemExit(1)


def _again(fleet: Fleet, outcome: OrderOutcome) -> OrderOutcome:
    if outcome.result != "waiting" or outcome.order_id is None:
        return outcome
    return fleet.outcome(outcome.order_id) or outcome


def _names(workers: Sequence[Worker]) -> str:
    return f"{len(workers)} worker{'s' if len(workers) > 1 else ''} ({', '.join(worker.name for worker in workers)})"


def _worker_fields(
    view: WorkerView, awaited: AwaitedJobs | None, silent_before: datetime, now: datetime
) -> dict[str, object]:
    worker = view.worker
    # What was asked of a worker shows as its state for however long it is silent.
    missed = worker.state is WorkerState.UNKNOWN or worker.state in REQUESTS
    unreachable = missed and worker.last_seen_at is not None and worker.last_seen_at < silent_before
    others = describe_others(trying(worker.other_instances, now))
    troubles = (
        f"unreachable since {worker.last_seen_at:%Y-%m-%d %H:%M} UTC" if unreachable and worker.last_seen_at else "",
        str(worker.system.get(CONDITIONS, "")),
        worker.version_refused,
        others,
    )
    # One that was stopped, or that somebody works on, is in none, unless it has jobs that are waited for.
    trouble = next(filter(None, troubles), "its jobs are waited for" if awaited else "")
    return {
        "!": "!" if trouble else "",
        "name": worker.name,
        "state": "revoked" if worker.revoked_at is not None else worker.state.value,
        "queues": list(worker.queues),
        "team": worker.team_name or "",
        "concurrency": worker.concurrency,
        "transport": worker.transport or "",
        "free_slots": view.free_slots,
        "jobs": view.jobs,
        "maintenance_comment": worker.maintenance_comment,
        "maintenance_cause": worker.maintenance_cause or "",
        "last_seen_at": worker.last_seen_at or "",
        "unreachable_since": worker.last_seen_at or "" if unreachable or awaited else "",
        "running_jobs_lost_after": awaited.first_lost_after if awaited else "",
        "disconnect_grace": format_duration(worker.disconnect_grace) if worker.disconnect_grace is not None else "",
        "trouble": trouble,
        "conditions": worker.system.get(CONDITIONS, ""),
        "warnings": worker.system.get(WARNINGS, ""),
        "other_instances": others,
        "agent_version": worker.agent_version or "",
        "airflow_version": worker.airflow_version or "",
        "version_refused": worker.version_refused,
        "version_warning": worker.version_warning,
    }
