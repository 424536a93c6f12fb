"""What the commands of `airflow edge` about workers do: they parse, call the fleet and print."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from airflow.utils.platform import getuser

from airflow_edge.admin.audit import OrderOutcome, recorded
from airflow_edge.admin.config import session
from airflow_edge.admin.describing import describe_workers, known_teams
from airflow_edge.admin.fleet import Fleet, Selected, UnknownWorkerError
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
from airflow_edge.protocol.states import WorkerState
from airflow_edge.rules.durations import format_duration
from airflow_edge.rules.fleet.choosing import WorkerFilter
from airflow_edge.rules.orders import Wish
from airflow_edge.rules.worker import Worker
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


_ONLY_FOR_PROGRAMS: Final = frozenset({"revoked", "taken_slots", "team_deleted"})
"""What the REST API gives, and a list says otherwise."""


def _show_workers(args: argparse.Namespace, wanted: WorkerFilter) -> None:
    waits, store = patience(), Store(session)
    views = store.fleet.find_workers(wanted, limit=MOST_WORKERS).items
    now = datetime.now(UTC)
    described = describe_workers(views, store.jobs.awaited(waits, now=now), known_teams(), now)
    rows = [_row(facts) for facts in described]
    print_as(rows, args.output, _WORKERS)
    if args.output in TABLES:
        states = Counter(str(row["state"]) for row in rows)
        troubled = sum(bool(row["trouble"]) for row in rows)
        parts = [f"{number} {state}" for state, number in sorted(states.items())]
        trouble = f"; {troubled} in trouble" if troubled else ""
        say(f"{counted(len(rows), 'worker')}{': ' if parts else ''}{', '.join(parts)}{trouble}.")
        warn_if_unserved(store)


def _row(facts: Mapping[str, Any]) -> dict[str, object]:
    """Give a worker's facts as a list shows them: a key that was revoked is its state."""
    grace = facts["disconnect_grace"]
    told = {
        **facts,
        "state": "revoked" if facts["revoked"] else facts["state"],
        "disconnect_grace": "" if grace is None else format_duration(grace),
    }
    shown = {name: "" if value is None else value for name, value in told.items() if name not in _ONLY_FOR_PROGRAMS}
    return {"!": "!" if facts["trouble"] else "", **shown}


@audited
def set_disconnect_grace(args: argparse.Namespace) -> None:
    """Set, or take back, the grace of single workers."""
    fleet = Fleet(Store(session))
    wish = {"grace": "default" if args.grace is None else format_duration(args.grace)}
    with _noted("disconnect grace", {"asked": args.names, **wish}) as outcomes:
        selected = fleet.select(args.names)
        outcomes += selected.outcomes_of_gone()
        for worker in selected.workers:
            outcomes.append(fleet.set_disconnect_grace(worker, args.grace))
    names = ", ".join(f"'{one.worker}'" for one in outcomes if one.result != "refused")
    if names and args.grace is None:
        print(f"Jobs of {names} are waited for as [edge] queue_disconnect_grace and disconnect_grace say.")
    elif names:
        print(f"Jobs of {names} are waited for {format_duration(args.grace)} while the worker is out of reach.")
    if any(one.result == "refused" for one in outcomes):
        raise SystemExit("\n".join(f"'{one.worker}': {one.detail}" for one in outcomes if one.result == "refused"))


@contextmanager
def _noted(event: str, wish: Mapping[str, object]) -> Iterator[list[OrderOutcome]]:
    """Note a change in the audit log with what comes of it.

    :raises SystemExit: there is no such worker, in words.
    """
    try:
        with recorded(event, by=getuser(), wish=wish) as outcomes:
            yield outcomes
    except UnknownWorkerError as error:
        raise SystemExit(f"{error}; nothing was changed") from None


@audited
def request_maintenance(args: argparse.Namespace) -> None:
    """Ask workers to go into maintenance."""
    _order(args, Wish("maintenance", args.comments, until=args.until))


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
    _carry_out(
        args, fleet, lambda: Selected(workers, []), "shutdown", _giving(Wish("shutdown")), asked="all that are linked"
    )


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
    until = wish.until and wish.until.isoformat(timespec="seconds")
    _change(args, wish.kind, _giving(wish), text=wish.text, number=wish.number, until=until)


def _giving(wish: Wish) -> Act:
    return lambda fleet, worker: fleet.give_order(worker, wish, by=getuser())


def _change(args: argparse.Namespace, event: str, act: Act, **wish: object) -> None:
    fleet = Fleet(Store(session))
    patterns = [*args.workers, *(args.edge_hostname or ())] if hasattr(args, "edge_hostname") else args.workers
    if not patterns:
        raise SystemExit("Name a worker, several, or a pattern like 'press-*'; see: airflow edge list-workers")

    def select() -> Selected:
        selected = fleet.select(patterns)
        if selected.workers:
            say(f"{event}: {_names(selected.workers)}")
        return selected

    _carry_out(args, fleet, select, event, act, asked=patterns, **wish)


def _carry_out(
    args: argparse.Namespace,
    fleet: Fleet,
    select: Callable[[], Selected],
    event: str,
    act: Act,
    **wish: object,
) -> None:
    """Do it, wait a little for the workers' answers, print them, note them, and fail if one refused."""
    with _noted(event, wish) as outcomes:
        selected = select()
        outcomes += selected.outcomes_of_gone()
        for worker in selected.workers:
            outcomes.append(act(fleet, worker))
        deadline = time.monotonic() + getattr(args, "patience", 0.0)
        while any(outcome.result == "waiting" for outcome in outcomes) and time.monotonic() < deadline:
            time.sleep(LOOK_INTERVAL)
            outcomes[:] = [_again(fleet, outcome) for outcome in outcomes]
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
