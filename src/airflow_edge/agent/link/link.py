"""The link to the centre, made again whenever it breaks, for a conversation that outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Literal

from msgspec.structs import replace

from airflow_edge.agent.errors import (
    AddressError,
    AgentError,
    CertificateError,
    ClockError,
    RefusedError,
    UnreachableError,
)
from airflow_edge.agent.link.opener import Opener
from airflow_edge.agent.link.owner import LinkState, Owner
from airflow_edge.agent.link.transport import LinkClosedError, Transport
from airflow_edge.agent.net.centre_key import Pin
from airflow_edge.agent.net.identity import Signer
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.backoff import Backoff
from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.errors import ProtocolError, RejectedError, RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, decode_centre_frame, encode
from airflow_edge.protocol.handshake import take_answer
from airflow_edge.protocol.messages import (
    Ended,
    Goodbye,
    LogAck,
    Offer,
    Order,
    Ping,
    Rejected,
    Serves,
    SiteMessage,
    Stop,
    Void,
    WantWorkerLog,
    Welcome,
)
from airflow_edge.protocol.polling import BATCH_BYTES
from airflow_edge.protocol.problems import CloseCode, Code
from airflow_edge.protocol.session import site_session
from airflow_edge.protocol.signatures import LinkContext

log = logging.getLogger(__name__)

FIRST_WAIT = 1.0
LONGEST_WAIT = 6.0
"""Seconds. All sites lose a gateway in the same moment, and each is to be back 10 s after it is."""
STEADY_AFTER = 10.0
"""Seconds after which a link counts as good, so that the next attempts begin with the shortest wait again."""
REFUSED_WAIT = 30.0
"""Seconds, at most, between two attempts at a centre that does not want us: because tasks still run here, or because it
may want us later."""
GREETING_TIMEOUT = 15.0
SETTLING_PATIENCE = 10.0
"""Seconds that a new link waits for what the last one has brought to be dealt with."""

_PASSING = frozenset({Code.REPLAYED, Code.NOT_READY, Code.OTHER_INSTANCE, Code.COPIED_INSTANCE, ""})
"""Refusals that another attempt may cure."""


class Link:
    """Keeps the worker linked."""

    def __init__(
        self, gateway: str, signer: Signer, pin: Pin, *, trust: Trust = SYSTEM, linked_before: bool = False
    ) -> None:
        """:param gateway: the gateway's base URL; :param linked_before: this worker was linked in an earlier life"""
        self._pin = pin
        self._worker_id = signer.subject
        self.state = LinkState()
        self.linked = asyncio.Event()
        self._gateway = gateway
        self._clock = signer.clock
        self._opener = Opener(gateway, signer, trust=trust)
        self._session = site_session(secrets.token_urlsafe(12))
        self._epoch = 0
        self._settled = asyncio.Event()
        self._settled.set()
        self._outbox: deque[SiteFrame] = deque()
        self._wake = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._hurry = asyncio.Event()
        self._heard = asyncio.Event()
        self._backoff = Backoff(FIRST_WAIT, LONGEST_WAIT)
        self._refused = Backoff(REFUSED_WAIT, REFUSED_WAIT)
        self._interval = 0.0
        """Seconds between two statuses, as the centre wants it."""
        self.times_linked = 0
        """How often the link was made."""
        self._linked_before = linked_before
        self._transport: Transport | None = None
        self._said_goodbye = asyncio.Event()

    @property
    def round_trip(self) -> float | None:
        """Seconds that a word to the centre and back last took; None while that is not known."""
        return self._transport.round_trip if self._transport is not None and self.linked.is_set() else None

    # What the worker calls

    def send(self, message: SiteMessage) -> None:
        """Send a message now, or when the link stands again. A `Status` without a link is dropped."""
        frame = self._session.send(message)
        if self.linked.is_set():
            self._outbox.append(frame)
            self._wake.set()

    def more_log(self) -> None:
        """There may be a log chunk to send."""
        self._wake.set()

    async def flush(self, patience: float) -> None:
        """Wait until the centre has dealt with all that was sent, but at most `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.linked.is_set() and self._session.outstanding:
                    self._heard.clear()
                    await self._heard.wait()

    def hurry(self) -> None:
        """Don't wait any longer for the next attempt."""
        self._hurry.set()

    async def regain(self, patience: float) -> None:
        """Make a link that is broken again at once, or go without: wait at most `patience` seconds for it."""
        if self.times_linked and self.state.state != "refused":
            self.hurry()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.linked.wait(), patience)

    async def say_goodbye(self, reason: str, patience: float) -> None:
        """Tell the centre that the worker ends in good order; wait at most `patience` seconds until that is sent."""
        if self.linked.is_set():
            self._said_goodbye.set()
            self._all_sent.clear()
            self.send(Goodbye(reason=reason))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_sent.wait(), patience)

    async def run(self, owner: Owner) -> None:
        """Link again and again, until goodbye was said.

        :raises AgentError: the centre cannot be, or does not want to be linked to, and no task runs here.
        """
        while not self._said_goodbye.is_set():
            self._hurry.clear()
            least_wait = 0.0
            try:
                await self._link_once(owner)
            except AgentError as error:
                if self._said_goodbye.is_set():
                    return
                self._failed(error, give_up=not owner.has_tasks())
                least_wait = getattr(error, "retry_after", 0.0)
                if isinstance(error, RefusedError):
                    owner.refused(error.code)
            except ProtocolError as error:
                log.exception("the centre and this worker misunderstand each other; the link is made anew")
                self._note_away("connecting", f"protocol error: {error}")
                self._session.restart(secrets.token_urlsafe(12))
                self._begun_anew()
            if self._opener.reopened:
                continue
            wait = self._refused.next() if self.state.state == "refused" else max(self._backoff.next(), least_wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), wait)

    # One connection

    async def _link_once(self, owner: Owner) -> None:
        # What came over the last connection is dealt with first, so that it is known what is to come again.
        try:
            await asyncio.wait_for(self._settled.wait(), SETTLING_PATIENCE)
        except TimeoutError:
            # They come again over the new link, for as long as it takes.
            log.error("messages of the centre are not dealt with after %g s; linking all the same", SETTLING_PATIENCE)
        transport = await self._opener.open()
        greeted: float | None = None
        clock = asyncio.get_running_loop().time
        try:
            await self._greet(transport, owner)
            greeted = clock()
            parts = [self._send_all(transport, owner), self._receive_all(transport, owner)]
            if self._opener.why(transport):
                parts.append(self._opener.reopen())
            await _until_one_ends(*parts)
        except (LinkClosedError, AddressError) as error:
            if not _steady(greeted, clock()) and getattr(error, "code", CloseCode.CUT) == CloseCode.CUT:
                self._opener.failed(transport, linked=greeted is not None)
            raise self._closed(error) if isinstance(error, LinkClosedError) else error from None
        except ProtocolError as error:
            await transport.close(CloseCode.PROTOCOL_ERROR, str(error))
            raise
        finally:
            self.linked.clear()
            if _steady(greeted, clock()):
                self._backoff.reset()
                self._opener.lasted(transport)
            await transport.close()

    async def _greet(self, transport: Transport, owner: Owner) -> None:
        """Say who we are, and hear whether the conversation goes on."""
        session = self._session
        nonce = secrets.token_urlsafe(16)
        hello = replace(owner.hello(session.session_id, session.handled), nonce=nonce, centre_key=self._pin.fingerprint)
        try:
            async with asyncio.timeout(GREETING_TIMEOUT):
                await transport.send([encode(session.send(hello))])
                welcome, acknowledged, again = take_answer(session, hello, await _receive(transport))
        except TimeoutError:
            raise UnreachableError(f"{self._gateway} did not answer the worker's greeting in time") from None
        except RejectedError as error:
            raise RefusedError(str(error), error.code) from None
        self._pin.follow(welcome.centre_keys)
        self._conversation = LinkContext(self._worker_id, nonce, session.session_id)
        _pass_on(acknowledged, owner)
        if not welcome.resumed:
            self._begun_anew()
        self._interval = welcome.heartbeat_interval
        self._outbox = deque(again)
        self._wake.set()
        self._transport = transport
        self.times_linked += 1
        self._note_linked(transport, welcome)
        self.linked.set()
        owner.welcomed(welcome)
        self.send(owner.status())

    def _begun_anew(self) -> None:
        self._epoch += 1
        self._settled.set()

    async def _send_all(self, transport: Transport, owner: Owner) -> None:
        """Send what there is to send, and a status when it is time."""
        clock = asyncio.get_running_loop().time
        due = clock() + self._interval
        while True:
            self._wake.clear()
            if batch := self._next_batch(owner):
                await transport.send(batch)
                if not self._outbox:
                    self._all_sent.set()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._wake.wait()
            if clock() >= due:
                due = clock() + self._interval
                self.send(owner.status())

    def _next_batch(self, owner: Owner) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._outbox and size < BATCH_BYTES:
            batch.append(encode(self._outbox.popleft()))
            size += len(batch[-1])
        if not batch and (chunk := owner.next_chunk()):
            batch.append(encode(self._session.send(chunk)))
        return batch

    async def _receive_all(self, transport: Transport, owner: Owner) -> None:
        while True:
            frame = self._pin.opened(await _receive(transport), self._conversation)
            acknowledged = self._session.acknowledge(frame.ack)
            is_new = self._session.receive(frame)
            _pass_on((done.body for done in acknowledged), owner)
            self._heard.set()
            match frame.body:
                case LogAck() as ack:
                    owner.log_acknowledged(ack)
                    self._wake.set()
                case WantWorkerLog() as wanted:
                    owner.worker_log_wanted(wanted)
                case Serves(queues=queues):
                    owner.serves(queues)
                case Ping(asks=question):
                    if question:
                        self.send(Ping(answers=question))
                case Offer() | Stop() | Void() | Order() as message if is_new:
                    self._settled.clear()
                    owner.receive(message, partial(self._handled, self._epoch, frame.seq))
                case Welcome() | Rejected() as unexpected:
                    raise RemoteProtocolError(f"{type(unexpected).__name__} came in the middle of a link")

    # Bookkeeping

    def _handled(self, epoch: int, seq: int) -> None:
        """Everything from the centre up to this message is dealt with; `epoch` names the conversation it was in."""
        if epoch != self._epoch:
            return
        self._session.handle(seq)
        if self._session.handled == self._session.received:
            self._settled.set()

    def _closed(self, closed: LinkClosedError) -> AgentError:
        if closed.code == CloseCode.REVOKED:
            revoked = f"this worker was revoked; to use this machine again, enrol it anew: {ANEW}"
            return RefusedError(revoked, Code.REVOKED)
        if closed.code == CloseCode.REPLACED:
            replaced = f"another worker has linked with this worker's key; enrol each machine by itself: {ANEW}"
            return RefusedError(closed.reason or replaced, "")
        return UnreachableError(f"the link to {self._gateway} broke ({closed})")

    def _failed(self, error: AgentError, *, give_up: bool) -> None:
        """Note why there is no link; `give_up` where nothing would come of going on."""
        refused = isinstance(error, RefusedError)
        for_good = isinstance(error, RefusedError) and error.code not in _PASSING
        reset = isinstance(error, ClockError) and self._set_clock(error)
        # Who and what is on the way may change by itself, what the centre says to a worker that it never had does not.
        known = self.times_linked > 0 or self._linked_before
        hopeless = for_good or not (known or isinstance(error, UnreachableError | CertificateError) or refused or reset)
        if hopeless and give_up:
            raise error
        self._note_away("refused" if refused else "connecting", str(error))

    def _set_clock(self, error: ClockError) -> bool:
        """Sign by the centre's clock, if it was certainly the centre that has told its time."""
        # Over plain HTTP anybody could have tokens signed for a time of his liking.
        reset = self._clock.refused(error.centre_time if self._gateway.startswith("https:") else None)
        if off := self._clock.machine_ahead:
            log.warning(
                "this machine's clock is %d s %s the centre's, by which the worker goes from now on; set it right, for "
                "example with NTP: tasks go by it",
                abs(off),
                "ahead of" if off > 0 else "behind",
            )
        return reset

    def _note_linked(self, transport: Transport, welcome: Welcome) -> None:
        reason = self._opener.why(transport)
        if reason:
            log.warning("linked to %s by long polling, until a WebSocket can be made; %s", self._gateway, reason)
        else:
            log.info("linked to %s, which is airflow-edge %s", self._gateway, welcome.centre_version)
        self.state = LinkState("linked", reason, transport.name)

    def _note_away(self, state: Literal["connecting", "refused"], reason: str) -> None:
        if (state, reason) != (self.state.state, self.state.reason):
            log.warning("not linked: %s; trying again", reason)
        self.state = LinkState(state, reason)


async def _until_one_ends(*coroutines: Coroutine[object, object, None]) -> None:
    """Run all until the first ends, end the others too, and raise what ended it."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _pass_on(acknowledged: Iterable[SiteMessage], owner: Owner) -> None:
    """Say which jobs' ends the centre has dealt with."""
    for message in acknowledged:
        if isinstance(message, Ended):
            owner.acknowledged(message.key)


def _steady(since: float | None, now: float) -> bool:
    return since is not None and now - since > STEADY_AFTER


async def _receive(transport: Transport) -> CentreFrame:
    return decode_centre_frame(await transport.receive())
