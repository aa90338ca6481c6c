"""Every recurrent model type of the installed transformers, tried on a small model: ``docs/models.md``.

``python -m benchmarks.pages.model_types --page docs/models.md``, some minutes on one core. It tells of the version of
transformers that is installed where it runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers
from torch import Tensor, nn
from transformers import CONFIG_MAPPING

from benchmarks.pages import small_types as small
from benchmarks.pages.marks import named_marks, put_figures, table
from outlast import checkpoints
from outlast.errors import InputError
from outlast.foreign import BORROWED, kind_of
from outlast.foreign.caches.carriers import Arguments
from outlast.foreign.caches.choosing import chosen, classes_of, is_recurrent
from outlast.foreign.caches.directory import Whole, apart, at_once, edited, gap, gradients_apart, tokens_for
from outlast.foreign.caches.model import Borrowed
from outlast.foreign.caches.reading import reading
from outlast.model import Recurrent

PIECES = (67, 1, 1, 16, 65)
"""Positions of the pieces: beside the usual chunk sizes, and single ones."""

WINDOW = 256
"""More positions than are read, so that attention is the library's own."""


@dataclass(frozen=True)
class Row:
    """What was found of one model type.

    Args:
        kind: transformers' class, or empty.
        by: who runs it: ``outlast`` or ``transformers``; empty: it is refused or was not tried.
        itself: how far transformers' own reading in the same pieces, with its own cache, is from one pass; or why it
            cannot be asked.
        pieces, gradient: how far reading in pieces, and the gradient through the state, are from one pass of
            transformers in float32 and in float64.
        written: saved again, the same tensors bit for bit, and transformers loads them with the same logits.
        cpu, gpu: whether it runs there, in words.
        why: it is not read.
    """

    name: str
    kind: str = ""
    by: str = ""
    itself: str = ""
    pieces: tuple[float, float] | None = None
    gradient: tuple[float, float] | None = None
    written: bool = False
    cpu: str = ""
    gpu: str = ""
    why: str = ""


def recurrent_types() -> list[str]:
    """The model types of the installed transformers that have a recurrent state and predict tokens, by their
    configurations' defaults, and those that there are small settings of."""
    return sorted(name for name in CONFIG_MAPPING if name in small.tried() or _is_meant(name))


def _is_meant(name: str) -> bool:
    try:
        config = CONFIG_MAPPING[name]()
        return bool(classes_of(config)) and is_recurrent(config)
    except Exception:  # a configuration without defaults, or of a package that is not installed, is no language model's
        return False


def row_of(name: str, folder: Path) -> Row:
    """Try one model type.

    Args:
        folder: to write into.
    """
    config = small.configured(name)
    record, kind = config.to_dict(), next((each.__name__ for each in reversed(classes_of(config))), "")
    try:
        if kind_of(record) == BORROWED:
            chosen({**record, "architectures": [kind] if kind else None}, name)
    except InputError as error:
        return Row(name, kind, why=_reason(error))
    if name not in small.tried():
        return Row(name, kind, why="not tried: there are no small settings of it")
    theirs = small.built(name)
    theirs.save_pretrained(folder / "theirs")
    try:
        model = checkpoints.load(folder / "theirs")
        if isinstance(model, Borrowed):
            model = checkpoints.load(folder / "theirs", attention_window=WINDOW)
    except InputError as error:
        return Row(name, kind, why=_reason(error))
    found = [_apart(*_in(model, theirs, dtype)) for dtype in (torch.float32, torch.float64)]
    return Row(
        name,
        kind,
        by="transformers" if isinstance(model, Borrowed) else "outlast",
        itself=_by_itself(theirs, tokens_for(model, 2, sum(PIECES))),
        pieces=(found[0][0], found[1][0]),
        gradient=(found[0][1], found[1][1]),
        written=_written(model, theirs, folder),
        cpu="writes into its state" if edited(model) else "yes",
        gpu=_on_gpu(model, theirs),
    )


def _reason(error: InputError) -> str:
    return error.given.partition(": ")[2] or error.given


