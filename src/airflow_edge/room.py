"""How much memory what is under way may take up together: the same on both sides. No I/O, no clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Room:
    """So many bytes; who finds too few of them waits, and nobody gets ahead of who waits longer."""

    def __init__(self, size: int) -> None:
        """:param size: bytes; what needs more than all of them counts as all of them"""
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether nobody takes anything up, or waits."""
        return self._free == self._size and not self._waiting

    @contextlib.asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Take so many bytes up, as soon as there are."""
        size = min(size, self._size)
        if self._waiting or size > self._free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.cancelled():
                    with contextlib.suppress(ValueError):
                        self._waiting.remove((size, turn))
                else:
                    self._free += size
                self._let_in()
                raise
        else:
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            size, turn = self._waiting.popleft()
            # Its task hears a moment later that it was cancelled.
            if not turn.cancelled():
                self._free -= size
                turn.set_result(None)
