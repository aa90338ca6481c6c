"""Where does a language model fail at all? State numbers per training position against training steps.

Every cell of the map is one model on one kind of data, trained at a constant rate: one trajectory. At some of its steps
a copy is cooled, by the same number of steps each, and measured; so steps are not confounded with the rate, as they
would be under a cosine. What is measured becomes a row, and rows that are there are not measured again.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlast import checkpoints
from outlast.data import Split, Streams
from outlast.errors import InputError, unknown_name
from outlast.evaluation import EvalSettings, evaluate
from outlast.families import build
from outlast.folders import discard
from outlast.interventions import Zero
from outlast.model import InputSpec, Recurrent
from outlast.parallel import side_by_side
from outlast.progress import WorkDone
from outlast.results import VERSION
from outlast.state import leaves
from outlast.tasks.cipher import ciphered
from outlast.tasks.kept_rows import Row, keep_row, rows_in
from outlast.tasks.recipe_unit import curve_of
from outlast.training import TrainSettings, fit
from outlast.training.objectives import objective
from recipes.prose_tokens import prose_tokens

LENGTH = 8192
"""Of the test streams, in positions."""
_WINDOWS, _STREAMS, _TRAINING_SEED, _TEST_SEED = 256_000, 48, 21, 22


@functools.cache
def _cipher(train_context: int) -> tuple[Streams, Streams]:
    return (
        ciphered("train", _WINDOWS, train_context, _TRAINING_SEED),
        ciphered("test", _STREAMS, LENGTH, _TEST_SEED, apart=True),
    )


def _tokens(train_context: int) -> tuple[Streams, Streams]:
    parts: Split = prose_tokens(2048, LENGTH)
    return parts.train, parts.test


DATA: dict[str, Callable[[int], tuple[Streams, Streams]]] = {"cipher": _cipher, "tokens": _tokens}
"""Training and test streams for a training context, by the name that cells have for them."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells of one family and kind of data: one for each training context and seed.

    Args:
        name: of the model, of which `settings` are the family's.
        checkpoints: at which steps a copy is cooled and measured; None: the map's.
    """

    name: str
    family: str
    data: str
    train_contexts: list[int]
    seeds: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[int] | None = None


@dataclass(frozen=True, kw_only=True)
class FailureMap:
    """What the recipe of a map holds.

    Args:
        out: folder of what training leaves.
        rows: file of what was measured.
        jobs: how many cells are trained side by side, one thread each.
        checkpoints: at which steps of a trajectory a copy is cooled and measured.
        cooling: steps over which the rate of a copy goes down to none.
        batch_size, learning_rate: of all.
        targets: that a stream is scored on.
        cells: what is tried, all of it.
    """

    out: Path
    rows: Path
    jobs: int = 2
    checkpoints: list[int]
    cooling: int
    batch_size: int
    learning_rate: float
    targets: int = 512
    cells: list[Cells]

    def check(self, path: str) -> None:
        """Raise InputError where no run can be made of what the file at `path` says; see `each`."""
        self.each()

    def run(self, progress: WorkDone | None = None) -> str:
        """Train and measure all cells that lack rows; how many rows there are, in words."""
        return f"{len(run_map(self, progress))} rows: {self.rows}"

    def each(self) -> list[Cell]:
        """Every cell by itself.

        Raises:
            InputError: checkpoints that do not ascend, data that there are not, or two cells of one name.
        """
        found = [
            Cell(f"{cells.data}-{cells.name}-T{context}-seed{seed}", cells, context, seed, self)
            for cells in self.cells
            for seed in cells.seeds
            for context in cells.train_contexts
        ]
        for cell in found:
            if cell.cells.data not in DATA:
                raise unknown_name("data of a map", cell.cells.data, DATA)
            if not cell.checkpoints or cell.checkpoints != sorted({*cell.checkpoints} - {0}):
                raise InputError(f"checkpoints {cell.checkpoints}", "ascending steps above 0", "correct the recipe")
        if len({cell.name for cell in found}) < len(found) or not found:
            raise InputError(f"{len(found)} cells", "at least one, each with its own name", "correct the recipe")
        return found


@dataclass(frozen=True)
class Cell:
    """One trajectory of the map."""

    name: str
    cells: Cells
    train_context: int
    seed: int
    map: FailureMap

    @property
    def checkpoints(self) -> list[int]:
        return self.cells.checkpoints or self.map.checkpoints

    def row_id(self, step: int) -> str:
        return f"{self.name}-step{step:06d}"


def run_map(recipe: FailureMap, progress: WorkDone | None = None) -> list[Row]:
    """Train and measure all cells that lack rows.

    Returns:
        all rows of the file.
    """
    stop = threading.Event()
    done = {row["id"] for row in rows_in(recipe.rows)}
    jobs = [
        functools.partial(_run, cell, progress, stop)
        for cell in recipe.each()
        if any(cell.row_id(step) not in done for step in cell.checkpoints)
    ]
    side_by_side(recipe.jobs, jobs, stop)
    return rows_in(recipe.rows)


def _run(cell: Cell, progress: WorkDone | None, stop: threading.Event) -> None:
    """The cell's trajectory, and from every checkpoint on it a cooled copy, measured where it is not yet."""
    train, test = DATA[cell.cells.data](cell.train_context)
    folder = cell.map.out / cell.name

    def kept(step: int) -> Path:
        return folder / f"step-{step}"

    def keep(step: int) -> None:
        if step in cell.checkpoints and not kept(step).exists():
            checkpoints.save(model, kept(step), provenance={"cell": cell.name, "step": step})

    if not all(kept(step).exists() for step in cell.checkpoints):
        model = build(
            cell.cells.family,
            inputs=InputSpec("tokens", train.classes or 0),
            outputs=train.classes or 0,
            seed=cell.seed,
            **cell.cells.settings,
        )
        _train(model, train, cell, "constant", cell.checkpoints[-1], 0, folder, progress, stop, keep)
        discard(folder / "checkpoint")
    for step in cell.checkpoints:
        if cell.row_id(step) not in {row["id"] for row in rows_in(cell.map.rows)}:
            cooled = checkpoints.load(kept(step))
            _train(cooled, train, cell, "linear", cell.map.cooling, step, folder, progress, stop)
            keep_row(cell.map.rows, _measured(cooled, test, cell, step))
            discard(folder / "checkpoint")


