"""Source code byte by byte: Python's own standard library, as it lies beside the Python that runs."""

from __future__ import annotations

import functools
import platform
import sysconfig
from pathlib import Path

import numpy as np

from outlast.data import Split, Streams
from outlast.evaluation import EvalSettings
from outlast.families import build
from outlast.interventions import Carry, FittedNoise, Zero, state_passing, tbtt
from outlast.model import InputSpec, Recurrent
from outlast.tasks.cipher import NGrams
from outlast.tasks.task import Task
from outlast.training import TrainSettings
from recipes.tasks.documents import CLASSES, Documents, known_by_counting, labelled_streams, long_streams

TRAIN_CONTEXT = 128
NGRAM_CONTEXT = 4

_LENGTH = 64 * TRAIN_CONTEXT
_TRAIN_LENGTH = 512 * TRAIN_CONTEXT
_VALIDATION, _TEST = 32, 64
_COUNTED = 2_000_000
_OTHERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3"}
_TABLES = {"encodings", "pydoc_data", "__phello__"}
_SHARES = {"test": 0.2, "validation": 0.1}
_SEED = 1


@functools.cache
def files() -> dict[str, tuple[Path, ...]]:
    """Training, validation and test files, told apart by a seed; in every part those of one folder stand together.

    Tests and what was installed beside the library are left out, for not every Python has them; tables of characters
    and help texts are, for they are no code.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = [path for path in root.rglob("*.py") if not (_OTHERS | _TABLES) & set(path.relative_to(root).parts)]
    found.sort(key=lambda path: path.relative_to(root).as_posix())
    drawn = np.random.default_rng(_SEED).random(len(found))
    edges = np.cumsum(list(_SHARES.values()))
    number = np.searchsorted(edges, drawn, side="right")
    names = (*_SHARES, "train")
    return {name: tuple(found[i] for i in np.flatnonzero(number == k)) for k, name in enumerate(names)}


@functools.cache
def documents(part: str) -> Documents:
    """The files of one part."""
    return Documents.of([path.read_bytes() for path in files()[part]])


@functools.cache
def counted(longest: int = NGRAM_CONTEXT) -> NGrams:
    """Counts of bytes after up to `longest` others in training files, in two million bytes."""
    return documents("train").counted(longest, _COUNTED)


@functools.cache
def code() -> Split:
    """Streams of 65,536 bytes to learn from; 32 and 64 of 8,192 to choose and to measure on."""
    return Split(
        long_streams(documents("train"), _TRAIN_LENGTH, _about("train")),
        _measured("validation", _VALIDATION),
        _measured("test", _TEST),
        how=f"by file, with seed {_SEED}",
    )


def _about(part: str) -> dict[str, str]:
    return {"source": f"standard library of Python {platform.python_version()}, bytes", "part": part}


def _measured(part: str, streams: int) -> Streams:
    root = Path(sysconfig.get_path("stdlib"))
    folders = [path.relative_to(root).parts[0] if path.parent != root else "single files" for path in files()[part]]
    names = sorted(set(folders))
    kinds = {"folder": (np.array([names.index(folder) for folder in folders]), names)}
    return labelled_streams(documents(part), streams, _LENGTH, counted(), kinds, _about(part))


def reader(seed: int) -> Recurrent:
    """GLA of two layers of width 128 with short convolutions."""
    return build("gla", inputs=InputSpec("tokens", CLASSES), outputs=CLASSES, seed=seed, width=128, convolution=4)


CODE = Task(
    name="code",
    summary="Python's standard library byte by byte, learnt in windows of 128",
    streams=code,
    model=reader,
    train_context=TRAIN_CONTEXT,
    training=TrainSettings(steps=1000, learning_rate=3e-3),
    repairing=TrainSettings(steps=500, learning_rate=1e-3),
    measuring=EvalSettings(targets=1024),
    interventions=(Zero(), FittedNoise(), state_passing(), Carry(expected_run=1280), tbtt()),
    known=known_by_counting(counted),
)
