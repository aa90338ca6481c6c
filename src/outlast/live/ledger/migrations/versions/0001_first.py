"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("watcher", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("model", sa.String(64), nullable=False, index=True),
        sa.Column("stream", sa.String, nullable=False, index=True),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.BigInteger),
        sa.Column("signals", sa.JSON, nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("harm", sa.String(32), nullable=False, index=True),
        sa.Column("excess", sa.JSON),
        sa.Column("usual_excess", sa.Double),
        sa.Column("probes", sa.Integer, nullable=False),
        sa.Column("told", sa.DateTime, nullable=False),
        sa.Column("changed", sa.DateTime, nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("label_by", sa.String),
        sa.Column("label_at", sa.DateTime),
        sa.Column("note", sa.String),
        sa.UniqueConstraint("watcher", "number"),
    )
    op.create_table(
        "states",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("incident", sa.Integer, sa.ForeignKey("incidents.id"), nullable=False, index=True),
        sa.Column("hash", sa.String(64), nullable=False, index=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("begin", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("excess", sa.Double),
        sa.Column("kept", sa.DateTime, nullable=False),
        sa.UniqueConstraint("incident", "hash"),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64)),
        sa.Column("folder", sa.String, nullable=False),
        sa.Column("status", sa.String(16), nullable=False, index=True),
        sa.Column("begun", sa.DateTime, nullable=False),
        sa.Column("changed", sa.DateTime, nullable=False),
    )
    op.create_table(
        "moves",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("candidate", sa.Integer, sa.ForeignKey("candidates.id"), nullable=False, index=True),
        sa.Column("before", sa.String(16)),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("because", sa.String, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "gates",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("candidate", sa.Integer, sa.ForeignKey("candidates.id"), nullable=False, index=True),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("slot", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("folder", sa.String, nullable=False),
        sa.Column("candidate", sa.Integer, sa.ForeignKey("candidates.id")),
        sa.Column("replaced", sa.Integer, sa.ForeignKey("deployments.id")),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("until", sa.DateTime),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("because", sa.String, nullable=False),
    )
    now = sa.text("until IS NULL")
    op.create_index("one_at_work", "deployments", ["slot"], unique=True, sqlite_where=now, postgresql_where=now)
