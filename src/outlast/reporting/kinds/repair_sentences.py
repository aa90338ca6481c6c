"""What is said of a repair and of a comparison of repairs: the headline, and what qualifies it."""

from __future__ import annotations

from outlast.reporting import terms
from outlast.reporting.numbers import estimate, integer, number, span
from outlast.reporting.pairing import Triple
from outlast.reporting.refusals import further_faults, short_change, why
from outlast.results import Comparison, Evaluation, Refusal, Repair, Verdict


def repair_headline(repair: Repair, label: str) -> str:
    if terms.untouched(repair):
        return _untouched_headline(repair.before, repair.refused_because)
    if not repair.accepted:
        return f"{label} is refused, because {why(repair)}."
    before, after = repair.before, repair.after
    verb = "repairs it" if before.verdict is not None and before.verdict.name == "fails" else "improves this model"
    change, interval, margin = short_change(repair.short_context, before)
    highest = interval.rpartition(" to ")[2]
    gained = ""
    if repair.benefit.starts is not None:
        # How clearly is said below; a sentence with three intervals is read by nobody.
        value = terms.with_unit(estimate(*repair.benefit.starts, signed=True)[0], terms.unit(after))
        gained = f", and its starts gained {value} over equal training from zero states"
    return (
        f"{label} {verb}: {terms.oldest_age(after.oldest)}, the {terms.measure_name(after.measure)} goes from "
        f"{number(before.oldest.loss)} to {terms.level(after.oldest.loss, terms.unit(after))}{gained}; short contexts "
        f"changed by {change}, at most {highest} (allowed {margin})."
    )


def _untouched_headline(before: Evaluation, because: Refusal | None) -> str:
    verdict = before.verdict
    if because is not None and because.name == "base_broken":
        return f"{terms.broken(because.because)} Nothing was done, because other starts do not mend that."
    text = "There is nothing to repair, and nothing was done: on validation streams this model does not fail"
    if verdict is None:
        return f"{text}."
    value, interval = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    return (
        f"{text}, and on test streams, {terms.oldest_age(before.oldest)}, its {terms.measure_name(before.measure)} "
        f"differs by {terms.with_unit(value, terms.unit(before))} (interval {interval}) from what it is within the "
        f"training context."
    )


def comparison_headline(comparison: Comparison) -> str:
    if terms.untouched(comparison):
        return _untouched_headline(comparison.base, comparison.refused_because)
    row = terms.picked_row(comparison)
    if row is not None and row.name == comparison.winner:
        return repair_headline(row.repair, terms.row_label(row, comparison.rows))
    if not comparison.rows:
        return "No repair was accepted, because none was tried."
    if row is None:
        count = integer(len(comparison.rows))
        return f"No repair was accepted, because none of the {count} interventions tried was picked."
    among = f"the best of {integer(len(comparison.rows))} on validation" if len(comparison.rows) > 1 else "the only one"
    label = terms.row_label(row, comparison.rows)
    return f"No repair was accepted, because of {label}, {among}: {why(row.repair)}."


def repair_lead(repair: Repair) -> str:
    if terms.untouched(repair):
        return _otherwise_on_test(repair.before.verdict)
    return _gains(repair) if repair.accepted else _refused(repair)


def comparison_lead(comparison: Comparison) -> str:
    if terms.untouched(comparison):
        return _otherwise_on_test(comparison.base.verdict)
    row = terms.picked_row(comparison)
    if row is not None and row.name == comparison.winner:
        among = f"It was picked among {integer(len(comparison.rows))} interventions on validation streams. "
        return (among if len(comparison.rows) > 1 else "") + _gains(row.repair)
    said = [_refused(row.repair)] if row is not None else []
    passing = [terms.row_label(each, comparison.rows) for each in comparison.rows if each.repair.accepted]
    if passing:
        said.append(
            f"On the test streams {', '.join(passing)} would pass, but choosing by the test streams would be choosing "
            f"by luck: confirm it on other data first."
        )
    return " ".join(filter(None, said))


def _otherwise_on_test(verdict: Verdict | None) -> str:
    """Where validation says that a model does not fail, and the test streams do not say so."""
    if verdict is None or verdict.name in ("robust", "generalises", "broken"):
        return ""
    best = terms.ages(verdict.best_age or verdict.oldest_age)
    said = {
        "fails": "the model fails on them",
        "declines": f"the model is best at {best} and worse at the oldest",
    }.get(verdict.name, "they do not decide whether the model holds")
    return f"The test streams do not say the same: {said}. Validation streams that resemble them would tell."


def _refused(repair: Repair) -> str:
    """What else is known of a refused repair."""
    because = repair.refused_because
    if because is None:
        return ""
    said = [further_faults(because.also)]
    if because.name == "plain_training_suffices" and repair.control_passes:
        said.append("The control, equal training from zero states, passes every rule itself.")
    return " ".join(filter(None, said))


def _gains(repair: Repair) -> str:
    """What was gained: by the starts and by the training, and against what needs no training."""
    unit = terms.unit(repair.after)
    against = f"Against {terms.rival(repair.benefit.against)}"
    if repair.benefit.against != "base":
        against += ", the best one gets without training at the same cost"
    parts = [f"{against}, it is {_with_interval(benefit_triple(repair), unit)}."]
    if repair.benefit.overlapping is not None:
        parts.append(
            f"Against two overlapping resets, at twice the cost: {_with_interval(repair.benefit.overlapping)}."
        )
    return " ".join([starts_sentence(repair), *parts])


def starts_sentence(repair: Repair) -> str:
    """What the starts gained and what the training did; without a control, that nobody knows."""
    starts, control, unit = repair.benefit.starts, repair.control, terms.unit(repair.after)
    if starts is None or control is None:
        return (
            "It is not known whether its starts gained this or the training alone: no control (equal training from "
            "zero states) was made."
        )
    text = (
        f"Equal training from zero states (the control) gives {terms.level(control.oldest.loss, unit)} "
        f"at ages {span(*control.oldest.age)}; what the starts gained over it is {_with_interval(starts, unit)}"
    )
    reset = repair.benefit.rivals.get("control_reset")
    return (
        f"{text}, and over the control under its best periodic reset {_with_interval(reset)}." if reset else f"{text}."
    )


def _with_interval(triple: Triple, unit: str = "") -> str:
    value, interval = estimate(*triple, signed=True)
    return f"{terms.with_unit(value, unit)} (interval {interval})"


def benefit_triple(repair: Repair) -> Triple:
    return repair.benefit.difference, repair.benefit.low, repair.benefit.high
