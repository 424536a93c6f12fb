"""The newest jobs of all, in pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "airflow_edge_job"
NEWEST = "ix_airflow_edge_job_queued_at"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and NEWEST in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes(TABLE)}:
        return
    op.create_index(op.f(NEWEST), TABLE, ["queued_at", "id"])


def downgrade() -> None:
    op.drop_index(op.f(NEWEST), TABLE)
