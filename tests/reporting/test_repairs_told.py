"""What a report says of repairs: what was gained and by what, why one is refused, and what to do then."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from outlast.reporting import kinds, summary, tables
from outlast.reporting.losses.short_contexts import by_bands_change, short_change
from outlast.reporting.words import captions
from outlast.reporting.words.labels import hints, labels
from outlast.results import Repair
from reporting import example_results as example

REFUSED = example.refused()
FAULTS = {"one age lost": "short_context_lost", "guard lost": "short_context_lost"}


def test_without_a_control_it_is_said_what_is_not_known() -> None:
    repair = example.repair()
    assert "its starts gained" not in kinds.headline(repair)
    unknown = "It is not known whether its starts gained this or the training alone"
    assert unknown in kinds.lead(repair)
    assert hints.NO_CONTROL in summary(repair).replace("\n", " ")
    starts, gained = labels.COLUMN_STARTS_BRIEF.split()
    assert f"  {starts}\n" not in summary(repair)
    assert f"  {gained}  " not in summary(repair)
    told = summary(example.repair(control=example.control()))
    assert f"  {starts}\n" in told
    assert f"  {gained}  " in told
    assert unknown not in kinds.lead(example.repair(control=example.control()))
    rows = [replace(row, repair=replace(row.repair, control=None)) for row in example.comparison().rows]
    assert unknown in kinds.lead(replace(example.comparison(), rows=rows))


@pytest.mark.parametrize("case", REFUSED)
def test_the_examples_are_what_they_are_called(case: str) -> None:
    because = REFUSED[case].refused_because
    assert because is not None
    assert because.name == FAULTS.get(case, case)
    assert not REFUSED[case].accepted


def test_every_refusal_has_its_words() -> None:
    names = {FAULTS.get(case, case) for case in REFUSED}
    assert names == labels.REFUSALS.keys() == labels.REFUSALS_BRIEF.keys()
    assert len(set(labels.REFUSALS_BRIEF.values())) == len(names)
    assert max(map(len, labels.REFUSALS_BRIEF.values())) <= 12
    assert names - {"nothing_to_repair", "not_shown_to_fail", "base_broken"} == labels.FAULTS.keys()


def test_further_faults_are_named() -> None:
    repair = REFUSED["no_benefit"]
    assert repair.refused_because is not None
    assert repair.refused_because.also == ["still_fails", "remedy_suffices", "plain_training_suffices"]
    named = "no benefit, still fails, better under a remedy, plain training suffices"
    assert captions.outcome(repair) == ("refused", named, "bad")


@pytest.mark.parametrize("case", REFUSED)
def test_only_what_is_accepted_is_good(case: str) -> None:
    assert kinds.badge(REFUSED[case])[0] != "good"
    assert captions.outcome(REFUSED[case])[2] == ("open" if case == "undecided" else "bad")


def test_short_contexts_are_shares_of_the_base_with_the_same_weights() -> None:
    """Not of the mean over bands, of which the first four positions are three of seven."""
    repair = example.repair()
    short = repair.short_context
    value, _, _, allowed = short_change(short, repair.before)
    assert value == f"{100 * short.difference / short.reference:+.2f}\u00a0%"
    assert allowed == "0.5\u00a0%"
    doubled = replace(short, reference=2 * short.reference)
    assert short_change(doubled, repair.before)[0] == f"{50 * short.difference / short.reference:+.2f}\u00a0%"
    by_bands = by_bands_change(short, repair.before).value
    assert by_bands == f"{100 * short.by_bands[0] / short.reference:+.2f}\u00a0%"
    assert by_bands != value


def test_the_terminal_table_tells_what_the_starts_gained() -> None:
    line = next(line for line in summary(example.comparison()).splitlines() if line.startswith("* carry"))
    assert re.search(r"−0\.018 \(−0\.022 to −0\.013\)\s+−0\.178\s+accepted$", line)


def test_a_model_that_a_repair_calls_base_goes_by_its_class() -> None:
    def eyebrow(repair: Repair) -> str:
        return kinds.telling_of(repair).eyebrow(repair)

    base = example.evaluation(name="base")
    assert eyebrow(example.repair(base=base)) == "Repair · GLA"
    family = replace(base, model={**base.model, "class": "Shell", "blueprint": {"family": "gla"}})
    assert eyebrow(example.repair(base=family)) == "Repair · gla"


def test_remedies_of_the_base_stand_beside_what_is_simpler() -> None:
    """As it was: a repair was refused for a leak that its own table of what is simpler did not have."""
    (section,) = tables.simpler(example.beside_a_leak())
    assert "base, leak:32:from=64" in str(section)
