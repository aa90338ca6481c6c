"""Is the diagnosis right? Healthy and failing models of several kinds, with causes that are known, and the table of it.

    python -m benchmarks.diagnosis_study --out runs/diagnosis --page docs/diagnosis.md

Models and results are kept in the folder; what is there is not made again, so a stopped study goes on. Planted models
are those of the tests. The ten kinds whose answers were written down before the rules changed (`planted_kinds`) have a
table of their own, in which the parts that are named have to be right too. Trained ones learn from windows of a world
that does not change within a window; whether they fail past it is measured, not known: where they are told to fail, the
cause is right if it is what the streams allow (a world that stays leaves an unexplored state, or age that harms; one
that changes stale context); where not, there should be no cause. Those with nothing to remember were expected to hold,
so that one of them which fails counts as an error.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.pages.marks import put_figures
from outlast import checkpoints
from outlast.data import Split, Streams
from outlast.diagnosis import DiagnoseSettings, diagnose
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.folders import locked
from outlast.interventions import Carry, Zero
from outlast.model import InputSpec, Recurrent
from outlast.results import Diagnosis, load_result, save_result
from outlast.tasks import task
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from diagnosis.planted_causes import Averaging, Hybrid, T, far_averages, levels, parted, wandering
from diagnosis.planted_kinds import Kind, of_every_strength

QUICK = EvalSettings(targets=128)
LEARNERS = ("gru", "lstm", "gla", "mamba2", "hybrid", "rwkv6", "gated_deltanet", "mamba")
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
FROZEN_BEGIN, FROZEN_END = "<!-- frozen kinds: begin -->", "<!-- frozen kinds: end -->"
OF_ITS_OWN = ("unexplored_state", "age_harms")
"""What harm of the state's own age may be called in a model that was trained: its coverage was not planted."""


@dataclass(frozen=True)
class Case:
    """One model on one set of streams: what it is, and what a right diagnosis says.

    Args:
        cause: the main cause that is right; None: none.
        fails: whether the model fails past its training context; None: it was trained, and may or may not.
    """

    name: str
    kind: str
    cause: str | None
    fails: bool | None
    model: Callable[[Path], Recurrent]
    data: Callable[[], Split]
    train_context: int = T
    measuring: EvalSettings = QUICK


