"""Names are compared by their bytes on MySQL, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow_edge.store.columns import collation_by_bytes

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMES = {
    "airflow_edge_worker": {"name": (200, False), "team_name": (50, True)},
    "airflow_edge_job": {
        "dag_id": (250, False),
        "task_id": (250, False),
        "run_id": (250, False),
        "queue": (256, False),
        "team_name": (50, True),
    },
    "airflow_edge_enroll_token": {"team_name": (50, True)},
}
"""The length of each, and whether it may be missing."""


def upgrade() -> None:
    collation = collation_by_bytes(op.get_context().dialect)
    if collation is not None:
        _change_to(collation)


def downgrade() -> None:
    if collation_by_bytes(op.get_context().dialect) is not None:
        _change_to(None)


def _change_to(collation: str | None) -> None:
    for table, columns in NAMES.items():
        for name, (length, nullable) in columns.items():
            before = sa.String(length)
            op.alter_column(
                table,
                name,
                existing_type=before,
                type_=sa.String(length, collation=collation),
                existing_nullable=nullable,
            )
