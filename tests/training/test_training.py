"""The training loop: it learns, it is exact, it stops cleanly, and it leaves everything else as it was."""

from __future__ import annotations

import copy
import math
import random
import signal
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from outlast.errors import InputError, Interrupted, TrainingDiverged
from outlast.interventions import Carry, FittedNoise, RandomNoise, Zero, state_passing
from outlast.training import TrainSettings, fit
from outlast.training.objectives import CrossEntropy, Regression
from toys import Dropping, LearnedStart, Tied, small_gru, token_streams, wave_streams

T = 8
SHORT = TrainSettings(steps=6, batch_size=4, learning_rate=1e-2)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(model, rule=None, settings=SHORT, streams=None, objective=None, **options):
    losses = fit(model, streams or wave_streams(), objective or Regression(), rule or Zero(), T, settings, **options)
    return weights(model), losses


@pytest.fixture
def steps_taken():
    """(learning rate, gradient norm) of every optimiser step, as the optimiser sees them."""
    seen = []

    def look(optimizer, args, kwargs):
        group = optimizer.param_groups[0]
        norms = [p.grad.norm() for p in group["params"] if p.grad is not None]
        seen.append((group["lr"], float(torch.stack(norms).norm())))

    handle = register_optimizer_step_pre_hook(look)
    yield seen
    handle.remove()


@pytest.mark.parametrize("rule", [Zero(), state_passing(), Carry(expected_run=40)], ids=lambda rule: rule.label)
def test_the_loss_falls(rule):
    settings = TrainSettings(steps=150, batch_size=16, learning_rate=1e-2)
    _, losses = trained(small_gru(), rule, settings)
    assert [step for step, _ in losses] == [50, 100, 150]
    assert losses[-1][1] < 0.5 * losses[0][1]


def test_classes_are_learnt_too():
    settings = TrainSettings(steps=150, batch_size=16, learning_rate=1e-2)
    _, losses = trained(Tied(), Zero(), settings, token_streams(), CrossEntropy())
    assert losses[-1][1] < 0.75 < losses[0][1]


@pytest.mark.parametrize("rule", [Zero(), Carry(expected_run=40), FittedNoise(), RandomNoise()], ids=lambda r: r.label)
@pytest.mark.parametrize("build", [small_gru, Dropping])
def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(rule, build):
    first, losses = trained(build(), rule)
    torch.manual_seed(12345)
    random.seed(12345)
    np.random.seed(12345)
    again, losses_again = trained(build(), rule)
    assert same(first, again)
    assert losses == losses_again
    other, _ = trained(build(), rule, replace(SHORT, seed=1))
    assert not same(first, other)


def test_dropout_is_drawn_anew_at_every_step():
    """The same mask at every step would be no dropout."""
    masks = []

    class Watching(Dropping):
        def forward(self, inputs, state):
            if self.training:
                masks.append(torch.nn.functional.dropout(torch.ones(64), 0.5, True))
            return super().forward(inputs, state)

    trained(Watching())
    assert len({tuple(mask.tolist()) for mask in masks}) == SHORT.steps


def test_training_leaves_global_randomness_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    trained(Dropping())
    assert torch.equal(before, torch.get_rng_state())


def test_positions_of_weight_zero_do_not_influence_anything():
    streams = wave_streams()
    random_ = np.random.default_rng(0)
    counts = (random_.random(len(streams.inputs)) < 0.5).astype(np.float32)
    targets = np.roll(streams.inputs, -1, 0)
    masked = replace(streams, targets=targets, shift=0, weights=counts)
    wild = np.where(counts[:, None] > 0, targets, 1e6).astype(np.float32)
    first, losses = trained(small_gru(), streams=masked)
    again, losses_again = trained(small_gru(), streams=replace(masked, targets=wild))
    assert same(first, again)
    assert losses == losses_again
    unmasked, _ = trained(small_gru(), streams=replace(masked, weights=None))
    assert not same(first, unmasked)


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    settings = TrainSettings(steps=1000, learning_rate=2.0)
    rates = [settings.rate_at(step) for step in range(1000)]
    cosine = [0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / 1000)) for step in range(1000)]
    assert rates[0] == pytest.approx(2.0 / 100)  # a hundredth of the warm-up
    assert rates[49] == pytest.approx(2.0 * 0.5 * cosine[49])
    assert rates[100:] == pytest.approx([2.0 * c for c in cosine[100:]])
    assert rates[-1] == pytest.approx(0.1, rel=0.01)  # 5 %
    assert max(rates) <= 2.0
    short = TrainSettings(steps=10, learning_rate=1.0)
    assert short.rate_at(0) == pytest.approx(0.5)  # a fifth of the steps
    assert TrainSettings(steps=10, learning_rate=1.0, warm_up=0).rate_at(0) == pytest.approx(1.0)