def planted() -> Iterator[Case]:
    """Three of each kind, on other streams and of other strength."""
    for seed in range(3):
        some = 1 + 0.5 * seed

        def case(
            name: str,
            cause: str | None,
            fails: bool,
            model: Callable[[], Recurrent],
            data: Callable[[], Split],
            seed=seed,
        ) -> Case:
            return Case(f"{name} {seed}", name, cause, fails, lambda _: model().eval(), data)

        def drift(seed=seed) -> Split:
            return parted(wandering(seed=seed))

        def still(seed=seed) -> Split:
            return parted(levels(seed=seed))

        def moving(seed=seed) -> Split:
            return parted(levels(switch=128 + 64 * seed, seed=seed))

        def harder(seed=seed, some=some) -> Split:
            return parted(wandering(harder=some, seed=seed))

        def far(seed=seed) -> Split:
            return parted(far_averages(seed=seed))

        yield case("error of age", "unexplored_state", True, lambda some=some: Averaging(1.0, 0.3 * some), drift)
        yield case("mean over lost worlds", "stale_context", True, lambda: Averaging(), moving)
        yield case("half-precision count", "numerics", True, lambda: Averaging(dtype=torch.bfloat16), still)
        yield case(
            "unfilled attention window", "attention_window", True, lambda some=some: Hybrid(harm=0.6 * some), still
        )
        yield case(
            "context named too long", "train_context", True, lambda some=some: Averaging(1.0, 0.5 * some, T // 8), drift
        )
        yield case("forgetful, nothing to remember", None, False, lambda: Averaging(1.0), drift)
        yield case("average of a still world", None, False, lambda: Averaging(), still)
        yield case("memory too short", "memory_limited", False, lambda: Averaging(0.4), far)
        yield case("harder along the stream", "harder_data", False, lambda: Averaging(1.0), harder)


def frozen() -> Iterator[tuple[Kind, Case]]:
    """Three of each of the kinds whose answers were frozen."""
    for kind, seed, strength in of_every_strength():
        yield (
            kind,
            Case(
                f"{kind.name} {seed}",
                kind.name,
                kind.cause,
                kind.fails,
                lambda _, kind=kind, strength=strength: kind.model(strength).eval(),
                lambda kind=kind, seed=seed: parted(kind.streams(seed)),
            ),
        )


def _learner(
    family: str, number: int, name: str, streams: Callable[..., Streams], seed: int, folder: Path
) -> Recurrent:
    """A small network trained on windows of what `streams` makes; from the folder where it was kept."""
    layers = 2 if family == "hybrid" else 1  # attention comes in turns with recurrence
    fresh = build(family, inputs=InputSpec("features", 1), outputs=1, seed=number, width=16, layers=layers)
    train = streams(streams=512, seed=seed + number)
    return _kept(folder / f"{name}-{family}", fresh, lambda model: fit(
        model, train, objective(None, model, train), Zero(), T, TrainSettings(steps=600, learning_rate=5e-3)
    ))  # fmt: skip


def trained() -> Iterator[Case]:
    """Networks that learn a level from a window, met by streams whose level stays, or changes."""
    for number, family in enumerate(LEARNERS):
        learner = functools.partial(_learner, family, number, "levels", levels, 100)
        yield Case(
            f"{family}, level stays",
            f"trained {family}",
            "unexplored_state",
            None,
            learner,
            lambda: parted(levels(seed=50)),
        )
        yield Case(
            f"{family}, level changes", f"trained {family}", "stale_context", None, learner,
            lambda: parted(levels(switch=192, seed=51)),
        )  # fmt: skip


def short_lived() -> Iterator[Case]:
    """The same families on a value that forgets itself within ten positions: there is nothing to lose."""
    for number, family in enumerate(LEARNERS):
        learner = functools.partial(_learner, family, number, "wandering", wandering, 200)
        yield Case(
            f"{family}, nothing to remember",
            f"trained {family}",
            None,
            None,
            learner,
            lambda: parted(wandering(seed=52)),
        )


def power(seeds: Sequence[int]) -> Iterator[Case]:
    """The quickstart's forecaster, and the same after a repair by carry."""
    chosen = task("power")
    measuring = EvalSettings(targets=512, jobs=2)
    for seed in seeds:

        def base(folder: Path, seed=seed) -> Recurrent:
            train = chosen.streams().train
            return _kept(folder / f"power-{seed}", chosen.model(seed), lambda model: fit(
                model, train, objective(None, model, train), Zero(), chosen.train_context,
                replace(chosen.training, seed=seed),
            ))  # fmt: skip

        def repaired(folder: Path, seed=seed, base=base) -> Recurrent:
            train = chosen.streams().train
            rule = Carry(expected_run=1280, zero_share=0.5)
            return _kept(folder / f"power-{seed}-carry", base(folder), lambda model: fit(
                model, train, objective(None, model, train), rule, chosen.train_context,
                replace(chosen.repairing, seed=seed),
            ))  # fmt: skip

        more = {"data": chosen.streams, "train_context": chosen.train_context, "measuring": measuring}
        yield Case(f"power, seed {seed}", "power forecaster", "unexplored_state", None, base, **more)
        yield Case(
            f"power, seed {seed}, repaired", "power forecaster, repaired", "unexplored_state", None, repaired, **more
        )


def _kept(folder: Path, model: Recurrent, train: Callable[[Recurrent], object]) -> Recurrent:
    """The trained model in `folder`; where there is none, it is trained and saved there."""
    if folder.exists():
        return checkpoints.load(folder).eval()
    train(model)
    checkpoints.save(model, folder)
    return model.eval()


def diagnosed(case: Case, out: Path) -> Diagnosis:
    """The case's diagnosis, from the folder where it is there."""
    folder = out / case.name.replace(",", "").replace(" ", "-")
    if (folder / "result.json").exists():
        found = load_result(folder)
        assert isinstance(found, Diagnosis)
        return found
    settings = DiagnoseSettings(case.measuring)
    found = diagnose(
        case.model(out / "models"), case.data(), train_context=case.train_context, settings=settings, name=case.name
    )
    save_result(found, folder / "result.json")
    return found


def table(cases: Sequence[Case], found: Sequence[Diagnosis]) -> str:
    """The page's tables: by kind, then every error."""
    lines = [
        "| kind (cause, where it fails or is planted) | models | right | verdicts | causes named first |",
        "| --- | --- | --- | --- | --- |",
    ]
    wrong, right, alarms, healthy = [], 0, 0, 0
    for kind in dict.fromkeys((case.kind, case.cause) for case in cases):
        pairs = [(c, d) for c, d in zip(cases, found, strict=True) if (c.kind, c.cause) == kind]
        verdicts = [d.evaluation.verdict.name if d.evaluation.verdict else "none" for _, d in pairs]
        causes = [d.main.name if d.main else "none" for _, d in pairs]
        good, counted = 0, 0
        for (case, _), verdict, cause in zip(pairs, verdicts, causes, strict=True):
            fails = case.fails if case.fails is not None else verdict == "fails"
            # A trained model that does not fail has no cause; a planted one may be held back all the same.
            wanted = (case.cause or "none") if case.fails is not None or fails else "none"
            if case.fails is None and wanted in OF_ITS_OWN and cause in OF_ITS_OWN:
                wanted = cause
            if case.fails is not None and not case.fails:
                healthy += 1
                alarms += verdict == "fails"
            counted += 1
            ok = cause == wanted and (case.fails is None or (verdict == "fails") == case.fails)
            good += ok
            if not ok:
                wrong.append(f"- {case.name}: {verdict}, {cause} (right: {wanted})")
        right += good
        lines.append(
            f"| {kind[0]} ({kind[1] or 'no cause'}) | {len(pairs)} | {good} of {counted} | "
            f"{_counted(verdicts)} | {_counted(causes)} |"
        )
    failing = sum(d.evaluation.verdict is not None and d.evaluation.verdict.name == "fails" for d in found)
    summary = (
        f"{len(found)} models, of which {failing} are told to fail. Verdict and cause as they should be: {right} of "
        f"{len(found)}. Planted healthy models told to fail: {alarms} of {healthy}."
    )
    return "\n".join([summary, "", *lines, "", "Errors:", "", *(wrong or ["- none"])])


def frozen_table(kinds: Sequence[Kind], found: Sequence[Diagnosis]) -> str:
    """The table of the frozen kinds, and what was wrong about each."""
    lines = [
        "| kind | right answer | right | verdicts | causes named first | parts named |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    wrong, right = [], 0
    for kind in dict.fromkeys(kinds):
        mine = [each for which, each in zip(kinds, found, strict=True) if which is kind]
        faults = [_faults(kind, each) for each in mine]
        good = sum(not each for each in faults)
        right += good
        wrong += [f"- {each.model['name']}: {'; '.join(why)}" for each, why in zip(mine, faults, strict=True) if why]
        verdict = "fails" if kind.fails else "robust or generalises"
        answer = f"{verdict}, {(kind.cause or 'no cause').replace('_', ' ')}"
        onset = f", from age {kind.from_age}" if kind.from_age else ""
        parts = f", by {' and '.join(kind.parts)}" if kind.parts else ""
        verdicts = [each.evaluation.verdict.name if each.evaluation.verdict else "none" for each in mine]
        causes = [each.main.name if each.main else "none" for each in mine]
        named = [" and ".join(_named(each)) or "none" for each in mine]
        lines.append(
            f"| {kind.name} | {answer}{parts}{onset} | {good} of {len(mine)} | {_counted(verdicts)} | "
            f"{_counted(causes)} | {_counted(named)} |"
        )
    summary = f"{len(found)} models. Verdict, cause and parts as they were written down: {right} of {len(found)}."
    return "\n".join([summary, "", *lines, "", "Errors:", "", *(wrong or ["- none"])])


def _named(found: Diagnosis) -> list[str]:
    """The parts that a diagnosis names, where there is harm."""
    verdict, split = found.evaluation.verdict, found.attribution
    if verdict is None or verdict.name not in ("fails", "declines", "undecided") or split is None:
        return []
    return sorted(split.carriers)


def _faults(kind: Kind, found: Diagnosis) -> list[str]:
    """What of a diagnosis is not as it was written down."""
    verdict, cause = found.evaluation.verdict, found.main.name if found.main else None
    assert verdict is not None
    faults = []
    if verdict.name not in (("fails",) if kind.fails else ("robust", "generalises")):
        faults.append(f"verdict {verdict.name}")
    if cause != kind.cause:
        faults.append(f"cause {cause or 'none'} (right: {kind.cause or 'none'})")
    if _named(found) != sorted(kind.parts):
        faults.append(f"parts {' and '.join(_named(found)) or 'none'} (right: {' and '.join(kind.parts) or 'none'})")
    if kind.from_age is not None and verdict.from_age != kind.from_age:
        faults.append(f"from age {verdict.from_age} (right: {kind.from_age})")
    return faults


def _counted(names: Sequence[str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {names.count(name)}" for name in dict.fromkeys(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/diagnosis"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--power", type=int, nargs="*", default=[0, 1], help="seeds of the power forecaster")
    parser.add_argument("--at-most", type=int, help="new diagnoses to make before stopping")
    parser.add_argument("--planted", action="store_true", help="planted models only: their two tables go to the page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with locked(options.out, "diagnosis_study"):
        study(options)


def study(options: argparse.Namespace) -> None:
    """Make what is missing, and the tables."""
    kinds, frozen_cases = zip(*frozen(), strict=True)
    others = [] if options.planted else [*trained(), *short_lived(), *power(options.power)]
    found = _all_of([*frozen_cases, *planted(), *others], options)
    if found is None:
        return
    known = list(planted()) + others
    texts = {
        (FROZEN_BEGIN, FROZEN_END): frozen_table(kinds, found[: len(kinds)]),
        (BEGIN, END): table(known, found[len(kinds) :]),
    }
    for marks, text in texts.items():
        print(text)
        if options.page:
            put_figures(options.page, "Diagnosis", [text], *marks)


def _all_of(cases: Sequence[Case], options: argparse.Namespace) -> list[Diagnosis] | None:
    """The diagnoses of all cases; None where it was stopped before the last."""
    found, made = [], 0
    for case in cases:
        there = (options.out / case.name.replace(",", "").replace(" ", "-") / "result.json").exists()
        if not there and options.at_most is not None and made >= options.at_most:
            print(f"stopped before {case.name}: the same command goes on from here")
            return None
        made += not there
        found.append(diagnosed(case, options.out))
        cause = found[-1].main
        print(
            f"{case.name}: {getattr(found[-1].evaluation.verdict, 'name', 'none')}, {cause.name if cause else 'none'}",
            flush=True,
        )
    return found


if __name__ == "__main__":
    main()
