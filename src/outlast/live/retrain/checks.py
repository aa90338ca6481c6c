"""What is believed of a candidate and of kept states: known again by hashes, and doubted by figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from outlast import checkpoints
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import file_sha256
from outlast.data import Batch, Streams
from outlast.data.reading import read
from outlast.errors import InputError
from outlast.live.incidents import Kept
from outlast.live.ledger.candidates import Candidate, Gate, candidate, folder_of, gates, moves
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import ALLOWED, Status
from outlast.live.retrain.collected import Collected, read_collected
from outlast.live.watch.signals import Probes, Senses
from outlast.model import Recurrent, quietly
from outlast.onnx import NAME, is_onnx
from outlast.results import Repair, load_result
from outlast.state import choose_parts, continuous, leaves

# What is believed of a candidate: what one stage wrote is known again by its hash wherever a later one reads it.

MODEL, PROFILE, RESULT = "model", "profile", "result.json"
COLLECT, TRAIN, GATES, PROPOSED = "collect", "train", "gates", "proposed"
"""Stages, as gates name them."""
ANSWERED_FOR = "answered for"
"""The gate of a version that was made elsewhere: a person answers for it, and no other was asked."""
REQUIRED = (
    "finite",
    "short contexts",
    "guards",
    "corpus",
    "later incidents",
    "not worse than a reset",
    "alarm",
)
"""Gates that a candidate has to pass; `handover` is for information."""


def latest(ledger: Ledger, number: int, stage: str) -> dict[str, Gate]:
    """The last gate of each name that was written of a stage."""
    return {each.name: each for each in gates(ledger, number) if each.stage == stage}


def collected_of(ledger: Ledger, number: int, model: Recurrent, fingerprint: str) -> tuple[Collected, str]:
    """What was collected for a candidate, and its hash.

    Raises:
        InputError: it is not what the ledger says.
    """
    known = _figure(ledger, number, COLLECT, "collected", "sha256")
    return read_collected(folder_of(ledger, number), model, fingerprint, known), known


def result_of(ledger: Ledger, number: int) -> Repair:
    """The record of a candidate's training.

    Raises:
        InputError: it is not what the ledger says.
    """
    path = folder_of(ledger, number) / RESULT
    known = _figure(ledger, number, TRAIN, "trained", "result")
    if not path.is_file() or file_sha256(path) != known:
        raise InputError(f"{path}, which is not what training wrote", "the file as written", _AGAIN)
    found = load_result(path)
    if not isinstance(found, Repair):
        raise InputError(f"{path}, a result of {found.kind}", "that of a repair", _AGAIN)
    return found


def model_of(ledger: Ledger, number: int, device: torch.device | str = "cpu", *, allow_code: bool = False) -> Recurrent:
    """The model of a candidate, whatever its status.

    Raises:
        InputError: it has none, or what lies in its folder is another one than the ledger says.
    """
    one, folder = candidate(ledger, number), folder_of(ledger, number) / MODEL
    if one.model is None or not folder.is_dir():
        raise InputError(f"candidate {number} without a model", "a trained one", "outlast live retrain trains it")
    if one.files is not None:
        check_files(folder.parent, one.files)
    model = checkpoints.load(folder, device, allow_code=allow_code)
    found = model_fingerprint(model)
    if found != one.model:
        raise InputError(
            f"{folder} with the model {found[:12]}…", f"{one.model[:12]}…, as the ledger has candidate {number}", _AGAIN
        )
    told = [latest(ledger, number, stage).get(name) for stage, name in ((TRAIN, "trained"), (PROPOSED, ANSWERED_FOR))]
    if any(each is not None and each.figures.get("record") != record_of(folder) for each in told):
        raise InputError(f"{folder}, whose schema is not what was written", "the folder as it was", _AGAIN)
    return model


def parent_of(one: Candidate, model: Recurrent) -> str:
    """The fingerprint of a model from which a candidate comes.

    Raises:
        InputError: it comes from another one.
    """
    found = model_fingerprint(model)
    if one.parent != found:
        raise InputError(
            f"the model {found[:12]}… for candidate {one.id}", f"{one.parent[:12]}…, from which it comes", _AGAIN
        )
    return found


def record_of(model: Path) -> str:
    """Hash of what lies beside a model's weights: how it is built, and what its columns mean. A .onnx file says it."""
    return file_sha256(model / NAME if is_onnx(model) else model / checkpoints.RECORD)