def _train(
    model: Recurrent,
    streams: Streams,
    cell: Cell,
    schedule: str,
    steps: int,
    after: int,
    folder: Path,
    progress: WorkDone | None,
    stop: threading.Event,
    keep: Callable[[int], None] | None = None,
) -> None:
    """Train in place: the trajectory, of which `keep` keeps what it wants, or a copy that is cooled `after` some steps.

    A copy has moments of its own, warmed up over 50 steps, like all of them.
    """
    settings = TrainSettings(
        steps=steps,
        batch_size=cell.map.batch_size,
        learning_rate=cell.map.learning_rate,
        schedule=schedule,
        warm_up=50,
        seed=100_000 * cell.seed + after,
        checkpoint_every=1000,
    )

    def say(step: int, steps: int, loss: float, left: float) -> None:
        if keep:
            keep(step)
        if progress:
            progress(f"{cell.name}: {schedule} rate", step / steps, loss)

    fit(
        model,
        streams,
        objective(None, model, streams),
        Zero(),
        cell.train_context,
        settings,
        checkpoint=folder / "checkpoint" / str(after),
        resume=True,
        progress=say,
        stop=stop,
    )


def _measured(model: Recurrent, test: Streams, cell: Cell, step: int) -> Row:
    """The row of a cooled model."""
    began = time.monotonic()
    done = evaluate(
        model,
        test,
        train_context=cell.train_context,
        settings=EvalSettings(targets=cell.map.targets),
        name=cell.row_id(step),
    )
    numbers = sum(each.numel() for each in leaves(model.initial_state(1)))
    return {
        "id": cell.row_id(step),
        "cell": cell.name,
        "family": cell.cells.family,
        "model": cell.cells.name,
        "settings": cell.cells.settings,
        "data": cell.cells.data,
        "train_context": cell.train_context,
        "seed": cell.seed,
        "step": step,
        "cooling": cell.map.cooling,
        "batch_size": cell.map.batch_size,
        "learning_rate": cell.map.learning_rate,
        "parameters": sum(each.numel() for each in model.parameters()),
        "state_numbers": numbers,
        "outlast": VERSION,
        "seconds": round(time.monotonic() - began, 1),
        **curve_of(done),
    }


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By data, family, state numbers per training position, seed and step."""
    return sorted(
        rows,
        key=lambda row: (
            row["data"],
            row["family"],
            row["state_numbers"] / row["train_context"],
            row["cell"],
            row["step"],
        ),
    )
