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
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from outlast.adapters.weights import put_tensors, tensors_of
from outlast.checkpoints import model_fingerprint
from outlast.errors import InputError, Interrupted, TrainingDiverged, unknown_name
from outlast.interventions import Carried, Intervention
from outlast.model import Recurrent, device_of
from outlast.randomness import generator, hash_integers
from outlast.ranks import rank as this_rank
from outlast.ranks import ranks
from outlast.results import write_atomically
from outlast.scan import wanted
from outlast.state import State, leaves, rebuild
from outlast.streams import Places, Sampler, Streams, weighted_mean
from outlast.training.objectives import Objective

Progress = Callable[[int, int, float, float], None]
"""(step, steps, mean loss of late, seconds left)"""

PRECISIONS = ("no", "bf16")

_PATIENCE = timedelta(days=7)
"""How long ranks wait for the first one, which measures alone."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Args:
        steps: optimiser steps.
        batch_size: rows on each rank.
        learning_rate: the peak; warmed up over `warm_up` steps, then a cosine down to 5 % of it.
        warm_up: steps; None: a fifth of the steps, at most 100.
        weight_decay, betas: of AdamW.
        clip: the largest gradient norm; infinite: never clipped.
        seed: of everything random.
        checkpoint_every: steps between checkpoints where a folder is given.
        precision: ``no`` or ``bf16`` (autocast).
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
        if self.steps < 1 or self.batch_size < 1 or not 0 < self.learning_rate < math.inf:
            raise InputError(
                f"steps {self.steps}, batch size {self.batch_size}, learning rate {self.learning_rate}",
                "positive numbers",
                "for example --steps 400 --batch-size 32 --learning-rate 0.001",
            )
        if self.checkpoint_every < 1 or not self.clip > 0 or not self.weight_decay >= 0:
            raise InputError(
                f"checkpoint_every {self.checkpoint_every}, clip {self.clip}, weight_decay {self.weight_decay}",
                "at least one step between checkpoints, a clip above 0, a weight decay of 0 or more",
                "leave them at their defaults",
            )
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)

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
        resume: go on from `checkpoint` if it holds one; the model given must be the one training began with, which
            is checked.
        progress: called after every step.
        stop: set it to stop after the step in progress, as Ctrl-C does.

    Raises:
        TrainingDiverged: the loss or gradient is not a number; names the step.
        Interrupted: Ctrl-C; the checkpoint holds everything.
        InputError: a checkpoint that does not fit.
    """
    accelerator, rank, world = join_ranks(model), this_rank(), ranks()
    device = accelerator.device if accelerator else device_of(model)
    rule = intervention.prepared(model, streams, train_context, seed=settings.seed)
    sampler = Sampler(streams, train_context, settings.batch_size, settings.seed, rule.continues, rank, world)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type in ("cpu", "cuda"),  # a dozen small operations a parameter otherwise
    )
    made_of = {}
    if checkpoint is not None:
        described = {
            "settings": asdict(settings),
            "intervention": rule.describe(),
            "objective": objective.name,
            "train_context": train_context,
            "streams": streams.fingerprint(),
            "model": model_fingerprint(model)[:16],
            "ranks": world,
            **_arithmetic(device),
        }
        made_of = json.loads(json.dumps(described))

    first, places, losses, recent = 0, None, [], []
    with (
        _ending_in_evaluation(model),
        _asked_to_stop(stop or threading.Event()) as asked,
        torch.random.fork_rng([device] if device.type == "cuda" else []),
    ):
        wrapped = model
        if accelerator:
            wrapped, optimizer = accelerator.prepare(model, optimizer)
        carried = rule.initial(model, settings.batch_size)
        if resume and checkpoint is not None and _pointer(checkpoint, rank).exists():
            first, places, carried, losses, recent = _restore(checkpoint, rank, made_of, model, optimizer, carried)
        if accelerator:
            _same_step(accelerator, first)
        model.train()
        aside = torch.from_numpy(rule.set_aside(settings.batch_size))
        began = time.monotonic()
        for step in range(first, settings.steps):
            _seed(device, int(hash_integers(settings.seed, "dropout", step, np.array([rank]))[0] >> np.uint64(1)))
            places = sampler.places(step, places)
            batch = objective.prepare(sampler.batch(places).with_extras(aside=aside).to(device))
            # Anew each step, because a model may learn where it starts.
            carried = Carried(model.initial_state(settings.batch_size), carried.last)
            start = rule.start(carried, batch, generator(settings.seed, "start", step, rank))
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                outputs, final = wrapped(batch.inputs, start)
            if settings.precision == "bf16":
                outputs, final = _in_float32(outputs), _in_float32(final)
            losses_here = objective.per_position(outputs, batch)
            loss, value = _mean_over_ranks(accelerator, losses_here, batch.weights)
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(wrapped.parameters(), settings.clip))
            if not math.isfinite(value) or not math.isfinite(norm):
                raise TrainingDiverged(
                    f"given: loss {value} and gradient norm {norm} at step {step}\n"
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
            stopping = _any_rank(accelerator, asked.is_set())
            due = done % settings.checkpoint_every == 0 or done == settings.steps or stopping
            if checkpoint is not None and due:
                _store(checkpoint, rank, made_of, done, places, carried, losses, recent, model, optimizer)
            if stopping:  # also after the last step: what called would otherwise never hear of it
                kept = (
                    f"saved to {checkpoint}; run the same command with --resume" if checkpoint else "nothing was kept"
                )
                raise Interrupted(f"stopped at step {done} of {settings.steps}: {kept}")
    return losses


def join_ranks(model: Recurrent) -> Accelerator | None:
    """What ranks talk through, on the model's kind of device; None where this process is alone.

    Alone there is nothing for Accelerate to do, and it would hold the whole process to one device.
    """
    if ranks() == 1:
        return None
    waiting = InitProcessGroupKwargs(timeout=_PATIENCE)
    on_cpu = device_of(model).type == "cpu"
    return Accelerator(cpu=on_cpu, mixed_precision="no", kwargs_handlers=[waiting])


@contextlib.contextmanager
def _ending_in_evaluation(model: Recurrent) -> Iterator[None]:
    try:
        yield
    finally:
        model.eval()


def _mean_over_ranks(
    accelerator: Accelerator | None, losses: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """What to minimise here so that all ranks minimise the weighted mean over all their positions, and that mean.

    Gradients are averaged over ranks. A mean of the ranks' own means would give a position the more say the fewer count
    beside it.

    Args:
        losses, weights: (B, T) of this rank.
    """
    if accelerator is None:
        loss = weighted_mean(losses, weights)
        return loss, loss.item()
    total: Any = accelerator.reduce(weights.sum(), "sum")
    loss = (losses * weights).sum() * (accelerator.num_processes / total.clamp_min(1e-12))
    mean: Any = accelerator.reduce(loss.detach(), "mean")
    return loss, mean.item()


def _in_float32(tree: State) -> State:
    return rebuild(tree, [each.float() if each.dtype == torch.bfloat16 else each for each in leaves(tree)])


def _any_rank(accelerator: Accelerator | None, asked: bool) -> bool:
    """Whether any rank was asked to stop: all stop after the same step, or those that go on would wait for ever."""
    if accelerator is None:
        return asked
    if asked:
        accelerator.set_trigger()
    return accelerator.check_trigger()


def _same_step(accelerator: Accelerator, first: int) -> None:
    steps = accelerator.gather(torch.tensor([first], device=accelerator.device))
    if int(steps.min()) != int(steps.max()):  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError(
            f"checkpoints of the ranks at steps {steps.tolist()}",  # pyright: ignore[reportAttributeAccessIssue]
            "one step for all ranks",
            "the run was killed between two of them: delete the checkpoint to start anew",
        )


def _seed(device: torch.device, number: int) -> None:
    """Seed what dropout draws from: the CPU's global generator and, on a GPU, that GPU's, but no other device's."""
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


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


def _arithmetic(device: torch.device) -> dict[str, Any]:
    """What the bits of a run depend on beside what is computed."""
    described: dict[str, Any] = {"device": device.type, "scan": wanted() or "the fastest"}
    if device.type == "cpu":
        described["vector instructions"] = torch.backends.cpu.get_cpu_capability()
        described["denormals"] = "kept" if (torch.tensor([1e-40]) * 1).item() else "flushed"
        described["threads"] = torch.get_num_threads()
    return described


_AGAIN = {
    "device": "go on with --device {}",
    "scan": "set the environment's OUTLAST_SCAN as it was ({})",
    "vector instructions": "go on on a machine with {}, or with ATEN_CPU_CAPABILITY as it was",
    "denormals": "set the environment's OUTLAST_DENORMALS as it was",
    "threads": "go on with {} (--threads or OMP_NUM_THREADS; each of several --jobs has one)",
}
"""How to have the arithmetic that a checkpoint was made with."""


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
    # The time keeps a run that starts anew from writing into the folder that the last one's checkpoint lies in.
    fresh = folder / f"step-{done:07d}-rank{rank}-{time.time_ns():x}"
    record = {
        "made_of": made_of,
        "tensors": fresh.name,
        "step": done,
        "losses": losses,
        "recent": recent,
        "stream_id": places.stream_id.tolist(),
        "position": places.position.tolist(),
    }
    try:
        fresh.mkdir(parents=True)
        save_file(tensors_of(model), fresh / "model.safetensors")
        save_file(_optimizer_tensors(model, optimizer), fresh / "optimizer.safetensors")
        save_file({f"last.{i}": _copy(t) for i, t in enumerate(leaves(carried.last))}, fresh / "carried.safetensors")
        write_atomically(_pointer(folder, rank), json.dumps(record))
    except (OSError, SafetensorError, InputError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        why = error.given if isinstance(error, InputError) else str(error)
        raise InputError(
            f"the checkpoint {fresh} could not be written: {why}",
            "a folder with room that may be written to",
            "free some space or choose another --out; the checkpoint before is untouched",
        ) from error
    for other in folder.glob(f"step-*-rank{rank}-*"):
        if other != fresh:
            shutil.rmtree(other, ignore_errors=True)


def _restore(
    folder: Path, rank: int, made_of: dict[str, Any], model: Recurrent, optimizer: Any, carried: Carried
) -> tuple[int, Places, Carried, list[tuple[int, float]], list[float]]:
    pointer = _pointer(folder, rank)
    try:
        record = json.loads(pointer.read_text())
        target, made = folder / record["tensors"], dict(record["made_of"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(pointer, error) from error
    for key, value in made_of.items():
        if made.get(key) != value:
            was, now = _differing(made.get(key), value)
            raise InputError(
                f"a checkpoint made with {key} {was}",
                f"the same as this run's {now}",
                f"{_AGAIN.get(key, 'repeat the command that made it').format(was)}, or delete {folder} to start anew",
            )
    try:
        weights, moments, last = (load_file(target / f"{n}.safetensors") for n in ("model", "optimizer", "carried"))
        tensors = [_fitting(last[f"last.{i}"], like) for i, like in enumerate(leaves(carried.last))]
        state = {
            parameter: {
                "step": moments[f"{name}|step"].clone(),
                **{key: _fitting(moments[f"{name}|{key}"], parameter) for key in ("exp_avg", "exp_avg_sq")},
            }
            for name, parameter in model.named_parameters()
            if f"{name}|step" in moments
        }
        stream_id, position = (np.array(record[key], np.int64) for key in ("stream_id", "position"))
        losses = [(int(step), float(loss)) for step, loss in record["losses"]]
        done, recent = int(record["step"]), [float(loss) for loss in record["recent"]]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(target, error) from error
    put_tensors(model, weights, str(target / "model.safetensors"))
    getattr(optimizer, "optimizer", optimizer).state.update(state)
    places = Places(stream_id, position, np.zeros(len(stream_id), bool))
    return done, places, Carried(carried.zero, rebuild(carried.last, tensors)), losses, recent


def _fitting(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A copy of `tensor` on the device of `like`, whose shape it must have."""
    if tensor.shape != like.shape:
        raise ValueError(f"a tensor {tuple(tensor.shape)} where {tuple(like.shape)} is due")
    return tensor.to(like.device, copy=True)


def _differing(was: Any, now: Any) -> tuple[Any, Any]:
    """What differs: of two dictionaries only the entries that do."""
    if not isinstance(was, dict) or not isinstance(now, dict):
        return was, now
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return {name: was.get(name) for name in names}, {name: now.get(name) for name in names}


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be used: {type(error).__name__}: {error}",
        "a checkpoint as it was written",
        "delete the checkpoint to start anew, or copy it again from where it is whole",
    )


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """On the CPU, sharing memory with no other: safetensors refuses to write two names for one memory."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _optimizer_tensors(model: Recurrent, optimizer: Any) -> dict[str, torch.Tensor]:
    raw = getattr(optimizer, "optimizer", optimizer)
    return {
        f"{name}|{key}": _copy(value)
        for name, parameter in model.named_parameters()
        for key, value in raw.state.get(parameter, {}).items()
    }
