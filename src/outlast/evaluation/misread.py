"""How a model wants its table to be read: the same windows under other scalings, and what is done about it."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from outlast.data import MIN_STREAMS, Batch, Split, Streams
from outlast.data.first_lines import numbered
from outlast.data.tables.scales import Rule, rule_of
from outlast.data.tables.scaling import estimated
from outlast.errors import InputError, as_arguments
from outlast.evaluation.asked import the_model
from outlast.evaluation.reading_goals import Classes, Values, sampled
from outlast.evaluation.rescaling import rescaled, rescaled_streams
from outlast.intervals import mean_interval
from outlast.model import Recurrent, device_of
from outlast.results import Note
from outlast.schema import Schema, Target

# How a model wants its table to be read: the same windows under the scalings that make sense, before any verdict.
#
# A table is standardised unless somebody says otherwise, and nothing in a module says what it was trained on. A few
# hundred training windows, read from the initial state within the training context, tell: under its own scaling a
# model that has learnt anything is better than under all others, and than the best constant. Losses are compared in
# the target's own numbers, whatever the outputs stand for. Whole windows are scored, but of a model that does far worse
# in the first quarter than later: there a training on the last output alone has asked for nothing.

INPUTS = ("standard", "none", "minmax", "robust")
"""Scalings of inputs that are tried."""
LEAST_GAIN = 0.2
"""Share of the best constant's loss that a model has to be below it by, to be one that has learnt something."""
ALIKE = 0.1
"""Two readings say the same where the mean square between their forecasts is below this share of the error's."""
_WINDOWS, _POSITIONS, _LONGEST, _BLOCKS, _ROWS = 192, 49152, 1024, 16, 64
_WORK = 5e10
"""Products of a number and a weight that all readings together may take, about; of large models fewer windows do."""
_YOUNG, _FAR = 4, 2.0
"""The first of so many parts of a window is left out where the loss in it is more than so many times the later one."""
_COMPARED = 10
"""Intervals are simultaneous over so many readings: of all that are tried most are of another size altogether."""


@dataclass(frozen=True)
class Read:
    """What came of one reading.

    Args:
        inputs, target: rules of its columns.
        schema: by which it was read.
        losses: (B,) of each block of windows, in the target's variances, or nats of classes.
        said: (N, O) forecasts, in the target's deviations, or probabilities.
    """

    inputs: dict[str, str]
    target: dict[str, str]
    schema: Schema
    losses: np.ndarray
    said: np.ndarray

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True)
class Tried:
    """All readings that were tried, first that under which the data were given.

    Args:
        constant: (B,) losses of the best constant.
        windows: that were read.
        reordered: of a classifier, under scalings where another order of its labels fits better.
    """

    reads: tuple[Read, ...]
    constant: np.ndarray
    windows: int
    reordered: tuple[Read, ...] = ()

    @property
    def given(self) -> Read:
        return self.reads[0]

    @functools.cached_property
    def best(self) -> Read:
        return min(self.reads, key=lambda read: read.loss)

    @functools.cached_property
    def other_order(self) -> Read | None:
        """The best reading with class labels in another order, where it is good and much better than all in the one
        that was given; with the inputs scaled as they were given where that is as good."""
        best = min(self.reordered, key=lambda read: read.loss, default=None)
        if best is None or not self.good(best) or not self.worse(self.best, best):
            return None
        if self.best.loss - best.loss <= LEAST_GAIN * float(self.constant.mean()):
            return None
        own = next((read for read in self.reordered if read.inputs == self.given.inputs), best)
        return best if self.worse(own, best) else own

    def good(self, read: Read) -> bool:
        """Whether it is better than the best constant, by an interval and by enough to matter."""
        constant = float(self.constant.mean())
        return constant - read.loss > LEAST_GAIN * constant and _above(self.constant, read.losses)

    def hopeless(self, read: Read) -> bool:
        """Whether its error is clearly more than twice the best constant's, as no model's is that is read rightly."""
        return mean_interval(read.losses - 2 * self.constant, _COMPARED).low > 0

    def doubtful(self, read: Read, best: Read) -> bool:
        """Whether it is no better than the best constant, where another reading is, if by little."""
        helps = [
            float(self.constant.mean()) > each.loss and _above(self.constant, each.losses) for each in (read, best)
        ]
        return helps == [False, True] and self.worse(read, best)

    def worse(self, read: Read, than: Read) -> bool:
        """Whether it is worse than another by an interval."""
        return read.loss > than.loss and _above(read.losses, than.losses)

    def alike(self, one: Read, other: Read) -> bool:
        """Whether two readings come to the same forecasts, as measured by their errors."""
        apart = float(np.square(one.said - other.said).mean())
        return apart <= ALIKE * max(one.loss, other.loss)


