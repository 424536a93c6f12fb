"""How far the authority of a job goes, and of an enrolment token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
JOBS = "airflow_edge_job"
CAPPED = "airflow_edge_worker", "airflow_edge_enroll_token"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql:
        columns = {one["name"] for one in sa.inspect(op.get_bind()).get_columns(JOBS)}
        if "begun_at" in columns:
            return
    with op.batch_alter_table(JOBS) as jobs:
        jobs.add_column(sa.Column("begun_at", TIMESTAMP))
        jobs.add_column(sa.Column("calls_until", TIMESTAMP))
    # What runs has begun.
    op.execute("UPDATE airflow_edge_job SET begun_at = started_at WHERE state = 'running'")
    for table in CAPPED:
        with op.batch_alter_table(table) as capped:
            capped.add_column(sa.Column("max_slots", sa.Integer()))


def downgrade() -> None:
    for table in CAPPED:
        with op.batch_alter_table(table) as capped:
            capped.drop_column("max_slots")
    with op.batch_alter_table(JOBS) as jobs:
        jobs.drop_column("calls_until")
        jobs.drop_column("begun_at")
