"""What ranks that train together have to agree on: the loss, when to stop, and the step they go on from."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

from outlast.data import weighted_mean
from outlast.errors import InputError
from outlast.ranks import ranks

if TYPE_CHECKING:
    from accelerate import Accelerator

_PATIENCE = timedelta(days=7)
"""How long ranks wait for the first one, which measures alone."""


def join_ranks(device: torch.device) -> Accelerator | None:
    """What ranks talk through, on this kind of device; None where this process is alone.

    Alone there is nothing for Accelerate to do, and it would hold the whole process to one device.
    """
    if ranks() == 1:
        return None
    from accelerate import Accelerator  # neither above: one process alone needs none
    from accelerate.utils import InitProcessGroupKwargs

    waiting = InitProcessGroupKwargs(timeout=_PATIENCE)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[waiting])


def mean_over_ranks(
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


def any_rank(accelerator: Accelerator | None, asked: bool) -> bool:
    """Whether any rank was asked to stop: all stop after the same step, or those that go on would wait for ever."""
    if accelerator is None:
        return asked
    if asked:
        accelerator.set_trigger()
    return accelerator.check_trigger()


def let_go(accelerator: Accelerator) -> None:
    """Drop the wrapped model: one that is still alive when its process ends can abort it, with all its work done
    (torch 2.13 on the CPU: in four of fifteen runs)."""
    accelerator.free_memory()


def same_step(accelerator: Accelerator, first: int) -> None:
    steps = accelerator.gather(torch.tensor([first], device=accelerator.device))
    if int(steps.min()) != int(steps.max()):  # pyright: ignore[reportAttributeAccessIssue]
        raise InputError(
            f"checkpoints of the ranks at steps {steps.tolist()}",  # pyright: ignore[reportAttributeAccessIssue]
            "one step for all ranks",
            "the run was killed between two of them: delete the checkpoint to start anew",
        )