def _above(losses: np.ndarray, others: np.ndarray) -> bool:
    """Whether (B,) losses are above others by an interval: of their means, or of what is usual in a block, for machines
    of very different size leave the mean to one of them."""
    usual = np.log(np.maximum(losses, 1e-12)) - np.log(np.maximum(others, 1e-12))
    return any(mean_interval(apart, _COMPARED).low > 0 for apart in (losses - others, usual))


def tried(model: Recurrent, streams: Streams, train_context: int) -> Tried | None:
    """Read a few hundred windows of training streams under each scaling.

    Args:
        model: in evaluation mode; it reads what these streams hold.
        streams: of a table, with their schema.

    Returns:
        None where too few windows have targets, or where the model gives no forecasts to speak of as the data are
        given, and no good ones otherwise, which other rules tell.
    """
    schema = streams.schema
    assert schema is not None
    batch, blocks = _windows(model, streams, train_context)
    raw = schema.unscaled(batch.inputs.numpy().astype(np.float64))
    value = schema.target.kind == "value"
    goal = Values(schema.target, batch, streams) if value else Classes(schema.target, batch)
    weights = batch.weights.numpy().astype(np.float64)
    reads: list[_Scored] = []
    reordered: list[_Scored] = []
    mute = False

    def read(by: Schema, inputs: dict[str, str], told: dict[str, str], target: Target, outputs: np.ndarray) -> _Scored:
        return inputs, told, replace(by, target=target), *goal.scored(outputs, target)

    for inputs, read_by in _schemas(streams):
        outputs = _outputs(model, read_by.scaled(raw))
        if outputs is None and not reads:
            return None  # what it raises as it is given, measuring says
        if outputs is None or outputs.shape[-1] != schema.target.outputs:
            continue
        if not reads:
            mute = not (np.isfinite(outputs).all() and np.ptp(outputs, (0, 1)).any())
        for told, target in goal.candidates:
            if any(column.log for column in read_by.inputs) and not any(target.logs) and reads:
                continue  # who takes the logarithm of a column takes it of the target, which is the same one
            reads.append(read(read_by, inputs, told, target, outputs))
        if isinstance(goal, Classes) and (other := goal.reordered(outputs, weights)) is not None:
            reordered.append(read(read_by, inputs, {}, other, outputs))
    weights = _asked_for([losses for *_, losses, _ in [*reads, *reordered]], weights)
    used = np.bincount(blocks, weights.sum(1)) > 0
    if not reads or used.sum() < MIN_STREAMS:
        return None

    def by_block(losses: np.ndarray) -> np.ndarray:
        sums, counts = (np.bincount(blocks, each.sum(1)) for each in (losses * weights, weights))
        return sums[used] / counts[used]

    def whole(each: _Scored) -> Read:
        inputs, told, by, losses, said = each
        return Read(inputs, told, by, by_block(losses), said[weights > 0])

    found = Tried(tuple(map(whole, reads)), by_block(goal.constant()), len(blocks), tuple(map(whole, reordered)))
    return None if mute and not found.good(found.best) else found


_Scored = tuple[dict[str, str], dict[str, str], Schema, np.ndarray, np.ndarray]
"""Rules of inputs and target, the schema, and of every window and position (W, T) losses and (W, T, O) forecasts."""


