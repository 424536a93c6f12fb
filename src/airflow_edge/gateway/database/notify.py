"""When to look at the queue: PostgreSQL tells of queued jobs, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Engine

from airflow_edge.backoff import Backoff
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.gateway.database.listener import PROOF, Listener, NotHeardError, errors_of
from airflow_edge.rules.matching import QueueKey
from airflow_edge.store.queueing import read_queued
from airflow_edge.store.workers.passed_requests import PASSED

log = logging.getLogger(__name__)

CHECK_INTERVAL = 20.0
"""Seconds between two proofs that notifications arrive: a connection that died silently is noticed then."""
PROOF_PATIENCE = 5.0
"""Seconds for a notification to come back."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
LONGEST_UNHEARD_PAUSE = 300.0
"""Seconds between two attempts where a pooler stands between: that does not change by itself."""


class Heard(Protocol):
    """Is told what has come into the queue."""

    def wake(self) -> None:
        """Something has, and it is not known what."""

    def queued(self, key: QueueKey, slots: int, /) -> None:
        """Jobs have, of which one takes so many slots."""


class QueueSignal:
    """Says when it is worth looking at the queue: because of something here, or because the database notifies us."""

    def __init__(self, notify: Callable[[str], Awaitable[object]], heard: Heard) -> None:
        """Set it up.

        :param notify: notifies all gateways, by any other connection than the one that listens; may raise
            `StoreUnavailableError`
        :param heard: is told what has come into the queue
        """
        self._notify = notify
        self._heard = heard
        self._said = ""
        self.connected = False
        """Whether notifications arrive at present: whether the last one to ourselves came back."""
        self._listeners: dict[str, Callable[[], object]] = {}

    def listen_for(self, payload: str, wake: Callable[[], object]) -> None:
        """Call `wake` for each notification with this payload, which is not about the queue."""
        self._listeners[payload] = wake

    def wake(self) -> None:
        """Have the queue looked at here."""
        self._heard.wake()

    def put_back(self) -> None:
        """Have the queue looked at here, where no notification says that jobs are back in it."""
        if not self.connected:
            self.wake()

    async def listen(self, engine: Engine) -> None:
        """Wake for each notification, and after each connection, until cancelled.

        :param engine: as `listener_engine` gives it
        """
        pauses, unheard = Backoff(FIRST_PAUSE, LONGEST_PAUSE), Backoff(FIRST_PAUSE, LONGEST_UNHEARD_PAUSE)
        while True:
            pause = pauses
            try:
                listener = await asyncio.to_thread(Listener, engine)
                try:
                    await self._follow(listener, (pauses, unheard))
                finally:
                    self.connected = False
                    listener.close()
            except NotHeardError as error:
                self._say(str(error))
                pause = unheard
            except StoreUnavailableError:
                # It was logged.
                pass
            except errors_of(engine) as error:
                reason, _, _ = str(error).strip().partition("\n")
                self._say(f"{type(error).__name__}: {reason}")
            await asyncio.sleep(pause.next())

    async def _follow(self, listener: Listener, pauses: tuple[Backoff, ...]) -> None:
        loop, heard, lost = asyncio.get_running_loop(), set[str](), asyncio.get_running_loop().create_future()
        news = asyncio.Event()

        def read() -> None:
            try:
                payloads = listener.listen()
            # Whatever the driver raises: it is raised again where it is waited for.
            except Exception as error:  # noqa: BLE001
                loop.remove_reader(descriptor)
                if not lost.done():
                    lost.set_exception(error)
                news.set()
                return
            heard.update(payload for payload in payloads if payload.startswith(PROOF))
            for payload in {*payloads}:
                if payload in self._listeners:
                    self._listeners[payload]()
                elif (queued := read_queued(payload)) is not None:
                    self._heard.queued(*queued)
                elif not payload.startswith((PROOF, PASSED)):
                    self.wake()
            news.set()

        descriptor = listener.fileno()
        loop.add_reader(descriptor, read)
        try:
            while True:
                await self._prove(heard, news, lost)
                if not self.connected:
                    self.connected, self._said = True, ""
                    for each in pauses:
                        each.reset()
                    self.wake()
                await asyncio.wait([lost], timeout=CHECK_INTERVAL)
                heard.clear()
        finally:
            loop.remove_reader(descriptor)
            lost.cancel()

    async def _prove(self, heard: set[str], news: asyncio.Event, lost: asyncio.Future[None]) -> None:
        """Have a notification come back.

        :raises NotHeardError: it did not.
        """
        word = f"{PROOF}{uuid4().hex}"
        await self._notify(word)
        with suppress(TimeoutError):
            async with asyncio.timeout(PROOF_PATIENCE):
                while word not in heard and not lost.done():
                    news.clear()
                    await news.wait()
        if lost.done():
            lost.result()
        if word not in heard:
            raise NotHeardError

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            log.warning(
                "No notifications from the database (%s); the queue is polled meanwhile, and the connection is tried "
                "again",
                reason,
            )
