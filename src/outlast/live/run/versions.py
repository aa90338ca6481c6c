"""Versions of a model on their way to work: the first one, and what a person says of those that follow."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from outlast import checkpoints
from outlast.errors import InputError
from outlast.folders import aside
from outlast.live.ledger import candidates as ledger_of
from outlast.live.ledger.candidates import Candidate, Deployment, place_of
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.retrain.checks import (
    ANSWERED_FOR,
    MODEL,
    PROFILE,
    PROPOSED,
    check_files,
    cleared,
    files_in,
    folder_of,
    latest,
    record_of,
)
from outlast.live.run.lane import columns_of
from outlast.live.run.promotion import PAIRED
from outlast.live.signing import signed
from outlast.live.watch.profiles import load_profile
from outlast.model import Recurrent
from outlast.onnx import NAME, is_onnx
from outlast.schema import Schema, Target

VERSIONS = "versions"
"""Of the ledger's folder, where the models lie that were put to work without being candidates."""
_NEXT = {Status.GATED: Status.SHADOW, Status.SHADOW: Status.CANARY, Status.CANARY: Status.PROMOTED}


def put_to_work(
    ledger: Ledger, model: str | Path, profile: str | Path, *, by: str, because: str, allow_code: bool = False
) -> Deployment:
    """Put the first model to work. It is copied into the ledger's folder, with its profile.

    Raises:
        InputError: no such model or profile, a profile of another model, a model that does not know its columns, or one
            is at work already.
    """
    signed(by, because)
    if (current := ledger_of.at_work(ledger)) is not None:
        raise InputError(
            f"a first model where {place_of(ledger, current)} is at work",
            "a ledger without one",
            "choose another --ledger; versions that follow come by outlast live retrain",
        )
    loaded = checkpoints.load(model, "cpu", allow_code=allow_code)
    columns_of(loaded, model)
    load_profile(profile).senses(loaded)  # which says so where it is of another model
    found = checkpoints.model_fingerprint(loaded)
    folder = ledger.folder / VERSIONS / found[:16]
    _copied(folder, model, profile)
    place = str(folder.relative_to(ledger.folder))
    return ledger_of.deploy(ledger, found, place, by=by, because=because, files=files_in(folder))


def propose(
    ledger: Ledger, model: str | Path, profile: str | Path, *, by: str, because: str, allow_code: bool = False
) -> Candidate:
    """A version that was made elsewhere, as a candidate that a person answers for: no gate but the live ones is asked.

    Raises:
        InputError: no such model or profile, a profile of another model, nothing at work, or other columns, another
            target, other rules for missing values and gaps, another way to write numbers and times, or another measure
            than the model at work has.
    """
    signed(by, because)
    work = ledger_of.at_work(ledger)
    if work is None:
        raise InputError(
            "a version that follows none", "a model at work", "outlast live deploy puts the first one to work"
        )
    loaded = checkpoints.load(model, "cpu", allow_code=allow_code)
    known = load_profile(profile)
    known.senses(loaded)  # which says so where it is of another model
    current = checkpoints.load(place_of(ledger, work) / MODEL, "cpu", allow_code=allow_code)
    mine, theirs = _columns(loaded), _columns(current)
    if mine != theirs or _target(loaded) != _target(current):
        raise InputError(
            f"{model}, which reads {', '.join(mine) or 'no columns'} or forecasts something else",
            f"a model of {', '.join(theirs)} with the target (its bins and its scaling too) of the one at work",
            "train it with the schema of the one at work: Streams.from_table(..., schema=model.schema)",
        )
    other = {name: rule for name, rule in _rules(loaded).items() if rule != _rules(current)[name]}
    if other:  # one would pass over rows, or begin streams anew, where the other reads on
        raise InputError(
            f"{model}, which reads tables with {_written(other)}",
            f"{_written({name: _rules(current)[name] for name in other})}, as the one at work does",
            "train it with the schema of the one at work: Streams.from_table(..., schema=model.schema)",
        )
    measure = load_profile(place_of(ledger, work) / PROFILE).facts.measure
    if known.facts.measure != measure:
        raise InputError(
            f"{profile} by {known.facts.measure}", f"{measure}, as that of the model at work", "outlast live profile"
        )
    found = checkpoints.model_fingerprint(loaded)

    def placed(number: int) -> str:
        folder = folder_of(ledger, number)
        _copied(folder, model, profile)
        return str(folder.relative_to(ledger.folder))

    one = ledger_of.begin(ledger, work.model, placed, by=by, because=because)
    record = record_of(folder_of(ledger, one.id) / MODEL)
    figures = {"model": found, "record": record, "by": by, "because": because}
    ledger_of.move(ledger, one.id, Status.TRAINED, by=by, because="it was made elsewhere", model=found)
    ledger_of.gate(ledger, one.id, PROPOSED, ANSWERED_FOR, passed=True, figures=figures)
    files = files_in(folder_of(ledger, one.id))
    return ledger_of.move(ledger, one.id, Status.GATED, by=by, because=because, files=files)


