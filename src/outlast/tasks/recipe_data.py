"""What the models of a recipe read and where they come from: a task and families, or data and checkpoints of yours."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from outlast import checkpoints
from outlast.data import Split, open_streams, split
from outlast.data.compatibility import check_inputs, sizes_for
from outlast.data.draws import room_for
from outlast.data.opening import TEXT, accepted, format_of, may_be_text, tokeniser_for
from outlast.data.text.tokenisers import Encoder, bytes_encoder, has_tokeniser, tokeniser_files, tokens_encoder
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, usable
from outlast.families import build
from outlast.model import Recurrent
from outlast.results import write_atomically
from outlast.schema import from_record
from outlast.tasks.builtin import IN_TEXT, task
from outlast.tasks.recipes import ModelEntry, Recipe
from outlast.tasks.task import Task
from outlast.training import TrainSettings

BASE = "base.json"
"""In a model's folder, which checkpoint its results were made from."""


def tasks_of(recipe: Recipe) -> Callable[[ModelEntry], Task]:
    """What each model works on; data that several of them read alike are opened once.

    A task of data has the defaults of training and measuring: what a recipe wants otherwise, it says.

    Raises:
        InputError: no such task, or one with data that cannot be hidden in text.
    """
    if recipe.task is not None and recipe.data is None:
        chosen = task(recipe.task)
        return lambda entry: chosen
    if recipe.task is not None and recipe.task not in IN_TEXT:
        raise InputError(
            f"the task {recipe.task} with data",
            f"a task alone, or one that is hidden in text: {', '.join(IN_TEXT)}",
            "leave data out, or name one of these",
        )

    @functools.cache
    def opened(reading: str, schema: str) -> Split:
        options = json.loads(reading)
        path = options.pop("path")
        takes = accepted(path, options)
        if recipe.shares is not None and "shares" in takes:  # a table is scaled for the split to come
            options["shares"] = recipe.shares
        if schema and "schema" in takes:
            options["schema"] = from_record(json.loads(schema), "the checkpoint's schema")
        return split(open_streams(path, **options), recipe.shares)

    def of(entry: ModelEntry) -> Task:
        reading = {**(recipe.data or {}), **entry.data}
        context = entry.train_context or recipe.train_context
        assert context is not None, "check_recipe sees to it"

        def as_read() -> dict[str, Any]:
            own = {"tokenizer": entry.checkpoint} if _reads_text(entry, reading["path"]) else {}
            return {**own, **reading}

        def streams() -> Split:
            return opened(json.dumps(as_read(), sort_keys=True, default=str), _schema_of(entry))

        def model(seed: int) -> Recurrent:
            inputs, outputs = sizes_for(streams().train)
            made = build(entry.family or "", inputs=inputs, outputs=outputs, seed=seed, **entry.settings)
            if "tokenizer" in reading:
                made.tokeniser = tokeniser_files(reading["tokenizer"])
            return made

        plain = Task(
            name=str(reading["path"]),
            summary=f"data in {reading['path']}",
            streams=streams,
            model=model,
            train_context=context,
            training=TrainSettings(),
            repairing=TrainSettings(),
            measuring=EvalSettings(),
            interventions=(),
        )
        if recipe.task is None:
            return plain
        return IN_TEXT[recipe.task](plain, functools.cache(lambda: _encoder(as_read())), recipe.sizes)

    return of


def _encoder(reading: Mapping[str, Any]) -> Encoder:
    """What text is encoded by as it is read.

    Raises:
        InputError: what is read is no text.
    """
    if format_of(reading["path"], reading) is not TEXT:
        raise InputError(
            f"{reading['path']}, which is not text", "text, between whose pieces a task is hidden", "name a text"
        )
    tokeniser = reading.get("tokenizer")
    return bytes_encoder() if tokeniser is None else tokens_encoder(tokeniser)


def _reads_text(entry: ModelEntry, path: str) -> bool:
    """Whether a checkpoint has a tokeniser for what lies at the path."""
    return entry.checkpoint is not None and has_tokeniser(entry.checkpoint) and may_be_text(Path(path))


def _schema_of(entry: ModelEntry) -> str:
    """How the table of a checkpoint that was trained on one is read, as JSON; empty where it was trained on none."""
    if entry.checkpoint is None or not (Path(entry.checkpoint) / checkpoints.RECORD).is_file():
        return ""
    record = checkpoints.read_record(entry.checkpoint)
    return json.dumps(record["schema"]) if "schema" in record else ""


def require_checkpoint(entry: ModelEntry) -> None:
    """Raise InputError where the folder of a checkpoint is missing; says how to fetch it."""
    if entry.checkpoint is not None and not Path(entry.checkpoint).is_dir():
        raise InputError(
            f"no folder {entry.checkpoint}, the checkpoint of {entry.called}",
            "a model that outlast, transformers or fla saved, relative to where the command runs",
            f"fetch it: hf download {entry.hub or f'OWNER/{Path(entry.checkpoint).name}'} "
            f"--local-dir {entry.checkpoint}",
        )


def try_entry(
    entry: ModelEntry,
    work: Task,
    measuring: EvalSettings,
    remembrance: int | None,
    windows: Sequence[int],
    *,
    allow_code: bool,
) -> str | None:
    """Read a model's data, and its checkpoint if it has one, before anything runs.

    Args:
        windows: positions of the windows that it is trained in.

    Returns:
        the fingerprint of the checkpoint's weights; None: it has none.

    Raises:
        InputError: data that cannot be opened or are too short, a folder that holds no model, or one that does not
            read these data.
    """
    parts = work.streams()
    for window in windows:
        room_for(parts.train.lengths, window)
    for streams in (parts.validation, parts.test):
        cut, _ = usable(streams, work.train_context, measuring.max_length)
        if streams is parts.test and remembrance is not None and remembrance > int(cut.lengths.min()):
            raise InputError(
                f"a remembrance of {remembrance:,} on test streams of {int(cut.lengths.min()):,} positions",
                "test streams as long as that",
                "name a smaller remembrance, or give longer streams",
            )
    if "hidden" in parts.train.about:  # what else the task needs is made of text of yours too, and may not fit into it
        for made in (*work.training_sets.values(), *work.controls.values()):
            made()
    if entry.checkpoint is None:
        check_inputs(work.model(entry.seeds[0]), parts.train)
        return None
    model = checkpoints.load(entry.checkpoint, allow_code=allow_code)
    if parts.train.about.get("reader") == "text" and "tokenizer" not in parts.train.about:
        source = Path(parts.train.about["source"])
        tokeniser_for(entry.checkpoint, model, source)  # bytes: refused, unless it reads them
    check_inputs(model, parts.train)
    return checkpoints.model_fingerprint(model)


def record_base(folder: Path, checkpoint: str, fingerprint: str) -> None:
    """Note which checkpoint the results in a folder come from.

    Raises:
        InputError: results of other weights lie there.
    """
    path, made = folder / BASE, {"checkpoint": checkpoint, "weights": fingerprint}
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else made
    if found["weights"] != fingerprint:
        raise InputError(
            f"{folder} with results of other weights ({found['checkpoint']}, {found['weights'][:12]}…) than those of "
            f"{checkpoint} ({fingerprint[:12]}…)",
            "the checkpoint that the results were made from",
            "put it back, delete that folder, or give the model another name",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(made))
