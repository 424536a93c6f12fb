"""What the commands of `airflow edge` do at the centre. Airflow's `action_cli` leaves the audit entry."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import secrets
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID, uuid4

from airflow import settings
from airflow.configuration import conf
from airflow.utils.platform import getuser

from airflow_edge.admin.teams import check_team
from airflow_edge.cli.centre.fleet import one_of, queue_names
from airflow_edge.cli.centre.printing import as_text, audited, print_as
from airflow_edge.cli.centre.worker_logs import WorkerLogView
from airflow_edge.gateway.config import read_config
from airflow_edge.protocol.states import REQUESTS, WorkerState
from airflow_edge.protocol.worker_log import LEVELS
from airflow_edge.rules.durations import format_duration
from airflow_edge.rules.model import CONDITIONS, AwaitedJobs, EnrollToken
from airflow_edge.rules.overview import WorkerFilter, WorkerView
from airflow_edge.store.store import Store
from airflow_edge.store.transactions import SessionFactory

MOST_WORKERS: Final = 100_000
_SECRET_BYTES: Final = 32
_GLOB: Final = frozenset("*?[")


@audited
def create_enroll_token(args: argparse.Namespace) -> None:
    """Create an enrolment token, show it this once, and print the command for the site."""
    if args.team is not None:
        try:
            check_team(args.team)
        except ValueError as error:
            raise SystemExit(str(error)) from None
    now = datetime.now(UTC)
    secret = f"edge_{secrets.token_urlsafe(_SECRET_BYTES)}"
    token = EnrollToken(
        id=uuid4(),
        queues=tuple(queue_names(args.queues or conf.get_mandatory_value("operators", "default_queue"))),
        team_name=args.team,
        name_pattern=args.name_pattern,
        disconnect_grace=args.disconnect_grace,
        uses_left=args.uses,
        created_at=now,
        expires_at=now + args.ttl,
        created_by=getuser(),
        revoked_at=None,
    )
    command = _site_command(_api_url(args.api_url), secret, token.name_pattern)
    _store().enroll_tokens.create(token, hashlib.sha256(secret.encode()).hexdigest())
    if args.output == "json":
        print(json.dumps({**_token_fields(token), "token": secret, "command": command}, indent=2, default=str))
        return
    print(
        f"Enrolment token {token.id} for the queues {', '.join(token.queues)}: good for {token.uses_left} "
        f"worker{'s' if token.uses_left > 1 else ''} until {token.expires_at:%Y-%m-%d %H:%M:%S} UTC.\n"
        f"It is shown only now. Run this at the site:\n\n    {command}\n"
    )


@audited
def list_enroll_tokens(args: argparse.Namespace) -> None:
    """List the enrolment tokens."""
    print_as([_token_fields(token) for token in _store().enroll_tokens.all()], args.output)


@audited
def revoke_enroll_token(args: argparse.Namespace) -> None:
    """Revoke an enrolment token."""
    try:
        token_id = UUID(args.token_id)
    except ValueError:
        raise SystemExit(f"'{args.token_id}' is not the id of a token; see: airflow edge enroll-token list") from None
    if not _store().enroll_tokens.revoke(token_id, now=datetime.now(UTC)):
        raise SystemExit(f"There is no enrolment token {token_id}; see: airflow edge enroll-token list")
    print(f"Enrolment token {token_id} is revoked.")


@audited
def list_workers(args: argparse.Namespace) -> None:
    """List the enrolled workers."""
    try:
        patience = read_config().patience
    except ValueError as error:
        raise SystemExit(str(error)) from None
    store, now = _store(), datetime.now(UTC)
    awaited = store.jobs.awaited(patience, now=now)
    silent_before = patience.silent_before(now)
    wanted = WorkerFilter(
        name_pattern=args.worker_name_pattern,
        states=frozenset(one_of(WorkerState, args.state)),
        queue=args.queue,
        team_name=args.team,
    )
    views = store.fleet.find_workers(wanted, limit=MOST_WORKERS).items
    print_as([_worker_fields(view, awaited.get(view.worker.id), silent_before) for view in views], args.output)


@audited
def set_disconnect_grace(args: argparse.Namespace) -> None:
    """Set, or take back, the grace of single workers."""
    if unknown := _store().workers.set_disconnect_grace(args.names, args.grace):
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
def worker_logs(args: argparse.Namespace) -> None:
    """Show a worker's own log."""
    store = _store()
    worker = next((worker for worker in store.workers.all() if worker.name == args.name), None)
    if worker is None:
        raise SystemExit(f"There is no worker '{args.name}'; see: airflow edge list-workers")
    view = WorkerLogView(
        store,
        worker,
        level=LEVELS[args.level.upper()],
        say=lambda text: print(text, flush=True),
        note=lambda text: print(f"[{text}]", file=sys.stderr, flush=True),
    )
    with contextlib.suppress(KeyboardInterrupt):
        if args.follow:
            view.follow(args.lines)
        else:
            view.show(args.lines)


