"""Shared statements: where the part of one makes them fail, the others' are done without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from airflow_edge.gateway.database.calls import is_outage

Part = TypeVar("Part")


async def each_apart(
    work: Callable[[Sequence[Part]], Awaitable[object]], parts: Sequence[Part]
) -> list[tuple[Part, Exception]]:
    """Do the work for all parts at once; if that fails, for each half of them, and so on; give those it fails for.

    :param work: does nothing where it fails, as a transaction does
    :raises StoreUnavailableError: the database does not answer, which is nobody's fault.
    """
    if not parts:
        return []
    try:
        await work(parts)
    # What one value can come to, each driver has its own word for.
    except Exception as error:
        if is_outage(error):
            raise
        if len(parts) == 1:
            return [(parts[0], error)]
    else:
        return []
    half = len(parts) // 2
    return [*await each_apart(work, parts[:half]), *await each_apart(work, parts[half:])]
