"""Checkpoints of a training, from which the same bits follow as from a training that was never stopped."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from outlast.checkpoints.weights import put_tensors, tensors_of
from outlast.data import Places
from outlast.errors import InputError
from outlast.interventions import Carried
from outlast.model import Recurrent
from outlast.results import write_atomically
from outlast.scan import wanted
from outlast.scan.processor import onednn_is_faster
from outlast.state import as_real, leaves, rebuild


@dataclass(frozen=True)
class Reached:
    """Where a training stands between two steps, beside its model and optimizer.

    Args:
        step: steps done.
        places: where the last batch was read; None before the first.
        carried: the states that rows may go on from.
        losses: (step, mean loss since the row before) pairs.
        recent: losses of the steps since the last of them.
        average: of every parameter, where training ends with one (`average_in`).
    """

    step: int
    places: Places | None
    carried: Carried
    losses: list[tuple[int, float]]
    recent: list[float]
    average: list[torch.Tensor] | None = None


def reached_in(folder: Path | None, rank: int = 0) -> int:
    """Steps of the training whose checkpoint lies in a folder; 0: there is none, or it cannot be read."""
    try:
        return int(json.loads((folder / _POINTER.format(rank)).read_text())["step"]) if folder else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


_POINTER = "training-rank{}.json"


class Checkpoint:
    """One rank's checkpoint in a folder: at any time a whole one or none.

    Args:
        folder: where it lies.
        rank: whose.
        described: all that the training's bits follow from; to be JSON. What the machine adds is added here.
        device: where the training runs.
    """

    def __init__(self, folder: Path, rank: int, described: dict[str, Any], device: torch.device) -> None:
        self.folder = folder
        self.rank = rank
        self.made_of: dict[str, Any] = json.loads(json.dumps({**described, **_arithmetic(device)}))
        self.pointer = folder / _POINTER.format(rank)

    def store(self, reached: Reached, model: Recurrent, optimizer: Any) -> None:
        """Write a new folder of tensors, then replace the one file that points to it.

        Raises:
            InputError: it could not be written; the checkpoint before is untouched.
        """
        # The time keeps a run that starts anew from writing into the folder that the last one's checkpoint lies in.
        fresh = self.folder / f"step-{reached.step:07d}-rank{self.rank}-{time.time_ns():x}"
        assert reached.places is not None  # a step was done
        record = {
            "made_of": self.made_of,
            "tensors": fresh.name,
            "step": reached.step,
            "losses": reached.losses,
            "recent": reached.recent,
            "stream_id": reached.places.stream_id.tolist(),
            "position": reached.places.position.tolist(),
        }
        last = {f"last.{i}": _copy(each) for i, each in enumerate(leaves(reached.carried.last))}
        try:
            fresh.mkdir(parents=True)
            save_file(tensors_of(model), fresh / "model.safetensors")
            save_file(_optimizer_tensors(model, optimizer), fresh / "optimizer.safetensors")
            save_file(last, fresh / "carried.safetensors")
            if reached.average is not None:
                save_file(_by_parameter(model, reached.average), fresh / "average.safetensors")
            write_atomically(self.pointer, json.dumps(record))
        except (OSError, SafetensorError, InputError) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            why = error.given if isinstance(error, InputError) else str(error)
            raise InputError(
                f"the checkpoint {fresh} could not be written: {why}",
                "a folder with room that may be written to",
                "free some space or choose another --out; the checkpoint before is untouched",
            ) from error
        for other in self.folder.glob(f"step-*-rank{self.rank}-*"):
            if other != fresh:
                shutil.rmtree(other, ignore_errors=True)

    def restore(self, fresh: Reached, model: Recurrent, optimizer: Any) -> Reached:
        """Where the training that was stored stands; model and optimizer are put back there too.

        Args:
            fresh: where a training that begins stands, which is returned where nothing was stored.

        Raises:
            InputError: the checkpoint is damaged, or another training's.
        """
        if not self.pointer.exists():
            return fresh
        try:
            record = json.loads(self.pointer.read_text())
            target, made = self.folder / record["tensors"], dict(record["made_of"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(self.pointer, error) from error
        self._compare(made)
        try:
            weights, averages, last = (
                load_file(target / f"{n}.safetensors") for n in ("model", "optimizer", "carried")
            )
            known = {name for name, _ in model.named_parameters()}
            if strange := sorted({name.rpartition("|")[0] for name in averages} - known):
                raise ValueError(f"it has averages of {strange[0]}, a parameter that this version's model has not")
            tensors = [_fitting(last[f"last.{i}"], like) for i, like in enumerate(leaves(fresh.carried.last))]
            state = {
                parameter: {
                    "step": averages[f"{name}|step"].clone(),
                    **{key: _fitting(averages[f"{name}|{key}"], parameter) for key in ("exp_avg", "exp_avg_sq")},
                }
                for name, parameter in model.named_parameters()
                if f"{name}|step" in averages
            }
            stream_id, position = (np.array(record[key], np.int64) for key in ("stream_id", "position"))
            reached = Reached(
                int(record["step"]),
                Places(stream_id, position, np.zeros(len(stream_id), bool)),
                Carried(fresh.carried.zero, rebuild(fresh.carried.last, tensors)),
                [(int(step), float(loss)) for step, loss in record["losses"]],
                [float(loss) for loss in record["recent"]],
                None if fresh.average is None else _averaged(model, target / "average.safetensors"),
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise _damaged(target, error) from error
        put_tensors(model, weights, str(target / "model.safetensors"))
        getattr(optimizer, "optimizer", optimizer).state.update(state)
        return reached

    def _compare(self, made: dict[str, Any]) -> None:
        """Refuse what was made of something else: it would go on to a third model."""
        for key, value in self.made_of.items():
            was, now = _differing(made.get(key), value)
            if was != now:
                again = _AGAIN.get(key, "repeat the command that made it").format(was)
                raise InputError(
                    f"a checkpoint made with {key} {was}",
                    f"the same as this run's {now}",
                    f"{again}, or delete {self.folder} to start anew",
                )


_AGAIN = {
    "device": "go on with --device {}",
    "scan": "set the environment's OUTLAST_SCAN as it was ({})",
    "vector instructions": "go on on a machine with {}, or with ATEN_CPU_CAPABILITY as it was",
    "denormals": "set the environment's OUTLAST_DENORMALS as it was",
    "products": "go on on a machine whose processor is of the same maker",
    "threads": "go on with {} (--threads or OMP_NUM_THREADS; each of several --jobs has one)",
}
"""How to have the arithmetic that a checkpoint was made with."""


def _arithmetic(device: torch.device) -> dict[str, Any]:
    """What the bits of a run depend on beside what is computed."""
    described: dict[str, Any] = {"device": device.type, "scan": wanted() or "the fastest"}
    if device.type == "cpu":
        described["vector instructions"] = torch.backends.cpu.get_cpu_capability()
        described["denormals"] = "kept" if (torch.tensor([1e-40]) * 1).item() else "flushed"
        described["threads"] = torch.get_num_threads()
        described["products"] = "oneDNN" if onednn_is_faster() else None
    return described


def _fitting(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A copy of `tensor` on the device of `like`, whose shape it must have."""
    if tensor.shape != as_real(like).shape:
        raise ValueError(f"a tensor {tuple(tensor.shape)} where {tuple(as_real(like).shape)} is due")
    own = tensor.to(like.device, copy=True)
    return torch.view_as_complex(own) if like.is_complex() else own


