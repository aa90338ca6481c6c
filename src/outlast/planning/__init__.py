"""What would help, what it costs, and what it buys."""

from outlast.planning.expected_run import ExpectedRun, Likeness, Part, expected_run

__all__ = ["ExpectedRun", "Likeness", "Part", "expected_run"]
