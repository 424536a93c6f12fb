"""In which of the database's schemas Airflow's tables are, and so ours."""

from __future__ import annotations

from airflow.configuration import conf


def database_schema() -> str | None:
    """Give `[database] sql_alchemy_schema`; None for the connection's own."""
    return (conf.get("database", "sql_alchemy_schema", fallback="") or "").strip() or None
