"""What `airflow db migrate` and its siblings call to create and upgrade our tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow import settings
from airflow.utils.db_manager import BaseDBManager
from sqlalchemy import MetaData, Table

from airflow_edge.store.tables import VERSION_TABLE, Base

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

_FOLDER = Path(__file__).parent


class EdgeTablesManager(BaseDBManager):
    """Airflow's database manager for the tables of `airflow_edge.store.tables`."""

    metadata = Base.metadata
    version_table_name = VERSION_TABLE
    migration_dir = str(_FOLDER / "migrations")
    alembic_file = str(_FOLDER / "alembic.ini")
    supports_table_dropping = True

    def get_alembic_config(self) -> Config:
        """Give Alembic's configuration, with Airflow's engine for `migrations/env.py`."""
        config: Config = super().get_alembic_config()  # type: ignore[no-untyped-call]
        config.attributes["engine"] = settings.engine
        return config

    def _get_migration_ctx(self) -> MigrationContext:
        from alembic.migration import MigrationContext

        options = {"version_table": self.version_table_name, "version_table_schema": self.metadata.schema}
        return MigrationContext.configure(self.session.connection(), opts=options)

    def drop_tables(self, connection: Connection) -> None:
        """Drop our tables, and the one with their version."""
        self.metadata.drop_all(connection)
        Table(self.version_table_name, MetaData(), schema=self.metadata.schema).drop(connection, checkfirst=True)

    def downgrade(self, to_revision: str, from_revision: str | None = None, show_sql_only: bool = False) -> None:
        """Go back to a revision, `base` for none; with `show_sql_only` print the SQL instead, from `from_revision` on.

        :raises ValueError: `show_sql_only` without a `from_revision`.
        """
        from alembic import command

        if show_sql_only and not from_revision:
            raise ValueError("to print the SQL of a downgrade, say from which revision: --from-revision")
        revision = f"{from_revision}:{to_revision}" if show_sql_only else to_revision
        command.downgrade(self.get_alembic_config(), revision, sql=show_sql_only)
