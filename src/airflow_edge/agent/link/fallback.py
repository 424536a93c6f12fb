"""When the link goes by long polling, and when the WebSocket is tried again. No I/O, no clock."""

from __future__ import annotations

from enum import Enum, auto

from airflow_edge.backoff import Backoff

SEVERAL = 3
"""Attempts that have to fail as if WebSockets did not get through, before that is believed."""
FIRST_PAUSE = 20.0
LONGEST_PAUSE = 300.0
"""Seconds from one attempt at a WebSocket to the next while the link goes by long polling."""


class Suspicion(Enum):
    """Whether a failed attempt speaks for something on the way that does not let WebSockets through."""

    NONE = auto()
    """It failed for another reason: the centre is away, or the gateway itself refused."""
    SOME = auto()
    """It could be, and it could be something else as well."""
    CERTAIN = auto()
    """Somebody who is not the gateway refused the upgrade."""


class Fallback:
    """Chooses the transport of the next attempt."""

    def __init__(self) -> None:
        self.reason = ""
        """Why WebSockets are held to be blocked."""
        self._suspicions = 0
        self._pause = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

    @property
    def polling(self) -> bool:
        """Whether to go by long polling."""
        return self._suspicions >= SEVERAL

    def websocket_failed(self, suspicion: Suspicion, reason: str) -> None:
        """An attempt failed, or what came of it was cut off before it was of use."""
        match suspicion:
            case Suspicion.CERTAIN:
                self._suspicions = SEVERAL
            case Suspicion.SOME:
                self._suspicions += 1
            case Suspicion.NONE:
                return
        self.reason = reason

    def websocket_opened(self) -> None:
        """The attempt made while polling was not refused; a single failure from here on leads back to polling."""
        self._suspicions = SEVERAL - 1

    def websocket_lasted(self) -> None:
        """WebSockets do get through."""
        self._suspicions = 0
        self._pause.reset()

    def polling_failed(self) -> None:
        """There is no link this way either: the WebSocket has its turn."""
        self._suspicions = SEVERAL - 1

    def next_pause(self) -> float:
        """Give the seconds until the WebSocket is tried again."""
        return self._pause.next()
