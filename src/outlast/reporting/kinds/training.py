"""How a training is told."""

from __future__ import annotations

from outlast.reporting.commands import Step, command, saved
from outlast.reporting.drawing import curves as draw
from outlast.reporting.elements import Section
from outlast.reporting.facts import Facts, about_model, flat, taken
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import duration, integer, number
from outlast.results import Training


def _headline(training: Training) -> str:
    time = duration(training.seconds)
    if not training.losses:
        return tell(
            f"The model was trained in {time}; no losses were recorded.",
            f"モデルを {time}で学習しました。損失の記録はありません。",
        )
    (_, first), (step, last) = training.losses[0], training.losses[-1]
    steps, losses = integer(step), (number(first), number(last))
    return tell(
        f"The model was trained for {steps} steps in {time}; its training loss went from {losses[0]} to {losses[1]}.",
        f"モデルを {steps} ステップ、{time}で学習しました。学習損失は {losses[0]} から {losses[1]} になりました。",
    )


def _figures(training: Training) -> list[tuple[str, str]]:
    figures = [(labels.FIGURE_TIME, duration(training.seconds))]
    if training.losses:
        step, loss = training.losses[-1]
        return [(labels.FIGURE_STEPS, integer(step)), (labels.FIGURE_LAST_LOSS, number(loss)), *figures]
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
            tell(
                "Measure how the model does past its training context:",
                "学習文脈長を超えたときのモデルを測ります：",
            ),
            command("evaluate", given, context, model=saved(given)),
        )
    ]


def _facts(training: Training) -> Facts:
    return [
        *taken(training.data),
        *about_model(training.model, training.outlast),
        *flat(labels.FACT_DATA, training.data),
        *flat(labels.FACT_SETTING, training.settings),
        (labels.FACT_TIME, duration(training.seconds)),
    ]


TELLING = Telling(
    record=Training,
    name=lambda: labels.TRAINING,
    model=lambda training: training.model,
    badge=lambda training: ("plain", labels.BADGES["trained"]),
    headline=_headline,
    figures=_figures,
    sections=_sections,
    terminal=lambda training: terminal_notes(training.notes),
    next_steps=_next_steps,
    facts=_facts,
)
