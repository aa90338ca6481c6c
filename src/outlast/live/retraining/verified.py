"""What is believed of a candidate: what one stage wrote is known again by its hash wherever a later one reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from outlast import checkpoints
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import file_sha256
from outlast.errors import InputError
from outlast.live.ledger.candidates import Candidate, Gate, candidate, folder_of, gates, moves
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import ALLOWED, Status
from outlast.live.retraining.collected import Collected, read_collected
from outlast.model import Recurrent
from outlast.onnx import NAME, is_onnx
from outlast.results import Repair, load_result

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
