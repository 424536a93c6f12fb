"""Orders to workers and the states that they bring with them; measurements, and what is thought of versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")

TEXTS = ("maintenance_comment", "version_refused", "version_warning")
"""Empty for the workers that there are: MySQL gives no text a default."""

STATES_BEFORE = {
    "maintenance request": "unknown",
    "maintenance pending": "unknown",
    "maintenance mode": "unknown",
    "maintenance exit": "unknown",
    "shutdown request": "unknown",
    "offline maintenance": "offline",
}
"""What a worker in one of the new states is to those who do not know them, until it says what it does."""


def upgrade() -> None:
    # Airflow takes tables without a version for the first revision's, also those that it has just made from the models.
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table("airflow_edge_worker_metric"):
        return
    with op.batch_alter_table("airflow_edge_worker") as worker:
        worker.alter_column("state", existing_type=sa.String(16), type_=sa.String(32), existing_nullable=False)
        worker.add_column(sa.Column("asked_state", sa.String(32)))
        worker.add_column(sa.Column("asked_queues", sa.JSON(none_as_null=True)))
        worker.add_column(sa.Column("added_queues", sa.JSON(none_as_null=True)))
        worker.add_column(sa.Column("maintenance_cause", sa.String(16)))
        for name in TEXTS:
            worker.add_column(sa.Column(name, sa.Text()))
    workers = sa.table("airflow_edge_worker", *(sa.column(name, sa.Text()) for name in TEXTS))
    op.execute(workers.update().values(dict.fromkeys(TEXTS, "")))
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in TEXTS:
            worker.alter_column(name, existing_type=sa.Text(), nullable=False)
    op.create_table(
        "airflow_edge_worker_order",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer()),
        sa.Column("asked_by", sa.String(250), nullable=False),
        sa.Column("asked_at", TIMESTAMP, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_worker_order")),
    )
    op.create_index(op.f("ix_airflow_edge_worker_order_asked_at"), "airflow_edge_worker_order", ["asked_at"])
    op.create_index(op.f("ix_airflow_edge_worker_order_waiting"), "airflow_edge_worker_order", ["state", "worker_id"])
    op.create_table(
        "airflow_edge_worker_metric",
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("size", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(length=2**24 - 1), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", "minute", name=op.f("pk_airflow_edge_worker_metric")),
    )


def downgrade() -> None:
    op.drop_table("airflow_edge_worker_metric")
    op.drop_table("airflow_edge_worker_order")
    workers = sa.table("airflow_edge_worker", sa.column("state", sa.String()))
    for state, before in STATES_BEFORE.items():
        op.execute(workers.update().where(workers.c.state == state).values(state=before))
    with op.batch_alter_table("airflow_edge_worker") as worker:
        for name in TEXTS:
            worker.drop_column(name)
        worker.drop_column("maintenance_cause")
        worker.drop_column("added_queues")
        worker.drop_column("asked_queues")
        worker.drop_column("asked_state")
        worker.alter_column("state", existing_type=sa.String(32), type_=sa.String(16), existing_nullable=False)
