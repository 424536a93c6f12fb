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
from typing import Final

import msgspec

SEED_BYTES: Final = 32
_PREFIX: Final = "edge_"
_TOKEN: Final = re.compile(_PREFIX + r"([A-Za-z0-9_-]{43})\Z")


def write_token(seed: bytes) -> str:
    """Give the token that people hand on.

    :param seed: `SEED_BYTES` random bytes
    """
    return _PREFIX + base64.urlsafe_b64encode(seed).rstrip(b"=").decode("ascii")


def read_token(token: str) -> bytes:
    """Give a token's seed.

    :raises ValueError: it is none, with what to do.
    """
    if (found := _TOKEN.match(token)) is None:
        raise ValueError(
            f"this is no enrolment token: one begins with {_PREFIX} and has 43 letters, digits, - and _ after it; copy "
            "it whole, or make one at the centre: airflow edge enroll-token create"
        )
    return base64.urlsafe_b64decode(found[1] + "=")


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
