"""Bodies of requests in memory: how many bytes all of them together may be, each worker's, and each one.

A body is read when there is room for it, and the room is given back when the request is answered. Whoever sends too
slowly is refused, so that nobody keeps others waiting by sending nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request

from airflow_edge.gateway.http import Pace, ProblemError, not_ready, read_body, too_long
from airflow_edge.protocol.polling import MAX_BODY_BYTES
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.urls import SHORT_CALL
from airflow_edge.room import NoRoomError, SharedRoom

ADVICE: Final = "keep large values in a store of their own, for example with an XCom backend"

PATIENCE: Final = 30.0
"""Seconds to wait for room."""
MOST_CALLS: Final = 1000
"""Requests of one worker at once, those that wait for room among them."""
LEAST: Final = 4096
"""Bytes that every request counts as: it takes up more than its body."""
SHORT_PACE: Final = Pace(progress=10.0, whole=20.0)
LONG_PIECE: Final = 16 * 1024 * 1024
LONG_PACE: Final = Pace(progress=10.0, whole=60.0)
"""For each begun `LONG_PIECE`."""

MOST_STRANGERS: Final = 64
"""Requests at once of which it is not known whose they are."""
STRANGER_BODY: Final = 64 * 1024
STRANGER_PACE: Final = Pace(progress=10.0, whole=10.0)


class Bodies:
    """The bodies of one process. Long ones never keep short ones waiting: each kind has its own room."""

    def __init__(self, *, longest: int, memory: int) -> None:
        """:param longest: bytes of one body, and of all of one worker's together
        :param memory: bytes of all bodies together, and of what links bring
        """
        self.longest = longest
        self._long = SharedRoom(max(memory // 2, longest), longest)
        self._short = SharedRoom(memory // 8, memory // 32)
        self._frames = SharedRoom(max(memory // 8, MAX_BODY_BYTES), MAX_BODY_BYTES)
        self._under_way: Counter[Hashable] = Counter()
        self._strangers = 0

    def is_long(self, headers: Headers) -> bool:
        """Whether reading the body takes time of all others, too.

        :raises ProblemError: it is too long (413).
        """
        return body_length(headers, self.longest, ADVICE) > SHORT_CALL

    @asynccontextmanager
    async def read(self, request: Request, *, who: Hashable, advice: str = ADVICE) -> AsyncIterator[bytes]:
        """Give the body, read to its end, which counts until the block ends.

        :param who: the worker that is known to have sent the request
        :raises ProblemError: it is too long (413) or comes too slowly (408), there is no room for it (503), or the
            worker has too many requests under way (429).
        :raises starlette.requests.ClientDisconnect: it has no end.
        """
        length = body_length(request.headers, self.longest, advice)
        room, pace = (self._short, SHORT_PACE) if length <= SHORT_CALL else (self._long, _pace(length))
        async with self._read(request, who, room, length, pace) as body:
            yield body

    @asynccontextmanager
    async def read_frames(self, request: Request, *, who: Hashable) -> AsyncIterator[bytes]:
        """Give the body of a request of a link by long polling; as `read`.

        It never waits for calls of tasks: the worker would be taken for dead.
        """
        length = body_length(request.headers, MAX_BODY_BYTES)
        async with self._read(request, who, self._frames, length, _pace(length)) as body:
            yield body

    @asynccontextmanager
    async def _read(
        self, request: Request, who: Hashable, room: SharedRoom, length: int, pace: Pace
    ) -> AsyncIterator[bytes]:
        if self._under_way[who] >= MOST_CALLS:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                Code.TOO_MANY,
                f"The worker has {MOST_CALLS} requests under way; make this one again when some of them are answered.",
            )
        self._under_way[who] += 1
        try:
            async with room.taken(max(length, LEAST), who=who, patience=PATIENCE):
                yield await read_body(request, length, pace=pace)
        except NoRoomError as error:
            raise not_ready("Other requests take up the memory that there is for them; try again.") from error
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]

    @asynccontextmanager
    async def read_strangers(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body of a request that anybody may have sent, which counts until the block ends.

        :raises ProblemError: it is too long (413) or comes too slowly (408), or too many of them are under way (503).
        :raises starlette.requests.ClientDisconnect: it has no end.
        """
        if self._strangers >= MOST_STRANGERS:
            raise not_ready("Too many requests of unknown senders are under way; try again.")
        self._strangers += 1
        try:
            yield await read_body(request, STRANGER_BODY, pace=STRANGER_PACE)
        finally:
            self._strangers -= 1


def body_length(headers: Headers, most: int, advice: str = "") -> int:
    """Give how many bytes the body may have.

    :raises ProblemError: more than `most`.
    """
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most:
        raise too_long(most, advice)
    return most if "transfer-encoding" in headers else int(length)


def _pace(length: int) -> Pace:
    return Pace(LONG_PACE.progress, LONG_PACE.whole * max(1, -(-length // LONG_PIECE)))
