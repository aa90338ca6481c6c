"""How a training is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlast.reporting.commands import Step, command, saved
from outlast.reporting.drawing import curves as draw
from outlast.reporting.elements import Bullets, Cell, Row, Section, Table
from outlast.reporting.facts import Facts, about_model, flat, taken
from outlast.reporting.kinds.evaluation import noted, terminal_notes
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.words import terms
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


def doublings(training: Mapping[str, Any], taken: int, unit: str) -> list[Section]:
    """What validation streams said of a training that went on for as long as it paid; empty of any other.

    Args:
        training: its record.
        taken: steps of the round that was taken.
        unit: of the losses.
    """
    made, rows = training.get("rounds", []), []
    for each in made:
        gain = "–" if each["gain"] is None else number(each["gain"], 2)
        most = "–" if each["at_most"] is None else number(each["at_most"], 2)
        marked = labels.PICKED if each["steps"] == taken else ""
        rows.append(Row([Cell(integer(each["steps"])), Cell(number(each["loss"], 4)), Cell(gain), Cell(most)], marked))
    if not rows:
        return []
    spent = duration(training["budget"])
    ended = {
        "no_more_gain": tell(
            "Training ended by itself: two doublings running gained next to nothing on validation streams.",
            "検証系列での改善が、ステップ数を2倍にすることを2回続けてもほとんどなかったため、学習は自動で終わりました。",
        ),
        "budget": tell(
            f"Training ended because the time was over ({spent}); it may gain more with a longer budget.",
            f"時間（{spent}）を使い切ったため、学習を終えました。時間を増やせば、さらに改善するかもしれません。",
        ),
        "stopped": tell(
            "Training was stopped by hand; the best round until then was taken.",
            "学習は手動で止められました。それまでで最も良かった回を使いました。",
        ),
    }[training["ended"]]
    steps, loss, *others = labels.COLUMNS_DOUBLINGS
    columns = [steps, terms.in_unit(loss, unit), *others]
    return [Section(labels.DOUBLINGS, [Bullets([ended]), Table(labels.DOUBLINGS, columns, rows)])]


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
