"""Mounts gateway, REST API and page in Airflow's API server.

Airflow imports this module in every process, so it has to be light.
"""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from airflow_edge.protocol.urls import PREFIX
from airflow_edge.runtime.environment import WORKER_NAME_VARIABLE

if TYPE_CHECKING:
    from airflow_edge.page.bundle import Bundle


class EdgePlugin(AirflowPlugin):
    """Only the API server asks for `fastapi_apps` and `react_apps`; what they hold is built there and nowhere else."""

    name = "airflow_edge"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Prepare a task at a site that has `run_as_user`: Airflow runs it in an interpreter of its own, which knows
        nothing of the runtime, and loads all plugins there before the Dag.
        """
        if os.environ.get("_AIRFLOW__REEXECUTED_PROCESS") == "1" and WORKER_NAME_VARIABLE in os.environ:
            from airflow_edge.runtime.parsing import accept_what_the_centre_accepts

            accept_what_the_centre_accepts()

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Give the gateway, to be mounted under `/edge_worker`; nothing where the provider it replaces is there too.

        Whoever asks shows logs, too: those of tasks at the edge, and why one waits, whatever is set.
        """
        from airflow_edge.executor.edge3 import UNINSTALL_EDGE3, edge3_is_installed

        if edge3_is_installed():
            logging.getLogger(__name__).error(UNINSTALL_EDGE3)
            return []
        from airflow_edge.admin.rest.app import create_app as create_api
        from airflow_edge.checking.centre import look_at_centre
        from airflow_edge.gateway.app import create_app
        from airflow_edge.logs.handler import read_here

        read_here()
        # The longer prefix first: the gateway answers whatever comes below its own.
        return [
            *self._page_apps(),
            {"app": create_api(look_at_centre), "url_prefix": f"{PREFIX}/api", "name": "Edge API"},
            {"app": create_app(), "url_prefix": PREFIX, "name": "Edge gateway"},
        ]

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Give the operator's page and its panels of a task instance and a Dag; nothing where they were not built."""
        if self._bundle is None:
            return []
        from airflow.configuration import conf

        from airflow_edge.page.entries import places, react_apps

        return react_apps(self._bundle, conf.get("api", "base_url", fallback=""), places())

    def _page_apps(self) -> list[dict[str, Any]]:
        if self._bundle is None:
            return []
        from airflow_edge.page.app import create_app
        from airflow_edge.page.entries import PAGE_PREFIX

        return [{"app": create_app(self._bundle), "url_prefix": PAGE_PREFIX, "name": "Edge page"}]

    @cached_property
    def _bundle(self) -> Bundle | None:
        from airflow_edge.executor.edge3 import edge3_is_installed
        from airflow_edge.page.bundle import BundleMissingError, read_bundle

        if edge3_is_installed():
            return None
        try:
            return read_bundle()
        except BundleMissingError as error:
            logging.getLogger(__name__).warning("%s", error)
            return None
