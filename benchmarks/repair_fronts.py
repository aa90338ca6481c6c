"""What a repair costs short contexts against what it gains at old ages: fronts of several methods, on validation only.

    python -m benchmarks.repair_fronts --out runs/fronts --page docs/repairing.md

Every method repairs the quickstart's bases of seeds 0 to 4 with equal steps (those that stop early are looked at on the
way) and is measured at several doses on the validation streams of the power task; test streams are never read. Results
are kept in the folder, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.pages.marks import named_marks, put_figures, table
from outlast import checkpoints
from outlast.data import Batch, Split
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.measure import divergence
from outlast.folders import locked
from outlast.intervals import mean_interval
from outlast.interventions import Carry, Intervention, Zero, control_of, state_passing, tbtt
from outlast.model import Recurrent
from outlast.repairs import with_dose
from outlast.repairs.acceptance import age_weights
from outlast.results import Evaluation, load_as, save_result, write_atomically
from outlast.state import leaves, rebuild
from outlast.tasks import task
from outlast.tasks.quickstart import trained_base
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Anchored, CrossEntropy, Objective, anchored

POWER = task("power")
SEEDS = (0, 1, 2, 3, 4)
DOSES = (1.0, 0.75, 0.5)
STEPS = 800
"""Of every method: fewer than the quickstart's, so that all methods on five seeds fit into some forty minutes."""
RATE = POWER.repairing.learning_rate
MEASURING = EvalSettings(targets=512, ends_only=True)
YOUNG = 16
RULE = Carry(expected_run=10_240)
HALF = replace(RULE, zero_share=0.5)


class YoungAnchored(Anchored):
    """The anchor holds the first ages only."""

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        losses, anchor = self.objective.per_position(outputs, batch), batch.extras["anchor"]
        held = self.weight * divergence(self.kind, outputs, anchor) * (torch.arange(outputs.shape[1]) < YOUNG)
        return torch.where(batch.extras["aside"][:, None], self.labels * losses + held, losses)


@dataclass(frozen=True)
class Tethered:
    """Cross-entropy, and the squared distance of the weights from the base's."""

    model: Recurrent
    base: Recurrent
    weight: float
    name: str = "tethered"

    def prepare(self, batch: Batch) -> Batch:
        return batch

    def per_position(self, outputs: Any, batch: Batch) -> Tensor:
        pairs = zip(self.model.parameters(), self.base.parameters(), strict=True)
        apart = torch.stack([(here - there.detach()).square().sum() for here, there in pairs]).sum()
        return CrossEntropy().per_position(outputs, batch) + self.weight * apart


class LearnedStart(Recurrent):
    """A model that also learns the state it starts from."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model, self.input_spec = model, model.input_spec
        self.begin = nn.ParameterList([nn.Parameter(leaf.clone()) for leaf in leaves(model.initial_state(1))])

    def initial_state(self, batch_size: int) -> Any:
        rows = [leaf.expand(batch_size, *leaf.shape[1:]) for leaf in self.begin]
        return rebuild(self.model.initial_state(batch_size), rows)

    def forward(self, inputs: Tensor, state: Any) -> tuple[Any, Any]:
        return self.model(inputs, state)


def labelled(base: Recurrent, model: Recurrent) -> Objective:
    return CrossEntropy()


def held(weight: float, labels: float, base: Recurrent, model: Recurrent) -> Objective:
    return anchored(CrossEntropy(), base, "kl", weight, labels)


def young(weight: float, base: Recurrent, model: Recurrent) -> Objective:
    return YoungAnchored(CrossEntropy(), copy.deepcopy(base).eval().requires_grad_(False), "kl", weight, 1.0)


def tethered(weight: float, base: Recurrent, model: Recurrent) -> Objective:
    return Tethered(model, copy.deepcopy(base), weight)


@dataclass(frozen=True)
class Method:
    """One way to repair.

    Args:
        objective: (base, model in training) -> what is minimised.
        looked_at: steps at which the model on its way is kept too, as if training had been stopped there.
        only: parts of the names of the parameters that learn; empty: all do.
        learned_start: whether the model also learns its initial state.
        window: positions of a training window; longer ones come with fewer rows.
    """

    name: str
    rule: Intervention = RULE
    objective: Callable[[Recurrent, Recurrent], Objective] = labelled
    rate: float = RATE
    looked_at: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    learned_start: bool = False
    window: int = POWER.train_context

    def training(self, seed: int) -> TrainSettings:
        rows = POWER.repairing.batch_size * POWER.train_context // self.window
        return replace(POWER.repairing, steps=STEPS, batch_size=rows, learning_rate=self.rate, seed=seed)

    def about(self) -> dict[str, Any]:
        """By what kept results are known to be this method's."""
        rule = self.rule.describe()
        return json.loads(json.dumps({"name": self.name, "rule": rule, "training": asdict(self.training(0))}))


