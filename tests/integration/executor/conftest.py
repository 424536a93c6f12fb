"""Airflow's ORM on a database of each kind, with all tables, and schedulers that are driven step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.database import Database, PostgresServer, SqliteFiles


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory) -> Iterator[Database]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield SqliteFiles(tmp_path_factory.mktemp("executor")).create("airflow")
        else:
            yield stack.enter_context(PostgresServer().running()).create("airflow")


@pytest.fixture(scope="module")
def airflow_database(database, tmp_path_factory) -> Iterator[None]:
    """Airflow's ORM in this process on this database, with its own tables and ours."""
    environment = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
        "AIRFLOW__API_AUTH__JWT_SECRET": "the-secret-of-the-executor-tests-" * 2,
        "AIRFLOW__CORE__EXECUTOR": "airflow_edge.executor.EdgeExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        from airflow import settings
        from airflow.logging_config import _ActiveLoggingConfig
        from airflow.models import import_all_models
        from airflow.models.base import Base as AirflowBase

        from airflow_edge.store.tables import Base

        # Airflow remembers for the whole process which remote log it has found.
        patch.setattr(_ActiveLoggingConfig, "logging_config_loaded", False)
        patch.setattr(_ActiveLoggingConfig, "remote_task_log", None)
        patch.setattr(_ActiveLoggingConfig, "default_remote_conn_id", None)
        settings.configure_vars()
        settings.dispose_orm(do_log=False)
        settings.configure_orm()
        import_all_models()
        assert settings.engine is not None
        AirflowBase.metadata.create_all(settings.engine)
        Base.metadata.create_all(settings.engine)
        yield
        settings.dispose_orm(do_log=False)


@pytest.fixture
def centre(airflow_database):
    from tests.integration.executor.world import Centre

    centre = Centre()
    yield centre
    centre.close()
