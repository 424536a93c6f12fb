"""How a machine shows that it may enrol: what an enrolment token is, and what is signed with it.

A token is a seed. From that both sides make a key pair: the centre keeps its public half only, and the site signs with
the private one what it wants to be. So the token itself is never sent, and what is sent is of no use to anybody with
another key, under another name, or for other queues: not to a proxy that ends TLS either.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

SEED_BYTES: Final = 32
ANEW: Final = "airflow-edge enroll URL TOKEN --force"
"""What is typed at a machine that has a worker's key already, and is to be another worker."""
_PREFIX: Final = "edge_"
_TOKEN: Final = re.compile(_PREFIX + r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})\Z")


class Token(NamedTuple):
    """What a token says."""

    seed: bytes
    """`SEED_BYTES` random bytes."""
    centre_key: str
    """The fingerprint of the centre's key: by this a site knows its centre."""


def write_token(seed: bytes, centre_key: str) -> str:
    """Give the token that people hand on; the parts are those of a `Token`."""
    return f"{_PREFIX}{base64.urlsafe_b64encode(seed).rstrip(b'=').decode('ascii')}.{centre_key}"


def read_token(token: str) -> Token:
    """Read a token.

    :raises ValueError: it is none, with what to do.
    """
    if (found := _TOKEN.match(token)) is None:
        raise ValueError(
            f"this is no enrolment token: one begins with {_PREFIX} and has 43 characters, a point and 22 more after "
            "it; copy it whole, or make one at the centre: airflow edge enroll-token create"
        )
    return Token(base64.urlsafe_b64decode(found[1] + "="), found[2])


def statement(public_key: str, name: str, queues: Sequence[str] | None, at: int) -> bytes:
    """Give what a site signs to be enrolled.

    :param public_key: its own, hex
    :param queues: those that it asks for; None where the token, or the centre, says which
    :param at: when, in seconds since the epoch
    """
    wish = None if queues is None else list(queues)
    return msgspec.json.encode(["airflow-edge enrolment", public_key, name, wish, at])


def statement_digest(public_key: str, name: str, queues: Sequence[str] | None, at: int) -> str:
    """Give the hash of the statement (SHA-256, hex), for a proof that is signed with the shared secret."""
    return hashlib.sha256(statement(public_key, name, queues, at)).hexdigest()
