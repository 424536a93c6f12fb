"""What the commands of `airflow edge enroll-token` do."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import secrets
import shlex
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from airflow.configuration import conf
from airflow.models.team import Team
from airflow.utils.platform import getuser

from airflow_edge.admin.config import multi_team, session
from airflow_edge.cli.centre.common import audited, counted, print_as, queue_names
from airflow_edge.rules.durations import format_duration
from airflow_edge.store.store import Store
from airflow_edge.store.workers.enrollment import EnrollToken

_SECRET_BYTES: Final = 32
_GLOB: Final = frozenset("*?[")


@audited
def create_enroll_token(args: argparse.Namespace) -> None:
    """Create an enrolment token, show it this once, and print the command for the site."""
    if args.team is not None and not multi_team():
        raise SystemExit("This Airflow has no teams: leave --team out, or set [core] multi_team = True.")
    if args.team is not None and Team.get_name_if_exists(args.team) is None:
        raise SystemExit(f"There is no team '{args.team}'; see: airflow teams list")
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
    Store(session).enroll_tokens.create(token, hashlib.sha256(secret.encode()).hexdigest())
    if args.output == "json":
        print(json.dumps({**_token_fields(token), "token": secret, "command": command}, indent=2, default=_as_text))
        return
    queues = f"the queue{'' if len(token.queues) == 1 else 's'} {', '.join(token.queues)}"
    print(
        f"Enrolment token {token.id} for {queues}: good for {counted(token.uses_left, 'worker')} until "
        f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC.\n"
        f"It is shown only now. Run this at the site:\n\n    {command}\n"
    )
    if token.name_pattern is not None and _GLOB.intersection(token.name_pattern):
        print(f"Put the worker's own name there: one that matches '{token.name_pattern}'.\n")


@audited
def list_enroll_tokens(args: argparse.Namespace) -> None:
    """List the enrolment tokens."""
    print_as([_token_fields(token) for token in Store(session).enroll_tokens.all()], args.output)


@audited
def revoke_enroll_token(args: argparse.Namespace) -> None:
    """Revoke an enrolment token."""
    try:
        token_id = UUID(args.token_id)
    except ValueError:
        raise SystemExit(f"'{args.token_id}' is not the id of a token; see: airflow edge enroll-token list") from None
    if not Store(session).enroll_tokens.revoke(token_id, now=datetime.now(UTC)):
        raise SystemExit(f"There is no enrolment token {token_id}; see: airflow edge enroll-token list")
    print(f"Enrolment token {token_id} is revoked.")


def _api_url(given: str | None) -> str:
    url = given or conf.get("api", "base_url", fallback="")
    if url.startswith(("http://", "https://")):
        return url.rstrip("/")
    raise SystemExit(
        "Where will the site find this Airflow's API server? Set [api] base_url, or say it: --api-url https://…"
    )


def _site_command(url: str, secret: str, name_pattern: str | None) -> str:
    command = ["airflow-edge", "enroll", url, secret]
    if name_pattern is not None:
        # Without a name it would be the host's, which seldom fits.
        command += ["--name", re.sub(r"\*|\?+|\[[^]]*\]", "NAME", name_pattern)]
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
        "expires_at": token.expires_at,
        "created_at": token.created_at,
        "created_by": token.created_by,
    }


def _token_state(token: EnrollToken) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= datetime.now(UTC):
        return "expired"
    return "valid" if token.uses_left > 0 else "used up"


def _as_text(value: datetime) -> str:
    return value.isoformat(timespec="seconds")
