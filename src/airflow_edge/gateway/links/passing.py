"""Requests of links by long polling are passed on to the process that has the link, whichever they meet.

They go through the database, the one thing that all processes share: see
`docs/decisions/0024-a-request-is-passed-on-to-its-link.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID, uuid4

from airflow_edge.backoff import Backoff
from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.gateway.database.notify import QueueSignal
from airflow_edge.gateway.http import ProblemError
from airflow_edge.gateway.links.polling import Polls, link_elsewhere, over, tag_of
from airflow_edge.protocol.polling import WAIT, End, decode_frames, encode_reply
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.store.processes import Processes
from airflow_edge.store.workers.passed_requests import (
    PASSED,
    Outgoing,
    Passage,
    PassedRequest,
    PassedRequests,
)

log = logging.getLogger(__name__)

NOTIFIED_INTERVAL: Final = 1.0
"""Seconds between two looks where notifications arrive, only to be safe."""
LOOK_AFTER: Final = 1.5
"""Seconds after which a request that nobody has taken makes us look whether its gateway is there at all."""
TAKE_PATIENCE: Final = 12.0
"""Seconds for a gateway to take a request: a worker waits little longer, and then links anew."""
ANSWER_PATIENCE: Final = WAIT + 10.0
STOP_PATIENCE: Final = 2.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
REMEMBERED: Final = 600.0
"""Seconds for which failures are told of."""
WARN_INTERVAL: Final = 60.0

_REPLAYED: Final = b""
"""The answer to a request whose token was used before; every other one has a body."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request of ours."""

    request: PassedRequest
    taken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer: asyncio.Future[bytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Passing:
    """One gateway's part in it: what its requests ask of others, and what others ask of its links."""

    def __init__(
        self,
        requests: PassedRequests,
        processes: Processes,
        calls: StoreCalls,
        polls: Polls,
        first_time: Callable[[UUID, str, float], bool],
        signal: QueueSignal,
        interval: float,
    ) -> None:
        """:param first_time: notes a worker's token and when it can be good no more; says whether that was new here
        :param interval: seconds between two looks where no notifications arrive
        """
        self._requests = requests
        self._processes = processes
        self._calls = calls
        self._polls = polls
        self._first_time = first_time
        self._signal = signal
        self._interval = interval
        self._awake = asyncio.Event()
        self._ours: dict[UUID, _Asked] = {}
        self._serving: dict[UUID, tuple[PassedRequest, asyncio.Task[None]]] = {}
        self._to_ask: list[PassedRequest] = []
        self._to_answer: list[tuple[PassedRequest, bytes]] = []
        self._to_give_up: list[PassedRequest] = []
        self._failures: list[float] = []
        self._warned = float("-inf")
        signal.listen_for(PASSED + polls.tag, self._awake.set)
        polls.opened = self._awake.set

    # The process that was met

    async def ask(self, link: str, worker_id: UUID, body: bytes, *, token_id: str, expires_at: float) -> bytes:
        """Have the gateway that has this link answer a request of its worker; what it says comes back encoded.

        :param token_id: of the token that came with it, which is good once
        :param expires_at: when that token can be good no more, in seconds since the epoch
        :raises ProblemError: it is answered so.
        :raises StoreUnavailableError: the database failed.
        """
        asked = _Asked(
            PassedRequest(
                id=uuid4(),
                asker=self._polls.tag,
                owner=tag_of(link),
                worker_id=worker_id,
                link=link,
                token_id=token_id,
                expires_at=datetime.fromtimestamp(expires_at, UTC),
                body=body,
                asked_at=datetime.now(UTC),
            )
        )
        self._ours[asked.request.id] = asked
        self._to_ask.append(asked.request)
        self._awake.set()
        try:
            answer = await self._answer_to(asked)
        finally:
            del self._ours[asked.request.id]
            if not asked.answer.done():
                self._to_give_up.append(asked.request)
                self._awake.set()
        if answer == _REPLAYED:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, Code.REPLAYED, "The token was used before; every request needs a new one."
            )
        return answer

    async def _answer_to(self, asked: _Asked) -> bytes:
        if not await _any(LOOK_AFTER, asked.taken, asked.answer):
            reason = await self._look_for(asked.request)
            if reason:
                return self._gone(asked.request, reason)
            if not await _any(TAKE_PATIENCE - LOOK_AFTER, asked.taken, asked.answer):
                return self._gone(asked.request, "the API server process that has the link stands still")
        if not await _any(ANSWER_PATIENCE, asked.answer):
            return self._gone(asked.request, "the API server process that has the link does not answer")
        return asked.answer.result()

    async def _look_for(self, request: PassedRequest) -> str:
        """Say why the gateway that is asked will not answer; nothing if it may.

        :raises ProblemError: none is known: one that passes nothing on may have this link.
        """
        processes = await self._calls.run(self._processes.all)
        gateway = next((one for one in processes if tag_of(one.id.hex) == request.owner), None)
        if gateway is None:
            raise link_elsewhere()
        return "" if gateway.is_alive(datetime.now(UTC)) else "the API server process that had the link is gone"

    def _gone(self, request: PassedRequest, reason: str) -> bytes:
        """Have the worker link anew, which takes it to a process that is there."""
        now = asyncio.get_running_loop().time()
        self._failures = [at for at in self._failures if at > now - REMEMBERED] + [now]
        if now - self._warned > WARN_INTERVAL:
            self._warned = now
            log.warning("A request of worker %s could not be passed on: %s", request.worker_id, reason)
        return encode_reply(request.link, end=End(CloseCode.UNREADY, f"{reason}; the link is made anew"))

    def trouble(self) -> str | None:
        """Say whether requests could not be passed on lately; None if all could."""
        since = asyncio.get_running_loop().time() - REMEMBERED
        lately = sum(at > since for at in self._failures)
        if not lately:
            return None
        return (
            f"{lately} requests by long polling could not be passed on to the API server process that had their link "
            f"in the last {REMEMBERED / 60:.0f} minutes; their workers linked anew."
        )

    # The process that has the link

    async def _serve(self, request: PassedRequest) -> None:
        answer = await self._answer(request)
        self._to_answer.append((request, answer))
        self._awake.set()

    async def _answer(self, request: PassedRequest) -> bytes:
        if not self._first_time(request.worker_id, request.token_id, request.expires_at.timestamp()):
            return _REPLAYED
        connection = self._polls.get(request.link, request.worker_id)
        if connection is None:
            return over(request.link)
        frames = decode_frames(request.body)
        return await connection.take(frames) if frames else await connection.listen(WAIT)

    async def _hung_up(self, request: PassedRequest) -> None:
        connection = self._polls.get(request.link, request.worker_id)
        if connection is not None:
            await connection.cut_off("the worker hung up")

    # Both

    async def run(self) -> None:
        """Tell and hear, until cancelled: at once where there is something to tell, or a notification says so."""
        pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            await self._wait()
            try:
                await self._exchange()
            except StoreUnavailableError:
                # It was logged, and those who wait for it know.
                await asyncio.sleep(pauses.next())
            else:
                pauses.reset()

    async def stop(self) -> None:
        """Give the last answers, when `run` has ended and the links have, too."""
        tasks = [task for _, task in self._serving.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_PATIENCE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._to_answer:
            try:
                await self._exchange()
            except StoreUnavailableError:
                log.debug("The last answers to requests that were passed on are not told")

    async def _wait(self) -> None:
        interval = NOTIFIED_INTERVAL if self._signal.connected else self._interval
        # A centre without long polling asks the database nothing.
        expects = self._ours or self._polls or self._serving
        try:
            async with asyncio.timeout(interval if expects else None):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _exchange(self) -> None:
        self._awake.clear()
        outgoing = Outgoing(asked=self._to_ask, answers=self._to_answer, given_up=self._to_give_up)
        self._to_ask, self._to_answer, self._to_give_up = [], [], []
        try:
            incoming = await self._calls.run(self._requests.exchange, self._polls.tag, outgoing)
        except StoreUnavailableError as error:
            # Whether that was written is not known. Each of these workers links anew, and nothing is lost.
            for request in outgoing.asked:
                if (asked := self._ours.get(request.id)) is not None and not asked.answer.done():
                    asked.answer.set_exception(error)
            for request, _ in outgoing.answers:
                await self._hung_up(request)
            raise
        for request_id, passage in incoming.ours.items():
            asked = self._ours.get(request_id)
            if asked is not None and passage is not Passage.ASKED and not asked.taken.done():
                asked.taken.set_result(None)
            if asked is not None and request_id in incoming.answers and not asked.answer.done():
                asked.answer.set_result(incoming.answers[request_id])
        for request in incoming.requests:
            self._start(request)
        answered = [request for request, _ in outgoing.answers]
        new = {request.id for request in incoming.requests}
        working = [request for request, _ in self._serving.values() if request.id not in new]
        for request in (*answered, *working):
            if request.id not in incoming.others:
                await self._hung_up(request)
        if len(incoming.requests) < sum(passage is Passage.ASKED for passage in incoming.others.values()):
            self._awake.set()

    def _start(self, request: PassedRequest) -> None:
        task = asyncio.create_task(self._serve(request), name=f"request passed on of worker {request.worker_id}")
        self._serving[request.id] = request, task
        task.add_done_callback(lambda _: self._serving.pop(request.id, None))


async def _any(patience: float, *futures: asyncio.Future[None] | asyncio.Future[bytes]) -> bool:
    await asyncio.wait(futures, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    return any(future.done() for future in futures)
