"""Maintenance that ends by itself, queues that are paused, and machines that wanted to become workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from airflow_edge.store.columns import collation_by_bytes

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
PAUSES = "airflow_edge_queue_pause"
ATTEMPTS = "airflow_edge_enroll_attempt"
UNTIL = "ix_airflow_edge_worker_maintenance_until"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(PAUSES):
        return
    by_bytes = collation_by_bytes(op.get_context().dialect)
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.add_column(sa.Column("maintenance_until", TIMESTAMP))
        worker.add_column(sa.Column("maintenance_by", sa.String(250)))
    op.create_index(op.f(UNTIL), "airflow_edge_worker", ["maintenance_until"])
    op.create_table(
        PAUSES,
        sa.Column("team_name", sa.String(50, collation=by_bytes), nullable=False),
        sa.Column("queue", sa.String(256, collation=by_bytes), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.String(250), nullable=False),
        sa.Column("since", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("team_name", "queue", name=op.f("pk_airflow_edge_queue_pause")),
    )
    op.create_table(
        ATTEMPTS,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("token_id", sa.Uuid()),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_enroll_attempt")),
    )


def downgrade() -> None:
    op.drop_table(ATTEMPTS)
    op.drop_table(PAUSES)
    op.drop_index(op.f(UNTIL), "airflow_edge_worker")
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.drop_column("maintenance_by")
        worker.drop_column("maintenance_until")
