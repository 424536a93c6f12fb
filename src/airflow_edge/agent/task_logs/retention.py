"""Which of the logs that are kept at the site have to go: by age, by size together, and by the disk's free room."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept. No age, or no size, means that nothing is kept at all."""

    max_age: float
    """Seconds."""
    max_size: int
    """Bytes, all copies together."""
    min_free: int
    """Bytes that stay free on the disk: copies go before it gets fuller."""

    @property
    def nothing(self) -> bool:
        """Whether nothing is to be kept."""
        return self.max_age <= 0 or self.max_size <= 0


@dataclass(frozen=True, slots=True)
class Copy:
    """A kept log."""

    name: str
    size: int
    """Bytes on the disk."""
    kept_at: float
    """Seconds since the epoch."""


def to_remove(copies: Iterable[Copy], limits: Limits, *, now: float, free: int) -> list[str]:
    """Give the names of the copies that have to go, oldest first; a younger one never goes before an older one.

    :param now: seconds since the epoch
    :param free: bytes that are free on the disk now
    """
    oldest_first = sorted(copies, key=lambda copy: (copy.kept_at, copy.name))
    total = sum(copy.size for copy in oldest_first)
    removed: list[str] = []
    for copy in oldest_first:
        too_old = limits.nothing or now - copy.kept_at > limits.max_age
        if not too_old and total <= limits.max_size and free >= limits.min_free:
            break
        removed.append(copy.name)
        total -= copy.size
        free += copy.size
    return removed
