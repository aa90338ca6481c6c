"""The bases and seeds of the study of remedies, written down and committed before any of them was run.

Nothing was chosen on any of these seeds: those that choices were made on, or that a page shows, are below 800. Two
models come trained and were looked at before: the shipped speaker encoder, and the LSTM of README; of the latter there
are two fresh seeds too.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from examples.my_lstm import Forecaster
from examples.speech.task import SPEECH
from examples.write_readings import write
from outlast import checkpoints
from outlast.data import Split, Streams, cache_folder, split
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry, Intervention, Zero, state_passing, tbtt
from outlast.model import InputSpec, Recurrent
from outlast.modules.adapting import adapt
from outlast.repairs import RepairSettings
from outlast.repairs.setup import Wanted
from outlast.tasks import Task, regimes
from outlast.tasks import cipher as ciphers
from outlast.tasks.air import AIR
from outlast.tasks.cipher import CIPHER
from outlast.tasks.power import POWER
from outlast.tasks.recall import RECALL
from outlast.tasks.regimes import REGIMES
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective
from recipes.prose_tokens import prose_tokens

README = "README's LSTM"
SHIPPED = 0
"""The seed of a base that comes trained."""
LENGTH = 16_384
PROSE_LENGTH = 8192


@dataclass(frozen=True, eq=False)
class Kind:
    """Bases that differ in their seed alone, and how each of them is repaired: by the settings that the page of its
    kind has, the cheapest where it has several.

    Args:
        name: of them.
        seeds: of the bases, of their repairs too.
        base: makes and trains one.
        streams: what it is repaired on, chosen on and judged on.
        train_context: positions that a window of its training had.
        rule: where the windows of its repair start.
        training: of its repair.
        method: of its repair.
        measuring: of everything.
        task: whose objective and measures count; None: what fits the targets.
        control: whether plain training is made too; without it a repair is not held against that.
        old_counts: whether what is older than the training context is worth keeping, as far as the data say: named
            before any base was run.
        leaky: whether the repair is made with a leak too: where a leak has no formula of its own, every position is a
            call of its own, which takes hours on streams of 81,920 frames.
        shares: name of the kind whose bases these are too.
    """

    name: str
    seeds: tuple[int, ...]
    base: Callable[[int], Recurrent]
    streams: Callable[[], Split]
    train_context: int
    rule: Intervention
    training: TrainSettings
    method: RepairSettings = field(default_factory=RepairSettings)
    measuring: EvalSettings = field(default_factory=EvalSettings)
    task: Task | None = None
    control: bool = False
    old_counts: bool = True
    leaky: bool = True
    shares: str | None = None

    def wanted(self, base: Recurrent, seed: int) -> Wanted:
        """What `outlast.tune` and `outlast.repair` are called with."""
        task = self.task
        return Wanted(
            base, self.streams(), self.train_context,
            objective=task.objective(base) if task and task.objective else None,
            measures=task.measures(base) if task and task.measures else None,
            training=replace(self.training, seed=seed),
            measuring=replace(self.measuring, jobs=1),
            repairing=replace(self.method, anyway=False, control=self.control),
        )  # fmt: skip

    def folder(self, out: Path, seed: int) -> Path:
        """Where the weights of a base lie."""
        name = self.shares or self.name
        return out / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"


def _trained(task: Task, model: Recurrent, seed: int) -> Recurrent:
    """As the task trains its bases."""
    streams = task.training_set(task.base_from)
    goal = objective(None, copy.deepcopy(model), streams)
    fit(model, streams, goal, Zero(), task.train_context, replace(task.training, seed=seed))
    return model


def _own(task: Task) -> Callable[[int], Recurrent]:
    """The task's model of a seed, trained."""
    return lambda seed: _trained(task, task.model(seed), seed)


def _family(task: Task, family: str, **settings: Any) -> Callable[[int], Recurrent]:
    """A family's model of a seed, trained as the task's."""

    def made(seed: int) -> Recurrent:
        streams = task.streams().train
        inputs = task.model(seed).input_spec
        assert inputs is not None
        return _trained(task, build(family, inputs=inputs, outputs=streams.classes or 0, seed=seed, **settings), seed)

    return made


def _lstm(seed: int) -> Recurrent:
    """README's LSTM: shipped, or trained as the shipped one was."""
    if seed == SHIPPED:
        return checkpoints.load("examples/trained", allow_code=True)
    torch.manual_seed(seed)
    model, streams = adapt(Forecaster()), _readings().train
    model.blueprint = {"kind": "factory", "factory": "examples.my_lstm:build"}  # pyright: ignore[reportArgumentType]
    fit(model, streams, objective(None, model, streams), Zero(), 64, TrainSettings(steps=2000, seed=seed))
    model.schema = streams.schema
    return model


@functools.cache
def _readings() -> Split:
    path = cache_folder() / "readings-of-the-example.csv"
    if not path.exists():
        write(path, 400_000)
    return split(Streams.from_table(path, ["power", "temperature", "speed"], target="power", horizon=60))


