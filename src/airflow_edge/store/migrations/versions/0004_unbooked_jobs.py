"""Jobs that nobody has booked are found without their scheduler, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "airflow_edge_job"
BEFORE, AFTER = "ix_airflow_edge_job_owner", "ix_airflow_edge_job_unbooked"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and AFTER in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes(TABLE)}:
        return
    op.create_index(op.f(AFTER), TABLE, ["booked_at", "owner", "state"])
    op.drop_index(op.f(BEFORE), TABLE)


def downgrade() -> None:
    op.create_index(op.f(BEFORE), TABLE, ["owner", "booked_at", "state"])
    op.drop_index(op.f(AFTER), TABLE)
