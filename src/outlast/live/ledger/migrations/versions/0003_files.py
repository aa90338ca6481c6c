"""The files of versions, by their hashes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for table in ("candidates", "deployments"):
        op.add_column(table, sa.Column("files", sa.JSON))
