"""Running a recipe: everything that is finished is read from the output folder and not run again; training goes on
from its last checkpoint.

On several ranks all of them train. What is looked for in the folder or written there is the first one's to find and to
do (`on_first_rank`), so that all of them do the same next.
"""

from __future__ import annotations

import functools
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from outlast import checkpoints
from outlast.data import Split, open_streams, split
from outlast.data.compatibility import check_inputs, sizes_for
from outlast.data.draws import room_for
from outlast.data.opening import TEXT, accepted, format_of, may_be_text, tokeniser_for
from outlast.data.text.tokenisers import Encoder, bytes_encoder, has_tokeniser, tokeniser_files, tokens_encoder
from outlast.errors import InputError
from outlast.evaluation import EvalSettings, usable
from outlast.families import build
from outlast.folders import sweep
from outlast.model import Recurrent
from outlast.modules.precision import Probe
from outlast.parallel import on_first_rank, side_by_side
from outlast.progress import WorkDone
from outlast.ranks import ranks
from outlast.reporting import Language, write_report
from outlast.results import Comparison, load_result, save_result, write_atomically
from outlast.schema import from_record
from outlast.tasks.builtin import IN_TEXT, task
from outlast.tasks.kept_rows import rows_in
from outlast.tasks.recipe_unit import How, Unit
from outlast.tasks.recipes import ModelEntry, Recipe
from outlast.tasks.task import Task
from outlast.training import TrainSettings, join_ranks

# What the models of a recipe read and where they come from: a task and families, or data and checkpoints of yours.

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
        check_inputs(Probe.of(work.model(entry.seeds[0])), parts.train)
        return None
    model = checkpoints.load(entry.checkpoint, allow_code=allow_code)
    if parts.train.about.get("reader") == "text" and "tokenizer" not in parts.train.about:
        source = Path(parts.train.about["source"])
        tokeniser_for(entry.checkpoint, model, source)  # bytes: refused, unless it reads them
    check_inputs(Probe.of(model), parts.train)
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


def run_recipe(
    recipe: Recipe,
    *,
    chosen: Task | None = None,
    progress: WorkDone | None = None,
    language: Language = "en",
    device: torch.device | str = "cpu",
    allow_code: bool = False,
) -> list[Comparison]:
    """Train, compare and measure all that is missing in ``recipe.out``; then draw the report.

    Every model and seed gets a folder with its base (``base/``; of a checkpoint ``base.json``, which says whose weights
    the results come from), the repaired models (``models/``), the comparison (``result.json``), the task's controls
    (``controls/NAME/ROW.json``) and the rows trained otherwise (``trained/NAME/``). The folder itself gets
    ``report.html``, where comparisons that another recipe left there follow this one's, and the first comparison made
    in it as ``result.json``.

    No other run may be at work in the folder: `outlast recipe` sees to that, as `outlast.folders.locked` does.

    Args:
        recipe: what to run.
        chosen: the task itself, where it is neither a built-in one nor made of the recipe's data.
        progress: told what is going on.
        language: of the reports.
        device: where models are trained and measured; with the recipe's `jobs` 1, one model at a time.
        allow_code: run the function that builds a checkpoint, as `outlast.load` does.

    Returns:
        the comparisons, in the recipe's order, but for models whose rows were kept before.
    """
    how = How(threading.Event(), progress, language, device, allow_code)
    units = units_of(recipe, how, chosen)
    join_ranks(torch.device(device))
    if recipe.rows is not None:
        done = {row["id"] for row in on_first_rank(functools.partial(rows_in, recipe.rows))}
        units = [unit for unit in units if unit.name not in done]
    for unit in units:
        require_checkpoint(unit.entry)
    if recipe.data is not None or any(unit.entry.checkpoint for unit in units):
        on_first_rank(lambda: _try(units))
    for unit in units:
        on_first_rank(functools.partial(sweep, unit.folder))
    comparisons = []
    jobs = recipe.jobs if ranks() == 1 else 1  # ranks have to meet in one order
    for at in range(0, len(units), jobs):  # figures of some models early, rather than of all at the end
        some = units[at : at + jobs]
        side_by_side(jobs, [unit.base for unit in some], how.stop)
        comparisons += [unit.compare() for unit in some]
        side_by_side(jobs, [job for unit in some for job in unit.measuring()], how.stop)
        for unit in some:
            on_first_rank(unit.finish)
    if units:
        on_first_rank(lambda: _conclude(recipe, units, comparisons, language))
    return comparisons


def units_of(recipe: Recipe, how: How | None = None, chosen: Task | None = None) -> list[Unit]:
    """Every model and seed of a recipe, whose settings fit: neither checkpoints nor data are looked at.

    Raises:
        InputError: two of one name, or settings, names and values that there are not.
    """
    how, of = how or How(threading.Event()), tasks_of(recipe) if chosen is None else lambda entry: chosen
    work = [(of(entry), entry) for entry in recipe.models]
    units = [Unit(recipe, each, entry, seed, how) for each, entry in work for seed in entry.seeds]
    twice = [name for name, times in Counter(unit.name for unit in units).items() if times > 1]
    if twice:
        raise InputError(f"two models called {', '.join(twice)}", "one name a model", "give one of them a name")
    for unit in units:
        unit.check()
    return units


def _try(units: Sequence[Unit]) -> None:
    """Read all data and checkpoints once, before anything runs, and hold them against each other."""
    found: dict[int, str | None] = {}  # by entry: two of them may be called alike
    for unit in units:
        if (name := id(unit.entry)) not in found:
            unit.say("look at data and model", 0.0)
            found[name] = try_entry(
                unit.entry,
                unit.task,
                unit.measuring_settings(),
                unit.remembrance,
                [unit.task.train_context, *(row.train_context for row in unit.trained() if row.train_context)],
                allow_code=unit.how.allow_code,
            )
    for unit in units:
        if (weights := found[id(unit.entry)]) is not None:
            record_base(unit.folder, str(unit.base_folder), weights)


def _conclude(recipe: Recipe, units: Sequence[Unit], comparisons: Sequence[Comparison], language: Language) -> None:
    """Write what is of all models: the report and the first result."""
    whole = recipe.out / "result.json"
    first = load_result(whole) if whole.exists() else None
    if not isinstance(first, Comparison) or first.base.model.get("name") in [unit.name for unit in units]:
        save_result(comparisons[0], whole)
    write_report([*comparisons, *_others(recipe.out, units)], recipe.out / "report.html", language=language)


def comparisons_in(folder: Path) -> dict[Path, Comparison]:
    """The comparisons of a recipe's folder by the folder that each lies in; results of other kinds are none of them."""
    found = {path.parent: load_result(path) for path in sorted(folder.glob("*/result.json"))}
    return {path: result for path, result in found.items() if isinstance(result, Comparison)}


def _others(folder: Path, units: Sequence[Unit]) -> list[Comparison]:
    """Comparisons that other recipes left in the folder."""
    mine = [unit.folder for unit in units]
    return [result for path, result in comparisons_in(folder).items() if path not in mine]