def files_in(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a version, of its model and its profile, by their paths in its folder."""
    found = {}
    for part in (MODEL, PROFILE):
        for path in sorted((folder / part).rglob("*")):
            name = path.relative_to(folder)
            # Python writes what it compiled beside the code of a model.
            if path.is_file() and not any(each.startswith(".") or each == "__pycache__" for each in name.parts):
                found[name.as_posix()] = file_sha256(path)
    return found


def check_files(folder: Path, known: Mapping[str, str] | None) -> None:
    """Hold the files of a version to what they were when it was put on its way.

    Args:
        known: what `files_in` gave then; None: nobody asked, as before outlast kept that.

    Raises:
        InputError: one of them is gone, another one, or new.
    """
    model = folder / MODEL
    if known is None:
        if not model.is_dir() or not any(path.suffix in _WEIGHTS for path in model.iterdir()):
            raise InputError(f"{model}, which is not there with its weights", "the files of that version", _RESTORE)
        return
    try:
        found = files_in(folder)
    except OSError as error:
        raise InputError(f"{error.filename} ({error.strerror})", "a file that can be read", _RESTORE) from None
    for name in sorted(known.keys() | found.keys()):
        if found.get(name) != known.get(name):
            why = "is not there" if name not in found else "was not there" if name not in known else "was changed"
            raise InputError(
                f"{folder / name}, which {why} since the version was put on its way",
                "the files as the ledger has them",
                _RESTORE,
            )


def cleared(ledger: Ledger, number: int, device: torch.device | str = "cpu", *, allow_code: bool = False) -> Recurrent:
    """The model of a candidate that came through all gates, or that a person answers for: ask this before it is given
    anything to do.

    Raises:
        InputError: it did not come through all of them, its status is not where its moves led, or what lies in its
            folder is another model than the gates saw.
    """
    one, found = candidate(ledger, number), latest(ledger, number, GATES)
    _came_by_moves(ledger, one)
    if one.status in (Status.COLLECTED, Status.TRAINED, Status.REFUSED, Status.ROLLED_BACK):
        raise InputError(f"candidate {number}, {one.status}", "one that came through its gates", _AGAIN)
    by_hand = latest(ledger, number, PROPOSED)
    for name in [ANSWERED_FOR] if by_hand else REQUIRED:
        seen = (by_hand or found).get(name)
        if seen is None or not seen.passed or seen.figures.get("model") != one.model:
            why = "none" if seen is None else "not passed" if not seen.passed else "of another model"
            raise InputError(f"candidate {number} whose gate {name!r} is {why}", "all gates passed by it", _AGAIN)
    return model_of(ledger, number, device, allow_code=allow_code)


def check_moves(ledger: Ledger, number: int) -> Candidate:
    """The candidate, whose status is where its moves led.

    Raises:
        InputError: it is not.
    """
    one = candidate(ledger, number)
    _came_by_moves(ledger, one)
    return one


def _came_by_moves(ledger: Ledger, one: Candidate) -> None:
    at: Status | None = None
    for step in moves(ledger, one.id):
        begins = at is None and step.after == Status.COLLECTED
        if step.before != at or not (begins or (at is not None and step.after in ALLOWED[at])):
            break
        at = step.after
    else:
        if at == one.status:
            return
    raise InputError(
        f"candidate {one.id}, {one.status}, which its moves do not lead to", "a status that it came to by moves", _AGAIN
    )


def _figure(ledger: Ledger, number: int, stage: str, name: str, figure: str) -> str:
    seen = latest(ledger, number, stage).get(name)
    known: Any = None if seen is None or not seen.passed else seen.figures.get(figure)
    if not isinstance(known, str):
        raise InputError(f"candidate {number} without a record that it was {name}", "one", _AGAIN)
    return known


_RESTORE = "restore the folder as it was"
_WEIGHTS = (".safetensors", ".bin", ".onnx", ".pth")
_AGAIN = "begin a new candidate: outlast live retrain --stage collect"


# What speaks against a kept state: numbers that no stream can have led to, or figures that do not come out again.

_ROWS, _LONGEST = 32, 64
"""Training streams that are read, and training contexts of each, at most."""
_SAMPLE = 1_000_000
_ALIKE = 1e-3
"""Distance of two states, as a share of their size, below which they are the same."""
_SAME = 0.01
"""By how much a loss may come out otherwise on another machine, in shares of it."""


@dataclass(frozen=True)
class Limits:
    """The largest numbers that are believed.

    Args:
        parts: of each part of the state that is trained from; infinite for the others.
        inputs: of inputs; of tokens, below which they lie.
        targets: of real targets.
    """

    parts: tuple[float, ...]
    inputs: float
    targets: float


def limits_of(model: Recurrent, train: Streams, train_context: int, far_state: float, far_input: float) -> Limits:
    """So many times what training streams have."""
    stream = np.argsort(-train.lengths, kind="stable")[:_ROWS]
    lengths = np.minimum(train.lengths[stream], _LONGEST * train_context)
    largest = np.zeros(len(leaves(model.initial_state(1))))
    with quietly(model):
        for piece in read(model, train, stream, np.zeros(len(stream), np.int64), lengths, chunk=train_context):
            seen = [float(each.abs().max()) if each.numel() else 0.0 for each in leaves(piece.state)]
            largest = np.fmax(largest, seen)
    touched = [part.touched for part in model.state_parts()]
    parts = tuple(far_state * each if on else np.inf for each, on in zip(largest.tolist(), touched, strict=True))
    if train.tokens:
        size = model.input_spec.size if model.input_spec is not None else int(np.max(train.inputs)) + 1
        inputs = float(size)
    else:
        inputs = far_input * _largest(train.inputs)
    real = train.target_kind == "values"
    source = train.inputs if train.targets is None else train.targets
    return Limits(parts, inputs, far_input * _largest(source) if real else np.inf)


def _largest(values: np.ndarray) -> float:
    some = np.asarray(values[:: max(1, len(values) // _SAMPLE)], np.float64)
    return float(np.abs(some[np.isfinite(some)]).max(initial=0.0))


def doubt_of(kept: Kept, model: Recurrent, train: Streams, half: int, limits: Limits) -> str | None:
    """Why a kept state is left out; None: nothing speaks against its numbers."""
    begin, end = kept.scored
    inputs, targets = kept.inputs, kept.targets
    floats = inputs.is_floating_point()
    if inputs.dim() < 2 or len(inputs) != 1 or inputs.shape[2:] != train.inputs.shape[1:] or floats == train.tokens:
        return "other inputs than the model reads"
    if not half <= begin < end <= inputs.shape[1] or end - begin != half:
        return "scored positions that do not fit its inputs"
    for tensor, limit, part in zip(leaves(kept.state), limits.parts, model.state_parts(), strict=True):
        if not part.touched or not continuous(tensor):
            continue
        if not torch.isfinite(tensor).all():
            return "a state that holds what is no number"
        if float(tensor.abs().max()) > limit:
            return "a state far from all that training streams have"
    if floats and not torch.isfinite(inputs).all():
        return "inputs that hold what is no number"
    if train.tokens and (int(inputs.min()) < 0 or int(inputs.max()) >= limits.inputs):
        return "inputs far from all that training streams have"
    if floats and float(inputs.abs().max()) > limits.inputs:
        return "inputs far from all that training streams have"
    if targets is None:
        return None
    if targets.is_floating_point() != (train.target_kind == "values") or targets.shape[:2] != (1, half):
        return "other targets than the model is trained on"
    if targets.is_floating_point() and not float(targets.abs().max()) <= limits.targets:  # also what is no number
        return "targets far from all that training streams have"
    return None


def comes_out(kept: Kept, probe: Probes) -> bool:
    """Whether the excess that was written down comes out again from the state, the inputs and the targets."""
    if kept.targets is None:
        return np.isnan(kept.excess)
    found = float(probe.excess[0])
    if not np.isfinite(kept.excess) or not np.isfinite(found):
        return kept.excess == found
    return abs(kept.excess - found) <= _SAME * (1 + abs(float(probe.loss[0])) + abs(float(probe.young[0])))


def state_vector(kept: Kept, model: Recurrent) -> np.ndarray:
    """(D,) the parts of a state that are trained from, side by side."""
    zero = model.initial_state(1)
    parts = leaves(choose_parts(model.state_parts(), kept.state, zero))
    return np.concatenate([each.double().reshape(-1).cpu().numpy() for each in parts])


def is_alike(vector: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a state (D,) is as good as one of the others."""
    if not others:
        return False
    apart = np.linalg.norm(np.stack(others) - vector, axis=1)
    return bool((apart <= _ALIKE * max(float(np.linalg.norm(vector)), 1e-12)).any())


def probed(senses: Senses, collected: Collected, numbers: np.ndarray, half: int) -> Probes:
    """Probes of N states at the moments that were scored: old states are those that were kept, handed over to the
    model of `senses`, which reads what came before; beside them young ones.

    Raises:
        InputError: targets that the measure does not take.
    """
    rows = [collected.rows[number] for number in numbers]
    begins = np.array([row.begin for row in rows])
    with quietly(senses.model):
        old = collected.encoded(senses.model, numbers, begins)
    lead = torch.stack([collected.inputs[n][r.begin - half : r.begin] for n, r in zip(numbers, rows, strict=True)])
    inputs = torch.stack([collected.inputs[n][r.begin : r.end] for n, r in zip(numbers, rows, strict=True)])
    known = [collected.targets[number] for number in numbers]
    targets = None if any(each is None for each in known) else torch.stack([each for each in known if each is not None])
    zero = torch.zeros(len(rows), dtype=torch.int64)
    batch = Batch(inputs, targets, torch.ones(len(rows), half), zero, zero, zero.bool())
    with quietly(senses.model):
        return senses.probe(old, lead, batch)[0]
