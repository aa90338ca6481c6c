"""Models that transformers runs, with what its cache holds as their state: right in pieces and in gradients."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import cache_utils
from transformers.models.jamba import modeling_jamba

from benchmarks.pages import small_types as small
from contract_sizes import Ask, quick_check
from outlast import foreign
from outlast.checkpoints import load
from outlast.contract.case import Sizes, subject_of
from outlast.contract.check import check
from outlast.contract.points import POINTS
from outlast.errors import InputError
from outlast.foreign.caches import carriers, directory, reading
from outlast.foreign.caches.carriers import LayerState, Positions
from outlast.foreign.caches.directory import apart, at_once, edited, gradients_apart, in_pieces, tokens_for
from outlast.foreign.caches.model import Borrowed
from outlast.foreign.config import parse
from outlast.state import leaves, map_state

pytestmark = pytest.mark.filterwarnings("ignore:attention sees the last")

KINDS = {
    "Mamba-1 and attention": "jamba",
    "Mamba-2 and attention": "bamba",
    "delta rule and attention": "qwen3_5_text",
    "convolution and attention": "lfm2",
    "lightning attention": "minimax",
    "mLSTM": "xlstm",
}
"""One model type of each kind of recurrence."""

READ = [name for name in small.tried() if not name.startswith(("glm5_next", "qwen4_exp", "recurrent_gemma", "rwkv"))]
"""Every model type that transformers can run for us, ours among them: mamba, mamba2, falcon_mamba."""

PIECES = (9, 1, 1, 20)


def borrowed(name: str, folder: Path, window: int = 64) -> Borrowed:
    """A small model of transformers, saved by it and read through its cache, also where we have a reader of our own."""
    small.built(name).save_pretrained(folder)
    return directory.read(folder, parse((folder / "config.json").read_text()), window)


def assert_is_the_librarys(model: Borrowed, pieces: tuple[int, ...], granted: float) -> None:
    """Pieces and gradients are those of one pass of the library's own, in float64, and nothing is edited."""
    model, first = model.double(), pieces[0]
    whole, embedding = partial(at_once, model), model.model.get_input_embeddings()
    assert apart(model, whole, 2, pieces) < granted
    for second in (1, pieces[-1]):
        assert gradients_apart(model, whole, (embedding, embedding), first, second) < granted
    assert not edited(model)


def granted_to(name: str) -> float:
    """MiniMax's decays are numbers of its file, in float32, and steps and blocks use different ones."""
    return 1e-6 if name == "minimax" else 1e-11


@pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)
def test_pieces_and_gradients_are_those_of_one_pass(name: str, tmp_path: Path) -> None:
    assert_is_the_librarys(borrowed(name, tmp_path), PIECES, granted_to(name))


@pytest.mark.long
@pytest.mark.parametrize("name", READ)
def test_pieces_and_gradients_of_every_type(name: str, tmp_path: Path) -> None:
    """Across the borders of the library's own chunks, in float64 and in float32."""
    model = borrowed(name, tmp_path, 256)
    pieces = (67, 1, 1, 16, 65)
    assert apart(model, partial(at_once, model), 2, pieces) < 1e-4
    assert_is_the_librarys(model, pieces, granted_to(name))


def test_twenty_families_and_more_are_read() -> None:
    assert len(READ) >= 30


@pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)
def test_the_contract_is_kept(name: str, tmp_path: Path) -> None:
    """Each point, on short stretches; in float64, which transformers does not compute in by itself."""
    subject = replace(subject_of(borrowed(name, tmp_path, 8)), noise=0.5)
    assert subject.double
    for point in POINTS.values():
        found = point.ask(subject, Sizes(2, ((3, 20),)))
        assert found.passed, found


@pytest.mark.parametrize(
    "ask", [pytest.param(quick_check, marks=pytest.mark.long), pytest.param(check, marks=pytest.mark.field)]
)
@pytest.mark.parametrize("name", READ)
def test_check_passes_every_type(name: str, ask: Ask, tmp_path: Path) -> None:
    report = ask(borrowed(name, tmp_path, 160))
    assert report.passed, [point for point in report.checks if point.passed is False]
    assert report.model["checked_in"] == ["float32", "float64"]


@pytest.mark.parametrize("name", ["mamba", "mamba2", "falcon_mamba"])
def test_our_own_readers_say_the_same(name: str, tmp_path: Path) -> None:
    theirs = borrowed(name, tmp_path)
    ours = load(tmp_path)
    assert isinstance(ours, foreign.Foreign)
    tokens = tokens_for(ours, 2, sum(PIECES))
    with torch.no_grad():
        torch.testing.assert_close(
            in_pieces(ours, tokens, PIECES), in_pieces(theirs, tokens, PIECES), rtol=0, atol=2e-5
        )


