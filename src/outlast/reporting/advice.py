"""What to do next after a result: sentences, each with the command or code that does it."""

from __future__ import annotations

from outlast.reporting import terms
from outlast.reporting.commands import Step, command, context, saved
from outlast.reporting.numbers import integer
from outlast.reporting.repair_advice import after_comparison, after_repair, without_training
from outlast.results import CheckReport, Comparison, Diagnosis, Evaluation, Repair, Result, Training


def next_steps(result: Result) -> list[Step]:
    match result:
        case Evaluation():
            return _after_evaluation(result)
        case Repair():
            return after_repair(result)
        case Comparison():
            return after_comparison(result)
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
            command("evaluate", settings, context, model=saved(settings)),
        )
    ]


def _after_diagnosis(diagnosis: Diagnosis) -> list[Step]:
    """What the evaluation inside would advise; where arithmetic or the named length is wrong, that comes first."""
    main, evaluation = diagnosis.main, diagnosis.evaluation
    if main is not None and main.name == "numerics":
        again = command("diagnose", evaluation.settings, context(evaluation), model="MODEL_IN_FLOAT32")
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
                command("repair", settings, context(evaluation), f"--intervention carry --expected-run {run}"),
            ),
            Step(
                "Or let several interventions compete on equal terms:",
                command("compare", settings, context(evaluation)),
            ),
            *without_training(evaluation),
        ]
    if verdict.name == "declines":
        run = 20 * evaluation.train_context
        best = terms.ages(verdict.best_age or verdict.oldest_age)
        return [
            *without_training(evaluation),
            Step(
                f"Or repair the model, so that what it gains up to {best} lasts:",
                command("repair", settings, context(evaluation), f"--intervention carry --expected-run {run}"),
            ),
        ]
    if verdict.name == "undecided":
        return [
            Step(
                "Measure again on more streams; the interval shrinks with their number:",
                _evaluate(evaluation, data="MORE_DATA"),
            ),
            *without_training(evaluation),
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
    return command("evaluate", evaluation.settings, context(evaluation), *options, data=data)


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
