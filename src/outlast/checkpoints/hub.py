"""Models on a hub, by their id: settings, tokeniser and safetensors of one revision, fetched by huggingface_hub into
its cache. Neither pickles nor code are fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from outlast.checkpoints.mistaken import EXPECTED
from outlast.errors import InputError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILE = re.compile(r"\.(json|safetensors|pth?|bin|ckpt|gguf|onnx|py|npy|csv|parquet)$")
WEIGHTS = "*.safetensors"
BELOW = "*/*"
"""Files in folders of a repository: other forms of the model, or steps of its training."""


def is_id(name: str, revision: str | None = None) -> bool:
    """Whether a name is the id of a model on a hub: ``owner/name``, where no such path and no folder ``owner`` is here.

    With a revision it is one in any case, for a folder has none.
    """
    if not _ID.fullmatch(name) or _FILE.search(name):
        return False
    return revision is not None or not (os.path.lexists(name) or Path(name).parent.exists())


def fetched(name: str, revision: str | None, also: Iterable[str], readable: Callable[[Path], None]) -> Path:
    """The folder in huggingface_hub's cache that holds a model, after fetching what is missing there.

    Args:
        name: ``owner/name``.
        revision: a branch, a tag or a commit; None: the main branch.
        also: names of files beside JSON and safetensors that belong to a model.
        readable: raises InputError where a folder with all but the weights is one that cannot be read: before these,
            which may be large, are fetched.

    Raises:
        InputError: there is no such model or revision, it has no safetensors, or no hub can be reached.
    """
    folder = _snapshot(name, revision, ["*.json", *also])
    readable(folder)
    folder = _snapshot(name, revision, ["*.json", *also, WEIGHTS])
    if not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"{name} on the hub, which has no safetensors",
            "a model with safetensors: pickles are not fetched",
            f"fetch it yourself if you trust it, and give the folder: hf download {name} --local-dir "
            f"{name.partition('/')[2]}; of its pickles nothing but tensors is read then",
        )
    return folder


def _snapshot(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download  # of use only where a model is named by an id
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f"{name} at {revision}" if revision else name
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=[BELOW]))
    except GatedRepoError as error:
        raise InputError(
            f"{at}, which its owners let nobody read without asking",
            "a model that you may read",
            f"ask for it on its page, sign in once with hf auth login, and try again ({_first(error)})",
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"{name} with --revision {revision}, which the hub does not have",
            "a branch, a tag or a commit of that model",
            "leave it out for the main branch, or look the revisions up on the model's page",
        ) from error
    except RepositoryNotFoundError as error:
        raise _nothing(f"{name!r}: no such folder here, and no such model that you may read on the hub") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise _nothing(f"{at!r}: no such folder here, and no hub can be reached ({_first(error)})", name) from error
    except HfHubHTTPError as error:
        raise _nothing(f"{at!r}: no such folder here, and the hub would not answer ({_first(error)})", name) from error
    except Exception as error:  # whatever the network and the libraries below make of a broken connection
        said = f"{type(error).__name__}: {_first(error)}"
        raise _nothing(f"{at!r}: no such folder here, and fetching it failed ({said})", name) from error


def _nothing(given: str, name: str | None = None) -> InputError:
    do = "check the folder's name, or the id"
    if name is not None:
        own = name.partition("/")[2]
        do = (
            f"check the folder's name; or, where there is a network, run hf download {name} --include '*.json' "
            f"'{WEIGHTS}' --local-dir {own}, and give the folder {own}"
        )
    return InputError(given, EXPECTED, do)


def _first(error: BaseException) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
