"""Directories that fla wrote give fla's logits (see make_fla.py), and go back unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from contract_sizes import Ask, in_full
from foreign.theirs import assert_same_directories, worst
from outlast.checkpoints import load, model_fingerprint, save
from outlast.checkpoints.states import tensors_sha256
from outlast.contract.check import check
from outlast.foreign import FORMATS
from outlast.state import named_leaves

FOLDERS = sorted(path for path in (Path(__file__).parent / "fla").iterdir() if path.is_dir())


def test_every_format_is_there() -> None:
    kinds = {f"fla.{folder.name.rpartition('-')[0]}" for folder in FOLDERS}
    assert kinds == {kind for kind in FORMATS if kind.startswith("fla.")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_logits_are_those_of_fla(folder: Path, tmp_path: Path) -> None:
    expected = safetensors.torch.load_file(folder / "expected.safetensors")
    inputs, logits = expected["inputs"], expected["logits"]
    model = load(folder)
    with torch.no_grad():
        got, _ = model(inputs, model.initial_state(2))
        pieces, state = [], model.initial_state(2)
        for piece in inputs.split([1, 7, 11], 1):
            out, state = model(piece, state)
            pieces.append(out)
    assert worst(got, logits) < 1e-4
    assert worst(torch.cat(pieces, 1), logits) < 1e-4
    save(model, tmp_path)
    assert_same_directories(folder, tmp_path)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_was_stored_of_a_model_stays_its_own(folder: Path) -> None:
    """Files of states name the model's fingerprint and the parts of its state: both are those of outlast 0.1."""
    model = load(folder)
    assert model_fingerprint(model) == tensors_sha256(safetensors.torch.load_file(folder / "model.safetensors"))
    stored = safetensors.torch.load_file(folder.parent.with_name("fla_states.safetensors"))
    stored = {name.partition("/")[2]: each for name, each in stored.items() if name.startswith(f"{folder.name}/")}
    inputs = safetensors.torch.load_file(folder / "expected.safetensors")["inputs"][:1]
    with torch.no_grad():
        state = dict(named_leaves(model(inputs, model.initial_state(1))[1]))
    assert set(state) == set(stored)
    for name, each in stored.items():
        assert worst(state[name], each) < 1e-4, name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_in_float64_chunked_and_reference_scans_agree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(folder).double()
    inputs = torch.randint(11, (2, 70), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        chunked, _ = model(inputs, model.initial_state(2))
        monkeypatch.setenv("OUTLAST_SCAN", "reference")
        reference, _ = model(inputs, model.initial_state(2))
    assert worst(chunked, reference) < 1e-9


@in_full([folder.name for folder in FOLDERS if folder.name.endswith("-0")], "gla-0")
def test_the_contract_is_kept(name: str, ask: Ask) -> None:
    report = ask(load(Path(__file__).parent / "fla" / name))
    assert report.passed, [point for point in report.checks if point.passed is False]


@pytest.mark.long
@pytest.mark.parametrize(
    "folder", [folder for folder in FOLDERS if not folder.name.endswith("-0")], ids=lambda folder: folder.name
)
def test_the_contract_is_kept_under_other_settings(folder: Path) -> None:
    report = check(load(folder))
    assert report.passed, [point for point in report.checks if point.passed is False]
