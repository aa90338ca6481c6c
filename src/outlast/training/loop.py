"""One training loop, for training from scratch and for repair: what differs is only where the windows start.

Read `fit` from top to bottom. Every random choice is a function of (seed, step, rank), so a run that was stopped and
resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outlast.arguments import at_least, taking
from outlast.checkpoints import model_fingerprint
from outlast.data import Sampler, Split, Streams
from outlast.data.scenarios import weighted_places
from outlast.errors import InputError, Interrupted, TrainingDiverged
from outlast.evaluation.opened import adapted_to
from outlast.interventions import Carried, Intervention, rule_of
from outlast.model import device_of
from outlast.modules.precision import require_trainable, widen
from outlast.modules.products import chosen, widened
from outlast.progress import StepDone
from outlast.randomness import generator, hash_integers
from outlast.ranks import rank as this_rank
from outlast.ranks import ranks
from outlast.state import State, StatePart, as_matrix, continuous, leaves, map_state
from outlast.training.objectives import Objective, head_needed
from outlast.training.objectives import objective as named_objective
from outlast.training.resume import Checkpoint, Reached
from outlast.training.settings import TrainSettings
from outlast.training.starts import read_ahead
from outlast.training.together import any_rank, join_ranks, let_go, mean_over_ranks, same_step
from outlast.unprojected import leaving_out_head

# Two remedies of others, to be held against other starts: a penalty on the state's size, and dropout on the state.

PIECES = 4
"""Stretches that a window is read in where the state is dropped between them."""


def read_dropping(
    model: nn.Module, inputs: Tensor, start: State, zero: State, parts: tuple[StatePart, ...], share: float,
    draws: torch.Generator,
) -> tuple[Any, State]:  # fmt: skip
    """Outputs (B, T, …) and the final state of a window whose state is dropped before each of `PIECES` stretches.

    Args:
        inputs: (B, T, …).
        start, zero: the state that the window starts from, and the initial one, of B rows.
        share: of the numbers in recurrent and convolution parts that become those of the initial state, drawn anew for
            every row; the others are not scaled, as a state is no sum of them.
        draws: on the CPU.
    """
    outputs, state = [], start
    for stretch in inputs.chunk(min(PIECES, inputs.shape[1]), dim=1):
        state = _dropped(state, zero, parts, share, draws)
        output, state = model(stretch, state)
        outputs.append(output)
    return map_state(lambda *each: torch.cat(each, 1), *outputs), state


def _dropped(state: State, zero: State, parts: tuple[StatePart, ...], share: float, draws: torch.Generator) -> State:
    kinds = iter(parts)

    def one(tensor: Tensor, initial: Tensor) -> Tensor:
        """(B, …) and (B, …) -> (B, …)."""
        if not next(kinds).touched:
            return tensor
        gone = (torch.rand(tensor.shape, generator=draws) < share).to(tensor.device)
        return torch.where(gone, initial, tensor)

    return map_state(one, state, zero)


def size_of(state: State, parts: tuple[StatePart, ...]) -> Tensor:
    """(B,) mean square of the numbers in recurrent and convolution parts (B, …), every part alike."""
    squares = [
        as_matrix(tensor).float().square().mean(1)
        for part, tensor in zip(parts, leaves(state), strict=True)
        if part.touched and continuous(tensor)
    ]
    return torch.stack(squares).mean(0)


# A training at a steady rate: what a model is taken from at any of its steps.
#
# Cooling down over the last fifth of the steps gives about as much (`benchmarks/anytime_study.py`), but for one length.

_LATE = 6
"""Weights of step n count as n to this power: their mean age is an eighth of the steps, as that of the last quarter."""


def average_in(average: list[Tensor], model: nn.Module, step: int) -> None:
    """Take the weights after `step` steps into their running average, which needs no other memory (Shamir and Zhang
    2013, polynomial-decay averaging)."""
    with torch.no_grad():
        torch._foreach_lerp_(average, list(model.parameters()), (_LATE + 1) / (step + _LATE))


def _take(average: list[Tensor] | None, model: nn.Module) -> None:
    """The average becomes the model's weights."""
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), average or [], strict=average is not None):
            parameter.copy_(value)


