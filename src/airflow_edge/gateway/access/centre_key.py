"""The centre's keys as a gateway has them, at most some seconds old."""

from __future__ import annotations

import asyncio
import logging

from airflow_edge.admin.centre_keys import CentreKeyError, Keyring, keyring
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

MAX_AGE = 10.0
"""Seconds for which they are believed: a link goes on with the key that it began with."""


class KeyringCache:
    """Gives the keys."""

    def __init__(self, store: Store, calls: StoreCalls) -> None:
        self._store = store
        self._calls = calls
        self._known: tuple[float, Keyring] | None = None
        self._lock = asyncio.Lock()

    async def get(self, pinned: str = "") -> Keyring:
        """Give the keys of now.

        :param pinned: the fingerprint of one that a site has been told of, perhaps by another gateway just now
        :raises StoreUnavailableError: they cannot be read.
        """
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self._known is not None and now - self._known[0] < MAX_AGE and self._known[1].has(pinned):
                return self._known[1]
            try:
                keys = await self._calls.run(keyring, self._store)
            except CentreKeyError as error:
                log.error("No worker can link: %s", error)
                raise StoreUnavailableError(str(error)) from error
            self._known = now, keys
            return keys
