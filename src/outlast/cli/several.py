"""One command on several ranks (torchrun, Accelerate): all of them train, the first one measures, writes and speaks."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from outlast.errors import InputError
from outlast.ranks import rank, ranks

TRAINING = ("train", "repair", "compare")
_ONE_AFTER_ANOTHER = ("quickstart",)


def on_ranks(name: str, verb: Callable[[Any], int], options: Any) -> int:
    """Run a verb as it is meant for this rank; alone, just run it.

    Raises:
        InputError: a verb that goes by what lies in its folder, which ranks would see at different moments.
    """
    if ranks() == 1:
        return verb(options)
    if name in _ONE_AFTER_ANOTHER:
        raise InputError(
            f"outlast {name} on {ranks()} ranks",
            f"{', '.join(TRAINING)} and recipe on several ranks, all else on one",
            f"run outlast {name} without torchrun; it has jobs that run side by side",
        )
    try:
        if rank() == 0:
            return verb(options)
        if name == "recipe":  # which asks the first rank about its folder and lets it write
            with _silence():
                return verb(options)
        from outlast.cli.outputs import is_finished  # one process alone has nothing to ask it

        shown = name in TRAINING and options.resume and is_finished(options.out, name)  # the first rank says so
        return _beside_the_first(verb, options) if name in TRAINING and not shown else 0
    finally:
        torch = sys.modules.get("torch")  # a verb that did without it has joined no ranks
        if torch is not None and torch.distributed.is_initialized():
            gc.collect()  # wrapped models that an error kept alive (`let_go`)
            torch.distributed.destroy_process_group()


def _beside_the_first(verb: Callable[[Any], int], options: Any) -> int:
    """Run a verb without a word, in a folder that goes away; only checkpoints go where the first rank has its own."""
    kept = options.out.resolve() / "checkpoint"
    made = not kept.exists()
    with tempfile.TemporaryDirectory() as aside:
        kept.mkdir(parents=True, exist_ok=True)
        (Path(aside) / "checkpoint").symlink_to(kept)
        options.out = Path(aside)
        try:
            with _silence():
                return verb(options)
        finally:
            for folder in (kept, kept.parent) if made else ():
                with contextlib.suppress(OSError):
                    folder.rmdir()  # which only an empty folder lets happen


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
