"""What tasks may ask of the centre, and what they have asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from airflow_edge.store.columns import collation_by_bytes

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
POLICIES = "airflow_edge_policy"
USES = "airflow_edge_policy_use"
BY_DAY = "ix_airflow_edge_policy_use_day"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(POLICIES):
        return
    by_bytes = collation_by_bytes(op.get_context().dialect)
    op.create_table(
        POLICIES,
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql"), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by", sa.String(250), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_airflow_edge_policy")),
    )
    op.create_table(
        USES,
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("team_name", sa.String(50, collation=by_bytes), nullable=False),
        sa.Column("queue", sa.String(256, collation=by_bytes), nullable=False),
        sa.Column("dag_id", sa.String(250, collation=by_bytes), nullable=False),
        sa.Column("task_id", sa.String(250, collation=by_bytes), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(250, collation=by_bytes), nullable=False),
        sa.Column("allowed", sa.BigInteger(), nullable=False),
        sa.Column("denied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_airflow_edge_policy_use")),
    )
    op.create_index(op.f(BY_DAY), USES, ["day"])


def downgrade() -> None:
    op.drop_index(op.f(BY_DAY), USES)
    op.drop_table(USES)
    op.drop_table(POLICIES)
