"""Why a model does past its training context what it does."""

from outlast.diagnosis.diagnosing import DiagnoseSettings, diagnose

__all__ = ["DiagnoseSettings", "diagnose"]
