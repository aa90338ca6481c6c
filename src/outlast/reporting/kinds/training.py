"""How a training is told."""

from __future__ import annotations

from outlast.reporting import curves as draw
from outlast.reporting import labels
from outlast.reporting.commands import Step, command, saved
from outlast.reporting.elements import Section
from outlast.reporting.facts import Facts, about_model, flat
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.numbers import duration, integer, number
from outlast.results import Training


def _headline(training: Training) -> str:
    if not training.losses:
        return f"The model was trained in {duration(training.seconds)}; no losses were recorded."
    (_, first), (step, last) = training.losses[0], training.losses[-1]
    return (
        f"The model was trained for {integer(step)} steps in {duration(training.seconds)}; its training loss went from "
        f"{number(first)} to {number(last)}."
    )


def _figures(training: Training) -> list[tuple[str, str]]:
    figures = [("Time", duration(training.seconds))]
    if training.losses:
        step, loss = training.losses[-1]
        return [("Steps", integer(step)), ("Last training loss", number(loss)), *figures]
    return figures


def _sections(training: Training, key: str) -> list[Section]:
    return [
        Section(labels.TRAINING_LOSS, [draw.training_curve(training, key)] if training.losses else []),
        *noted(training.notes),
    ]


def _next_steps(training: Training) -> list[Step]:
    given = training.command
    context = f"--train-context {training.settings.get('train_context', 'TRAIN_CONTEXT')}"
    return [
        Step(
            "Measure how the model does past its training context:",
            command("evaluate", given, context, model=saved(given)),
        )
    ]


def _facts(training: Training) -> Facts:
    return [
        *about_model(training.model, training.outlast),
        *flat(labels.FACT_DATA, training.data),
        *flat(labels.FACT_SETTING, training.settings),
        (labels.FACT_TIME, duration(training.seconds)),
    ]


TELLING = Telling(
    record=Training,
    name="Training",
    model=lambda training: training.model,
    badge=lambda training: ("plain", labels.BADGES["trained"]),
    headline=_headline,
    figures=_figures,
    sections=_sections,
    terminal=lambda training: terminal_notes(training.notes),
    next_steps=_next_steps,
    facts=_facts,
)
