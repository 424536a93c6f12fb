"""What has happened to workers and to jobs, and what workers say is wrong in columns of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TABLE = "airflow_edge_worker_event"
TEXTS = ("conditions", "warnings")
"""Empty until a worker is heard of: MySQL gives no text a default."""


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(250)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_worker_event")),
    )
    op.create_index(op.f("ix_airflow_edge_worker_event_at"), TABLE, ["at"])
    op.create_index(op.f("ix_airflow_edge_worker_event_newest"), TABLE, ["worker_id", "id"])
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in TEXTS:
            worker.add_column(sa.Column(name, sa.Text()))
    workers = sa.table("airflow_edge_worker", *(sa.column(name, sa.Text()) for name in TEXTS))
    op.execute(workers.update().values(dict.fromkeys(TEXTS, "")))
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in TEXTS:
            worker.alter_column(name, existing_type=sa.Text(), nullable=False)
    with op.batch_alter_table("airflow_edge_job") as job:
        job.add_column(sa.Column("offered_at", TIMESTAMP))
        job.add_column(sa.Column("past", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("airflow_edge_job") as job:
        job.drop_column("past")
        job.drop_column("offered_at")
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in reversed(TEXTS):
            worker.drop_column(name)
    op.drop_table(TABLE)
