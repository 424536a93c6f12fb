"""Every setting of the `[edge]` section, defined once.

For Airflow's configuration, for the agent and for the reference in the docs.
"""

from __future__ import annotations

from typing import Final

from airflow_edge.settings.centre import CENTRE
from airflow_edge.settings.setting import SECTION, Setting, SettingError
from airflow_edge.settings.site import SITE

__all__ = ["BY_NAME", "SECTION", "SETTINGS", "Setting", "SettingError", "environment_variable"]

SETTINGS: Final = (*CENTRE, *SITE)
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def environment_variable(name: str) -> str:
    """Give the environment variable that sets this option."""
    return f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
