"""Repairs: made, chosen on validation streams, and judged on test streams."""

from outlast.repairs.comparing import Compared, compare
from outlast.repairs.dose import with_dose
from outlast.repairs.repairing import Repaired, judge, repair
from outlast.repairs.settings import RepairSettings

__all__ = ["Compared", "RepairSettings", "Repaired", "compare", "judge", "repair", "with_dose"]