def test_a_model_that_drops_its_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers' own scans of Mamba-1 do where nobody gives them the state, and in half precision too."""
    monkeypatch.setattr(carriers.Cache, "get_recurrent_state", lambda *_, **__: None)
    for dtype in (torch.float32, torch.bfloat16):
        small.built("jamba").to(dtype).save_pretrained(tmp_path)
        with pytest.raises(InputError, match="reads in pieces otherwise than at once"):
            load(tmp_path)


def test_a_state_that_no_scan_reads_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of transformers whose scan goes by another name would drop it."""
    model = borrowed("jamba", tmp_path)
    theirs = modeling_jamba.mamba_selective_scan.__wrapped__  # pyright: ignore
    monkeypatch.setattr(modeling_jamba, reading.MAMBA, theirs)
    with pytest.raises(RuntimeError, match="read by no scan"):
        model(tokens_for(model, 1, 3), model.initial_state(1))


def test_a_model_that_writes_into_its_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers does where it reads a single position."""
    monkeypatch.setattr(carriers.Cache, "get_conv_state", cache_utils.Cache.get_conv_state)
    small.built("lfm2").save_pretrained(tmp_path)
    with pytest.raises(InputError, match="writes into the state that it is given"):
        load(tmp_path)


def test_a_state_that_is_in_no_cache_is_noticed(tmp_path: Path) -> None:
    """RecurrentGemma's, which stays in its modules; we have a reader of our own."""
    small.built("recurrent_gemma").save_pretrained(tmp_path)
    assert isinstance(load(tmp_path), foreign.Foreign)
    with pytest.raises(InputError, match="no recurrent state in its cache"):
        directory.read(tmp_path, parse((tmp_path / "config.json").read_text()), 64)


def test_states_are_named_by_layer_and_kind(tmp_path: Path) -> None:
    """Zamba has a Mamba layer with heads, and one of those with attention beside it; Inkling several convolutions."""
    model = borrowed("zamba", tmp_path / "zamba", 5)
    parts = {part.path: (part.kind, part.head_axis) for part in model.state_parts()}
    assert parts["layers.0.recurrent"] == ("recurrent", 1)
    assert parts["layers.0.convolution"] == ("convolution", None)
    assert parts["layers.1.keys"] == parts["layers.1.values"] == ("attention", 1)
    assert parts["positions.valid"] == ("attention", None)
    assert parts["positions.read"] == ("counter", None)
    assert "layers.0.keys" not in parts
    state = model.initial_state(3)
    assert [type(each) for each in state] == [LayerState] * 4 + [Positions]
    assert [path for path in parts if path.startswith("layers.1.")] == [
        *("layers.1.recurrent", "layers.1.convolution", "layers.1.keys", "layers.1.values")
    ]
    assert state[1].keys is not None
    assert state[1].keys.shape[:3] == (3, 4, 4)  # rows, heads, W − 1
    several = [part.path for part in borrowed("inkling_text", tmp_path / "inkling").state_parts()]
    assert "layers.0.convolution.3" in several
    no_heads = borrowed("jamba", tmp_path / "jamba").state_parts()[0]
    assert (no_heads.path, no_heads.head_axis) == ("layers.0.recurrent", None)
    nothing = borrowed("nemotron_h", tmp_path / "nemotron").state_parts()
    assert not [part for part in nothing if part.path.startswith("layers.1.")], "experts have no state"


def test_shapes_do_not_depend_on_the_position(tmp_path: Path) -> None:
    model = borrowed("zaya", tmp_path, 8)
    start = model.initial_state(2)
    with torch.no_grad():
        state = start
        for length in (1, 3, 30):
            _, state = model(tokens_for(model, 2, length), state)
            assert [(each.shape, each.dtype) for each in leaves(state)] == [
                (each.shape, each.dtype) for each in leaves(start)
            ]
    assert state[-1].read.tolist() == [34, 34]
    assert all(each.untyped_storage().nbytes() == each.nbytes for each in leaves(state)), "the past is held on to"


def test_attention_sees_its_window_and_says_so(tmp_path: Path) -> None:
    """Past the window it is another model than transformers', and the same one in whatever pieces it is read."""
    small.built("bamba").save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="attention sees the last 6 positions"):
        model: Any = load(tmp_path, attention_window=6)
    assert model.forgets == 6
    tokens = tokens_for(model, 2, 30)
    with torch.no_grad():
        full = model.model(input_ids=tokens, use_cache=False).logits
        narrow, _ = model(tokens, model.initial_state(2))
        pieces = in_pieces(model, tokens, (7, 1, 22))
        far = tokens.clone()
        far[:, 0] = (far[:, 0] + 1) % 64
    torch.testing.assert_close(narrow[:, :6], full[:, :6], rtol=0, atol=1e-4)
    assert (narrow[:, 6:] - full[:, 6:]).abs().max() > 1e-2
    torch.testing.assert_close(pieces, narrow, rtol=0, atol=1e-4)
    assert [note.name for note in quick_check(model).notes] == ["attention_window"]


