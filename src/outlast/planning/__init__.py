"""What would help, what it costs, and what it buys."""

from outlast.planning.expected_run import ExpectedRun, Likeness, Part, expected_run
from outlast.planning.planning import plan
from outlast.planning.repair_cost import repair_cost

__all__ = ["ExpectedRun", "Likeness", "Part", "expected_run", "plan", "repair_cost"]
