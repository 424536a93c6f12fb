"""The centre's keys: made, encrypted with Airflow's fernet, rotated, and used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow.models.crypto import get_fernet
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from airflow_edge.protocol.problems import KeyLink
from airflow_edge.protocol.signatures import Sign, fingerprint, introduction
from airflow_edge.store.store import Store
from airflow_edge.store.workers.centre_keys import CentreKey

AUTOMATIC = "the first that needed it"


class CentreKeyError(Exception):
    """The newest key cannot be read; says what to do."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """All of the centre's keys; it signs with the newest."""

    links: tuple[KeyLink, ...]
    sign: Sign

    @property
    def fingerprint(self) -> str:
        """What names the newest."""
        return fingerprint(bytes.fromhex(self.links[-1].key))

    def has(self, pinned: str) -> bool:
        """Whether this fingerprint is one of theirs; none is, too."""
        return not pinned or bool(self.since(pinned, itself=True))

    def since(self, pinned: str, *, itself: bool = False) -> tuple[KeyLink, ...]:
        """Give the keys after one, oldest first; none where that is no key of this centre.

        :param pinned: its fingerprint
        :param itself: give that one, too
        """
        for index, link in enumerate(self.links):
            if fingerprint(bytes.fromhex(link.key)) == pinned:
                return self.links[index + (0 if itself else 1) :]
        return ()


def is_encrypted() -> bool:
    """Whether Airflow has a fernet key, so that the private half is not kept as it is."""
    return bool(get_fernet().is_encrypted)


def keyring(store: Store) -> Keyring:
    """Read the keys; the first one is made when it is needed.

    :raises CentreKeyError: the newest cannot be read.
    """
    keys = store.centre_keys.all() or store.centre_keys.add(lambda known: None if known else _made(known, AUTOMATIC))
    return Keyring(tuple(_link(key) for key in keys), _private(keys).sign)


def rotate(store: Store, *, by: str) -> list[CentreKey]:
    """Make another key, which the one before introduces; give all.

    :raises CentreKeyError: the one before cannot be read.
    """
    return store.centre_keys.add(lambda known: _made(known, by))


def _made(known: Sequence[CentreKey], by: str) -> CentreKey:
    key = Ed25519PrivateKey.generate()
    public_key = key.public_key().public_bytes_raw()
    return CentreKey(
        number=known[-1].number + 1 if known else 1,
        public_key=public_key,
        private_key=get_fernet().encrypt(key.private_bytes_raw().hex().encode()).decode(),
        signature=_private(known).sign(introduction(public_key)) if known else None,
        created_at=datetime.now(UTC),
        created_by=by,
    )


def _private(keys: Sequence[CentreKey]) -> Ed25519PrivateKey:
    try:
        kept = get_fernet().decrypt((keys[-1].private_key or "").encode()).decode()
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kept))
    except (InvalidToken, ValueError) as error:
        raise CentreKeyError(
            "the centre's key cannot be read: [core] fernet_key is not the one that it was kept with; give Airflow "
            "that one back (several may stand there, separated by commas)"
        ) from error


def _link(key: CentreKey) -> KeyLink:
    return KeyLink(key=key.public_key.hex(), signature=(key.signature or b"").hex())
