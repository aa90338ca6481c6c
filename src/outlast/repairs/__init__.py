"""Repairs: made, chosen on validation streams, and judged on test streams."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.repairs.comparing import Compared, compare
    from outlast.repairs.picking import with_dose
    from outlast.repairs.repairing import Repaired, judge, repair
    from outlast.repairs.settings import RepairSettings
    from outlast.repairs.tuning import Tuned, tune
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(
        __name__,
        {
            "comparing": (
                "Compared",
                "compare",
            ),
            "picking": ("with_dose",),
            "repairing": (
                "Repaired",
                "judge",
                "repair",
            ),
            "settings": ("RepairSettings",),
            "tuning": (
                "Tuned",
                "tune",
            ),
        },
    )

__all__ = ["Compared", "RepairSettings", "Repaired", "Tuned", "compare", "judge", "repair", "tune", "with_dose"]
