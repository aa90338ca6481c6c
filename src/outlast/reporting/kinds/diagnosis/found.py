"""What to take away from a diagnosis, in plain words: which part does it, from which age on, and what to run."""

from __future__ import annotations

from outlast.reporting import terms
from outlast.reporting.commands import Step, command, context
from outlast.reporting.kinds.diagnosis import sentences as say
from outlast.reporting.kinds.evaluation import decide
from outlast.reporting.language import tell
from outlast.reporting.numbers import fixed, integer, number
from outlast.results import Attribution, Diagnosis, Evaluation

HARMED = ("fails", "declines", "undecided")
"""Verdicts at which there may be harm that a part carries."""

_LEAST_CONTEXT = 4
"""A turn of the curve that is earlier than this says that the past is hardly used, not what the windows were."""


def part(result: Diagnosis) -> str:
    """Which part of the state carries the harm, in a sentence; nothing where there is no harm to be carried."""
    verdict = result.evaluation.verdict
    if verdict is None or verdict.name not in HARMED:
        return ""
    if result.attribution is None:
        return say.part_not_asked()
    return carried(result.attribution)


def carried(found: Attribution) -> str:
    """The same of an attribution, which says it of the ages that it looked at."""
    if not found.excess.low > 0:
        return say.no_excess()
    names = [say.part_name(name) for name in found.carriers]
    if not names:
        return say.spread()
    moved = next((each for each in found.groups if each.parts == found.carriers), None)
    moved = moved or next(row for row in found.rows if row.name == found.carriers[0])
    unit, measure = terms.unit_name(found.unit), terms.measure_name(found.measure)
    unit = "" if unit == measure else unit

    def written(value: float) -> str:
        return terms.with_unit(number(value, 2, signed=True), unit)

    return say.carried(found.acting, names, written(-moved.removed.mean), written(found.excess.mean))


def onset(evaluation: Evaluation) -> str:
    """From which age on it is clearly worse, in a sentence; nothing where it is not."""
    verdict = evaluation.verdict
    if verdict is None:
        return ""
    if verdict.name == "declines" and verdict.best_age is not None:
        return say.onset_of_decline(terms.ages(verdict.best_age))
    if verdict.name != "fails" or verdict.from_age is None:
        return ""
    contexts = verdict.from_age / evaluation.train_context
    times = integer(round(contexts)) if contexts >= 10 or contexts == round(contexts) else fixed(contexts, 1)
    return say.onset(
        integer(verdict.from_age),
        None if contexts == 1 else times,
        oldest=verdict.from_age >= verdict.oldest_age[0],
    )


def remedy(result: Diagnosis) -> Step:
    """What to do, and the command that does it, as it can be typed."""
    evaluation, verdict = result.evaluation, result.evaluation.verdict
    assert verdict is not None
    cause = result.main.name if result.main else None
    facts = result.main.facts if result.main else {}
    narrow = bool(facts.get("narrow"))
    if cause is None and verdict.name == "undecided":
        return decide(evaluation, verdict)
    return Step(say.advice(cause, verdict.name, narrow), _command(evaluation, cause, facts))


def _command(evaluation: Evaluation, cause: str | None, facts: dict[str, float | int | str]) -> str:
    verdict, given = evaluation.verdict, evaluation.command
    assert verdict is not None
    here = context(evaluation)
    if verdict.name == "broken":
        return command("check", given)
    if cause == "numerics":
        wider = "MODEL_IN_FLOAT32" if facts.get("narrow") else "MODEL_IN_FLOAT64"
        return command("diagnose", given, here, model=wider)
    if cause == "train_context":
        turns = int(facts.get("turns", 0))
        return command("diagnose", given, f"--train-context {turns if turns >= _LEAST_CONTEXT else 'TRAINED_ON'}")
    if cause == "memory_limited":
        return command("compare", given, here, "--expected-runs inf")
    if verdict.name in ("fails", "declines"):
        if cause == "stale_context":
            return command("repair", given, here, "--intervention carry --expected-run data")
        return command("repair", given, here, f"--intervention carry:expected_run={20 * evaluation.train_context}")
    if verdict.name == "undecided":
        return command("evaluate", given, here, data="MORE_DATA")
    further = 4 * evaluation.oldest.age[1]
    return command("evaluate", given, context(evaluation, ages=f"--max-length {further}"), data="LONGER_DATA")


def rows(result: Diagnosis) -> list[tuple[str, str]]:
    """Part, onset and remedy, each under its name; what there is of them."""
    verdict = result.evaluation.verdict
    if verdict is None or verdict.name == "misread":
        return []
    told = [
        (tell("part", "部分"), part(result)),
        (tell("onset", "始まり"), onset(result.evaluation)),
        (tell("remedy", "対処"), remedy(result).text.rstrip(":：") + tell(".", "。")),
    ]
    return [(name, text) for name, text in told if text]
