"""What to do next after a result: sentences, each with the command or code that does it."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Any, NamedTuple

from outlast.reporting.numbers import integer
from outlast.reporting.sentences import level, picked_row, repair_label, unit
from outlast.results import CheckReport, Comparison, Diagnosis, Evaluation, Repair, Result, Training


class Step(NamedTuple):
    """One thing to do; `code` is None where there is nothing to type."""

    text: str
    code: str | None = None


def _given(record: dict[str, Any]) -> dict[str, Any]:
    """What the command line noted about the command that made the result; empty for a result made from Python."""
    given = record.get("command")
    return given if isinstance(given, dict) else {}


def command(verb: str, record: dict[str, Any], *options: str, model: str | None = None, data: str | None = "") -> str:
    """A command line that runs as it is printed; MODEL and DATA stand for what the result does not say.

    Args:
        record: with what `_given` finds.
        options: ready to print.
        model: instead of the model that the result is about.
        data: instead of its data; None: the verb takes none.
    """
    given = _given(record)
    words = ["outlast", verb, "--model", shlex.quote(str(model or given.get("model", "MODEL")))]
    if data is not None:
        words += ["--data", shlex.quote(data or str(given.get("data", "DATA")))]
        words += [str(given["options"])] if given.get("options") else []
    return " ".join([*words, *options])


def _saved(record: dict[str, Any]) -> str | None:
    """Where the command line saved the model it made."""
    out = _given(record).get("out")
    return None if out is None else str(PurePath(str(out), "model"))


def _context(evaluation: Evaluation) -> str:
    return f"--train-context {evaluation.train_context}"


def next_steps(result: Result) -> list[Step]:
    match result:
        case Evaluation():
            return _after_evaluation(result)
        case Repair():
            return _after_repair(result)
        case Comparison():
            return _after_comparison(result)
        case CheckReport():
            return _after_check(result)
        case Training():
            return _after_training(result)
        case Diagnosis():
            return _after_evaluation(result.evaluation) if result.main is None else _after_diagnosis(result)


def _after_training(training: Training) -> list[Step]:
    settings = training.settings
    context = f"--train-context {settings.get('train_context', 'TRAIN_CONTEXT')}"
    return [
        Step(
            "Measure how the model does past its training context:",
            command("evaluate", settings, context, model=_saved(settings)),
        )
    ]


def _after_diagnosis(diagnosis: Diagnosis) -> list[Step]:
    """What the evaluation inside would advise; where arithmetic or the named length is wrong, that comes first."""
    main, evaluation = diagnosis.main, diagnosis.evaluation
    if main is not None and main.name == "numerics":
        again = command("diagnose", evaluation.settings, _context(evaluation), model="MODEL_IN_FLOAT32")
        return [Step("Keep the state in float32 and diagnose the model again:", again)]
    if main is not None and main.name == "train_context":
        again = command("diagnose", evaluation.settings, "--train-context TRAINED_ON")
        return [Step("Name the length that the model was trained on, and diagnose it again:", again)]
    return _after_evaluation(evaluation)


def _after_evaluation(evaluation: Evaluation) -> list[Step]:
    settings, verdict = evaluation.settings, evaluation.verdict
    if verdict is None:
        return [
            Step(
                "Measure on data with targets; only then can there be a verdict:",
                _evaluate(evaluation, data="DATA_WITH_TARGETS"),
            )
        ]
    if verdict.name == "fails":
        run = 20 * evaluation.train_context
        return [
            Step(
                "Repair the model. Set the expected run to how many positions one situation lasts in your data; "
                f"{integer(run)}, twenty training contexts, is a start:",
                command("repair", settings, _context(evaluation), f"--intervention carry --expected-run {run}"),
            ),
            Step(
                "Or let several interventions compete on equal terms:",
                command("compare", settings, _context(evaluation)),
            ),
            *_without_training(evaluation),
        ]
    if verdict.name == "undecided":
        return [
            Step(
                "Measure again on more streams; the interval shrinks with their number:",
                _evaluate(evaluation, data="MORE_DATA"),
            ),
            *_without_training(evaluation),
        ]
    further = 4 * evaluation.oldest.age[1]
    return [
        Step(
            "Nothing needs repair up to the oldest age tested. If the model will run for longer than that without a "
            "reset, test older states, on streams that are long enough:",
            _evaluate(evaluation, f"--max-length {further}", data="LONGER_DATA"),
        )
    ]


def _evaluate(evaluation: Evaluation, *options: str, data: str = "") -> str:
    return command("evaluate", evaluation.settings, _context(evaluation), *options, data=data)


def _without_training(evaluation: Evaluation) -> list[Step]:
    """Resets that help now, with what they give."""
    oldest = evaluation.oldest.loss
    found = []
    for key, cost in (("periodic_reset", "at no extra cost"), ("overlapping_reset", "at twice the cost of running")):
        control = evaluation.controls.get(key)
        if control is not None and control.loss < oldest:
            loss = level(control.loss, unit(evaluation))
            found.append((key, control.every, f"{loss} {cost}"))
    if not found:
        return []
    texts = {
        "periodic_reset": "resetting the state every {} positions gives {}",
        "overlapping_reset": "two overlapping copies, each reset every {} positions, give {}",
    }
    gains = "; ".join(texts[key].format(integer(every), gives) for key, every, gives in found)
    key, every, _ = found[-1]
    overlap = ", overlap=True" if key == "overlapping_reset" else ""
    return [
        Step(
            f"What helps now, without training: on the same targets, against "
            f"{level(oldest, unit(evaluation))} at the oldest age, {gains}.",
            f"model = outlast.with_reset(model, every={every}{overlap})",
        )
    ]


def _after_repair(repair: Repair) -> list[Step]:
    if repair.accepted:
        return _after_acceptance(repair.before, "Keep the repaired model")
    return [*_other_ways(repair), *_without_training(repair.before)]


def _after_acceptance(before: Evaluation, keep: str) -> list[Step]:
    """Steps once a repair is accepted; `before` is the evaluation that carries the command."""
    saved = _saved(before.settings)
    if saved is None:
        first = Step(f"{keep} (from Python):", 'outlast.save(done.model, "repaired")')
    else:
        first = Step(f"{keep}: it is in {saved}. From Python:", f"model = outlast.load({saved!r})")
    return [
        first,
        Step(
            "Measure it once more on data that no choice was made on, before it replaces the base model:",
            command("evaluate", before.settings, _context(before), model=saved or "repaired", data="OTHER_DATA"),
        ),
    ]


def _other_ways(repair: Repair) -> list[Step]:
    before = repair.before
    compare = Step("Let other interventions compete:", command("compare", before.settings, _context(before)))
    if repair.refused_because == "short_context_lost":
        return [
            Step(
                "Raise the share of windows that start from the zero state (zero_share), which protects short contexts."
            ),
            compare,
        ]
    if before.verdict is not None and before.verdict.name in ("robust", "generalises"):
        return [Step("The base model did not fail here, so there was little to gain; keep it.")]
    return [
        compare,
        Step(
            "More training steps, or an expected run nearer to how long one situation lasts in your data, push further."
        ),
    ]


def _after_comparison(comparison: Comparison) -> list[Step]:
    row = picked_row(comparison)
    if row is not None and row.name == comparison.winner:
        keep = f"Keep the model that {repair_label(row.repair)} made, and leave the base model in reach"
        return _after_acceptance(comparison.base, keep)
    return [
        Step("Give the repairs more training steps, or an expected run nearer to how long one situation lasts."),
        *_without_training(comparison.base),
    ]


def _after_check(report: CheckReport) -> list[Step]:
    if report.passed:
        return [
            Step(
                "Measure how the model does past its training context:",
                command("evaluate", report.model, "--train-context TRAIN_CONTEXT"),
            )
        ]
    return [
        Step(
            "Mend the points that fail before anything is measured or repaired, then check again:",
            command("check", report.model, data=None),
        )
    ]