def _prose(seed: int) -> Recurrent:
    """A cell of the failure map, after 1,000 steps: GLA on tokens of prose, with much state for a short context."""
    streams = _tokens().train
    kinds = streams.classes or 0
    settings = {"width": 128, "heads": 2, "key_share": 1.0, "convolution": 4, "gate_bias": 4.0}
    model = build("gla", inputs=InputSpec("tokens", kinds), outputs=kinds, seed=seed, **settings)
    goal = objective(None, copy.deepcopy(model), streams)
    how = TrainSettings(batch_size=16, learning_rate=1e-3, warm_up=50, seed=seed)
    for schedule, steps in (("constant", 1000), ("linear", 500)):
        fit(model, streams, goal, Zero(), 32, replace(how, schedule=schedule, steps=steps))
    return model


@functools.cache
def _tokens() -> Split:
    return prose_tokens(2048, PROSE_LENGTH)


@functools.cache
def _changing_ciphers() -> Split:
    """Ciphers whose table changes, to choose and to measure on; what repairs learn from does not change."""
    chosen_on = ciphers.ciphered("validation", 32, LENGTH, 6, hazard=ciphers.HAZARD, apart=True)
    return replace(ciphers.cipher(), validation=chosen_on, test=ciphers.changing())


@functools.cache
def _stationary() -> Split:
    """Streams whose rule never changes."""
    chosen_on = regimes.stationary_test(32, regimes.LENGTH, regimes.HAZARD, 7)
    return replace(regimes.regimes(), validation=chosen_on, test=regimes.stationary())


def _of(
    name: str, task: Task, seeds: tuple[int, ...], rule: Intervention, base: Callable[[int], Recurrent] | None = None,
    **other: Any,
) -> Kind:  # fmt: skip
    """Bases of a task, repaired and measured as the task has it."""
    usual: dict[str, Any] = {
        "base": base or _own(task), "streams": task.streams, "train_context": task.train_context,
        "training": task.repairing, "method": task.method, "measuring": task.measuring, "task": task,
    }  # fmt: skip
    return Kind(name=name, seeds=seeds, rule=rule, **usual | other)


def _on_power(name: str, family: str, seeds: tuple[int, ...], **settings: Any) -> Kind:
    """A family on the power stream: steps and targets of docs/families.md."""
    return _of(
        name, POWER, seeds, Carry(expected_run=10_240), _family(POWER, family, **settings),
        training=replace(POWER.repairing, steps=1600), measuring=replace(POWER.measuring, targets=512),
    )  # fmt: skip


def _on_cipher(name: str, family: str, seeds: tuple[int, ...], **settings: Any) -> Kind:
    return _of(name, CIPHER, seeds, tbtt(), _family(CIPHER, family, **settings))


_KEYS = {"width": 128, "heads": 2, "key_share": 1.0, "convolution": 4, "gate_bias": 4.0}

KINDS = (
    Kind(README, (820, SHIPPED, 821), _lstm, _readings, 64, Carry(expected_run=1280),
         TrainSettings(steps=1500, learning_rate=3e-3), old_counts=False),
    _of("air, GLA", AIR, (820, 821, 822), Carry(expected_run=5120), old_counts=False),
    _of("recall, Mamba-2", RECALL, (820, 821, 822), tbtt()),
    Kind("prose in tokens, GLA", (840, 841, 842), _prose, _tokens, 32, tbtt(),
         TrainSettings(steps=500, learning_rate=1e-3), measuring=EvalSettings(targets=512)),
    _of("quickstart", POWER, tuple(range(800, 810)), POWER.interventions[0], control=True),
    _on_power("power, LSTM", "lstm", (820, 821, 822)),
    _of("regimes that change, Mamba-2", REGIMES, (820, 821, 822), Carry(expected_run=512), old_counts=False),
    _of("one regime, Mamba-2", REGIMES, (820, 821, 822), Carry(expected_run=4267), streams=_stationary,
        shares="regimes that change, Mamba-2"),
    _on_power("power, Mamba-2", "mamba2", (820, 821, 822)),
    _on_power("power, Mamba", "mamba", (820, 821, 822)),
    _on_power("power, RG-LRU", "rglru", (820, 821, 822)),
    _on_cipher("cipher, GLA", "gla", (830, 831, 832, 833, 834), **_KEYS),
    _of("ciphers that change, GLA", CIPHER, (830, 831), Carry(expected_run=1024), streams=_changing_ciphers,
        old_counts=False, shares="cipher, GLA"),
    _of("speech, as it is shipped", SPEECH, (SHIPPED,), state_passing(), lambda seed: SPEECH.model(seed),
        old_counts=False, leaky=False),
    _on_power("power, mLSTM", "mlstm", (820, 821)),
    _on_power("power, GLA", "gla", (820, 821, 822)),
    _on_power("power, hybrid", "hybrid", (820, 821)),
    _on_power("power, slow LSTM", "lstm", (820,), forget_bias=3.0),
    _on_power("power, RWKV-6", "rwkv6", (820,)),
    _on_cipher("cipher, Mamba-2", "mamba2", (830, 831, 832), width=128, state_size=128, step_high=0.01),
    _on_cipher("cipher, Mamba", "mamba", (830, 831, 832), width=128),
    _on_cipher("cipher, RWKV-6", "rwkv6", (830, 831, 832), width=128),
)  # fmt: skip
"""In the order in which they are run: one seed of each, then the second of each, so that what has been run when a run
is stopped is a table of all kinds that were reached. No base is left out or run again for what came out of it."""

BASES = tuple((kind, seed) for seeds in zip_longest(*(kind.seeds for kind in KINDS))
              for kind, seed in zip(KINDS, seeds, strict=True) if seed is not None)  # fmt: skip
