"""Which version of the protocol is spoken with a worker: an older one is not given test jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WORKER = "airflow_edge_worker"
JOB = "airflow_edge_job"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql:
        columns = sa.inspect(op.get_bind()).get_columns(WORKER)
        if any(column["name"] == "protocol" for column in columns):
            return
    with op.batch_alter_table(WORKER) as worker:
        worker.add_column(sa.Column("protocol", sa.SmallInteger()))


def downgrade() -> None:
    # Nobody would hand them out, or take them back.
    job = sa.table(JOB, sa.column("kind", sa.String()))
    op.execute(sa.delete(job).where(job.c.kind == "test"))
    with op.batch_alter_table(WORKER) as worker:
        worker.drop_column("protocol")
