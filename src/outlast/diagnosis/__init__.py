"""Why a model does past its training context what it does."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.diagnosis.diagnosing import DiagnoseSettings, diagnose
else:
    from outlast.lazily import handing_on

    __getattr__ = handing_on(__name__, {"diagnosing": ("DiagnoseSettings", "diagnose")})

__all__ = ["DiagnoseSettings", "diagnose"]
