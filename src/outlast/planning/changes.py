"""What would change an advice: what it rests on that the user knows better, or that was not clear."""

from __future__ import annotations

from outlast.evaluation.measures import Measure
from outlast.planning.worth import least_value
from outlast.results import Change, Outlook, Plan


def changes(plan: Plan, measure: Measure) -> list[Change]:
    """In the order in which they matter.

    Args:
        plan: all but its changes.
        measure: that decides.
    """
    found = list[Change]()
    if plan.advice == "mend" or plan.base.verdict is None:
        return found
    expected = plan.expected
    if plan.advice == "repair" and expected is not None:
        found += _of_a_repair(plan, expected, measure)
    if plan.advice == "reset":
        found.append(Change("no_resets"))
    if plan.advice in ("repair", "reset", "beyond_starts"):
        found += [
            Change("two_copies", {"loss": each.loss, "every": each.every or 0})
            for each in plan.untrained
            if each.name == "overlapping_reset" and each.against_base[2] < 0
        ]
    if plan.advice == "leave_it" and "streams_needed" in plan.evidence:
        found.append(Change("more_streams", {"needed": plan.evidence["streams_needed"]}))
    found.append(Change("older", {"age": plan.base.oldest.age[1] - 1}))
    return found


def _of_a_repair(plan: Plan, expected: Outlook, measure: Measure) -> list[Change]:
    assert plan.remedy is not None
    found = []
    if not plan.evidence.get("starts_kept", 1):
        found.append(Change("short_contexts", {"anchor": 4 * plan.remedy.anchor}))
    money = None if plan.cost is None else plan.cost.money
    if money:
        value = least_value(plan.rival.loss - expected.loss, measure, money)
        found.append(Change("never_pays") if value is None else Change("worth_less", {"value": value}))
    others = [each for each in plan.outlooks if each.kind == "starts" and each.name != expected.name]
    near = [each for each in others if each.steps == expected.steps and each.low <= expected.loss]
    found += [Change("other_starts", {"name": each.name, "loss": each.loss}) for each in near]
    return found
