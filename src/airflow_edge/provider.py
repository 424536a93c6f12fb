"""What Airflow's provider discovery reads, in every one of Airflow's processes: nothing heavy is imported here."""

from __future__ import annotations

import logging
from functools import cache

from airflow_edge.executor.edge3 import UNINSTALL_EDGE3, edge3_is_installed
from airflow_edge.settings import SECTION, SETTINGS

log = logging.getLogger(__name__)


def get_provider_info() -> dict[str, object]:
    """Describe this provider; `package-name` must be the distribution's name, or every `airflow` command fails.

    Where edge3 is installed too, its settings and commands stay alone: two providers of the same command break all of
    Airflow's commands.
    """
    info: dict[str, object] = {
        "package-name": "airflow-edge",
        "name": "Edge",
        "description": "An edge executor for Apache Airflow 3: workers anywhere, with nothing but outbound HTTPS.",
        "db-managers": ["airflow_edge.store.manager.EdgeTablesManager"],
    }
    if edge3_is_installed():
        _warn_once()
        return info
    return info | {
        "executors": ["airflow_edge.executor.EdgeExecutor"],
        "cli": ["airflow_edge.cli.centre.definition.get_edge_commands"],
        "config": {
            SECTION: {
                "description": "Edge workers: what the API server grants them, and how a worker itself is set up.",
                "options": {
                    setting.name: {
                        "description": setting.description,
                        "version_added": setting.version_added,
                        "type": setting.kind,
                        "example": setting.example,
                        "default": setting.default_text,
                        "sensitive": setting.sensitive,
                    }
                    for setting in SETTINGS
                },
            }
        },
    }


@cache
def _warn_once() -> None:
    log.warning(UNINSTALL_EDGE3)
