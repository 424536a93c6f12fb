"""What the owners of machines do not allow there: jobs that they have refused, and queues that they have closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
REFUSALS = "airflow_edge_refusal"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(REFUSALS):
        return
    op.create_table(
        REFUSALS,
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "worker_id", name=op.f("pk_airflow_edge_refusal")),
    )
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.add_column(sa.Column("closed", sa.Text()))


def downgrade() -> None:
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.drop_column("closed")
    op.drop_table(REFUSALS)
