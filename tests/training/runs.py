"""Training runs as processes of their own, for tests that stop them from outside: ``python runs.py MODE FOLDER``."""

from __future__ import annotations

import functools
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

torch.set_num_threads(1)

from outlast import unprojected  # noqa: E402
from outlast.data import Streams  # noqa: E402
from outlast.errors import InputError, Interrupted, OutlastError  # noqa: E402
from outlast.interventions import Carry, FittedNoise, Intervention, Zero  # noqa: E402
from outlast.model import InputSpec, Recurrent  # noqa: E402
from outlast.parallel import on_first_rank  # noqa: E402
from outlast.training import TrainSettings, fit  # noqa: E402
from outlast.training.objectives import CrossEntropy, Regression  # noqa: E402
from toys import Dropping, small_gru, token_streams, wave_streams  # noqa: E402

T = 8
SETTINGS = TrainSettings(steps=40, batch_size=4, learning_rate=1e-2, checkpoint_every=10)
RULE = Carry(expected_run=40)


def interrupted(folder: Path) -> int:
    """From step 5 on every step takes a while, so that a Ctrl-C from outside surely meets one."""

    def progress(step: int, *rest: float) -> None:
        print(step, flush=True)
        if step >= 5:
            time.sleep(0.1)

    try:
        fit(Dropping(), wave_streams(), Regression(), RULE, T, SETTINGS, checkpoint=folder, progress=progress)
    except Interrupted as error:
        print(error, flush=True)
        return 130
    return 0


def full_disk(folder: Path) -> int:
    """After the first checkpoint no file may grow past 100 bytes, as where a disk is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def progress(step: int, *rest: float) -> None:
        if step == 15:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    try:
        fit(Dropping(), wave_streams(), Regression(), RULE, T, SETTINGS, checkpoint=folder, progress=progress)
    except InputError as error:
        print(error, flush=True)
        return 2
    return 0


class Recording(Regression):
    """Notes which windows were read."""

    def prepare(self, batch):
        rows.append([batch.stream_id.tolist(), batch.position.tolist()])
        return batch


rows: list[list[list[int]]] = []


def uneven_streams() -> Streams:
    """A few positions count a hundred times what the others do, and many not at all."""
    streams = wave_streams()
    random = np.random.default_rng(0)
    weights = random.choice([0.0, 1.0, 100.0], len(streams.inputs), p=[0.5, 0.45, 0.05]).astype(np.float32)
    return replace(streams, targets=np.roll(streams.inputs, -1, 0), shift=0, weights=weights)


def reader(seed: int = 0) -> Recurrent:
    """A model of tokens in float64."""
    return small_gru(InputSpec("tokens", 5), 5, seed).double()


def ranks(folder: Path) -> int:
    """Under torchrun: whole runs, then one that only the first rank was asked to stop, then its continuation."""
    rank = int(os.environ["RANK"])
    found = {}
    rules: dict[str, Intervention] = {"carry": RULE, "fitted": FittedNoise()}
    for name, rule in rules.items():
        rows.clear()
        model = small_gru(seed=rank)  # ranks begin with the first one's weights
        fit(model, wave_streams(), Recording(), rule, T, SETTINGS, checkpoint=folder / f"whole-{name}")
        found[name] = {"rows": list(rows), "weights": _numbers(model)}
    stop, model = threading.Event(), small_gru(seed=rank)

    def progress(step: int, *rest: float) -> None:
        if step == 7 and rank == 0:
            stop.set()

    options = {"checkpoint": folder / "stopped", "progress": progress, "stop": stop}
    try:
        fit(model, wave_streams(), Recording(), RULE, T, SETTINGS, **options)
    except Interrupted as error:
        found["stopped"] = str(error)
    model = small_gru(seed=rank)
    fit(model, wave_streams(), Recording(), RULE, T, SETTINGS, checkpoint=folder / "stopped", resume=True)
    found["resumed"] = _numbers(model)
    model = small_gru(seed=rank)
    losses = fit(model, uneven_streams(), Regression(), Zero(), T, SETTINGS)
    found["uneven"] = {"losses": losses, "weights": _numbers(model)}
    unprojected.LEAST = 2
    model = reader(seed=rank)
    model.head.forward = None  # pyright: ignore  # nobody runs it
    losses = fit(model, token_streams(), CrossEntropy(), Zero(), T, SETTINGS)
    found["without head"] = {"losses": losses, "weights": _numbers(model)}
    measured: list[object] = [on_first_rank(lambda: rank + 5)]
    try:
        on_first_rank(functools.partial(int, "seven"))
    except (ValueError, OutlastError) as error:
        measured.append(f"{type(error).__name__}: {error}")
    found["measured"] = measured
    (folder / f"rank{rank}.json").write_text(json.dumps(found))
    torch.distributed.barrier()
    del model
    gc.collect()  # wrapped models that an error kept alive would outlast the group, and abort the process at its end
    torch.distributed.destroy_process_group()
    return 0


def _numbers(model: torch.nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    sys.exit({"interrupted": interrupted, "full_disk": full_disk, "ranks": ranks}[sys.argv[1]](Path(sys.argv[2])))
