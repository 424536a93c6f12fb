"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    op.create_table(
        "airflow_edge_worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("team_name", sa.String(50)),
        sa.Column("enroll_token_id", sa.Uuid()),
        sa.Column("disconnect_grace", sa.Integer()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("enrolled_at", TIMESTAMP, nullable=False),
        sa.Column("last_seen_at", TIMESTAMP),
        sa.Column("revoked_at", TIMESTAMP),
        sa.Column("changed_at", TIMESTAMP, nullable=False),
        sa.Column("boot_id", sa.Text()),
        sa.Column("link_id", sa.Uuid()),
        sa.Column("gateway_id", sa.String(250)),
        sa.Column("transport", sa.String(32)),
        sa.Column("agent_version", sa.String(100)),
        sa.Column("airflow_version", sa.String(100)),
        sa.Column("system", sa.JSON(), nullable=False),
        sa.Column("log_request", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_worker")),
        sa.UniqueConstraint("name", name=op.f("uq_airflow_edge_worker_name")),
    )
    op.create_index(op.f("ix_airflow_edge_worker_changed_at"), "airflow_edge_worker", ["changed_at"])
    op.create_table(
        "airflow_edge_job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("workload_id", sa.Uuid(), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("task_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(256), nullable=False),
        sa.Column("team_name", sa.String(50)),
        sa.Column("priority_weight", sa.Integer(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Integer()),
        sa.Column("log_path", LONG_TEXT, nullable=False),
        sa.Column("workload", LONG_TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("assignment", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid()),
        sa.Column("lease_until", TIMESTAMP),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("to_stop", sa.Boolean(), nullable=False),
        sa.Column("log_complete", sa.Boolean(), nullable=False),
        sa.Column("queued_at", TIMESTAMP, nullable=False),
        sa.Column("started_at", TIMESTAMP),
        sa.Column("ended_at", TIMESTAMP),
        sa.Column("booked_at", TIMESTAMP),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("signal", sa.Integer()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_job")),
    )
    indexes: dict[str, list[str | sa.TextClause]] = {
        "due": ["state", "queue", sa.text("priority_weight DESC"), "queued_at", "id"],
        "owner": ["owner", "booked_at", "state"],
        "worker": ["worker_id", "state"],
        "ended": ["state", "ended_at"],
        "workload_id": ["workload_id"],
    }
    for name, columns in indexes.items():
        op.create_index(op.f(f"ix_airflow_edge_job_{name}"), "airflow_edge_job", columns)
    op.create_table(
        "airflow_edge_enroll_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("team_name", sa.String(50)),
        sa.Column("name_pattern", sa.String(250)),
        sa.Column("disconnect_grace", sa.Integer()),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("created_by", sa.String(250), nullable=False),
        sa.Column("revoked_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_enroll_token")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_airflow_edge_enroll_token_secret_hash")),
    )
    op.create_table(
        "airflow_edge_nonce",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_airflow_edge_nonce")),
    )
    op.create_index(op.f("ix_airflow_edge_nonce_expires_at"), "airflow_edge_nonce", ["expires_at"])
    op.create_table(
        "airflow_edge_call",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("content_type", sa.String(100), nullable=False),
        sa.Column("body", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_airflow_edge_call")),
    )
    op.create_index(op.f("ix_airflow_edge_call_job_id"), "airflow_edge_call", ["job_id"])
    op.create_table(
        "airflow_edge_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("path_hash", sa.String(64), nullable=False),
        sa.Column("path", LONG_TEXT, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("assignment", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("changed_at", TIMESTAMP, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("expected_size", sa.BigInteger()),
        sa.Column("sha256", sa.String(64)),
        sa.Column("sha256_from", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("given_up_at", TIMESTAMP),
        sa.Column("purged_at", TIMESTAMP),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("loose", sa.Integer(), nullable=False),
        sa.Column("merged", sa.BigInteger(), nullable=False),
        sa.Column("store_url", LONG_TEXT),
        sa.Column("object_key", LONG_TEXT),
        sa.Column("object_size", sa.BigInteger(), nullable=False),
        sa.Column("upload_url", LONG_TEXT),
        sa.Column("upload_key", LONG_TEXT),
        sa.Column("tidy_at", TIMESTAMP),
        sa.Column("handover_at", TIMESTAMP),
        sa.Column("handed_over_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_airflow_edge_log")),
        sa.UniqueConstraint("job_id", "assignment", name=op.f("uq_airflow_edge_log_job_id_assignment")),
    )
    op.create_index(op.f("ix_airflow_edge_log_path_hash"), "airflow_edge_log", ["path_hash"])
    op.create_index(op.f("ix_airflow_edge_log_tidy_at"), "airflow_edge_log", ["tidy_at"])
    op.create_index(op.f("ix_airflow_edge_log_age"), "airflow_edge_log", ["purged_at", "changed_at"])
    op.create_index(op.f("ix_airflow_edge_log_handover"), "airflow_edge_log", ["handed_over_at", "created_at"])
    op.create_table(
        "airflow_edge_log_chunk",
        sa.Column("log_id", sa.Uuid(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "offset", name=op.f("pk_airflow_edge_log_chunk")),
    )
    op.create_table(
        "airflow_edge_worker_log",
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("received_at", TIMESTAMP, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(2**24 - 1), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", "number", name=op.f("pk_airflow_edge_worker_log")),
    )
    op.create_index(op.f("ix_airflow_edge_worker_log_received_at"), "airflow_edge_worker_log", ["received_at"])


def downgrade() -> None:
    for table in ("worker_log", "log_chunk", "log", "call", "nonce", "enroll_token", "job", "worker"):
        op.drop_table(f"airflow_edge_{table}")
