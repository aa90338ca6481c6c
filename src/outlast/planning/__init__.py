"""What would help, what it costs, and what it buys."""

from outlast.planning.expected_run import ExpectedRun, Likeness, Part, expected_run
from outlast.planning.repair_cost import RepairCost, repair_cost

__all__ = ["ExpectedRun", "Likeness", "Part", "RepairCost", "expected_run", "repair_cost"]