def enroll(args: argparse.Namespace) -> None:
    """Run `airflow-edge enroll`."""
    _at_the_site("enroll", args.arguments)


def worker(args: argparse.Namespace) -> None:
    """Run `airflow-edge worker`."""
    _at_the_site("worker", args.arguments)


def status(args: argparse.Namespace) -> None:
    """Run `airflow-edge status`."""
    _at_the_site("status", args.arguments)


def stop(args: argparse.Namespace) -> None:
    """Run `airflow-edge stop`."""
    _at_the_site("stop", args.arguments)


def maintenance(args: argparse.Namespace) -> None:
    """Run `airflow-edge maintenance`."""
    _at_the_site("maintenance", args.arguments)


def _at_the_site(command: str, arguments: Sequence[str]) -> None:
    from airflow_edge.cli.site.main import main

    sys.exit(main([command, *arguments]))


def _store() -> Store:
    return Store(lambda: cast("SessionFactory", settings.NonScopedSession)())


def _api_url(given: str | None) -> str:
    url = given or conf.get("api", "base_url", fallback="")
    if url.startswith(("http://", "https://")):
        return url.rstrip("/")
    raise SystemExit(
        "Where will the site find this Airflow's API server? Set [api] base_url, or say it: --api-url https://…"
    )


def _site_command(url: str, secret: str, name_pattern: str | None) -> str:
    command = ["airflow-edge", "enroll", url, secret]
    if name_pattern is not None and not _GLOB.intersection(name_pattern):
        command += ["--name", name_pattern]
    return shlex.join(command)


def _token_fields(token: EnrollToken) -> dict[str, object]:
    return {
        "id": str(token.id),
        "state": _token_state(token),
        "queues": list(token.queues),
        "team": token.team_name or "",
        "name_pattern": token.name_pattern or "",
        "disconnect_grace": format_duration(token.disconnect_grace) if token.disconnect_grace is not None else "",
        "uses_left": token.uses_left,
        "expires_at": as_text(token.expires_at),
        "created_at": as_text(token.created_at),
        "created_by": token.created_by,
    }


def _token_state(token: EnrollToken) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= datetime.now(UTC):
        return "expired"
    return "valid" if token.uses_left > 0 else "used up"


def _worker_fields(view: WorkerView, awaited: AwaitedJobs | None, silent_before: datetime) -> dict[str, object]:
    worker = view.worker
    # What was asked of a worker shows as its state for however long it is silent.
    missed = worker.state is WorkerState.UNKNOWN or worker.state in REQUESTS
    unreachable = missed and worker.last_seen_at is not None and worker.last_seen_at < silent_before
    return {
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
        "last_seen_at": as_text(worker.last_seen_at),
        "unreachable_since": as_text(worker.last_seen_at) if unreachable or awaited else "",
        "running_jobs_lost_after": as_text(awaited.first_lost_after) if awaited else "",
        "disconnect_grace": format_duration(worker.disconnect_grace) if worker.disconnect_grace is not None else "",
        "conditions": worker.system.get(CONDITIONS, ""),
        "agent_version": worker.agent_version or "",
        "airflow_version": worker.airflow_version or "",
        "version_refused": worker.version_refused,
        "version_warning": worker.version_warning,
    }
