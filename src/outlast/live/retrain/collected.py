"""What was collected for a candidate: kept states with what came after them, as one file that is known by its hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from outlast.checkpoints.states import plain, tensors_sha256
from outlast.errors import InputError
from outlast.live.incidents import Kept
from outlast.model import Recurrent, device_of
from outlast.results import write_atomically
from outlast.state import State, as_like, as_real, concatenate, leaves, named_leaves, rebuild, select

TENSORS, RECORD = "collected.safetensors", "collected.json"
SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """Where one of the states came from.

    Args:
        hash: of its file in the ledger.
        incident: number in the ledger.
        stream: name.
        later: whether it is for the gates; the others are for training.
        begin, end: positions of the inputs that are scored.
    """

    hash: str
    incident: int
    stream: str
    later: bool
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class Collected:
    """N kept states.

    Args:
        model: fingerprint of the model that was at work.
        rows: (N) of each.
        states: N rows, each before its inputs.
        inputs: (L, …) of each.
        targets: (end − begin, …) of each; None: none arrived.
        about: what was asked for, taken and left out, as JSON.
    """

    model: str
    rows: tuple[Row, ...]
    states: State
    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor | None, ...]
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.rows)

    def numbers(self, *, later: bool) -> np.ndarray:
        """Numbers of the states for the gates, or of those for training."""
        return np.array([i for i, row in enumerate(self.rows) if row.later == later], np.int64)

    @torch.no_grad()
    def encoded(self, model: Recurrent, numbers: np.ndarray, ends: np.ndarray) -> State:
        """The states with these numbers as `model` has them now, having read the first `ends` of their inputs.

        Args:
            numbers, ends: (B,).
        """
        found: list[State] = []
        order: list[np.ndarray] = []
        device = device_of(model)
        for end in np.unique(ends):
            chosen = np.flatnonzero(ends == end)
            state = select(self.states, torch.from_numpy(numbers[chosen]))
            if end:
                read = torch.stack([self.inputs[number][: int(end)] for number in numbers[chosen]])
                _, state = model(read.to(device), state)
            found.append(state)
            order.append(chosen)
        back = np.argsort(np.concatenate(order), kind="stable")
        return select(concatenate(found), torch.from_numpy(back))


def gathered(
    kept: Sequence[Kept], hashes: Sequence[str], incidents: Sequence[int], later: Sequence[bool], model: str,
    about: dict[str, Any],
) -> Collected:  # fmt: skip
    """Kept states side by side, in their order."""
    rows = [
        Row(hashed, number, each.stream, late, *each.scored)
        for each, hashed, number, late in zip(kept, hashes, incidents, later, strict=True)
    ]
    targets = [None if each.targets is None else each.targets[0] for each in kept]
    states = concatenate([each.state for each in kept])
    return Collected(model, tuple(rows), states, tuple(each.inputs[0] for each in kept), tuple(targets), about)


def write_collected(folder: Path, collected: Collected) -> str:
    """Write both files into a folder; returns their hash.

    Raises:
        InputError: they cannot be written.
    """
    named = {f"state.{name}": plain(tensor) for name, tensor in named_leaves(collected.states)}
    named |= {f"inputs.{i}": plain(tensor) for i, tensor in enumerate(collected.inputs)}
    named |= {f"targets.{i}": plain(each) for i, each in enumerate(collected.targets) if each is not None}
    record = {
        "schema": SCHEMA,
        "model": collected.model,
        "rows": [vars(row) for row in collected.rows],
        "about": collected.about,
    }
    hashed = _hash(named, record)
    # The record is written last: it says that the tensors are there, and which.
    write_atomically(folder / TENSORS, safetensors.torch.save(named))
    write_atomically(folder / RECORD, json.dumps({**record, "sha256": hashed}, indent=1, allow_nan=False) + "\n")
    return hashed


def read_collected(folder: Path, model: Recurrent, fingerprint: str, known: str) -> Collected:
    """What was collected, states on the model's device.

    Args:
        fingerprint: of the model that was at work.
        known: the hash, as the ledger has it.

    Raises:
        InputError: it is missing, damaged, of another model, or not what was collected.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        named = safetensors.torch.load((folder / TENSORS).read_bytes())
        said = record.pop("sha256")
        if said != known or _hash(named, record) != known or record["schema"] != SCHEMA:
            raise ValueError("it is not what was collected")
        if record["model"] != fingerprint:
            raise ValueError(f"it is of the model {record['model'][:12]}…, not of {fingerprint[:12]}…")
        rows = tuple(Row(**each) for each in record["rows"])
        empty = model.initial_state(len(rows))
        device = device_of(model)
        states = [named[f"state.{name}"] for name, _ in named_leaves(empty)]
        if any(found.shape != as_real(like).shape for found, like in zip(states, leaves(empty), strict=True)):
            raise ValueError("it holds states of another shape")
        moved = [as_like(found.to(device), like) for found, like in zip(states, leaves(empty), strict=True)]
        inputs = tuple(named[f"inputs.{i}"] for i in range(len(rows)))
        targets = tuple(named.get(f"targets.{i}") for i in range(len(rows)))
        return Collected(record["model"], rows, rebuild(empty, moved), inputs, targets, record["about"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{folder}, whose collected states cannot be used ({type(error).__name__}: {error})",
            f"{TENSORS} and {RECORD} as they were collected",
            "collect anew: outlast live retrain --stage collect",
        ) from None


def _hash(named: dict[str, Tensor], record: dict[str, Any]) -> str:
    return tensors_sha256(named, json.dumps(record, sort_keys=True).encode())
