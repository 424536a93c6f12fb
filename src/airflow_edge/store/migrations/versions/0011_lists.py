"""The newest jobs of all, in pages; for how many workers a token was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JOBS = "airflow_edge_job"
NEWEST = "ix_airflow_edge_job_queued_at"
TOKENS = "airflow_edge_enroll_token"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and NEWEST in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes(JOBS)}:
        return
    op.create_index(op.f(NEWEST), JOBS, ["queued_at", "id"])
    with op.batch_alter_table(TOKENS) as tokens:
        tokens.add_column(sa.Column("uses", sa.Integer()))


def downgrade() -> None:
    with op.batch_alter_table(TOKENS) as tokens:
        tokens.drop_column("uses")
    op.drop_index(op.f(NEWEST), JOBS)
