"""A link's conversation, which outlives the connection under it: numbering, acknowledgement, resumption. No I/O.

Numbered messages are delivered at least once and in order: each side keeps what the other has not acknowledged and
sends it again after a resumption. A repeated number is recognised and dropped. What a message *means* twice is
settled by job id and assignment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from airflow_edge.protocol.errors import LocalProtocolError, RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame
from airflow_edge.protocol.messages import UNNUMBERED, CentreMessage, SiteMessage

Sent = TypeVar("Sent", SiteFrame, CentreFrame)
Got = TypeVar("Got", SiteFrame, CentreFrame)


class Session(Generic[Sent, Got]):
    """One side of a conversation. Make it with `site_session` or `centre_session`."""

    def __init__(self, frame: Callable[[int, int, Any], Sent], session_id: str) -> None:
        self.session_id = session_id
        self.received = 0
        """The last number that arrived."""
        self.handled = 0
        """The last number that was dealt with for good: what this side acknowledges."""
        self._frame: Callable[[int, int, Any], Sent] = frame
        self._next = 1
        self._unacknowledged: deque[Sent] = deque()

    def send(self, message: SiteMessage | CentreMessage) -> Sent:
        """Wrap a message for the wire; a numbered one is kept until it is acknowledged."""
        if isinstance(message, UNNUMBERED):
            return self._frame(0, self.handled, message)
        frame = self._frame(self._next, self.handled, message)
        self._next += 1
        self._unacknowledged.append(frame)
        return frame

    def receive(self, frame: Got) -> bool:
        """Take a frame in; say whether its message is new.

        :raises RemoteProtocolError: a number was skipped, or something was acknowledged that was never sent.
        """
        self.acknowledge(frame.ack)
        if frame.seq == 0:
            return True
        if frame.seq <= self.received:
            return False
        if frame.seq != self.received + 1:
            raise RemoteProtocolError(f"message {frame.seq} came after message {self.received}")
        self.received = frame.seq
        return True

    def handle(self, seq: int) -> None:
        """Note that everything up to this number is dealt with for good, so that it may be acknowledged."""
        if seq > self.received:
            raise LocalProtocolError(f"message {seq} cannot be dealt with: only {self.received} have come")
        self.handled = max(self.handled, seq)

    def resume(self, received: int) -> list[Sent]:
        """Go on after a new connection: the other side has everything up to `received`. Gives what is to be sent again.

        What this side has received but not dealt with is forgotten, and will come again.
        """
        self.acknowledge(received)
        self.received = self.handled
        return self.pending()

    def restart(self, session_id: str) -> list[Sent]:
        """Begin anew because the other side has forgotten the session.

        Gives what is to be sent again, newly numbered.
        """
        kept = [frame.body for frame in self._unacknowledged]
        self.session_id = session_id
        self.received = self.handled = 0
        self._next = 1
        self._unacknowledged.clear()
        for body in kept:
            self.send(body)
        return self.pending()

    @property
    def outstanding(self) -> int:
        """How many sent messages are not acknowledged."""
        return len(self._unacknowledged)

    def pending(self) -> list[Sent]:
        """Give the frames that were not acknowledged, oldest first, with today's acknowledgement."""
        return [self._frame(frame.seq, self.handled, frame.body) for frame in self._unacknowledged]

    def acknowledge(self, seq: int) -> list[Sent]:
        """Note that the other side has dealt with everything up to this number. Gives what was not known to be yet.

        :raises RemoteProtocolError: that was never sent.
        """
        if seq >= self._next:
            raise RemoteProtocolError(f"message {seq} was acknowledged, but only {self._next - 1} were sent")
        done = []
        while self._unacknowledged and self._unacknowledged[0].seq <= seq:
            done.append(self._unacknowledged.popleft())
        return done


def site_session(session_id: str) -> Session[SiteFrame, CentreFrame]:
    """Make the site's side of a session."""
    return Session(SiteFrame, session_id)


def centre_session(session_id: str) -> Session[CentreFrame, SiteFrame]:
    """Make the centre's side of a session."""
    return Session(CentreFrame, session_id)
