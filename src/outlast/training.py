"""One training loop, for training from scratch and for repair: what differs is only where the windows start.

Read `fit` from top to bottom. Every random choice is a function of (seed, step, rank), so a run that was stopped and
resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from outlast.errors import InputError, Interrupted, TrainingDiverged
from outlast.interventions import Carried, Intervention
from outlast.model import Recurrent, device_of
from outlast.objectives import Objective
from outlast.randomness import generator, hash_integers
from outlast.results import write_atomically
from outlast.state import leaves, rebuild
from outlast.streams import Places, Sampler, Streams, weighted_mean

Progress = Callable[[int, int, float, float], None]
"""(step, steps, mean loss of late, seconds left)"""


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Args:
        steps: optimiser steps.
        batch_size: rows on each rank.
        learning_rate: the peak; warmed up over `warm_up` steps, then a cosine down to 5 % of it.
        warm_up: steps; None: a fifth of the steps, at most 100.
        weight_decay, betas: of AdamW.
        clip: the largest gradient norm.
        seed: of everything random.
        checkpoint_every: steps between checkpoints where a folder is given.
        precision: ``no`` or ``bf16`` (autocast through Accelerate).
    """

    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 1e-3
    warm_up: int | None = None
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    seed: int = 0
    checkpoint_every: int = 200
    precision: str = "no"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.learning_rate <= 0:
            raise InputError(
                f"steps {self.steps}, batch size {self.batch_size}, learning rate {self.learning_rate}",
                "positive numbers",
                "for example --steps 400 --batch-size 32 --learning-rate 0.001",
            )

    def rate_at(self, step: int) -> float:
        """The learning rate at a step (counted from 0)."""
        warm_up = min(100, self.steps // 5) if self.warm_up is None else self.warm_up
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.learning_rate * min(1.0, (step + 1) / max(1, warm_up)) * (0.95 * cosine + 0.05)


def fit(
    model: Recurrent,
    streams: Streams,
    objective: Objective,
    intervention: Intervention,
    train_context: int,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> list[tuple[int, float]]:
    """Train `model` in place and return (step, mean loss since the row before) pairs.

    Args:
        model: any recurrent model, on its device.
        streams: training streams.
        objective: what to minimise.
        intervention: where windows start; prepared here, on the model as it is given.
        train_context: positions in a window.
        settings: how.
        checkpoint: a folder to save to every `settings.checkpoint_every` steps, on Ctrl-C and at the end.
        resume: go on from `checkpoint` if it holds one; the model given must be the one training began with.
        progress: called after every step.
        stop: set it to stop after the step in progress, as Ctrl-C does.

    Raises:
        TrainingDiverged: the loss or gradient is not a number; names the step.
        Interrupted: Ctrl-C; the checkpoint holds everything.
        InputError: a checkpoint that does not fit.
    """
    on_cpu = device_of(model).type == "cpu"
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=settings.precision)
    rank, world = accelerator.process_index, accelerator.num_processes
    rule = intervention.prepared(model, streams, train_context, seed=settings.seed)
    sampler = Sampler(streams, train_context, settings.batch_size, settings.seed, rule.continues, rank, world)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    device = accelerator.device
    objective_name = objective.name

    first, places, losses, recent = 0, None, [], []
    carried = rule.initial(model, settings.batch_size)
    made_of = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "intervention": rule.describe(),
        "objective": objective_name,
        "train_context": train_context,
        "streams": streams.fingerprint(),
    }
    if resume and checkpoint is not None and _pointer(checkpoint, rank).exists():
        first, places, carried, losses, recent = _restore(checkpoint, rank, made_of, model, optimizer, carried)

    model.train()
    began = time.monotonic()
    with _asked_to_stop(stop or threading.Event()) as asked, torch.random.fork_rng():
        for step in range(first, settings.steps):
            torch.manual_seed(int(hash_integers(settings.seed, "dropout", step, np.array([rank]))[0] >> np.uint64(1)))
            places = sampler.places(step, places)
            batch = objective.prepare(sampler.batch(places).to(device))
            start = rule.start(carried, batch, generator(settings.seed, "start", step, rank))
            outputs, final = wrapped(batch.inputs, start)
            loss = weighted_mean(objective.per_position(outputs, batch), batch.weights)
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(wrapped.parameters(), settings.clip)
            if not math.isfinite(value := loss.item()) or (norm is not None and not math.isfinite(float(norm))):
                raise TrainingDiverged(
                    f"given: loss {value} and gradient norm {float(norm or 0.0)} at step {step}\n"
                    "expected: finite numbers\n"
                    "what to do: lower --learning-rate, or check the inputs for extreme values"
                )
            for group in optimizer.param_groups:
                group["lr"] = settings.rate_at(step)
            optimizer.step()
            optimizer.zero_grad()
            carried = rule.keep(carried, final, batch)

            recent.append(value)
            done = step + 1
            if done % 50 == 0 or done == settings.steps:
                losses.append((done, float(np.mean(recent))))
                recent = []
            if progress:
                left = (time.monotonic() - began) / (done - first) * (settings.steps - done)
                progress(done, settings.steps, float(np.mean(recent)) if recent else losses[-1][1], left)
            due = done % settings.checkpoint_every == 0 or done == settings.steps or asked.is_set()
            if checkpoint is not None and due:
                _store(checkpoint, rank, made_of, done, places, carried, losses, recent, model, optimizer)
            if asked.is_set() and done < settings.steps:
                kept = (
                    f"saved to {checkpoint}; run the same command with --resume" if checkpoint else "nothing was kept"
                )
                raise Interrupted(f"stopped at step {done} of {settings.steps}: {kept}")
    model.eval()
    return losses