LABELS_AND_KL = functools.partial(held, 4.0, 1.0)
METHODS = (
    Method("plain", looked_at=(100, 200, 400)),
    Method("plain, half the rows from zero", HALF),
    Method("labels and KL × 1", objective=functools.partial(held, 1.0, 1.0)),
    Method("labels and KL × 4", objective=LABELS_AND_KL),
    Method("KL × 4 without labels", objective=functools.partial(held, 4.0, 0.0)),
    Method("labels and KL × 4 at ages below 16", objective=functools.partial(young, 4.0)),
    Method("a quarter of the rate", rate=RATE / 4),
    Method("L2 towards the base", objective=functools.partial(tethered, 0.01)),
    Method("decay, gate, norm and output only", only=("decay", "gate", "norm", "output", "head")),
    Method("learned initial state", learned_start=True),
    Method("labels and KL × 4, expected run 2,560", replace(RULE, expected_run=2560), LABELS_AND_KL),
    Method("labels and KL × 4, TBTT", tbtt(), LABELS_AND_KL),
    Method("labels and KL × 4, state passing", state_passing(), LABELS_AND_KL),
    Method("labels and KL × 4, control", control_of(RULE), LABELS_AND_KL),
    Method("plain, control", control_of(RULE)),
    Method("windows of 256 from zero, as many tokens", Zero(), window=256),
    Method("windows of 1,024 from zero, as many tokens", Zero(), window=1024),
)


class Kept(NamedTuple):
    """Where one method's results on one seed lie."""

    folder: Path
    dose: float

    @property
    def path(self) -> Path:
        return self.folder / f"dose-{self.dose:g}"


def measured(model: Recurrent, data: Split, folder: Path, *, training: bool = False) -> None:
    """Measure on validation streams, and if asked on segments of training streams at short ages too."""
    if not (folder / "result.json").exists():
        result = evaluate(model, data.validation, train_context=POWER.train_context, settings=MEASURING)
        save_result(result, folder / "result.json")
    if training and not (folder / "training" / "result.json").exists():
        result = evaluate(model, data.train.cut(4096), train_context=POWER.train_context, settings=MEASURING)
        save_result(result, folder / "training" / "result.json")


def run_seed(out: Path, seed: int) -> None:
    """All methods on one seed; what is there is not made again."""
    torch.set_num_threads(1)
    data, folder = POWER.streams(), out / f"seed-{seed}"
    base = checkpoints.load(folder / "base") if (folder / "base").exists() else trained_base(POWER, folder, seed)
    measured(base, data, folder / "measured-base", training=True)
    whole = folder / "measured-base" / "whole"
    if not (whole / "result.json").exists():
        settings = replace(MEASURING, ends_only=False)
        result = evaluate(base, data.validation, train_context=POWER.train_context, settings=settings)
        save_result(result, whole / "result.json")
    for number, method in enumerate(METHODS):
        mine = folder / f"{number:02d}"
        if not made_by(method, mine):
            run_method(method, seed, base, data, mine)


def made_by(method: Method, folder: Path) -> bool:
    """Whether the folder holds this method's results; another's, or those of other settings, are removed."""
    path = folder / "about.json"
    if path.exists() and json.loads(path.read_text())["method"] == method.about():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def run_method(method: Method, seed: int, base: Recurrent, data: Split, folder: Path) -> None:
    began_from = LearnedStart(copy.deepcopy(base)) if method.learned_start else base
    model = copy.deepcopy(began_from)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not method.only or any(part in name for part in method.only))
    on_the_way: dict[int, Recurrent] = {}

    def look(step: int, steps: int, loss: float, left: float) -> None:
        if step in method.looked_at:
            on_the_way[step] = copy.deepcopy(model)

    began = time.monotonic()
    losses = fit(
        model,
        data.train,
        method.objective(base, model),
        method.rule,
        method.window,
        method.training(seed),
        progress=look,
    )
    seconds = time.monotonic() - began
    for dose in DOSES:
        dosed = with_dose(began_from, model, dose)
        measured(dosed, data, Kept(folder, dose).path, training=dose == 1.0)
    for step, early in on_the_way.items():
        measured(early, data, folder / f"step-{step}")
    about = {"method": method.about(), "seconds": seconds, "last_loss": losses[-1][1]}
    write_atomically(folder / "about.json", json.dumps(about))
    print(f"seed {seed}: {method.name}, {seconds:.0f} s", flush=True)