@taking
def fit(
    model: nn.Module,
    streams: Streams | Split,
    objective: Objective | str,
    intervention: Intervention | str | Mapping[str, Any],
    train_context: int,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: StepDone | None = None,
    stop: threading.Event | None = None,
) -> list[tuple[int, float]]:
    """Train `model` in place and return (step, mean loss since the row before) pairs.

    The model keeps the schema of the streams that it is trained on, where it has none (`model.schema`).

    Args:
        model: a recurrent model, or a module that `outlast.adapt` takes, on its device. Half-precision parameters
            become float32 first, with a warning: steps as small as these are rounded away in half precision.
        streams: training streams (of a split, the training part).
        objective: what to minimise; also by name, such as ``regression``.
        intervention: where windows start; prepared here, on the model as it is given. Also as the command line has it.
        train_context: positions in a window.
        settings: how.
        checkpoint: a folder to save to every `settings.checkpoint_every` steps, on Ctrl-C and at the end.
        resume: go on from `checkpoint` if it holds one; the model given must be the one training began with, which
            is checked. A steady training goes on after its end, too, where `settings` have more steps.
        progress: called after every step.
        stop: set it to stop after the step in progress, as Ctrl-C does.

    Raises:
        TrainingDiverged: the loss or gradient is not a number; names the step.
        Interrupted: Ctrl-C; the checkpoint holds everything.
        InputError: a checkpoint that does not fit, nothing in the model to train, or autocast of a model that it would
            leave as it is.
    """
    streams = streams.train if isinstance(streams, Split) else streams
    model = adapted_to(model, streams)
    train_context = at_least(1, train_context, "train_context")
    objective = named_objective(objective, model, streams) if isinstance(objective, str) else objective
    intervention = rule_of(intervention, train_context)
    require_trainable(model)
    if note := widen(model):
        warnings.warn(note.said, stacklevel=2)
    settings = replace(settings, precision=chosen(settings.precision, model))
    if model.schema is None and streams.schema is not None:
        model.schema = streams.schema
    device = device_of(model)
    accelerator, rank, world = join_ranks(device), this_rank(), ranks()
    device = accelerator.device if accelerator else device
    rule = intervention.prepared(model, streams, train_context, seed=settings.seed)
    weighted = weighted_places(streams, settings.start_weights, train_context)
    sampler = Sampler(
        streams, train_context, settings.batch_size, settings.seed, rule.continues, rank, world, weighted, rule.places
    )
    optimizer = torch.optim.AdamW(
        model.parameters(),
        settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        # A dozen small operations a parameter otherwise; complex parameters have no fused kernel.
        fused=device.type in ("cpu", "cuda") and not any(each.is_complex() for each in model.parameters()),
    )
    saving = None
    if checkpoint is not None:
        described = {
            "settings": {n: value for n, value in asdict(settings).items() if n != "steps" or not settings.averages},
            "intervention": rule.describe(),
            "objective": objective.name,
            "train_context": train_context,
            "streams": streams.fingerprint(),
            "model": model_fingerprint(model)[:16],
            "ranks": world,
        }
        saving = Checkpoint(checkpoint, rank, described, device)

    with (
        contextlib.ExitStack() as ending,
        _asked_to_stop(stop or threading.Event()) as asked,
        torch.random.fork_rng([device] if device.type == "cuda" else []),
    ):
        ending.callback(model.eval)
        wrapped = model
        if accelerator:
            wrapped, optimizer = accelerator.prepare(model, optimizer)
        average = [each.detach().clone() for each in model.parameters()] if settings.averages else None
        reached = Reached(0, None, rule.initial(model, settings.batch_size), [], [], average)
        if resume and saving:
            reached = saving.restore(reached, model, optimizer)
        first, places, carried = reached.step, reached.places, reached.carried
        losses, recent, average = reached.losses, reached.recent, reached.average
        if first > settings.steps:
            raise InputError(
                f"a checkpoint after {first} steps, to be resumed with {settings.steps}",
                f"at least {first} steps",
                f"ask for more (--steps {2 * first}), or delete {checkpoint} to start anew",
            )
        ahead = settings.read_ahead or 0
        if places is None and ahead:
            places, carried = read_ahead(wrapped, model, sampler, rule, carried, ahead)
        if accelerator:
            same_step(accelerator, first)
        model.train()
        # Weights that ranks share out are whole in forward alone; DDP leaves them be, and sums their gradients wherever
        # they were used.
        whole = wrapped is model or isinstance(wrapped, nn.parallel.DistributedDataParallel)
        headless = model if whole and not head_needed(objective) else None
        aside = torch.from_numpy(rule.set_aside(settings.batch_size))
        began = time.monotonic()
        for step in range(first, settings.steps):
            _seed(device, int(hash_integers(settings.seed, "dropout", step, np.array([rank]))[0] >> np.uint64(1)))
            places = sampler.places(ahead + step, places)
            batch = objective.prepare(sampler.batch(places).with_extras(aside=aside).to(device))
            # Anew each step, because a model may learn where it starts.
            carried = Carried(model.initial_state(settings.batch_size), carried.last)
            start = rule.start(carried, batch, generator(settings.seed, "start", ahead + step, rank))
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
                if settings.state_dropout:
                    draws = generator(settings.seed, "state dropout", ahead + step, rank)
                    zero, share = carried.zero, settings.state_dropout
                    outputs, final = read_dropping(wrapped, batch.inputs, start, zero, rule.parts, share, draws)
                else:
                    with leaving_out_head(headless):
                        outputs, final = wrapped(batch.inputs, start)
            if settings.precision == "bf16":
                outputs, final = widened(outputs, final)
            losses_here = objective.per_position(outputs, batch)
            if settings.state_penalty:
                losses_here = losses_here + settings.state_penalty * size_of(final, rule.parts)[:, None]
            loss, value = mean_over_ranks(accelerator, losses_here, batch.weights)
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
            if average is not None:
                average_in(average, model, done)
            if done % 50 == 0 or done == settings.steps:
                losses.append((done, float(np.mean(recent))))
                recent = []
            if progress:
                left = (time.monotonic() - began) / (done - first) * (settings.steps - done)
                progress(done, settings.steps, float(np.mean(recent)) if recent else losses[-1][1], left)
            stopping = any_rank(accelerator, asked.is_set())
            due = done % settings.checkpoint_every == 0 or done == settings.steps or stopping
            if saving and due:
                saving.store(Reached(done, places, carried, losses, recent, average), model, optimizer)
            if stopping:  # also after the last step: what called would otherwise never hear of it
                _take(average, model)
                kept = (
                    f"saved to {checkpoint}; run the same command with --resume" if checkpoint else "nothing was kept"
                )
                raise Interrupted(f"stopped at step {done} of {settings.steps}: {kept}")
        _take(average, model)
    if accelerator:
        del wrapped, optimizer
        let_go(accelerator)
    return losses


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