def go_back(ledger: Ledger, *, by: str, because: str) -> Deployment:
    """Put the version to work again that the one at work replaced.

    Raises:
        InputError: it replaced none, somebody else has changed what is at work, or that one's files are gone or are
            not what they were.
    """
    signed(by, because)
    work = ledger_of.at_work(ledger)
    before = next((each for each in ledger_of.deployments(ledger) if work and each.id == work.replaced), None)
    if before is not None:
        check_files(place_of(ledger, before), before.files)
    return ledger_of.roll_back(ledger, by=by, because=because, of=None if work is None else work.id)


def _columns(model: Recurrent) -> list[str]:
    return [] if model.schema is None else model.schema.names


def _target(model: Recurrent) -> Target | None:
    """All that losses depend on: in other units or bins they say nothing."""
    return None if model.schema is None else replace(model.schema.target, units=(), values=())


def _rules(model: Recurrent) -> dict[str, Any]:
    """Which rows it reads and how they are written, and where a stream of them begins anew."""
    schema = model.schema
    if schema is None:
        return {}
    gap = None if schema.gaps == "join" else schema.max_gap  # a gap that does nothing is none
    # A run reads text once for all versions; it is UTF-8, whatever the encoding of the training's table was.
    written = {name: value for name, value in asdict(schema.notation).items() if name != "encoding"}
    return {"missing": schema.missing, "gaps": schema.gaps, "max_gap": gap, "stream": schema.stream,
            "time": schema.time, "categories": _codes(schema), **written}  # fmt: skip


def _codes(schema: Schema) -> str | None:
    """Which code each value of its categories has, in words."""
    each = (f"{name}={','.join(map(str, values))}" for name, values in schema.categories.items())
    return " ".join(each) or None


def _written(rules: dict[str, Any]) -> str:
    return ", ".join(f"{name}={rule!r}" for name, rule in rules.items())


def _copied(folder: Path, model: str | Path, profile: str | Path) -> None:
    """Put a version into its folder, as a whole or not at all."""
    try:
        if not folder.exists():
            new = aside(folder)
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            if is_onnx(model) and not Path(model).is_dir():
                (new / MODEL).mkdir()
                shutil.copyfile(model, new / MODEL / NAME)
            else:
                shutil.copytree(model, new / MODEL)
            shutil.copytree(profile, new / PROFILE)
            new.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder} ({error.strerror})", "a folder that may be written to, with room", "free it, or choose another"
        ) from error


def approve(
    ledger: Ledger, number: int, *, by: str, because: str, anyway: bool = False, allow_code: bool = False
) -> Candidate:
    """Let a candidate go on to its next stage, which a person answers for.

    Args:
        anyway: also without evidence from live streams.

    Raises:
        InputError: there is no such candidate, it is at its end, it did not come through its gates, it waits for
            evidence, or its files are not what its gates saw.
    """
    signed(by, because)
    found = ledger_of.candidate(ledger, number)
    to = _NEXT.get(found.status)
    if to is None:
        raise InputError(
            f"candidate {number}, {found.status}, to be approved",
            "one that is gated, a shadow or a canary",
            "outlast live retrain takes it through its stages; what was refused stays so",
        )
    work = ledger_of.at_work(ledger)
    if work is None or work.model != found.parent:
        raise InputError(
            f"candidate {number}, which follows a version that is at work no longer",
            "a candidate of the version at work",
            "begin a new one: outlast live retrain, or outlast live propose",
        )
    told = latest(ledger, number, found.status).get(PAIRED)
    if found.status != Status.GATED and not anyway and not (told and told.passed):
        raise InputError(
            f"candidate {number}, a {found.status} of which live streams do not say yet that it is better",
            "evidence from outlast live run",
            "let it read longer, or say --anyway and why",
        )
    loaded = cleared(ledger, number, allow_code=allow_code)
    load_profile(folder_of(ledger, number) / PROFILE).senses(loaded)
    if to == Status.PROMOTED:
        ledger_of.promote(ledger, number, by=by, because=because, instead_of=work.id)
    else:
        ledger_of.move(ledger, number, to, by=by, because=because)
    return ledger_of.candidate(ledger, number)
