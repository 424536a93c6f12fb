"""How often what a task has asked for was really denied: the mode of its queue may be another one since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

USES = "airflow_edge_policy_use"


def upgrade() -> None:
    # As in the second revision: tables without a version may be the newest ones.
    if not op.get_context().as_sql and "refused" in {
        one["name"] for one in sa.inspect(op.get_bind()).get_columns(USES)
    }:
        return
    with op.batch_alter_table(USES) as uses:
        uses.add_column(sa.Column("refused", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    with op.batch_alter_table(USES) as uses:
        uses.alter_column("refused", existing_type=sa.BigInteger(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table(USES) as uses:
        uses.drop_column("refused")
