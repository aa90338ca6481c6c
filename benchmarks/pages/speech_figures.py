"""The page of the long speech comparison, drawn from its results only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from outlast.intervals import Interval, mean_interval
from outlast.results import AgeBand, Evaluation

WINDOW_ENDS = "speaker_error_at_window_ends"
_FROM = 2560  # the first position bin that the table shows


def page(
    base: Evaluation, rows: Sequence[tuple[dict[str, Any], Evaluation]], partials: dict[str, Any], silero: Evaluation
) -> str:
    """Markdown of everything that `benchmarks.pages.speech.run` left.

    Args:
        base: the encoder as it is shipped, all age bands.
        rows: of every repair what its model was saved with, and its evaluation at the ends of the age curve.
        partials: what `partial_windows` returned.
        silero: the healthy control.
    """
    short = _at_training_context(base, WINDOW_ENDS)
    lines = [
        "## What was measured",
        "",
        *_what(base),
        "",
        "## As it is shipped",
        "",
        *_shipped(base),
        "",
        "## Repairs and resets",
        "",
        "Accuracy by frames since the state was zero, on streams of test prompts. The mark to reach is "
        f"{_accuracy(short)}: the untouched encoder reset every 160 frames and read at the best moment, the last frame "
        "of every window. "
        "*Last frame, zero state* is each model itself at that moment: what a repair costs or gains in short windows.",
        "",
        *_table(base, rows),
        "",
        "Cost is in encoder steps a frame, latency in frames between an answer and the last frame that it has heard.",
        "",
        *_resets(base, partials),
        "",
        *_per_repair(base, rows),
        "",
        "## The healthy control",
        "",
        *_control(silero),
    ]
    return "\n".join(lines)


def _what(base: Evaluation) -> list[str]:
    about = base.data
    return [
        f"Resemblyzer 0.1.4's speaker encoder ({base.model['parameters']:,} parameters, trained on windows of "
        f"{base.train_context} frames of 10 ms) reads streams of one voice: {about['source']} ({about['package']}, "
        f"{about['licence']}), {about['prompts']:,} prompts, {about['hours']:.2f} hours. A stream joins prompts end to "
        f"end; {about['rounds']}.",
        "",
        "What was chosen, and moves the figures:",
        "",
        f"- **Level**: {about['level']}, as the package does; nearly all prompts are louder, so that nothing changes.",
        f"- **Silence**: {about['silence']}. The package cuts silences too, with a voice detector in place of energy.",
        f"- **Frames**: {about['frame']}; no logarithm. The filters are librosa's.",
        "- **Left out**: five recordings without a voice (tones, monkeys), the same in all languages.",
        f"- **Split** {about['split']}. Centroids are means of the *untouched* encoder's embeddings at the ends of "
        "enrolment windows, for repaired models too: enrolled voices stay enrolled. Labels are used for the centroids "
        "and for measuring, never in a repair.",
        f"- **Units**: {about['units']}. Two of the five voices bear one person's name (English and Spanish).",
    ]


def _shipped(base: Evaluation) -> list[str]:
    verdict = base.verdict
    assert verdict is not None
    ends = {band.age: band for band in base.other_measures[WINDOW_ENDS]}
    lines = [
        f"Verdict: **{verdict.name}**"
        + ("" if verdict.from_age is None else f" from age {verdict.from_age:,}")
        + f", excess {verdict.excess:+.3f} ({verdict.low:+.3f} to {verdict.high:+.3f}) at ages "
        f"{_ages(verdict.oldest_age)}. The same targets, read from states of different ages; intervals are over sets "
        "of prompts, simultaneous over the rows.",
        "",
        "| age in frames | error, every frame | error, last frame of each window |",
        "| --- | --- | --- |",
    ]
    for band in base.age_curve:
        end = ends[band.age]
        lines.append(f"| {_ages(band.age)} | {_with_interval(band)} | {_with_interval(end)} |")
    voices = base.slices.get("labels", {}).get("voice", [])
    if voices:
        told = ", ".join(f"{row['value']} {row['loss']:.3f}" for row in voices)
        lines += ["", f"Error over whole streams by voice: {told}."]
    return lines


def _table(base: Evaluation, rows: Sequence[tuple[dict[str, Any], Evaluation]]) -> list[str]:
    bins = [each for each in base.position_curve if each.start >= _FROM]
    heads = ["", "steps", "seconds", *(f"to {each.end:,}" for each in bins), "oldest age, last frames"]
    heads += ["last frame, zero state", "cost", "latency"]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for about, evaluation in (({"name": "**as shipped**"}, base), *rows):
        curve = {each.start: each for each in evaluation.position_curve}
        cells = [about["name"], *(f"{about[key]:.0f}" if key in about else "" for key in ("steps", "seconds"))]
        cells += [_accuracy(curve[each.start].loss) for each in bins]
        cells += [_accuracy(evaluation.other_measures[WINDOW_ENDS][-1].loss)]
        cells += [_accuracy(_at_training_context(evaluation, WINDOW_ENDS)), "1", "0"]
        lines.append(_row(cells))
    return lines


def _resets(base: Evaluation, partials: dict[str, Any]) -> list[str]:
    window = base.train_context
    curves = {"every": base.age_curve, "last": base.other_measures[WINDOW_ENDS]}
    reset = base.resets["periodic_reset"]
    overlapping = base.resets["overlapping_reset"]
    two = next(band for band in base.age_curve if band.age[1] == window)
    rows = [
        ("reset every 160, read at the last frame", _interval(curves["last"], window), "1", "up to 159"),
        (f"reset every {reset.every:,}, read at every frame", reset, "1", "0"),
        ("two overlapping copies, reset every 160", two, "2", "0"),
        (f"two overlapping copies, reset every {overlapping.every:,}", overlapping, "2", "0"),
    ]
    lines = ["| untouched encoder | accuracy | interval | cost | latency |", "| --- | --- | --- | --- | --- |"]
    for name, each, cost, latency in rows:
        lines.append(_row([name, _accuracy(each.loss), _reversed(each.low, each.high), cost, latency]))
    for row in partials["rows"]:
        name = f"the package's own way: mean of {row['windows']} partial windows ({row['frames']:,} frames)"
        cost = f"{window / partials['step']:.2f}"
        cells = [name, _accuracy(row["loss"]), _reversed(row["low"], row["high"]), cost]
        lines.append(_row([*cells, f"up to {partials['step'] - 1}"]))
    return [
        *lines,
        "",
        "A reset every 160 frames answers once a window; between two answers the last one grows old. The periods above "
        "160 were chosen on the test streams, in the resets' favour. Partial windows are 160 frames from the zero "
        f"state, one every {partials['step']} frames; utterances are cut end to end.",
    ]


def _per_repair(base: Evaluation, rows: Sequence[tuple[dict[str, Any], Evaluation]]) -> list[str]:
    mark = np.array(
        next(band for band in base.other_measures[WINDOW_ENDS] if band.age[1] == base.train_context).per_stream
    )
    lines = [
        "Differences by set of prompts, at the oldest age and the last frame of each window; negative is better.",
        "",
        "| repair | against the untouched encoder at its best moment | against itself from the zero state |",
        "| --- | --- | --- |",
    ]
    for about, evaluation in rows:
        bands = evaluation.other_measures[WINDOW_ENDS]
        old = np.array(bands[-1].per_stream)
        own = np.array(next(band for band in bands if band.age[1] == base.train_context).per_stream)
        pairs = [mean_interval(old - mark), mean_interval(old - own)]
        lines.append(_row([about["name"], *(_signed(each) for each in pairs)]))
    return lines


def _control(silero: Evaluation) -> list[str]:
    verdict = silero.verdict
    assert verdict is not None
    return [
        f"Silero VAD 6.2.3, rebuilt from its published weights ({silero.model['parameters']:,} parameters, one LSTM "
        f"cell of width 128), reads the same test prompts: {silero.data['planted']}. Verdict: **{verdict.name}**; "
        f"error {silero.oldest.loss:.4f} at ages {_ages(verdict.oldest_age)} frames of 32 ms, "
        f"{verdict.excess:+.4f} ({verdict.low:+.4f} to {verdict.high:+.4f}) over ages below {silero.train_context}.",
    ]


def _at_training_context(evaluation: Evaluation, name: str) -> float:
    """The loss at the last frame of a window read from the zero state."""
    return next(band for band in evaluation.other_measures[name] if band.age[1] == evaluation.train_context).loss


def _interval(bands: Sequence[AgeBand], end: int) -> AgeBand:
    return next(band for band in bands if band.age[1] == end)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ages(band: tuple[int, int]) -> str:
    return f"{band[0]:,} to {band[1] - 1:,}"


def _accuracy(error: float) -> str:
    return f"{1 - error:.3f}"


def _reversed(low: float, high: float) -> str:
    return f"{1 - min(high, 1):.3f} to {1 - max(low, 0):.3f}"


def _with_interval(band: AgeBand) -> str:
    return f"{band.loss:.3f} ({max(band.low, 0):.3f} to {min(band.high, 1):.3f})"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