def test_the_optimiser_uses_the_schedule(steps_taken):
    trained(small_gru())
    assert [rate for rate, _ in steps_taken] == [SHORT.rate_at(step) for step in range(SHORT.steps)]


def test_gradients_are_clipped(steps_taken):
    trained(small_gru(), settings=replace(SHORT, clip=math.inf))
    free = [norm for _, norm in steps_taken]
    assert min(free[:2]) > 0.01
    steps_taken.clear()
    trained(small_gru(), settings=replace(SHORT, clip=0.01))
    clipped = [norm for _, norm in steps_taken]
    assert clipped[0] == pytest.approx(0.01, rel=1e-3)
    assert max(clipped) <= 0.01 * (1 + 1e-4)


class Failing(Regression):
    """A loss (or only its gradient) that is not a number at one step."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__()
        losses = [lambda losses: losses] * at
        losses += [lambda losses: losses * math.nan if what == "loss" else losses + (losses * 0).sqrt()]
        object.__setattr__(self, "__dict__", {"name": "regression", "losses": iter(losses)})

    def per_position(self, outputs, batch):
        return next(vars(self)["losses"])(super().per_position(outputs, batch))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_divergence_stops_before_it_reaches_the_weights_and_names_the_step(what, tmp_path):
    model = small_gru()
    settings = replace(SHORT, checkpoint_every=2)
    with pytest.raises(TrainingDiverged) as caught:
        trained(model, settings=settings, objective=Failing(3, what), checkpoint=tmp_path / "c")
    text = str(caught.value)
    assert "at step 3" in text
    assert [line.split(":")[0] for line in text.splitlines()] == ["given", "expected", "what to do"]
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert not model.training
    # The checkpoint of step 2 is whole, and training goes on from it.
    resumed, _ = trained(small_gru(), settings=settings, checkpoint=tmp_path / "c", resume=True)
    assert same(resumed, trained(small_gru(), settings=settings)[0])


def note_start(starts: list[torch.Tensor], model: LearnedStart, *row) -> None:
    starts.append(model.begin.detach().clone())


def note_given(seen: list[torch.Tensor], module: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    seen.append(inputs[1][0].detach())


def test_a_model_that_learns_its_start_learns_it():
    """The zero state is that of the weights of the step, not of the beginning, and gradients reach it."""
    for rule in (Zero(), Carry(expected_run=40)):
        model = LearnedStart()
        starts, seen = [model.begin.detach().clone()], []
        model.gru.register_forward_pre_hook(partial(note_given, seen))
        look = partial(note_start, starts, model)
        trained(model, rule=replace(rule, zero_share=1.0), progress=look)
        assert model.begin.detach().abs().max() > 0
        assert len(seen) == SHORT.steps
        for expected, given in zip(starts, seen, strict=False):
            assert torch.equal(given, expected.expand(4, 8))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps 0"),
        ({"batch_size": 0}, "batch size 0"),
        ({"learning_rate": math.nan}, "learning rate nan"),
        ({"learning_rate": 0.0}, "learning rate 0"),
        ({"checkpoint_every": 0}, "checkpoint_every 0"),
        ({"clip": 0.0}, "clip 0"),
        ({"weight_decay": -1.0}, "weight_decay -1"),
        ({"precision": "fp32"}, "precision 'fp32'"),
    ],
)
def test_impossible_settings_are_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        TrainSettings(**wrong)


@pytest.mark.parametrize("rule", [Zero(), RandomNoise(), FittedNoise()])
def test_streams_shorter_than_the_training_context_are_refused(rule):
    with pytest.raises(InputError, match=r"training context|at least one stream"):
        fit(small_gru(), wave_streams(3, 7), Regression(), rule, T, SHORT)


def test_progress_counts_the_steps_and_foresees_the_end():
    seen = []
    trained(small_gru(), progress=lambda *row: seen.append(row))
    assert [row[:2] for row in seen] == [(step, 6) for step in range(1, 7)]
    assert all(math.isfinite(row[2]) and row[3] >= 0 for row in seen)
    assert seen[-1][3] == 0


def test_ctrl_c_stops_after_the_step_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    model, done = small_gru(), []

    def press(step, *rest):
        done.append(step)
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="stopped at step 3 of 6: nothing was kept"):
        trained(model, progress=press)
    assert done == [1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before
    assert not model.training
    with pytest.raises(TrainingDiverged):
        trained(small_gru(), objective=Failing(0, "loss"))
    assert signal.getsignal(signal.SIGINT) is before
    trained(small_gru())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_ctrl_c_during_the_last_step_is_heard(tmp_path):
    """What comes after training, the control's say, would otherwise go on; what was trained is kept."""

    def press(step, *rest):
        if step == SHORT.steps:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=f"stopped at step {SHORT.steps} of {SHORT.steps}: saved to"):
        trained(small_gru(), progress=press, checkpoint=tmp_path)
    steps = []
    resumed, _ = trained(small_gru(), checkpoint=tmp_path, resume=True, progress=lambda *row: steps.append(row))
    assert steps == []
    whole, _ = trained(small_gru())
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_second_ctrl_c_stops_at_once():
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # test workers side by side ignore the signal

    def press(step, *rest):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            trained(small_gru(), progress=press)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)


