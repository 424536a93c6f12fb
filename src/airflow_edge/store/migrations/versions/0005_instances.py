"""Which instance of a worker has its key and which others try to, and which instance holds a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")

NUMBERS = ("question", "answered")
FACTS = ("answers_there", "silent")
WORKERS = ("instance", "life", "host_name", "address", "linked_at", "other_instances", *NUMBERS, *FACTS)


def upgrade() -> None:
    # Airflow takes tables without a version for the first revision's, also those that it has just made from the models.
    if not op.get_context().as_sql:
        there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("airflow_edge_worker")}
        if "instance" in there:
            return
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.add_column(sa.Column("instance", sa.Uuid()))
        worker.add_column(sa.Column("life", sa.Uuid()))
        worker.add_column(sa.Column("host_name", sa.String(256)))
        worker.add_column(sa.Column("address", sa.String(100)))
        worker.add_column(sa.Column("linked_at", TIMESTAMP))
        worker.add_column(sa.Column("other_instances", sa.JSON(none_as_null=True)))
        for name in NUMBERS:
            worker.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))
        for name in FACTS:
            worker.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in NUMBERS:
            worker.alter_column(name, existing_type=sa.Integer(), existing_nullable=False, server_default=None)
        for name in FACTS:
            worker.alter_column(name, existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
    with op.batch_alter_table("airflow_edge_job") as job:
        job.add_column(sa.Column("instance", sa.Uuid()))
        job.add_column(sa.Column("left_at", TIMESTAMP))


def downgrade() -> None:
    with op.batch_alter_table("airflow_edge_job") as job:
        job.drop_column("left_at")
        job.drop_column("instance")
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in reversed(WORKERS):
            worker.drop_column(name)