def test_rows_may_start_at_different_ages(tmp_path: Path) -> None:
    """A row that has read nothing attends to nothing but its own piece, beside one whose window is full."""
    model = borrowed("lfm2", tmp_path, 6).double()
    tokens = tokens_for(model, 2, 12)
    with torch.no_grad():
        _, old = model(tokens[:1], model.initial_state(1))
        both = map_state(lambda a, b: torch.cat([a, b]), old, model.initial_state(1))
        said, _ = model(tokens[[1, 1], :4], both)
        alone = [model(tokens[1:, :4], each)[0] for each in (old, model.initial_state(1))]
    torch.testing.assert_close(said, torch.cat(alone), rtol=0, atol=1e-10)
    assert (alone[0] - alone[1]).abs().max() > 1e-2


def test_a_window_that_the_library_has_itself_is_no_other_model(tmp_path: Path) -> None:
    settings = {"layer_types": ["conv", "sliding_attention", "sliding_attention"]}  # windows of 16
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(small.SMALL, "lfm3", {**small.SMALL["lfm3"], **settings})
        small.built("lfm3").save_pretrained(tmp_path)
    model: Any = load(tmp_path, attention_window=40)
    assert model.forgets is None
    tokens = tokens_for(model, 2, 60)
    with torch.no_grad():
        whole = model.model(input_ids=tokens, use_cache=False).logits
        torch.testing.assert_close(in_pieces(model, tokens, (23, 1, 36)), whole, rtol=0, atol=1e-4)


def test_threads_do_not_see_each_others_windows(tmp_path: Path) -> None:
    """Two windows of one model, read side by side, give what each gives alone."""
    small.built("jamba").save_pretrained(tmp_path)
    record = parse((tmp_path / "config.json").read_text())
    models = [directory.read(tmp_path, record, window) for window in (4, 16)]
    tokens = tokens_for(models[0], 2, 40)
    with torch.no_grad():
        alone = [in_pieces(model, tokens, (20, 20)) for model in models]
    found: list[list[torch.Tensor]] = [[], []]

    def read(number: int) -> None:
        with torch.no_grad():
            found[number].extend(in_pieces(models[number], tokens, (20, 20)) for _ in range(5))

    threads = [threading.Thread(target=read, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (0, 1):
        assert len(found[number]) == 5
        for each in found[number]:
            torch.testing.assert_close(each, alone[number], rtol=0, atol=1e-5)
    assert (alone[0] - alone[1]).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["jamba", "qwen3_5_text", "lfm2"])
@pytest.mark.parametrize("half", ["parameters", "autocast"])
def test_the_state_is_float32_in_half_precision(name: str, half: str, tmp_path: Path) -> None:
    """And the outputs are those of float32 to that precision, and parameters learn through the carried state."""
    model = borrowed(name, tmp_path)
    tokens = tokens_for(model, 2, 21)
    with torch.no_grad():
        exact = model(tokens, model.initial_state(2))[0]
    if half == "parameters":
        model = model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        _, state = model(tokens[:, :9], model.initial_state(2))
        outputs, final = model(tokens[:, 9:], state)
    outputs.square().mean().backward()
    assert {leaf.dtype for leaf in leaves(final)} <= {torch.float32, torch.int64, torch.bool}
    assert (outputs.float() - exact[:, 9:]).square().mean().sqrt() < 0.2 * exact.std()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None and "expert" not in key]
    assert without == []


def test_a_blueprint_builds_the_same_model_twice(tmp_path: Path) -> None:
    """With weights that are a function of the blueprint alone, whatever was drawn before."""
    model = borrowed("zamba2", tmp_path)
    torch.rand(3)
    first = foreign.from_blueprint(model.blueprint)
    torch.rand(5)
    second = foreign.from_blueprint(model.blueprint)
    assert {key: value.shape for key, value in first.state_dict().items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_inputs_that_are_no_tokens_are_named(tmp_path: Path) -> None:
    model = borrowed("lfm2", tmp_path)
    state = model.initial_state(1)
    for inputs, given in ((torch.zeros(1, 2, 3), state), (torch.zeros(1, 0).long(), state)):
        with pytest.raises(InputError, match="integer tokens"):
            model(inputs, given)
    with pytest.raises(InputError, match="a state of 3 parts"):
        model(torch.zeros(1, 2).long(), state[:1])
