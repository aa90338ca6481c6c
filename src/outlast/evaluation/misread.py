"""What is done about how a model wants its table to be read: taken and said, asked, or left as it is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from outlast.errors import InputError
from outlast.evaluation.asked import the_model
from outlast.evaluation.scaling import Read, Tried, tried
from outlast.model import Recurrent
from outlast.results import Note
from outlast.streams import Split, Streams
from outlast.streams.rescaling import rescaled, rescaled_streams

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
            none), or of misread data ``another`` (than was asked for fits), ``level`` (two fit, and differ in what
            they say), ``none`` (none that was tried fits, and as it is read the error is far too large).
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
    if not found.good(best):
        return Finding("none" if found.hopeless(given) else "as_given" if asked else "open", best)
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
            file, here = "--scale FILE.json with figures of your own", "(in Python scale=, target_scale=)"
            best = f"{file} {here}" if note.facts["finding"] == "none" else f"{note.facts['options']} {here}, or {file}"
            raise InputError(
                f"a model that does not fit these data as they are read: {note.said}",
                "data scaled as in the model's training",
                f"say it: {best}; --anyway (RepairSettings(anyway=True)) trains on them as they are",
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
        "found": f"nobody said how the table is scaled, and the model is read with {options}: on training windows its "
        f"loss is then {loss:.3g} {unit}, against {given:.3g} standardised ({constant})",
        "another": f"scaled as asked its loss on training windows is {given:.3g} {unit}, and with {options} it would "
        f"be {loss:.3g} ({constant})",
        "level": f"{options} and {facts.get('other')} fit alike on training windows (loss {loss:.3g} and "
        f"{facts.get('other_loss', 0):.3g} {unit}, {constant}), and the forecasts differ",
        "open": "nobody said how the table is scaled, and of the scalings that were tried none makes the model clearly "
        f"better than the best constant. On training windows its loss is {given:.3g} {unit} standardised, {loss:.3g} "
        f"at best ({constant}). Either it has learnt little, or its table is read wrongly",
        "none": f"its loss on training windows is {given:.3g} {unit} ({constant}), and none of the scalings that were "
        f"tried makes it good (at best {loss:.3g}, with {options})",
    }[facts["finding"]]
    return [Note({"found": FOUND, "open": OPEN}.get(facts["finding"], MISREAD), said, dict(facts))]


def _facts(found: Tried, finding: Finding) -> dict[str, float | int | str]:
    read, other = finding.read, finding.other
    facts: dict[str, float | int | str] = {
        "finding": finding.name,
        "options": typed(read),
        "loss": read.loss,
        "given": found.given.loss,
        "constant": float(found.constant.mean()),
        "windows": found.windows,
        "unit": "variances" if read.schema.target.kind == "value" else "nats",
    }
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
