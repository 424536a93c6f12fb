"""Runs the migrations on the engine that `airflow_edge.store.manager` hands over."""

from __future__ import annotations

from typing import Any

from alembic import context

from airflow_edge.store.tables import VERSION_TABLE, Base


def run(**options: Any) -> None:
    """Change the database, or print the SQL."""
    context.configure(target_metadata=Base.metadata, version_table=VERSION_TABLE, **options)
    with context.begin_transaction():
        if schema := Base.metadata.schema:
            # What the migrations name without a schema, the version's table too, is there then, until the commit.
            quoted = context.get_context().dialect.identifier_preparer.quote_schema(schema)
            context.execute(f"SET LOCAL search_path TO {quoted}")
        context.run_migrations()


if context.is_offline_mode():
    run(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
else:
    with context.config.attributes["engine"].connect() as connection:
        run(connection=connection, render_as_batch=True)
