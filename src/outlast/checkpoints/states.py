"""Files of states, and hashes by which files and tensors are known again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from outlast.errors import InputError
from outlast.model import Recurrent, device_of
from outlast.state import State, as_like, as_real, leaves, named_leaves, rebuild

# Hashes of files and of tensors, by which what was saved is known again.


def file_sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor], before: bytes = b"") -> str:
    """Of tensors on the CPU, of any shape: names, dtypes, shapes and bits; with bytes that stand before them."""
    digest = hashlib.sha256(before)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# Files of states: tensors of a state by part, and what belongs to them, as safetensors with the model's fingerprint.
#
# A file is replaced as a whole or not at all, and one in which bits have changed is refused.

_BESIDE = "beside."
"""Prefix of the tensors that are no part of the state."""


def write_state(
    path: str | Path, state: State, fingerprint: str, beside: Mapping[str, Tensor], record: Mapping[str, str]
) -> None:
    """Write a state, tensors (B, …).

    Args:
        fingerprint: of the model that it belongs to (`model_fingerprint`).
        beside: more tensors that belong to it.
        record: text that belongs to it.

    Raises:
        InputError: the file cannot be written; what lay there still does.
    """
    named = _named(state, beside)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        metadata = {**record, "model": fingerprint, "sha256": _hash(named, record)}
        safetensors.torch.save_file(named, temporary, metadata=metadata)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # what names it must not outlive it where the power goes
        temporary.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"{path} could not be written ({error})", "a file in a folder with room", "choose another"
        ) from error


def state_hash(state: State, beside: Mapping[str, Tensor], record: Mapping[str, str], fingerprint: str) -> str:
    """Of all that `write_state` would write, tensors (B, …) and text."""
    return _hash(_named(state, beside), {**record, "model": fingerprint})


def read_state(
    path: str | Path, model: Recurrent, fingerprint: str, writers: str, resets: str = "none", *, finite: bool = True
) -> tuple[State, dict[str, Tensor], dict[str, str]]:
    """What `write_state` wrote: the state on the model's device, the tensors beside it on the CPU, and the text.

    Args:
        writers: who writes such files, for the message.
        resets: under which the model runs.
        finite: refuse states that hold what is no number.

    Raises:
        InputError: there is no such file, it is none of these, it is damaged, or it belongs to another model.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # reading a pipe may wait for ever
        raise no_state(path, "it is no file", writers)
    try:
        with safetensors.safe_open(path, "pt") as file:
            record = dict(file.metadata() or {})
            named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
        of, known = record.pop("model"), record.pop("sha256", None)
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise no_state(path, f"{type(error).__name__}: {error}", writers) from error
    if known is not None and known != _hash(named, record):
        raise no_state(path, "what it holds is not what was written", writers)
    if of != fingerprint:
        raise InputError(f"{path}, a state of the model {of[:12]}…", f"one of {fingerprint[:12]}…", "use that model")
    if (before := record.get("resets", "none")) != resets:
        raise InputError(
            f"{path}, states under resets {before}, for a model under resets {resets}",
            "states of the same resets",
            f"deploy with resets={before!r}, or start anew without the file",
        )
    beside = {name.removeprefix(_BESIDE): named.pop(name) for name in list(named) if name.startswith(_BESIDE)}
    rows = {len(tensor) for tensor in named.values() if tensor.dim()}
    if len(rows) != 1:
        raise no_state(path, f"tensors of {sorted(rows)} rows", writers)
    return _as_of(model, named, rows.pop(), path, writers, finite), beside, record


def no_state(path: str | Path, why: str, writers: str) -> InputError:
    """For a file that is no state."""
    return InputError(
        f"{path} cannot be read as a state ({why})", f"a file that {writers} wrote", "start anew without it"
    )


def _as_of(model: Recurrent, named: Mapping[str, Tensor], rows: int, path: Path, writers: str, finite: bool) -> State:
    """The tensors by name as a state of the model."""
    state = model.initial_state(rows)
    like = {name: as_real(tensor) for name, tensor in named_leaves(state)}
    if set(like) != set(named) or any(named[name].shape != tensor.shape for name, tensor in like.items()):
        parts = ", ".join(list(like)[:3])
        raise InputError(f"{path}, a state of other parts", f"the parts {parts}, …", "start anew")
    for name, tensor in like.items():
        given = named[name]
        if given.is_floating_point() != tensor.is_floating_point() or (finite and not torch.isfinite(given).all()):
            raise no_state(path, f"{name} is of {given.dtype}, or holds what is no number", writers)
    device = device_of(model)
    pairs = zip(like, leaves(state), strict=True)
    return rebuild(state, [as_like(named[name].to(device), tensor) for name, tensor in pairs])


def _named(state: State, beside: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = {name: plain(tensor) for name, tensor in named_leaves(state)}
    return named | {f"{_BESIDE}{name}": plain(tensor) for name, tensor in beside.items()}


def plain(tensor: Tensor) -> Tensor:
    """As it is written: complex numbers as pairs, for which every width has a name in the file."""
    return as_real(tensor.detach()).cpu().contiguous().clone()


def _hash(named: Mapping[str, Tensor], record: Mapping[str, str]) -> str:
    return tensors_sha256(named, repr(sorted(record.items())).encode())
