"""Enrolment tokens as people make and revoke them, by command or over the REST API."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid4

from airflow.configuration import conf
from airflow.models.team import Team
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.centre_keys import CentreKeyError, keyring
from airflow_edge.admin.config import multi_team
from airflow_edge.protocol.enrolment import SEED_BYTES, read_token, write_token
from airflow_edge.protocol.problems import QUEUE_NAME_RULE, is_queue_name
from airflow_edge.protocol.urls import gateway_url
from airflow_edge.store.store import Store
from airflow_edge.store.workers.enrollment import EnrollToken

TokenState = Literal["valid", "expired", "used up", "revoked"]

CREATE: Final = "create enrolment token"
REVOKE: Final = "revoke enrolment token"
GLOB: Final = frozenset("*?[")
"""Characters by which a pattern for names is more than a name."""


class TokenWishError(ValueError):
    """Why there is no such token to be had, with what to do."""


class UnknownTokenError(LookupError):
    """There is no token of this id."""

    def __init__(self, token_id: UUID) -> None:
        super().__init__(f"There is no enrolment token {token_id}; see: airflow edge enroll-token list")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """What a token is to open."""

    queues: Sequence[str] = ()
    """Empty for `[operators] default_queue`."""
    team_name: str | None = None
    name_pattern: str | None = None
    life: timedelta
    uses: int = 1
    max_slots: int | None = None
    """How many slots each of its workers may have; None for `rules.worker.DEFAULT_MAX_SLOTS`."""
    disconnect_grace: timedelta | None = None
    api_url: str | None = None
    """The API server's URL as the site sees it; None for `[api] base_url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token with its secret, which is not kept, and the command for the site."""

    token: EnrollToken
    secret: str
    command: str


class Tokens:
    """Makes and revokes tokens; each attempt is in the audit log."""

    def __init__(self, store: Store) -> None:
        self._store, self._tokens = store, store.enroll_tokens

    def create(self, wish: TokenWish, *, by: str) -> NewToken:
        """Make a token.

        :raises TokenWishError: there is no such team, no URL for the site, or one of the queues cannot be.
        """
        noted: dict[str, object] = {
            "queues": list(wish.queues),
            "team": wish.team_name,
            "name_pattern": wish.name_pattern,
            "uses": wish.uses,
            "max_slots": wish.max_slots,
            "seconds": wish.life.total_seconds(),
        }
        with recorded(CREATE, by=by, wish=noted):
            now = datetime.now(UTC)
            secret = write_token(secrets.token_bytes(SEED_BYTES), _centre_key(self._store))
            token = EnrollToken(
                id=uuid4(),
                queues=_possible(wish.queues or [conf.get_mandatory_value("operators", "default_queue").strip()]),
                team_name=_known_team(wish.team_name),
                name_pattern=wish.name_pattern,
                disconnect_grace=wish.disconnect_grace,
                max_slots=wish.max_slots,
                uses=wish.uses,
                uses_left=wish.uses,
                created_at=now,
                expires_at=now + wish.life,
                created_by=by,
                revoked_at=None,
            )
            command = _site_command(_api_url(wish.api_url), secret, token.name_pattern)
            noted["token"] = str(token.id)
            self._tokens.create(token, verify_key(secret))
        return NewToken(token=token, secret=secret, command=command)

    def all(self) -> list[EnrollToken]:
        """Give all tokens, newest first."""
        return self._tokens.all()

    def revoke(self, token_id: UUID, *, by: str) -> None:
        """Revoke a token; workers that were enrolled with it stay.

        :raises UnknownTokenError: there is none.
        """
        with recorded(REVOKE, by=by, wish={"token": str(token_id)}):
            if not self._tokens.revoke(token_id, now=datetime.now(UTC)):
                raise UnknownTokenError(token_id)


def _centre_key(store: Store) -> str:
    try:
        return keyring(store).fingerprint
    except CentreKeyError as error:
        raise TokenWishError(f"No token can be made: {error}.") from error


def verify_key(secret: str) -> str:
    """Give what is kept of a token: the public half of its key pair, hex."""
    return Ed25519PrivateKey.from_private_bytes(read_token(secret).seed).public_key().public_bytes_raw().hex()


def token_state(token: EnrollToken, now: datetime) -> TokenState:
    """Say whether it can be used."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= now:
        return "expired"
    return "valid" if token.uses_left > 0 else "used up"


def _possible(queues: Sequence[str]) -> tuple[str, ...]:
    if (bad := next((name for name in queues if not is_queue_name(name)), None)) is not None:
        raise TokenWishError(f"There can be no queue {bad[:60]!a}: {QUEUE_NAME_RULE}.")
    return tuple(queues)


def _known_team(name: str | None) -> str | None:
    if name is not None and not multi_team():
        raise TokenWishError("This Airflow has no teams: leave the team out, or set [core] multi_team = True.")
    if name is not None and Team.get_name_if_exists(name) is None:
        raise TokenWishError(f"There is no team '{name}'; see: airflow teams list")
    return name


def _api_url(given: str | None) -> str:
    url = given or conf.get("api", "base_url", fallback="") or ""
    if url.startswith(("http://", "https://")):
        try:
            gateway_url(url)
        except ValueError as error:
            raise TokenWishError(f"No worker could use that: {error}.") from error
        return url.rstrip("/")
    raise TokenWishError(
        "Where will the site find this Airflow's API server? Set [api] base_url, or say it: --api-url https://… "
        "(over the REST API: api_url)"
    )


def _site_command(url: str, secret: str, name_pattern: str | None) -> str:
    command = ["airflow-edge", "enroll", url, secret]
    if name_pattern is not None:
        # Without a name it would be the host's, which seldom fits.
        command += ["--name", re.sub(r"\*|\?+|\[[^]]*\]", "NAME", name_pattern)]
    return shlex.join(command)
