"""Which versions of the protocol this release speaks.

1. The beginning.
2. The worker's own log: `WorkerLog`, `WantWorkerLog`.
3. What people want of a worker: `Order`, `Obeyed`, `Serves`, and the states of maintenance in `Status`.

A message that the other side does not know ends the link, so none is sent that came after the negotiated version.
"""

from __future__ import annotations

OLDEST = 1
NEWEST = 3

WORKER_LOG = 2
"""The first version with the worker's own log."""
ORDERS = 3
"""The first version with orders."""


def negotiate(peer_oldest: int, peer_newest: int) -> int | None:
    """Give the newest version that both sides speak, or None if there is none."""
    common = min(NEWEST, peer_newest)
    return common if common >= max(OLDEST, peer_oldest) else None
