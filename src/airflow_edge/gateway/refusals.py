"""How soon who is refused hears of it: the first times at once, and then only so often, whatever it tries meanwhile.

A refusal costs the API server nearly as much as a call. Who asks again and again as soon as it was refused would take
the time of all others; while it waits for its answer, it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final

BURST: Final = 10
"""Refusals that are answered at once."""
INTERVAL: Final = 0.5
"""Seconds for each that comes after them."""
LONGEST: Final = 8.0
"""Seconds that one waits at most: less than a worker has patience for, the ten of its probes of the way included."""
MOST_KEPT: Final = 10_000


class Refusals:
    """How often each was refused lately."""

    def __init__(self, *, burst: int = BURST, clock: Callable[[], float] = monotonic) -> None:
        self._burst = burst
        self._clock = clock
        self._paid: dict[Hashable, float] = {}
        """When each will have waited for all its refusals, the burst among them."""

    def note(self, who: Hashable) -> None:
        """Count a refusal."""
        now = self._clock()
        paid = max(self._paid.pop(who, now), now)
        # More than the longest pause is never owed, or one bad hour would be remembered for days.
        self._paid[who] = min(paid + INTERVAL, now + self._burst * INTERVAL + LONGEST)
        if len(self._paid) > MOST_KEPT:
            del self._paid[next(iter(self._paid))]

    async def wait(self, who: Hashable) -> None:
        """Wait for as long as an answer to this one waits now."""
        await asyncio.sleep(self.pause(who))

    def pause(self, who: Hashable) -> float:
        """Give how many seconds that is."""
        return max(0.0, self._paid.get(who, 0.0) - self._clock() - self._burst * INTERVAL)
