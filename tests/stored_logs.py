"""Task logs as the centre's store has them."""

from __future__ import annotations

from airflow_edge.store.store import Store


def read_log(store: Store, path: str) -> bytes:
    """Give all bytes of the log with this relative path; nothing if there is none."""
    return b"".join(piece for part in store.logs.parts(path) for piece in store.logs.read(part.id))
