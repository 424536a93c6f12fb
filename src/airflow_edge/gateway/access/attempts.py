"""Remembers who wanted to enrol, for people who wait for a worker; no stranger fills the database with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import attrs

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.store.workers.attempts import AttemptResult, EnrollAttempt, EnrollAttempts

A_MINUTE = 30
"""Refusals that one process remembers a minute: anybody can be refused, as often as they like."""


@attrs.define
class Attempts:
    """The attempts to enrol that one gateway process has seen."""

    _attempts: EnrollAttempts
    _calls: StoreCalls
    _left: float = attrs.field(default=A_MINUTE, init=False)
    _at: float = attrs.field(default=0.0, init=False)

    async def note(self, name: str, token_id: UUID | None, result: AttemptResult, text: str) -> None:
        """Remember an attempt, unless there were too many; that the database fails is no reason to refuse anybody."""
        if result == "refused" and not self._has_room():
            return
        attempt = EnrollAttempt(at=datetime.now(UTC), name=name, token_id=token_id, result=result, text=text)
        # It was logged.
        with suppress(StoreUnavailableError):
            await self._calls.run(self._attempts.note, attempt)

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(A_MINUTE, self._left + (now - self._at) * A_MINUTE / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
