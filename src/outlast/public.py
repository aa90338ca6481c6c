"""The public names, which `outlast` hands on."""

from outlast.checkpoints import load, save
from outlast.contract.check import check
from outlast.data import Batch, Split, Streams, open_streams, split
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.errors import InputError, Interrupted, OutlastError, TrainingDiverged
from outlast.evaluation import EvalSettings, cost, evaluate
from outlast.exporting import export
from outlast.families import build
from outlast.generation import Place, generate, load_place, save_place
from outlast.interventions import Carry, FittedNoise, Mix, Partial, RandomNoise, Replay, Zero, state_passing, tbtt
from outlast.live import Incident, Kept, Notice, Profile, Seen, Watcher, load_profile, make_profile
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt, from_factory
from outlast.modules.decaying import with_decay
from outlast.modules.leaking import with_leak
from outlast.modules.resetting import with_reset
from outlast.onnx import OnnxPorts
from outlast.planning import ExpectedRun, expected_run, plan, repair_cost
from outlast.repairs import RepairSettings, compare, judge, repair, tune, with_dose
from outlast.reporting import write_figures, write_report
from outlast.results import VERSION, Plan, RepairCost, load_result, save_result
from outlast.serving import Deployed, deploy
from outlast.state import StatePart
from outlast.tasks import TASKS, Task
from outlast.training import Starts, TrainSettings, fit
from outlast.training.objectives import anchored, self_distillation

__version__ = VERSION

__all__ = [
    "TASKS",
    "Batch",
    "Carry",
    "Deployed",
    "DiagnoseSettings",
    "EvalSettings",
    "ExpectedRun",
    "FittedNoise",
    "Incident",
    "InputError",
    "InputSpec",
    "Interrupted",
    "Kept",
    "Mix",
    "Notice",
    "OnnxPorts",
    "OutlastError",
    "Partial",
    "Place",
    "Plan",
    "Profile",
    "RandomNoise",
    "Recurrent",
    "RepairCost",
    "RepairSettings",
    "Replay",
    "Seen",
    "Split",
    "Starts",
    "StatePart",
    "Streams",
    "Task",
    "TrainSettings",
    "TrainingDiverged",
    "Watcher",
    "Zero",
    "adapt",
    "anchored",
    "build",
    "check",
    "compare",
    "cost",
    "deploy",
    "diagnose",
    "evaluate",
    "expected_run",
    "export",
    "fit",
    "from_factory",
    "generate",
    "judge",
    "load",
    "load_place",
    "load_profile",
    "load_result",
    "make_profile",
    "open_streams",
    "plan",
    "repair",
    "repair_cost",
    "save",
    "save_place",
    "save_result",
    "self_distillation",
    "split",
    "state_passing",
    "tbtt",
    "tune",
    "with_decay",
    "with_dose",
    "with_leak",
    "with_reset",
    "write_figures",
    "write_report",
]

_READING = "outlast.open_streams(path), or outlast.Streams.from_table of a path or a frame"
_ELSEWHERE = {
    "from_csv": _READING,
    "from_dataframe": _READING,
    "from_pandas": _READING,
    "from_parquet": _READING,
    "load_csv": _READING,
    "load_data": _READING,
    "read_csv": _READING,
    "read_parquet": _READING,
    "read_table": _READING,
    "train": "outlast.fit",
    "predict": "outlast.deploy(model).read(rows)",
    "forecast": "outlast.deploy(model).read(rows)",
    "stream": "outlast.deploy(model).read(rows)",
    "load_model": "outlast.load",
    "save_model": "outlast.save",
    "wrap": "outlast.adapt",
    "report": "outlast.write_report",
}
"""What the same is called elsewhere, or on the command line."""


def not_there(name: str) -> str:
    """That there is no public name of this kind, and which one was meant, as far as that can be told."""
    from outlast.errors import nearest  # not above: what is imported there is public

    readers = [each for each in dir(Streams) if each.startswith("from_")]
    meant = _ELSEWHERE.get(name)
    if meant is None and (near := nearest(name, [*__all__, *readers])):
        meant = f"outlast.Streams.{near}" if near in readers else f"outlast.{near}"
    return f"module 'outlast' has no attribute {name!r}" + (f"; did you mean {meant}?" if meant else "")
