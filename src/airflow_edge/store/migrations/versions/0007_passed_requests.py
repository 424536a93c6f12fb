"""Requests of links by long polling, on their way between gateways."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
TABLE = "airflow_edge_passed_request"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("asker", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(16), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("asked_at", TIMESTAMP, nullable=False),
        sa.Column("passage", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(length=2**24 - 1), nullable=False),
        sa.Column("answer", sa.LargeBinary(length=2**24 - 1)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_passed_request")),
    )
    for column in ("asker", "owner", "asked_at"):
        op.create_index(op.f(f"ix_airflow_edge_passed_request_{column}"), TABLE, [column])


def downgrade() -> None:
    op.drop_table(TABLE)