def _by_itself(theirs: Any, tokens: Tensor) -> str:
    """As `Row.itself`, over tokens (B, T)."""
    name = Arguments.of(theirs).cache
    given, found = {}, []
    with torch.no_grad():
        try:
            for piece in tokens.split(list(PIECES), 1):
                out = theirs(input_ids=piece, use_cache=True, **given)
                if out.logits.shape[1] != piece.shape[1]:
                    return f"{out.logits.shape[1]} logits for {piece.shape[1]} position"
                if getattr(out, name, None) is None:
                    return "gives no cache"
                given = {name: getattr(out, name)}
                found.append(out.logits)
        except Exception as error:  # whatever it raises, its user would see
            return f"raises {type(error).__name__}"
        return f"{gap(torch.cat(found, 1), _whole(theirs, tokens)):.0e}"


def _in(model: Recurrent, theirs: Any, dtype: torch.dtype) -> tuple[Recurrent, Whole, tuple[nn.Module, nn.Module]]:
    """The model, its library's own pass and the modules that embed tokens, all in one dtype."""
    model = model.to(dtype)
    if isinstance(model, Borrowed):
        return model, partial(at_once, model), (model.model.get_input_embeddings(),) * 2
    theirs = theirs.to(dtype)
    own = next(each for each in model.modules() if isinstance(each, nn.Embedding))
    return model, partial(_whole, theirs), (own, theirs.get_input_embeddings())


def _whole(theirs: Any, tokens: Tensor) -> Tensor:
    """What transformers' own model makes of tokens (B, T), in the dtype of its parameters."""
    with reading(None, theirs.dtype):
        return theirs(input_ids=tokens, use_cache=False).logits


def _apart(model: Recurrent, whole: Whole, embeddings: Sequence[nn.Module]) -> tuple[float, float]:
    """Of reading in pieces, and of the gradients for one position and for many."""
    gradients = (gradients_apart(model, whole, embeddings, 67, second) for second in (1, 70))
    return apart(model, whole, 2, PIECES), max(gradients)


def _written(model: Recurrent, theirs: Any, folder: Path) -> bool:
    checkpoints.save(checkpoints.load(folder / "theirs"), folder / "ours")
    before, after = (safetensors.torch.load_file(folder / each / checkpoints.WEIGHTS) for each in ("theirs", "ours"))
    same = before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    tokens, loader = torch.arange(3, 23)[None], type(theirs)
    with torch.no_grad():
        said = [_whole(loader.from_pretrained(folder / each).eval(), tokens) for each in ("theirs", "ours")]
    return same and torch.equal(*said)


def _on_gpu(model: Recurrent, theirs: Any) -> str:
    if not torch.cuda.is_available():
        return "not tried"
    try:
        model, whole, _ = _in(model.to("cuda"), theirs.to("cuda"), torch.float32)
        return f"{apart(model, whole, 2, PIECES):.0e}"
    except RuntimeError as error:
        return str(error).splitlines()[0]


def figures(rows: Sequence[Row]) -> list[str]:
    """Two tables: what is read, and what is not."""
    read = [row for row in rows if row.by]
    version = transformers.__version__
    counted = f"{len(read)} of the {len(rows)} recurrent model types of transformers {version} are read."
    head = ("model type", "class there", "by itself", "run by", "pieces", "gradient", "written back", "CPU", "GPU")
    lines = [
        (
            *(f"`{row.name}`", f"`{row.kind}`", row.itself, row.by, _pair(row.pieces), _pair(row.gradient)),
            *("yes" if row.written else "no", row.cpu, row.gpu),
        )
        for row in read
    ]
    refused = [(f"`{row.name}`", f"`{row.kind}`" if row.kind else "none", row.why) for row in rows if not row.by]
    return [counted, table(head, lines), "Not read:", table(("model type", "class there", "because"), refused)]


def _pair(found: tuple[float, float] | None) -> str:
    return " / ".join(f"{each:.0e}" for each in found or ())


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--page", type=Path, required=True)
    asked.add_argument("--types", nargs="*", help="model types to try, and print; the page stays as it is")
    given = asked.parse_args(arguments)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    rows = []
    for name in given.types or recurrent_types():
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row_of(name, Path(folder)))
        print(rows[-1], file=sys.stderr, flush=True)
    if not given.types:
        put_figures(given.page, "Model types of transformers", figures(rows), *named_marks("model types"))


if __name__ == "__main__":
    main()