def short(evaluation: Evaluation) -> np.ndarray:
    """(streams,) loss within the training context, every age alike."""
    curve = evaluation.curve
    weights = age_weights(curve, (0, POWER.train_context))
    return weights @ curve.losses


def compared(out: Path, where: str) -> tuple[list[float], list[float], list[float]]:
    """Over seeds: short change as a share, oldest age against the reset base, and against two copies."""
    changes, resets, copies = [], [], []
    for seed in SEEDS:
        folder = out / f"seed-{seed}"
        base = load_as(folder / "measured-base" / "whole", Evaluation)
        repaired = load_as(folder / where, Evaluation)
        changes.append(float(short(repaired).mean() / short(base).mean() - 1))
        resets.append(repaired.oldest.loss - base.resets["periodic_reset"].loss)
        copies.append(repaired.oldest.loss - base.resets["overlapping_reset"].loss)
    return changes, resets, copies


def on_training(out: Path, number: int) -> tuple[float, float]:
    """Mean over seeds: short change on training streams, and on validation streams, as shares."""
    shares = []
    for seed in SEEDS:
        folder = out / f"seed-{seed}"
        pair = []
        for inner in ("training", ""):
            base = load_as(folder / "measured-base" / inner, Evaluation)
            repaired = load_as(folder / f"{number:02d}" / "dose-1" / inner, Evaluation)
            pair.append(float(short(repaired).mean() / short(base).mean() - 1))
        shares.append(pair)
    means = np.mean(shares, 0)
    return float(means[0]), float(means[1])


def figures(out: Path) -> list[str]:
    """The fronts, and whether the price is overfitting."""
    lines = []
    for number, method in enumerate(METHODS):
        seconds = np.mean([json.loads((out / f"seed-{s}" / f"{number:02d}" / "about.json").read_text())["seconds"]
                           for s in SEEDS])  # fmt: skip
        cells = [cell(out, f"{number:02d}/dose-{dose:g}") for dose in DOSES]
        lines.append([method.name, f"{seconds:.0f}", *(each for pair in cells for each in pair)])
        for step in method.looked_at:
            lines.append([f"{method.name}, stopped at {step}", "", *cell(out, f"{number:02d}/step-{step}"), *[""] * 4])
    head = ["method", "seconds"]
    for dose in DOSES:
        head += [f"dose {dose:g}: short", "against the base, reset"]
    fronts = table(head, lines)
    overfitting = table(
        ["method, dose 1", "short contexts on training streams", "on validation streams"],
        (
            [method.name, *(f"{100 * share:+.2f} %" for share in on_training(out, number))]
            for number, method in enumerate(METHODS)
        ),
    )
    intro = (
        f"{len(SEEDS)} seeds, {STEPS:,} steps at a peak rate of {RATE:g} unless said otherwise, an expected run of "
        f"{RULE.expected_run:,.0f} and a quarter of the rows from zero unless said otherwise. *Short*: change of the "
        "loss over ages 0 to 63, every age alike, mean over seeds (lowest to highest). *Against the base, reset*: loss "
        "at ages 12,288 to 16,383 minus the base's under its best periodic reset, nats, mean over seeds with the "
        "interval over seeds. Seconds are of training, on one core."
    )
    return [intro, fronts, "Short contexts on training streams and on validation streams:", overfitting]


def cell(out: Path, where: str) -> tuple[str, str]:
    changes, resets, _ = compared(out, where)
    interval = mean_interval(np.array(resets))
    return (
        f"{100 * np.mean(changes):+.2f} % ({100 * min(changes):+.2f} to {100 * max(changes):+.2f})",
        f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/fronts"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    with locked(options.out, "repair_fronts"), ProcessPoolExecutor(options.jobs) as pool:
        for _ in pool.map(functools.partial(run_seed, options.out), SEEDS):
            pass
    sections = figures(options.out)
    print("\n\n".join(sections))
    if options.page:
        put_figures(options.page, "Repairing", sections, *named_marks("fronts"))


if __name__ == "__main__":
    main()