def _differing(was: Any, now: Any) -> tuple[Any, Any]:
    """What differs: of two dictionaries only the entries that do; a setting that is not there is one that is None, so
    that a checkpoint from before there was such a setting can be gone on with."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return was, now
    if was.get("precision") == "no":  # as it was called
        was = {**was, "precision": "float32"}
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return {name: was.get(name) for name in names}, {name: now.get(name) for name in names}


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be used: {type(error).__name__}: {error}",
        "a checkpoint as it was written",
        "delete the checkpoint to start anew, or copy it again from where it is whole",
    )


def _by_parameter(model: Recurrent, tensors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: _copy(each) for (name, _), each in zip(model.named_parameters(), tensors, strict=True)}


def _averaged(model: Recurrent, path: Path) -> list[torch.Tensor]:
    found = load_file(path)
    return [_fitting(found[name], parameter) for name, parameter in model.named_parameters()]


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """On the CPU, sharing memory with no other: safetensors refuses to write two names for one memory."""
    return as_real(tensor.detach()).to("cpu", copy=True).contiguous()


def _optimizer_tensors(model: Recurrent, optimizer: Any) -> dict[str, torch.Tensor]:
    raw = getattr(optimizer, "optimizer", optimizer)
    return {
        f"{name}|{key}": _copy(value)
        for name, parameter in model.named_parameters()
        for key, value in raw.state.get(parameter, {}).items()
    }
