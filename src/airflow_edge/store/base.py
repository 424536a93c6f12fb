"""What all tables stand on. None is named like one of Airflow's or edge3's; rows come and go independently."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from airflow_edge.store.database_schema import database_schema

VERSION_TABLE = "alembic_version_airflow_edge"
"""Where Alembic notes the schema's version."""

AIRFLOW_ID_LENGTH = 250
MAX_QUEUE_LENGTH = 256
"""Characters of a queue's name, as in Airflow's own tables."""
AIRFLOW_TEAM_LENGTH = 50


class Base(DeclarativeBase):
    """The root of the tables, with names for every constraint so that migrations can address them."""

    metadata = MetaData(
        schema=database_schema(),
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
