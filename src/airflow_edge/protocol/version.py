"""Which versions of the protocol this release speaks."""

from __future__ import annotations

OLDEST = 1
NEWEST = 1


def negotiate(peer_oldest: int, peer_newest: int) -> int | None:
    """Give the newest version that both sides speak, or None if there is none."""
    common = min(NEWEST, peer_newest)
    return common if common >= max(OLDEST, peer_oldest) else None
