"""Airflow in the process of the tests."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine


@contextmanager
def airflow_here(environment: Mapping[str, str]) -> Iterator[Engine]:
    """Have Airflow's configuration and ORM in this process, with all tables, its own and ours, until the end.

    :param environment: its settings, which no other test may see
    """
    with airflow_configured(environment) as engine:
        make_tables(engine)
        yield engine


@contextmanager
def airflow_configured(environment: Mapping[str, str]) -> Iterator[Engine]:
    """Have Airflow's configuration and ORM in this process until the end, on a database as it is found."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        from airflow import settings
        from airflow.logging_config import _ActiveLoggingConfig

        # Airflow remembers for the whole process which remote log it has found.
        patch.setattr(_ActiveLoggingConfig, "logging_config_loaded", False)
        patch.setattr(_ActiveLoggingConfig, "remote_task_log", None)
        patch.setattr(_ActiveLoggingConfig, "default_remote_conn_id", None)
        forget_settings()
        settings.configure_vars()
        settings.dispose_orm(do_log=False)
        settings.configure_orm()
        engine = settings.engine
        assert engine is not None
        try:
            yield engine
        finally:
            settings.dispose_orm(do_log=False)
            patch.undo()
            # As in a process that has just imported Airflow: a test that comes later may want it so.
            forget_settings()
            settings.configure_vars()
            settings.configure_orm()


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


def airflow_command(*words: str, typed: str | None = None) -> Finished:
    """Run `airflow …` in this process: to start another one takes seconds.

    :param typed: the answer to what it asks
    """
    from airflow.cli.cli_parser import get_parser

    status = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        patch.setattr(sys, "argv", ["airflow", *words])
        patch.setattr(sys, "stdin", io.StringIO("" if typed is None else f"{typed}\n"))
        try:
            arguments = get_parser().parse_args(words)
            arguments.func(arguments)
        except SystemExit as end:
            if isinstance(end.code, int):
                status = end.code
            elif end.code is not None:
                status = 1
                sys.stderr.write(str(end.code))
    return Finished(status, out.getvalue(), err.getvalue())


def forget_settings() -> None:
    """Have Airflow read its settings again, of which it remembers what it made for the whole process: keys, say."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("airflow.")]
    classes = {each for module in modules for each in list(vars(module).values()) if isinstance(each, type)}
    for owner in (*modules, *classes):
        for member in list(vars(owner).values()):
            function = getattr(member, "__func__", member)
            if isinstance(function, functools._lru_cache_wrapper) and function.__module__.startswith("airflow."):
                function.cache_clear()
    from airflow.executors import executor_loader

    for names in ("_alias", "_module", "_classname"):
        vars(executor_loader)[f"{names}_to_executors_per_team"].clear()
    executor_loader._team_name_to_executors.clear()
    executor_loader._executor_names.clear()


def make_tables(engine: Engine) -> None:
    """Make all tables, Airflow's own and ours."""
    from airflow.models import import_all_models
    from airflow.models.base import Base as AirflowBase
    from airflow.utils.db import synchronize_log_template
    from sqlalchemy.orm import Session

    from airflow_edge.store.tables import Base

    import_all_models()
    AirflowBase.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        synchronize_log_template(session=session)
        session.commit()
