"""What the commands of `airflow edge enroll-token` and `airflow edge centre-key` do."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from airflow.utils.platform import getuser

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.centre_keys import CentreKeyError, keyring, rotate
from airflow_edge.admin.config import session
from airflow_edge.admin.tokens import GLOB, Tokens, TokenWish, TokenWishError, UnknownTokenError, token_state
from airflow_edge.cli.centre.common import audited, counted, print_as, queue_names
from airflow_edge.protocol.signatures import fingerprint
from airflow_edge.rules.durations import format_duration
from airflow_edge.store.store import Store
from airflow_edge.store.workers.centre_keys import CentreKey
from airflow_edge.store.workers.enrollment import EnrollToken


@audited
def create_enroll_token(args: argparse.Namespace) -> None:
    """Create an enrolment token, show it this once, and print the command for the site."""
    wish = TokenWish(
        queues=() if args.queues is None else queue_names(args.queues),
        team_name=args.team,
        name_pattern=args.name_pattern,
        life=args.ttl,
        uses=args.uses,
        max_slots=args.max_slots,
        disconnect_grace=args.disconnect_grace,
        api_url=args.api_url,
    )
    try:
        made = Tokens(Store(session)).create(wish, by=getuser())
    except TokenWishError as error:
        raise SystemExit(str(error)) from None
    token, secret, command = made.token, made.secret, made.command
    if args.output == "json":
        print(json.dumps({**_token_fields(token), "token": secret, "command": command}, indent=2, default=_as_text))
        return
    queues = f"the queue{'' if len(token.queues) == 1 else 's'} {', '.join(token.queues)}"
    print(
        f"Enrolment token {token.id} for {queues}: good for {counted(token.uses_left, 'worker')} until "
        f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC.\n"
        f"It is shown only now. Run this at the site:\n\n    {command}\n"
    )
    if token.name_pattern is not None and GLOB.intersection(token.name_pattern):
        print(f"Put the worker's own name there: one that matches '{token.name_pattern}'.\n")


@audited
def list_enroll_tokens(args: argparse.Namespace) -> None:
    """List the enrolment tokens."""
    print_as([_token_fields(token) for token in Tokens(Store(session)).all()], args.output)


@audited
def revoke_enroll_token(args: argparse.Namespace) -> None:
    """Revoke an enrolment token."""
    try:
        token_id = UUID(args.token_id)
    except ValueError:
        raise SystemExit(f"'{args.token_id}' is not the id of a token; see: airflow edge enroll-token list") from None
    try:
        Tokens(Store(session)).revoke(token_id, by=getuser())
    except UnknownTokenError as error:
        raise SystemExit(str(error)) from None
    print(f"Enrolment token {token_id} is revoked.")


def _token_fields(token: EnrollToken) -> dict[str, object]:
    return {
        "id": str(token.id),
        "state": token_state(token, datetime.now(UTC)),
        "queues": list(token.queues),
        "team": token.team_name or "",
        "name_pattern": token.name_pattern or "",
        "disconnect_grace": format_duration(token.disconnect_grace) if token.disconnect_grace is not None else "",
        "max_slots": token.max_slots,
        "uses": token.uses,
        "uses_left": token.uses_left,
        "expires_at": token.expires_at,
        "created_at": token.created_at,
        "created_by": token.created_by,
    }


def _as_text(value: datetime) -> str:
    return value.isoformat(timespec="seconds")


@audited
def show_centre_key(args: argparse.Namespace) -> None:
    """Show the centre's keys; the first one is made when it is needed."""
    store = Store(session)
    _keyring(store)
    print_as(_key_fields(store.centre_keys.all()), args.output)


@audited
def rotate_centre_key(args: argparse.Namespace) -> None:
    """Have the centre sign with a new key from now on."""
    store, by = Store(session), getuser()
    _keyring(store)
    try:
        with recorded("rotate centre key", by=by, wish={}):
            keys = rotate(store, by=by)
    except CentreKeyError as error:
        raise SystemExit(f"No new key: {error}.") from None
    print(
        f"The centre signs with the key {fingerprint(keys[-1].public_key)} from now on. Workers come to know it when "
        "they link the next time; enrolment tokens that were made before still hold."
    )


def _keyring(store: Store) -> None:
    try:
        keyring(store)
    except CentreKeyError as error:
        raise SystemExit(f"{error}.") from None


def _key_fields(keys: Iterable[CentreKey]) -> list[dict[str, object]]:
    newest_first = sorted(keys, key=lambda key: -key.number)
    return [
        {
            "number": key.number,
            "fingerprint": fingerprint(key.public_key),
            "signs": key is newest_first[0],
            "created_at": key.created_at,
            "created_by": key.created_by,
        }
        for key in newest_first
    ]
