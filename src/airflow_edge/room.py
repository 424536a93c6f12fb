"""How much memory what is under way may take up together: the same on both sides. No I/O, no clock but for patience."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Hashable


class NoRoomError(Exception):
    """There was no room in time."""


class Room:
    """So many bytes; who finds too few of them waits.

    Next is who was let in longest ago, and of those the one that waits longest: who comes often never keeps out who
    comes now and then. Nobody gets ahead of who is next, however little he needs.
    """

    def __init__(self, size: int) -> None:
        """:param size: bytes; what needs more than all of them counts as all of them"""
        self._size = self._free = size
        self._waiting: dict[Hashable, deque[tuple[int, asyncio.Future[None]]]] = {}
        self._turns: dict[Hashable, int] = {}
        """The number of the last turn of each that was let in, until nobody is in."""
        self._turn = 0

    @property
    def is_empty(self) -> bool:
        """Whether nobody takes anything up, or waits."""
        return self._free == self._size and not self._waiting

    @contextlib.asynccontextmanager
    async def taken(self, size: int, *, who: Hashable = None, patience: float | None = None) -> AsyncIterator[None]:
        """Take so many bytes up, as soon as there are.

        :param who: takes his turn among others
        :param patience: seconds; None: for ever
        :raises NoRoomError: there were too few of them for so long.
        """
        size = min(size, self._size)
        if self._waiting or size > self._free:
            await self._wait(size, who, patience)
        else:
            self._take(size, who)
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, size: int, who: Hashable, patience: float | None) -> None:
        turn = asyncio.get_running_loop().create_future()
        line = self._waiting.setdefault(who, deque())
        line.append((size, turn))
        try:
            async with asyncio.timeout(patience):
                await turn
        except (asyncio.CancelledError, TimeoutError) as error:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    line.remove((size, turn))
                if not line and self._waiting.get(who) is line:
                    del self._waiting[who]
                self._let_in()
            else:
                self._give_back(size)
            if isinstance(error, TimeoutError):
                raise NoRoomError from error
            raise

    def _take(self, size: int, who: Hashable) -> None:
        self._free -= size
        self._turn += 1
        self._turns[who] = self._turn

    def _give_back(self, size: int) -> None:
        self._free += size
        self._let_in()
        if self.is_empty:
            self._turns.clear()

    def _let_in(self) -> None:
        while self._waiting:
            who = min(self._waiting, key=lambda one: self._turns.get(one, 0))
            line = self._waiting[who]
            size, turn = line[0]
            if size > self._free:
                return
            line.popleft()
            if not line:
                del self._waiting[who]
            # Its task hears a moment later that it was cancelled.
            if not turn.cancelled():
                self._take(size, who)
                turn.set_result(None)


class SharedRoom:
    """So many bytes for all together, and no more than a share of them for each."""

    def __init__(self, size: int, share: int) -> None:
        """:param share: bytes for each; what needs more than all of them counts as all of them"""
        self._room = Room(size)
        self._share = share
        self._shares: dict[Hashable, Room] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody takes anything up, or waits."""
        return not self._shares and self._room.is_empty

    @contextlib.asynccontextmanager
    async def taken(self, size: int, *, who: Hashable, patience: float | None = None) -> AsyncIterator[None]:
        """Take so many bytes up, as soon as there are: of one's own first, so that nobody waits for who has enough.

        :param patience: seconds; None: for ever
        :raises NoRoomError: there were too few of them for so long.
        """
        clock = asyncio.get_running_loop().time
        deadline = None if patience is None else clock() + patience
        size = min(size, self._share)
        share = self._shares.setdefault(who, Room(self._share))
        try:
            async with share.taken(size, patience=patience):
                left = None if deadline is None else max(0.0, deadline - clock())
                async with self._room.taken(size, who=who, patience=left):
                    yield
        finally:
            if share.is_empty and self._shares.get(who) is share:
                del self._shares[who]
