"""The time by which a worker signs its tokens."""

from __future__ import annotations

import time
from collections.abc import Callable


def _steady() -> float:
    # Unlike CLOCK_MONOTONIC, it goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Clock:
    """Begins with this machine's time and goes on evenly from there, though somebody set the machine's clock."""

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        """:param wall: gives the seconds since the epoch, by this machine's clock

        :param steady: gives seconds that nobody sets
        """
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._is_centres = False

    def now(self) -> float:
        """Give the seconds since the epoch."""
        return self._offset + self._steady()

    def refused(self, centre_time: float | None) -> bool:
        """Go by the centre's time from now on, or look at this machine's anew, because a token's time was refused.

        :param centre_time: seconds since the epoch, if the centre has said so and it was certainly the centre
        :return: whether that is another time, so that another attempt may succeed
        """
        before = self.now()
        self._is_centres = centre_time is not None
        self._offset = (self._wall() if centre_time is None else centre_time) - self._steady()
        return abs(self.now() - before) > 1

    @property
    def machine_ahead(self) -> int:
        """By how many seconds this machine's clock is ahead of the centre's, as far as known; negative if behind."""
        return round(self._wall() - self.now()) if self._is_centres else 0
