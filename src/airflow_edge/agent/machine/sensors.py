"""What the worker knows of the machine that it is on, besides what keeps it from taking jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING

from airflow_edge.agent.config import Config
from airflow_edge.agent.core.events import StatusFound
from airflow_edge.agent.machine.metrics import LinkQuality, Meter, MetricsWatch
from airflow_edge.protocol.messages import Metrics

if TYPE_CHECKING:
    from airflow_edge.agent.machine.system_info import ExtendedInfo, Fact

log = logging.getLogger(__name__)


class Sensors:
    """Measurements, and what a function of the user's own says."""

    def __init__(self, config: Config, link: LinkQuality, post: Callable[[StatusFound], None]) -> None:
        """Look at nothing yet.

        :param post: is told the status that the function gives, whenever it changes
        """
        self._metrics = MetricsWatch(Meter(config.jobs_dir), link)
        self._extended: ExtendedInfo | None = None
        if path := config.extended_system_info_function:
            from airflow_edge.agent.machine.system_info import ExtendedInfo

            self._extended = ExtendedInfo(path, lambda status, text: post(StatusFound(status, text)))
        elif config.automatic.enter_at is not None:
            log.warning(
                "[edge] automatic_maintenance_on has no effect without extended_system_info_function, which gives the "
                "status"
            )

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[object, object, None]], ...]:
        """What has to run for it."""
        return (self._metrics.run, *([self._extended.run] if self._extended else []))

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What the function said last."""
        return self._extended.facts if self._extended else {}

    def take_metrics(self) -> Metrics | None:
        """Give what was measured since this was last asked for; None if nothing was."""
        return self._metrics.take()
