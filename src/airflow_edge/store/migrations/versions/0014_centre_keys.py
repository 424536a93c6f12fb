"""The keys with which the centre signs what makes a site act; a token is known by the public half of its key pair."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
KEYS = "airflow_edge_centre_key"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(KEYS):
        return
    op.create_table(
        KEYS,
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("private_key", sa.String(500)),
        sa.Column("signature", sa.LargeBinary(64)),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("created_by", sa.String(250), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_airflow_edge_centre_key")),
    )


def downgrade() -> None:
    op.drop_table(KEYS)
