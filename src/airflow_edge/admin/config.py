"""What the REST API and the command line need of the centre: its settings and its database."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from airflow import settings
from airflow.configuration import conf
from sqlalchemy.orm import Session

from airflow_edge.rules import liveness
from airflow_edge.settings import BY_NAME, SECTION, SettingError
from airflow_edge.store.transactions import SessionFactory


def read_patience() -> liveness.Patience:
    """Read from Airflow's configuration how long workers out of reach are waited for.

    :raises SettingError: a setting makes no sense.
    """
    try:
        return liveness.read_patience(lambda name: BY_NAME[name].check(conf.get_mandatory_value(SECTION, name)))
    except ValueError as error:
        raise SettingError(str(error)) from None


def policy_file() -> Path | None:
    """Give the file that says what tasks may ask of the centre; None where that stands in the database."""
    name = str(conf.get(SECTION, "policy_file", fallback="") or "").strip()
    return Path(name).expanduser() if name else None


def session() -> Session:
    """Make a session of its own on Airflow's database."""
    return cast("SessionFactory", settings.NonScopedSession)()


def multi_team() -> bool:
    """Say whether this Airflow has teams."""
    return bool(conf.getboolean("core", "multi_team", fallback=False))
