"""A version of the model as its files have it, read once for all that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outlast import checkpoints
from outlast.errors import InputError
from outlast.live.profiles import Profile, load_profile
from outlast.live.retraining.verified import MODEL, PROFILE, check_files
from outlast.model import Recurrent
from outlast.schema import Schema


@dataclass(frozen=True, eq=False)
class Loaded:
    """One version.

    Args:
        folder: of its model.
        schema: what the model's columns mean.
        fingerprint: of its weights.
    """

    folder: Path
    model: Recurrent
    schema: Schema
    profile: Profile
    fingerprint: str


def load(
    folder: str | Path,
    fingerprint: str,
    *,
    files: Mapping[str, str] | None = None,
    model: Recurrent | None = None,
    allow_code: bool = False,
) -> Loaded:
    """The version in a folder: `model` in it, and `profile`.

    Args:
        fingerprint: that its weights must have.
        files: SHA-256 that its files must have, by their paths; None: nobody knows.
        model: that was loaded from there already; None: none was.

    Raises:
        InputError: no such model or profile, a model without a schema, or another one, or other files, than was
            written down.
    """
    folder = Path(folder)
    if files is not None:
        check_files(folder, files)
    if model is None:
        model = checkpoints.load(folder / MODEL, "cpu", allow_code=allow_code)
    schema = columns_of(model, folder / MODEL)
    found = checkpoints.model_fingerprint(model)
    if found != fingerprint:
        raise InputError(
            f"{folder / MODEL} with the weights {found[:12]}…",
            f"{fingerprint[:12]}…, as the ledger says",
            "restore the folder as it was",
        )
    return Loaded(folder / MODEL, model, schema, load_profile(folder / PROFILE), found)


def columns_of(model: Recurrent, folder: str | Path) -> Schema:
    """What a model's columns mean.

    Raises:
        InputError: it does not know.
    """
    if model.schema is None:
        raise InputError(
            f"{folder}, a model that does not know its columns",
            "one that was trained on a table",
            "outlast save --model … --data … --target … --out DIR writes one from a factory's model and a table",
        )
    return model.schema
