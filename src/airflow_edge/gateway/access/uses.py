"""What tasks ask for, counted in memory and written down now and then."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.rules.policy.grants import Who
from airflow_edge.rules.policy.suggesting import noted_name
from airflow_edge.store.policy.uses import NotedUse, PolicyUses, Times

log = logging.getLogger(__name__)

INTERVAL: Final = 10.0
"""Seconds between two times of writing."""
MOST: Final = 5_000
"""Uses that are held until then."""
MOST_OF_A_TASK: Final = 200
"""So many of them of one task, so that one which asks for ever new names leaves room for others."""

_Asker = tuple[str | None, str, str, str]
_Asked = tuple[str, str]


class UseCounter:
    """The counts of one gateway process."""

    def __init__(self, uses: PolicyUses, calls: StoreCalls) -> None:
        self._uses = uses
        self._calls = calls
        self._counted: defaultdict[_Asker, dict[_Asked, list[int]]] = defaultdict(dict)
        self._held = 0
        self._left_out = 0

    def note(self, who: Who, kind: str, name: str, *, granted: bool, enforced: bool) -> None:
        """Count that a task has asked for something.

        :param kind: the grant that it needs, or `route`
        :param enforced: whether it is denied what no rule grants
        """
        asker = who.team_name, who.queue, who.dag_id, who.task_id
        self._add(asker, (kind, name), (granted, not granted, enforced and not granted))

    async def flush(self) -> None:
        """Write down what was counted.

        :raises StoreUnavailableError: the database failed; it is kept for the next time, as far as there is room.
        """
        counted, self._counted, self._held = self._counted, defaultdict(dict), 0
        left_out, self._left_out = self._left_out, 0
        if counted:
            try:
                left_out += await self._calls.run(self._uses.note, datetime.now(UTC).date(), _noted(counted))
            except StoreUnavailableError:
                for asker, asked in counted.items():
                    for what, times in asked.items():
                        self._add(asker, what, times)
                raise
        if left_out:
            log.warning("Of what tasks ask for, %d uses are not noted: there are too many of this day", left_out)

    def _add(self, asker: _Asker, what: _Asked, times: Iterable[int]) -> None:
        asked = self._counted.get(asker, {})
        if what not in asked:
            if self._held >= MOST or len(asked) >= MOST_OF_A_TASK:
                self._left_out += 1
                return
            self._counted[asker][what] = [0, 0, 0]
            self._held += 1
        _sum(self._counted[asker][what], times)


def _noted(counted: dict[_Asker, dict[_Asked, list[int]]]) -> dict[NotedUse, Times]:
    noted: defaultdict[NotedUse, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (team_name, queue, dag_id, task_id), asked in counted.items():
        for (kind, name), times in asked.items():
            use = NotedUse(
                team_name=team_name or "",
                queue=noted_name(queue),
                dag_id=noted_name(dag_id),
                task_id=noted_name(task_id),
                kind=kind,
                name=noted_name(name),
            )
            _sum(noted[use], times)
    return {use: Times(*times) for use, times in noted.items()}


def _sum(to: list[int], times: Iterable[int]) -> None:
    to[:] = [one + other for one, other in zip(to, times, strict=True)]
