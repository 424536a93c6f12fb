"""When a worker goes into maintenance by itself, and when it leaves it by itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Literal

ENTER_AT: Final = {"off": None, "warning": logging.WARNING, "error": logging.ERROR}
LEAVE_BELOW: Final = {"off": None, "info": logging.WARNING, "warning": logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """The rule. A status is a level of Python's logging; None for never."""

    enter_at: int | None = None
    """From this status on the worker goes into maintenance."""
    leave_below: int | None = None
    """Below this one it leaves a maintenance that it went into by itself."""

    def is_bad(self, status: int) -> bool:
        """Whether this status is a reason for maintenance."""
        return self.enter_at is not None and status >= self.enter_at

    def advise(
        self, status: int, *, maintained: bool, by_itself: bool, overruled: bool
    ) -> Literal["enter", "leave"] | None:
        """Say what to do; None for nothing.

        :param maintained: the worker is in maintenance
        :param by_itself: it went there by itself
        :param overruled: a person has taken it out while the status was as bad, which has not been good since
        """
        if not maintained:
            return "enter" if self.is_bad(status) and not overruled else None
        # What would bring it back at once is no reason to leave.
        leaves = by_itself and self.leave_below is not None and status < self.leave_below and not self.is_bad(status)
        return "leave" if leaves else None