def _asked_for(losses: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The (W, T) weights, without the first positions where the reading that is best later does far worse there."""
    late = weights * (np.arange(weights.shape[1]) >= weights.shape[1] // _YOUNG)
    young = weights - late
    if not losses or not late.any() or not young.any():
        return weights
    later, best = min(((each * late).sum() / late.sum(), at) for at, each in enumerate(losses))
    return late if (losses[best] * young).sum() / young.sum() > _FAR * later else weights


def _windows(model: Recurrent, streams: Streams, train_context: int) -> tuple[Batch, np.ndarray]:
    """Windows spread over the streams, as long as the training context, and the block of each."""
    length = int(min(train_context, _LONGEST, streams.lengths.max()))
    room = np.maximum(streams.lengths - length + 1, 0)
    positions = min(_POSITIONS, _WORK / (16 * max(1, model.numbers)))
    count = int(np.clip(positions // length, 2 * _BLOCKS, _WINDOWS))
    total = np.cumsum(room)
    at = np.unique(np.linspace(0, total[-1] - 1, count).astype(np.int64))
    stream = np.searchsorted(total, at, side="right")
    batch = streams.window(stream, at - (total - room)[stream], length)
    blocks = np.unique(stream, return_inverse=True)[1]
    if blocks.max() + 1 < _BLOCKS:  # of few recordings, neighbours in time
        blocks = np.arange(len(at)) * _BLOCKS // len(at)
    return batch, blocks


def _schemas(streams: Streams) -> Iterator[tuple[dict[str, str], Schema]]:
    """The schema with its inputs under each scaling, beginning with its own; and what the scaling of each is called.

    Where logarithms of the target are tried, they are of the same columns among the inputs too.
    """
    schema = streams.schema
    assert schema is not None
    yield streams.about["scaled"].get("inputs", {}), schema
    values = schema.unscaled(sampled(streams, streams.inputs).astype(np.float64))
    aims = [k for k, column in enumerate(schema.inputs) if column.name in schema.target.columns]
    positive = bool(aims) and schema.target.kind == "value" and float(values[:, aims].min()) > 0
    for word in INPUTS:
        for logged in (False, True)[: 1 + positive]:
            rules = [
                Rule("none") if column.categories else rule_of(f"log-{word}" if logged and k in aims else word)
                for k, column in enumerate(schema.inputs)
            ]
            found = estimated(values, np.arange(len(values)), rules)
            columns = tuple(
                replace(column, mean=float(mean), std=float(std), log=log, constant=bool(still))
                for column, mean, std, still, log in zip(schema.inputs, *found, strict=True)
            )
            words = {c.name: rule.word for c, rule in zip(schema.inputs, rules, strict=True) if not c.categories}
            yield words, replace(schema, inputs=columns)


@torch.no_grad()
def _outputs(model: Recurrent, inputs: np.ndarray) -> np.ndarray | None:
    """(W, T, O) float64, from the initial state; None for numbers that the model does not take."""
    found = []
    for rows in np.array_split(inputs.astype(np.float32), -(-len(inputs) // _ROWS)):
        try:
            outputs, _ = model(torch.from_numpy(rows).to(device_of(model)), model.initial_state(len(rows)))
        except Exception:  # the user's code, with numbers that it may never have been meant for
            return None
        outputs = outputs[..., None] if outputs.dim() == 2 else outputs
        found.append(outputs.double().cpu().numpy())
    return np.concatenate(found)


# What is done about how a model wants its table to be read: taken and said, asked, or left as it is.

Data = TypeVar("Data", bound=Streams | Split)
MISREAD, FOUND, OPEN = "misread", "scaling_found", "no_scaling_fits"
_LEAST = 1.01
"""A reading under which the error is less than this times smaller is no reason to leave the one that was given."""
_LEVEL = 1.05
"""One whose error is more than this times the best one's is no rival of it, even where too few data tell them apart."""


@dataclass(frozen=True)
class Finding:
    """What the trial comes to.

    Args:
        name: ``as_given``, ``found`` (another reading is taken), ``open`` (nobody said, and the model is good under
            none), ``doubtful`` (as asked it is no better than the best constant, and otherwise a little), or of misread
            data ``order`` (another order of the class labels fits), ``another`` (than was asked for fits), ``level``
            (two fit, and differ in what they say), ``none`` (none that was tried fits, and as it is read the error is
            far too large).
        read: what is read, or should be; `other` fits as well.
    """

    name: str
    read: Read
    other: Read | None = None


def judged(found: Tried, *, asked: bool) -> Finding:
    """What to do about the readings that were tried.

    Args:
        asked: whether somebody said how the table is scaled.
    """
    given, best = found.given, found.best
    if found.other_order is not None:
        return Finding("order", found.other_order)
    if not found.good(best):
        slight = "doubtful" if found.doubtful(given, best) else "as_given"
        return Finding("none" if found.hopeless(given) else slight if asked else "open", best)
    near = given.loss <= _LEAST * best.loss
    if near or (asked and not found.worse(given, best)):
        return Finding("as_given", given)
    if asked:
        return Finding("another", best)
    if not found.worse(given, best) and not found.alike(given, best):
        return Finding("level", best, given)
    level = [each for each in found.reads if each.loss <= _LEVEL * best.loss and not found.worse(each, best)]
    differing = [each for each in level if not found.alike(each, best)]
    if differing:
        return Finding("level", best, min(differing, key=lambda each: each.loss))
    return Finding("found" if found.worse(given, best) else "as_given", best)


def as_it_reads(model: Recurrent, data: Data, train_context: int, *, trains: bool | None = None) -> Data:
    """The data as the model reads them best, where nobody said how, and a record of what was found.

    Where a model carries the scaling that it was trained with, where the data have none, or where this was asked
    before, they come back as they are.

    Args:
        model: adapted, in evaluation mode, of these data's inputs.
        data: streams, or a split, whose training part is then read.
        trains: whether the model is to be trained or repaired on them: True refuses data that it does not fit as they
            are read, False goes on with them anyway; None: nothing is trained.

    Raises:
        InputError: says how they should be read.
    """
    found = _read(model, data, train_context)
    streams = found.train if isinstance(found, Split) else found
    if trains:
        _refuse(streams)
    if trains is False and any(note.name == MISREAD for note in scaling_notes(streams.about)):
        scaled = streams.about["scaled"]
        return _with(found, {**scaled, "tried": {**scaled["tried"], "anyway": 1}})
    return found


def _read(model: Recurrent, data: Data, train_context: int) -> Data:
    streams = data.train if isinstance(data, Split) else data
    scaled = streams.about.get("scaled")
    if model.schema is not None or streams.schema is None or scaled is None or "tried" in scaled:
        return data
    was_training = model.training
    model.eval()
    try:
        found = tried(the_model(model, streams)[0], streams, train_context)
    finally:
        model.train(was_training)
    if found is None:
        return _with(data, {**scaled, "tried": None})
    finding = judged(found, asked=scaled["by"] != "default")
    record = {**scaled, "tried": _facts(found, finding)}
    if finding.name != "found":
        return _with(data, record)
    read = finding.read
    record |= {"by": "found", "inputs": read.inputs, "target": read.target}
    if isinstance(data, Split):
        return rescaled(data, read.schema, record)
    return rescaled_streams(data, read.schema, record)


def like(streams: Streams, read: Streams) -> Streams:
    """Other streams of the same table, read as those are."""
    taken = read.about.get("scaled")
    if taken is None or taken["by"] != "found" or streams.schema is None or read.schema is None:
        return streams
    schema = replace(streams.schema, inputs=read.schema.inputs, target=read.schema.target)
    return rescaled_streams(streams, schema, taken)


def _refuse(streams: Streams) -> None:
    for note in scaling_notes(streams.about):
        if note.name == MISREAD:
            file, finding = "scale='FILE.json' with figures of your own", note.facts["finding"]
            best = (
                file
                if finding == "none"
                else f"{as_arguments(str(note.facts['options']))}{'' if finding == 'order' else f', or {file}'}"
            )
            raise InputError(
                f"a model that does not fit these data as they are read: {note.said}",
                "data scaled as in the model's training",
                f"say it: {best}; --anyway (RepairSettings) trains on them as they are",
            )


def scaling_notes(about: Mapping[str, Any]) -> list[Note]:
    """What was found about the scaling, as notes of a result."""
    facts = (about.get("scaled") or {}).get("tried")
    if not facts or facts["finding"] == "as_given":
        return []
    unit = "variances of the target" if facts["unit"] == "variances" else facts["unit"]
    constant = f"the best constant {facts['constant']:.3g}"
    given, loss, options = facts["given"], facts["loss"], facts["options"]
    said = {
        "order": f"its outputs fit the labels in another order far better: now {facts.get('labels')}, and the loss on "
        f"training windows is {given:.3g} {unit} ({constant}); it would be {loss:.3g} with "
        f"{as_arguments(options)}. The order of the labels is probably another one",
        "found": f"nobody said how the table is scaled, and the model is read with {options}: on training windows its "
        f"loss is then {loss:.3g} {unit}, against {given:.3g} standardised ({constant})",
        "another": f"scaled as asked its loss on training windows is {given:.3g} {unit} ({constant}); with {options}, "
        f"it would be {loss:.3g}",
        "level": f"read with {options}, and with {facts.get('other')}, it fits training windows alike (loss {loss:.3g} "
        f"and {facts.get('other_loss', 0):.3g} {unit}, {constant}), and the forecasts differ",
        "open": "nobody said how the table is scaled, and of the scalings that were tried none makes the model clearly "
        f"better than the best constant. On training windows its loss is {given:.3g} {unit} standardised, {loss:.3g} "
        f"at best ({constant}). Either it has learnt little, or its table is read wrongly",
        "doubtful": f"scaled as asked its loss on training windows is {given:.3g} {unit}, no better than the best "
        f"constant ({facts['constant']:.3g}), and with {options}, it would be {loss:.3g}, which is little better. "
        "Either it has learnt little, or its table is read wrongly",
        "none": f"its loss on training windows is {given:.3g} {unit} ({constant}), and none of the scalings that were "
        f"tried makes it good (at best {loss:.3g}, with {options})",
    }[facts["finding"]]
    return [Note({"found": FOUND, "open": OPEN, "doubtful": OPEN}.get(facts["finding"], MISREAD), said, dict(facts))]


def _facts(found: Tried, finding: Finding) -> dict[str, float | int | str]:
    read, other, given = finding.read, finding.other, found.given
    options = typed(read)
    if finding.name == "order":
        alike = read.inputs == given.inputs
        options = shlex.join(["--classes", *map(str, read.schema.target.labels)]) + ("" if alike else f" {options}")
    facts: dict[str, float | int | str] = {
        "finding": finding.name,
        "options": options,
        "loss": read.loss,
        "given": given.loss,
        "constant": float(found.constant.mean()),
        "windows": found.windows,
        "unit": "variances" if read.schema.target.kind == "value" else "nats",
    }
    if finding.name == "order":
        facts["labels"] = numbered(given.schema.target.labels)[0]
    return facts if other is None else facts | {"other": typed(other), "other_loss": other.loss}


def misreading(notes: Sequence[Note]) -> list[Note]:
    """Why nothing is judged: the model does not fit the data as they are read, and nobody said to go on anyway."""
    return [note for note in notes if note.name == MISREAD and not note.facts.get("anyway")]


def typed(read: Read) -> str:
    """A reading as options of the command line."""
    words = list(read.inputs.values())
    usual = max(sorted(set(words), key=words.index), key=words.count) if words else "standard"
    apart = [f"{name}={word}" for name, word in read.inputs.items() if word != usual]
    aims = list(dict.fromkeys(read.target.values()))
    told = ["--scale", usual, *apart]
    if not read.target:
        return shlex.join(told)
    return shlex.join(
        [*told, "--target-scale", *(aims if len(aims) == 1 else [f"{n}={w}" for n, w in read.target.items()])]
    )


def _with(data: Data, scaled: dict[str, Any]) -> Data:
    def noted(streams: Streams) -> Streams:
        return replace(streams, about={**streams.about, "scaled": scaled})

    if isinstance(data, Split):
        return replace(data, train=noted(data.train), validation=noted(data.validation), test=noted(data.test))
    return noted(data)