@contextlib.contextmanager
def _asked_to_stop(event: threading.Event) -> Iterator[threading.Event]:
    """Ctrl-C sets `event`, so that a step is never cut in the middle; a second Ctrl-C stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _pointer(folder: Path, rank: int) -> Path:
    return folder / f"training-rank{rank}.json"


def _store(
    folder: Path,
    rank: int,
    made_of: dict[str, Any],
    done: int,
    places: Places,
    carried: Carried,
    losses: list[tuple[int, float]],
    recent: list[float],
    model: Recurrent,
    optimizer: Any,
) -> None:
    """Write a new folder of tensors, then replace the one file that points to it: one whole checkpoint at any time."""
    fresh = folder / f"step-{done:07d}-rank{rank}"
    try:
        fresh.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: value.contiguous() for name, value in _unique(model.state_dict())}, fresh / "model.safetensors"
        )
        save_file(_optimizer_tensors(model, optimizer), fresh / "optimizer.safetensors")
        kept = {f"last.{i}": tensor.contiguous() for i, tensor in enumerate(leaves(carried.last))}
        save_file(kept, fresh / "carried.safetensors")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise InputError(
            f"the checkpoint {fresh} could not be written: {error}",
            "a folder with room that may be written to",
            "free some space or choose another --out; the checkpoint before is untouched",
        ) from error
    record = {
        "made_of": made_of,
        "tensors": fresh.name,
        "step": done,
        "losses": losses,
        "recent": recent,
        "stream_id": places.stream_id.tolist(),
        "position": places.position.tolist(),
    }
    write_atomically(_pointer(folder, rank), json.dumps(record))
    for other in folder.glob(f"step-*-rank{rank}"):
        if other != fresh:
            shutil.rmtree(other, ignore_errors=True)


def _restore(
    folder: Path, rank: int, made_of: dict[str, Any], model: Recurrent, optimizer: Any, carried: Carried
) -> tuple[int, Places, Carried, list[tuple[int, float]], list[float]]:
    record = json.loads(_pointer(folder, rank).read_text())
    target = folder / record["tensors"]
    for key, value in made_of.items():
        if record["made_of"][key] != value:
            raise InputError(
                f"a checkpoint made with {key} {record['made_of'][key]}",
                f"the same as this run's {value}",
                f"repeat the command that made it, or delete {folder} to start anew",
            )
    model.load_state_dict(load_file(target / "model.safetensors"), strict=False)
    state = load_file(target / "optimizer.safetensors")
    raw = getattr(optimizer, "optimizer", optimizer)
    for name, parameter in model.named_parameters():
        if f"{name}|step" in state:
            raw.state[parameter] = {
                key: state[f"{name}|{key}"].to("cpu" if key == "step" else parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
    tensors = load_file(target / "carried.safetensors")
    like = leaves(carried.last)
    last = rebuild(carried.last, [tensors[f"last.{i}"].to(tensor.device) for i, tensor in enumerate(like)])
    stream_id, position = (np.array(record[key], np.int64) for key in ("stream_id", "position"))
    places = Places(stream_id, position, np.zeros(len(stream_id), bool))
    losses = [(int(step), float(loss)) for step, loss in record["losses"]]
    return record["step"], places, Carried(carried.zero, last), losses, record["recent"]


def _unique(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Each tensor once: safetensors refuses two names for one memory, and tied weights load through either name."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            yield name, tensor


def _optimizer_tensors(model: Recurrent, optimizer: Any) -> dict[str, torch.Tensor]:
    raw = getattr(optimizer, "optimizer", optimizer)
    return {
        f"{name}|{key}": value.contiguous()
        for name, parameter in model.named_parameters()
        for key, value in raw.state.get(parameter, {}).items()
    }