def test_trains_in_a_thread_and_stops_when_told():
    """Signals belong to the main thread; elsewhere the event does the same."""
    stop, outcome = threading.Event(), []

    def work():
        try:
            trained(small_gru(), settings=replace(SHORT, steps=10**6), stop=stop)
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    stop.set()
    thread.join()
    assert len(outcome) == 1


def test_threads_side_by_side_end_with_the_bits_of_one_after_the_other():
    rules = [Zero(), Carry(expected_run=40), FittedNoise()]
    alone = [trained(small_gru(), rule)[0] for rule in rules]
    together: dict[int, dict[str, torch.Tensor]] = {}
    models = [small_gru() for _ in rules]

    def work(i):
        together[i], _ = trained(models[i], rules[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(rules))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(alone[i], together[i]) for i in range(len(rules)))


def test_mixed_precision_is_used_and_leaves_no_trace_on_the_model():
    """Autocast must not stay on the model: it would be measured otherwise than it is saved, and copies would train
    without it. A training in another precision follows in the same process."""
    half = replace(SHORT, precision="bf16")
    exact, _ = trained(small_gru())
    model = small_gru(seed=3)
    kept = set(vars(model))
    first, _ = trained(model, settings=half)
    assert set(vars(model)) == kept
    fresh = small_gru()
    fresh.load_state_dict(first)
    inputs = torch.randn(2, 5, 1, generator=torch.Generator().manual_seed(0))
    for a, b in zip(model(inputs, model.initial_state(2)), fresh(inputs, fresh.initial_state(2)), strict=True):
        a, b = (a, b) if isinstance(a, torch.Tensor) else (a[0].hidden, b[0].hidden)
        assert torch.equal(a, b)
    # A copy of a model that was trained before trains in the precision asked for, and on its own weights.
    again = copy.deepcopy(model)
    rounded, _ = trained(again, settings=half)
    assert same(weights(model), first)
    assert not same(rounded, trained(copy.deepcopy(model))[0])
    assert same(exact, trained(small_gru())[0])
