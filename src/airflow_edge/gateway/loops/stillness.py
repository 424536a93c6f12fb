"""For how long something has stood still, as one process has seen it itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Stillness(Generic[Key, Value]):
    """Watches values that other processes change, whose clocks may be wrong, and so may this one's.

    Only what was seen unchanged, by a clock that nobody sets, counts: the time between the looks, and not that in
    which nobody could look, since the database was away or the whole machine stood still. All times are in seconds.
    """

    def __init__(self, longest_pause: float) -> None:
        """Begin.

        :param longest_pause: between two looks; of a longer one no more than this counts
        """
        self._longest_pause = longest_pause
        self._watched = 0.0
        self._answered: float | None = None
        self._since: dict[Key, tuple[Value, float]] = {}

    def look(self, values: Mapping[Key, Value], *, asked: float, answered: float) -> dict[Key, float]:
        """Give for how long each value has been seen as it is now; never more than it has been so.

        :param values: all that there are, of which none ever comes back; those of other keys are forgotten
        :param asked: when the question for them was put, by the monotonic clock
        :param answered: when the answer was there
        """
        if self._answered is not None:
            self._watched += min(max(asked - self._answered, 0.0), self._longest_pause)
        self._answered = answered
        before, now = self._since, self._watched
        self._since = {
            key: known if (known := before.get(key)) and known[0] == value else (value, now)
            for key, value in values.items()
        }
        return {key: now - since for key, (_, since) in self._since.items()}
