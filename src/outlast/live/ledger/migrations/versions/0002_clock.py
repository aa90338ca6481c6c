"""The last time that was written."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIMES = (
    ("incidents", "changed"),
    ("incidents", "label_at"),
    ("states", "kept"),
    ("candidates", "changed"),
    ("moves", "at"),
    ("gates", "at"),
    ("deployments", "since"),
    ("deployments", "until"),
)


def upgrade() -> None:
    clock = op.create_table(
        "clock",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("last", sa.DateTime, nullable=False),
    )
    known = [
        op.get_bind().scalar(sa.select(sa.func.max(sa.column(column, sa.DateTime))).select_from(sa.table(table)))
        for table, column in TIMES
    ]
    if found := [each for each in known if each is not None]:
        op.bulk_insert(clock, [{"id": 1, "last": max(found)}])
