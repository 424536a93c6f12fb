"""What a task can be granted, and what a call of it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Grant(StrEnum):
    """What a task can be granted, as a policy names it; each with names, by globs."""

    CONNECTIONS = "connections"
    """Read connections."""
    VARIABLES = "variables"
    """Read variables, and see that they are there."""
    SET_VARIABLES = "set_variables"
    """Set and delete variables."""
    XCOMS = "xcoms"
    """Read XComs of Dags."""
    SET_XCOMS = "set_xcoms"
    """Write and delete XComs of Dags."""
    TRIGGER = "trigger"
    """Start runs of Dags."""
    CLEAR = "clear"
    """Clear runs of Dags."""
    STATES = "states"
    """Read what Dags, their runs and their tasks are at."""
    ASSETS = "assets"
    """Read assets, their events and their state, by name or URI."""
    SET_ASSETS = "set_assets"
    """Write and delete the state of assets, and say that they have changed."""
    DEFER = "defer"
    """Leave the task to triggers, by the paths of their classes: the centre's triggerer calls whatever is named."""


OF_DAGS: Final = frozenset({Grant.XCOMS, Grant.SET_XCOMS, Grant.TRIGGER, Grant.CLEAR, Grant.STATES})
"""What is granted by Dag ids; in place of one may stand how the Dag is related to the task."""
UPSTREAM: Final = "@upstream"
"""The tasks before it, in its own run."""
OWN_RUN: Final = "@run"
OWN_DAG: Final = "@dag"
RELATIONS: Final = (UPSTREAM, OWN_RUN, OWN_DAG)
"""From the narrowest to the widest; no Dag id begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """The task that calls, and where."""

    team_name: str | None
    queue: str
    worker: str
    dag_id: str
    run_id: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a call needs to be granted."""

    grant: Grant
    name: str
    """Of a connection, a variable or an asset; a Dag id in what is granted by those."""
    run_id: str | None = None
    """The run that it is about, in what is granted by Dag ids; None for all."""
    task_id: str | None = None
    """The task that it is about; None for all."""

    def is_own(self, who: Who) -> bool:
        """Say whether it is about the very task that calls: that needs no rule."""
        about = (self.name, self.run_id, self.task_id)
        return self.grant in OF_DAGS and about == (who.dag_id, who.run_id, who.task_id)

    def may_be_upstream(self, who: Who) -> bool:
        """Say whether it matters which tasks are before the one that calls."""
        here = self.grant in OF_DAGS and (self.name, self.run_id) == (who.dag_id, who.run_id)
        return here and self.task_id not in {None, who.task_id}

    def relations(self, who: Who, upstream: Callable[[], Collection[str]]) -> list[str]:
        """Give how what it is about is related to the task that calls, the narrowest first.

        :param upstream: gives the tasks before it, in its Dag; asked only where it matters
        """
        if self.grant not in OF_DAGS or self.name != who.dag_id:
            return []
        if self.run_id != who.run_id:
            return [OWN_DAG]
        if self.task_id is not None and self.task_id in upstream():
            return [UPSTREAM, OWN_RUN, OWN_DAG]
        return [OWN_RUN, OWN_DAG]

    def noted(self, relations: Sequence[str]) -> str:
        """Give what is noted of it: the narrowest relation, or its name, which no task makes be taken for a relation.

        :param relations: as `relations` gives them
        """
        if relations:
            return relations[0]
        return repr(self.name) if self.grant in OF_DAGS and self.name in RELATIONS else self.name
