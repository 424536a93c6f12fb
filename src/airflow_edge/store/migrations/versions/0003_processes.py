"""The marks of schedulers and gateways that run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table("airflow_edge_process"):
        return
    op.create_table(
        "airflow_edge_process",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("host", sa.String(250), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(100), nullable=False),
        sa.Column("executors", sa.Text(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("seen_at", TIMESTAMP, nullable=False),
        sa.Column("ended_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_process")),
    )


def downgrade() -> None:
    op.drop_table("airflow_edge_process")
