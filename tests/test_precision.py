"""Models of float64, bfloat16 and float16: measured as they are, trained in float32 or wider, saved bit for bit."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import outlast
import precise
from contract_sizes import quick_check
from outlast.modules import adapt
from outlast.results import Evaluation, Note, from_json, to_json
from outlast.state import leaves
from outlast.training.objectives import objective
from precise import DTYPES, made
from toys import token_streams, wave_streams

USUAL = ("user_lstm", "own_state", "family")
QUICK = outlast.TrainSettings(steps=4, batch_size=4)
SHORT = outlast.EvalSettings(targets=32)
ANYWAY = outlast.RepairSettings(anyway=True, doses=(1.0,))

each = pytest.mark.parametrize("dtype", DTYPES)
usual = pytest.mark.parametrize("kind", USUAL)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parts() -> outlast.Split:
    return outlast.split(wave_streams(48, 64))


def dtypes(model: nn.Module) -> set[torch.dtype]:
    return {parameter.dtype for parameter in model.parameters()}


def noted(result: Evaluation) -> list[Note]:
    return [note for note in result.notes if note.name.endswith("in_float32")]


@each
@usual
def test_features_are_given_in_the_dtype_of_the_model_and_states_keep_theirs(kind: str, dtype: str) -> None:
    seen = []
    model = adapt(made(kind, dtype))
    inner = getattr(model, "module", model)
    handle = inner.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    start = model.initial_state(2)
    _, state = model(torch.randn(2, 3, 1), start)
    _, state = model(torch.randn(2, 3, 1, dtype=torch.float64), state)
    handle.remove()
    if inner is not model:  # a family's hook sees what the caller gave, before the model has
        assert seen == [DTYPES[dtype]] * 2
    assert [t.dtype for t in leaves(state)] == [t.dtype for t in leaves(start)]


@each
@usual
def test_evaluation_is_in_the_precision_of_the_model(kind: str, dtype: str, parts: outlast.Split) -> None:
    module = made(kind, dtype)
    found = outlast.evaluate(module, parts, train_context=8, settings=SHORT)
    single = outlast.evaluate(made(kind, dtype).float(), parts, train_context=8, settings=SHORT)
    assert found.model["dtype"] == dtype
    assert noted(found) == []
    assert dtypes(module) == {DTYPES[dtype]}
    apart = abs(found.oldest.loss - single.oldest.loss) / single.oldest.loss
    assert 0 < apart < 2e-2  # it is another arithmetic, and the same model


@each
@usual
def test_a_diagnosis_is_in_the_precision_of_the_model(kind: str, dtype: str, parts: outlast.Split) -> None:
    found = outlast.diagnose(
        made(kind, dtype), parts, train_context=8, settings=outlast.DiagnoseSettings(measuring=SHORT)
    )
    assert found.evaluation.model["dtype"] == dtype
    assert found.evaluation.verdict is not None


@each
@usual
def test_check_asks_in_the_precision_of_use_and_says_its_tolerance(kind: str, dtype: str) -> None:
    report = outlast.check(made(kind, dtype))
    assert report.passed, [c for c in report.checks if not c.passed]
    assert report.model["checked_in"] == list(dict.fromkeys((dtype, "float64")))
    allowed = {"float64": 1e-9, "bfloat16": 1e-1, "float16": 2e-2}[dtype]
    readings = ("causal", "chunked_equals_whole", "step_equals_parallel")
    tolerances = [c.tolerance for c in report.checks if c.name in readings]
    assert [tolerance is not None and tolerance >= allowed for tolerance in tolerances] == [True] * 3
    assert report.settings["tolerances"][dtype] == allowed
    assert report.notes == []


def test_check_finds_a_fault_that_shows_only_in_the_precision_of_use() -> None:
    class Rounds(precise.OwnState):
        """Reads whole windows in another way where it is in half precision."""

        def forward(self, inputs, state):
            if self.decay.dtype == torch.bfloat16 and inputs.shape[1] > 1:
                state = (torch.zeros_like(state[0]),)
            return super().forward(inputs, state)

    report = outlast.check(Rounds().bfloat16())
    failed = {c.name: c.detail for c in report.checks if c.passed is False}
    assert "step_equals_parallel" in failed
    assert failed["step_equals_parallel"].startswith("In bfloat16: ")
    assert outlast.check(Rounds()).passed


def test_check_finds_a_fault_that_rounding_would_hide() -> None:
    class Slightly(precise.OwnState):
        def forward(self, inputs, state):
            outputs, state = super().forward(inputs, state)
            return (outputs * 1.001 if inputs.shape[1] == 1 else outputs), state

    failed = {c.name: c.detail for c in outlast.check(Slightly().bfloat16()).checks if c.passed is False}
    assert failed["step_equals_parallel"].startswith("In float64: ")


@each
@usual
def test_resets_around_a_model_of_any_precision(kind: str, dtype: str) -> None:
    inputs, bare = torch.randn(2, 12, 1), adapt(made(kind, dtype))
    model = outlast.with_reset(made(kind, dtype), every=4)
    outputs, _ = model(inputs, model.initial_state(2))
    alone = [bare(piece, bare.initial_state(2))[0] for piece in inputs.split(4, 1)]
    assert outputs.dtype == DTYPES[dtype]
    rounding = 1e-9 if dtype == "float64" else 1e-2  # rows of other batches may be added up in another order
    torch.testing.assert_close(outputs, torch.cat(alone, 1), rtol=rounding, atol=rounding)


@each
@usual
def test_training_is_in_float32_or_wider(kind: str, dtype: str, parts: outlast.Split) -> None:
    model = adapt(made(kind, dtype))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        outlast.fit(model, parts.train, objective(None, model, parts.train), outlast.Zero(), 8, QUICK)
    assert dtypes(model) == {torch.float64 if dtype == "float64" else torch.float32}
    told = [str(each.message) for each in said if "float32" in str(each.message)]
    assert told == ([] if dtype == "float64" else [f"parameters in {dtype}: trained, measured and saved in float32"])


@each
@usual
def test_a_repair_and_its_note(kind: str, dtype: str, parts: outlast.Split) -> None:
    module, wide = made(kind, dtype), torch.float64 if dtype == "float64" else torch.float32
    done = outlast.repair(
        module, parts, train_context=8, intervention="tbtt", training=QUICK, measuring=SHORT, repairing=ANYWAY
    )
    assert dtypes(done.model) == {wide}
    assert dtypes(module) == {DTYPES[dtype]}
    assert [note.name for note in noted(done.before)] == ([] if dtype == "float64" else ["trained_in_float32"])


@each
def test_a_comparison(dtype: str, parts: outlast.Split) -> None:
    done = outlast.compare(
        made("user_lstm", dtype), parts, train_context=8, interventions=["tbtt", "zero"], training=QUICK,
        measuring=SHORT, repairing=ANYWAY,
    )  # fmt: skip
    wide = torch.float64 if dtype == "float64" else torch.float32
    assert [dtypes(model) for model in done.models.values()] == [{wide}, {wide}]
    assert len(noted(done.result.base)) == (dtype != "float64")


@each
def test_generation_goes_on_as_in_one_call(dtype: str) -> None:
    model = adapt(precise.words(DTYPES[dtype]))
    prompt = torch.tensor([[1, 2, 3]])
    whole, _ = outlast.generate(model, prompt, 6, temperature=1.0)
    first, place = outlast.generate(model, prompt, 2, temperature=1.0)
    rest, _ = outlast.generate(model, None, 4, after=place, temperature=1.0)
    assert torch.equal(whole, torch.cat([first, rest], 1))


@each
@pytest.mark.parametrize("model", ["family", "torch", "factory"])
def test_saved_and_loaded_in_its_dtype_bit_for_bit(model: str, dtype: str, tmp_path: Path) -> None:
    saved = {
        "family": lambda: made("family", dtype),
        "torch": lambda: adapt(nn.LSTM(1, 3).to(DTYPES[dtype])),
        "factory": lambda: outlast.from_factory(f"precise:lstm_{dtype}"),
    }[model]()
    outlast.save(saved, tmp_path / "model")
    loaded = outlast.load(tmp_path / "model", allow_code=True)
    assert dtypes(loaded) == {DTYPES[dtype]}
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))
    inputs = torch.randn(2, 5, 1)
    assert torch.equal(saved(inputs, saved.initial_state(2))[0], loaded(inputs, loaded.initial_state(2))[0])


@each
def test_a_module_of_two_dtypes_reads_in_that_of_the_layer_that_reads(dtype: str, parts: outlast.Split) -> None:
    model = adapt(made("head_first", dtype))
    assert model.input_dtype == DTYPES[dtype]
    assert adapt(made("head_first", dtype)).double().input_dtype == torch.float64
    assert quick_check(made("head_first", dtype)).passed
    found = outlast.evaluate(made("head_first", dtype), parts, train_context=8, settings=SHORT)
    assert found.model["dtype"] == f"float32 and {dtype}"
    done = outlast.repair(
        made("head_first", dtype), parts, train_context=8, intervention="tbtt", training=QUICK, measuring=SHORT,
        repairing=ANYWAY,
    )  # fmt: skip
    # What is in float64 stays so; only halves become wider.
    assert dtypes(done.model) == {torch.float32} | ({torch.float64} if dtype == "float64" else set())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_a_cpu_cannot_run_in_half_is_cast_and_said(dtype: str, parts: outlast.Split) -> None:
    module = made("not_in_half", dtype)
    found = outlast.evaluate(module, parts, train_context=8, settings=SHORT)
    single = outlast.evaluate(made("not_in_half", dtype).float(), parts, train_context=8, settings=SHORT)
    assert found.oldest.loss == single.oldest.loss
    assert dtypes(module) == {DTYPES[dtype]}
    (note,) = noted(found)
    assert note.said.startswith(f"parameters in {dtype}, with which the model cannot be run here (")
    assert found.model["dtype"] == "float32"
    asked = outlast.DiagnoseSettings(measuring=SHORT)
    diagnosed = outlast.diagnose(module, parts, train_context=8, settings=asked)
    assert noted(diagnosed.evaluation) == [note]
    report = outlast.check(module)
    assert report.passed, [c for c in report.checks if not c.passed]
    assert report.notes == [note]
    assert report.model["checked_in"] == ["float32", "float64"]
    assert from_json(to_json(report)) == report


def test_the_notes_stand_in_reports(parts: outlast.Split, tmp_path: Path) -> None:
    module = made("not_in_half", "bfloat16")
    asked = outlast.DiagnoseSettings(measuring=SHORT)
    results = [
        outlast.evaluate(module, parts, train_context=8, settings=SHORT),
        outlast.check(module),
        outlast.diagnose(module, parts, train_context=8, settings=asked),
    ]
    for number, result in enumerate(results):
        page = outlast.write_report([result], tmp_path / f"{number}.html").read_text()
        assert "Parameters in bfloat16, with which the model cannot be run here (" in page, result.kind
    page = outlast.write_report([results[2]], tmp_path / "ja.html", language="ja").read_text()
    assert "パラメータは bfloat16 ですが" in page


def test_a_fault_that_is_no_matter_of_precision_is_told_as_it_is(parts: outlast.Split) -> None:
    class Wrong(precise.OwnState):
        input_spec = outlast.InputSpec("features", 1)

        def step(self, hidden, read):
            raise RuntimeError("wrong all the same")

    with pytest.raises(outlast.InputError, match="RuntimeError: wrong all the same"):
        outlast.evaluate(Wrong().bfloat16(), parts, train_context=8, settings=SHORT)


def test_without_parameters_a_module_is_measured_and_not_trained(parts: outlast.Split) -> None:
    module = made("no_parameters", "bfloat16")
    found = outlast.evaluate(module, parts, train_context=8, settings=SHORT)
    assert found.model["dtype"] is None
    assert found.oldest.n > 0
    with pytest.raises(outlast.InputError, match="without a parameter that takes gradients"):
        outlast.repair(module, parts, train_context=8, intervention="tbtt", training=QUICK, repairing=ANYWAY)


def test_autocast_of_float64_would_do_nothing_and_is_refused(parts: outlast.Split) -> None:
    model = adapt(made("user_lstm", "float64"))
    half = outlast.TrainSettings(steps=2, batch_size=4, precision="bf16")
    with pytest.raises(outlast.InputError, match="precision bf16 for parameters in float64"):
        outlast.fit(model, parts.train, objective(None, model, parts.train), outlast.Zero(), 8, half)


def test_losses_of_float64_models_are_float64() -> None:
    streams = wave_streams(8, 16)
    batch = streams.window(np.zeros(2, np.int64), np.zeros(2, np.int64), 4)
    outputs = batch.inputs.double() + 1e-12
    loss = objective("regression", adapt(made("user_lstm", "float64")), streams).per_position(outputs, batch)
    assert loss.dtype == torch.float64
    tokens = token_streams(8, 16)
    batch = tokens.window(np.zeros(2, np.int64), np.zeros(2, np.int64), 4)
    logits = torch.randn(2, 4, 5, dtype=torch.float64)
    loss = objective("next_token", adapt(precise.words(torch.float64)), tokens).per_position(logits, batch)
    assert loss.dtype == torch.float64


class Speller(nn.Module):
    """A language model around a GRU, whose pieces differ from the whole by the rounding of its half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.gru, self.head = nn.Embedding(32, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 32)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        y, after = self.gru(self.embedding(x), h)
        return self.head(y), after


class LastSpeller(Speller):
    """The same with one output a window, and its state inside."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.head(self.gru(self.embedding(x))[0][:, -1])


@pytest.mark.parametrize("kind", [Speller, LastSpeller])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_adapt_check_and_evaluate_agree_on_a_gru_in_half_precision(kind: type[nn.Module], dtype: torch.dtype) -> None:
    """A state is kept in float32 and computed in half: what its pieces differ by is the rounding of the half."""
    tokens = outlast.Streams.from_tokens(np.random.default_rng(0).integers(0, 32, (8, 128)), vocabulary=32)
    for seed in range(3):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model = adapt(kind().to(dtype))
        assert quick_check(model).passed
        assert not outlast.evaluate(model, tokens, train_context=16, settings=SHORT).notes
        assert ("in one call" in str(model.found)) == (kind is LastSpeller)  # pyright: ignore[reportAttributeAccessIssue]
