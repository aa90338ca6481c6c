"""The long speech comparison: every intervention, every reset, and the encoder's own way of reading long speech.

``python -m benchmarks.pages.speech --out runs/speech-table --page docs/speech.md`` runs what is missing in the
folder and writes the page from what is there.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.pages.marks import put_figures
from benchmarks.pages.speech_figures import page
from examples.speech.resemblyzer import TRAIN_CONTEXT, load_encoder
from examples.speech.silero import measure_silero
from examples.speech.streams import load_speech
from examples.speech.task import SPEECH, agree_with_untouched, centroids, speaker_measures
from outlast import checkpoints
from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings, evaluate
from outlast.folders import discard, locked
from outlast.intervals import mean_interval
from outlast.interventions import Carry, FittedNoise, Intervention, RandomNoise, Zero, state_passing, tbtt
from outlast.model import Recurrent
from outlast.results import Evaluation, load_as, save_result, write_atomically
from outlast.training import fit
from outlast.training.objectives import Objective, self_distillation

RATE = 1.3
"""Partial windows a second in Resemblyzer's `embed_utterance`."""
PARTIAL_STEP = round(100 / RATE)
"""Frames from one partial window to the next."""
UTTERANCES = (1, 3, 7, 15)
"""Numbers of partial windows whose mean is read."""


def staggered(model: Recurrent) -> Objective:
    """1 − cosine to the mean of four staggered resets of the untouched model on the same window."""
    return self_distillation(model, "cosine", resets=4, warm_up=TRAIN_CONTEXT // 2)


@dataclass(frozen=True)
class TableRow:
    """One repair: where its windows start, for how many steps, who teaches, and how long a window is."""

    name: str
    rule: Intervention
    steps: int = 200
    objective: Callable[[Recurrent], Objective] = agree_with_untouched
    window: int = TRAIN_CONTEXT


ROWS = (
    TableRow("plain fine-tuning", Zero()),
    TableRow("random noise", RandomNoise()),
    TableRow("fitted noise, of windows", FittedNoise()),
    TableRow("fitted noise, carried", FittedNoise(source="carried")),
    TableRow("state passing, half the steps", state_passing(), steps=100),
    TableRow("state passing", state_passing()),
    TableRow("carry, expected run 320", Carry(expected_run=320)),
    TableRow("carry, expected run 1,600", Carry(expected_run=1600)),
    TableRow("TBTT", tbtt()),
    TableRow("state passing, mean of four staggered resets", state_passing(), objective=staggered),
    TableRow("state passing, the same, windows of 320", state_passing(), objective=staggered, window=2 * TRAIN_CONTEXT),
)


def run(out: Path, rows: Sequence[TableRow]) -> None:
    """Measure the encoder as it is shipped, every row, and the partial windows; what is in `out` is not run again."""
    data, base = load_speech(), load_encoder()
    measures = speaker_measures(base)

    def measured(model: Recurrent, name: str, folder: Path, settings: EvalSettings) -> None:
        if (folder / "result.json").exists():
            return
        say(f"measure {name}")
        done = evaluate(model, data, train_context=TRAIN_CONTEXT, measures=measures, settings=settings, name=name)
        save_result(done, folder / "result.json")

    measured(base, "as shipped", out / "base", SPEECH.measuring)
    for number, row in enumerate(rows):
        folder = out / "rows" / f"{number:02d}"
        if not (folder / "model").exists():
            began = time.monotonic()
            model = _trained(base, data, row, folder / "checkpoint")
            seconds = time.monotonic() - began
            about = {"name": row.name, "intervention": row.rule.describe(), "steps": row.steps, "seconds": seconds}
            checkpoints.save(model, folder / "model", provenance=json.loads(json.dumps(about)))
            discard(folder / "checkpoint")
        measured(
            checkpoints.load(folder / "model", allow_code=True),
            row.name,
            folder,
            replace(SPEECH.measuring, ends_only=True),
        )
    if not (out / "partials.json").exists():
        say("measure partial windows")
        write_atomically(out / "partials.json", json.dumps(partial_windows(base, data.test)))
    if not (out / "silero" / "result.json").exists():
        say("measure Silero VAD")
        save_result(measure_silero(), out / "silero" / "result.json")


def _trained(base: Recurrent, data: Split, row: TableRow, checkpoint: Path) -> Recurrent:
    model = copy.deepcopy(base)
    fit(
        model,
        data.train,
        row.objective(base),
        row.rule,
        row.window,
        replace(SPEECH.repairing, steps=row.steps),
        checkpoint=checkpoint,
        resume=True,
        progress=lambda step, steps, loss, left: (
            say(f"train {row.name}: {step} of {steps}, loss {loss:.4f}, {left:.0f} s left") if step % 50 == 0 else None
        ),
    )
    return model


@torch.no_grad()
def partial_windows(model: Recurrent, streams: Streams) -> dict[str, Any]:
    """The package's own way: the mean of partial windows of 160 frames, each from the zero state, 77 frames apart.

    Utterances of 1, 3, 7 and 15 partial windows are cut end to end from the second half of every stream.

    Returns:
        the step, and by number of windows the utterance's frames, the error rate with its interval over streams.
    """
    places, rows = centroids(model), []
    length = int(streams.lengths.min())
    starts = np.arange(length // 2, length - TRAIN_CONTEXT + 1, PARTIAL_STEP)
    numbers = [number for number in UTTERANCES if number <= len(starts)]
    for stream in range(len(streams)):
        batch = streams.window(np.full(len(starts), stream), starts, TRAIN_CONTEXT)
        outputs, _ = model(batch.inputs, model.initial_state(len(starts)))
        assert batch.targets is not None
        speaker = int(batch.targets[0, 0])
        errors = []
        for number in numbers:
            whole = outputs[: len(starts) // number * number, -1].unflatten(0, (-1, number))
            mean = F.normalize(whole.mean(1), dim=-1)
            errors.append(float(((mean @ places.T).argmax(-1) != speaker).float().mean()))
        rows.append(errors)
    intervals = [mean_interval(np.array(column)) for column in zip(*rows, strict=True)]
    return {
        "step": PARTIAL_STEP,
        "rows": [
            {
                "windows": number,
                "frames": TRAIN_CONTEXT + (number - 1) * PARTIAL_STEP,
                "loss": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "n": interval.n,
            }
            for number, interval in zip(numbers, intervals, strict=True)
        ],
    }


def read(out: Path) -> dict[str, Any]:
    """What `run` left in a folder: ``base``, ``rows`` (provenance and evaluation of each), ``partials``, ``silero``."""
    rows = []
    for folder in sorted((out / "rows").iterdir()):
        rows.append((checkpoints.read_record(folder / "model")["provenance"], load_as(folder, Evaluation)))
    return {
        "base": load_as(out / "base", Evaluation),
        "rows": rows,
        "partials": json.loads((out / "partials.json").read_text()),
        "silero": load_as(out / "silero", Evaluation),
    }


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description="The long speech comparison; goes on where it was stopped.")
    parser.add_argument("--out", type=Path, default=Path("runs/speech-table"))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args(arguments)
    with locked(options.out, "speech_table"):
        run(options.out, ROWS)
    text = page(**read(options.out))
    if options.page:
        put_figures(options.page, "Speech: a shipped encoder past its training context", [text])
    print(text)


if __name__ == "__main__":
    main()
