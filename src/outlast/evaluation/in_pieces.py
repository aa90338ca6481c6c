"""Cross-entropy of outputs that did not go through the head, without the logits of all positions.

Without gradients, logits are made some columns of the vocabulary at a time, for all positions, of which each keeps its
largest logit and the sum of exp(logit − largest).

With gradients, they are made some positions at a time, for all of the vocabulary, and what they give the hidden states
and the weight is taken at once, as long as they are there (Hsu et al. 2024, "Liger Kernel"). For a hidden state that
can be done whatever its position will count for; for the weight it has to be said before. What was said is compared
with what backward is asked for; where it is something else, the logits are made again, in columns (Wijmans et al. 2024,
"Cut Your Losses in Large-Vocabulary Language Models").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from outlast import scan
from outlast.state import at_least_float32
from outlast.unprojected import Unprojected

AT_ONCE = 2**20
"""Logits that exist at a time without gradients, and where they are made again (4 MiB in float32, and as much for what
is made of them); where there are very many positions, `NARROWEST` of each."""
NARROWEST = 64
"""Columns that are made at least: fewer would be slow, and so many take no more memory than the hidden states do."""
POSITIONS = 256
"""Positions whose logits exist at a time with gradients: 256 / D of what the weight's gradient takes. With fewer,
adding to that gradient would take as long as the products."""
_NEAR = 1024
"""Columns whose products with the hidden states stay in a cache."""
IGNORED = -100
"""Targets that have no loss, as of `torch.nn.functional.cross_entropy`."""


class Scored(NamedTuple):
    """Of every position, (B, T): the cross-entropy in nats, whether the likeliest class is another than the target, and
    whether all logits are finite."""

    loss: Tensor
    wrong: Tensor
    finite: Tensor


def cross_entropy(outputs: Unprojected, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """−log p(target), nats, (B, T), at least float32; gradients of hidden states, weight and bias are summed in that.

    Args:
        targets: (B, T) classes below V. One that is not gives NaN.
        weights: (B, T), for speed alone: what positions count in the sum that is going to be minimised, but for a
            factor; None: all alike.
    """
    hidden, aims = outputs.hidden.flatten(0, 1), targets.flatten()
    learnt = (outputs.hidden, outputs.weight, outputs.bias)
    if not torch.is_grad_enabled() or not any(each is not None and each.requires_grad for each in learnt):
        return _loss(*_softmax(outputs, hidden.to(outputs.dtype), aims), aims).view(targets.shape)
    counts = torch.ones_like(aims) if weights is None else weights.flatten()
    how = counts.to(_wide(outputs.dtype)), outputs.dtype, outputs.soft_cap
    loss: Any = _CrossEntropy.apply(hidden, outputs.weight, outputs.bias, aims, *how)
    return loss.view(targets.shape)


@torch.no_grad()
def scored(outputs: Unprojected, targets: Tensor) -> Scored:
    """What measures of classes are made of, from one reading of the logits; no gradients.

    Args:
        targets: (B, T) classes below V.
    """
    hidden, aims = outputs.hidden.flatten(0, 1).to(outputs.dtype), targets.flatten()
    right, finite = torch.zeros_like(aims, dtype=torch.bool), torch.ones_like(aims, dtype=torch.bool)

    def look(logits: Tensor, highest: Tensor, higher: Tensor, place: Tensor, inside: Tensor) -> None:
        """Logits (N, v) of a piece, the highest of each position (N,), whether it is higher than any before, and
        `_places`. Of equal logits the first is the likeliest, as of `argmax`, which takes longer than all else here."""
        finite.logical_and_(torch.isfinite(highest) & torch.isfinite(logits.amin(1)))
        right.logical_and_(~higher)
        hit = (higher & inside & (logits.gather(1, place)[:, 0] == highest)).nonzero()[:, 0]
        right[hit] = logits[hit].argmax(1) == place[hit, 0]

    top, total, chosen = _softmax(outputs, hidden, aims, look)
    found = Scored(_loss(top, total, chosen, aims), ~right, finite)
    return Scored(*(each.view(targets.shape) for each in found))


def some_positions(outputs: Unprojected) -> Iterator[Tensor]:
    """The outputs of all positions after all, (1, n, V), as few at a time as `AT_ONCE` allows."""
    for hidden in outputs.hidden.flatten(0, 1).split(max(1, AT_ONCE // len(outputs.weight))):
        yield outputs.columns(hidden, 0, len(outputs.weight))[None]


class _CrossEntropy(torch.autograd.Function):
    """Hidden states (N, D), weight (V, D), bias (V,) or none, targets (N,), weights (N,) -> (N,)."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, weights: Tensor,
        dtype: torch.dtype, soft_cap: float | None,
    ) -> Tensor:  # fmt: skip
        wide, asked, kept = _wide(dtype), ctx.needs_input_grad, targets != IGNORED
        weights = weights * kept
        outputs = Unprojected(hidden, weight.to(dtype), bias, dtype, soft_cap)
        counted = (hidden * weights[:, None]).to(dtype)
        of_hidden = torch.empty_like(hidden, dtype=wide) if asked[0] else None
        of_weight = torch.zeros_like(weight, dtype=wide) if asked[1] else None
        of_bias = torch.zeros_like(weight[:, 0], dtype=wide) if asked[2] else None
        pieces = list[tuple[Tensor, Tensor, Tensor]]()
        with torch.autocast(hidden.device.type, enabled=False):
            for begin in range(0, len(targets), POSITIONS):
                here = slice(begin, begin + POSITIONS)
                logits = outputs.columns(hidden[here], 0, len(weight))
                found, change = _change(logits, targets[here], soft_cap)
                pieces.append(found)
                if of_bias is not None:
                    of_bias += weights[here] @ change
                change = change.to(dtype)
                if of_hidden is not None:
                    of_hidden[here] = scan.pick(recurrence="product")(change, outputs.weight.T, None)
                if of_weight is not None:
                    _add_product(of_weight, change, counted[here])
                del logits, change  # before the next ones are made
        top, total, chosen = map(torch.cat, zip(*pieces, strict=True))
        ctx.save_for_backward(hidden, weight, bias, targets, weights, top, total, of_hidden)
        ctx.how, ctx.summed = (dtype, soft_cap), (of_weight, of_bias)
        return _loss(top, total, chosen, targets)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, weights, top, total, of_hidden = ctx.saved_tensors
        gradient = torch.where(targets == IGNORED, 0.0, gradient)
        asked = ctx.needs_input_grad
        if of_hidden is not None:
            of_hidden = gradient[:, None] * of_hidden
        # Given away, as they are large: a second backward makes the logits again.
        (of_weight, of_bias), ctx.summed = ctx.summed, (None, None)
        if asked[1] or asked[2]:
            factor = _factor(gradient, weights)
            if factor is None or (of_weight is None and of_bias is None):
                outputs = Unprojected(hidden, weight, bias, *ctx.how)
                of_weight, of_bias = _again(outputs, targets, gradient, top, total, asked[1:3])
            else:
                of_weight, of_bias = (None if each is None else each.mul_(factor) for each in (of_weight, of_bias))
        return of_hidden, of_weight, of_bias, None, None, None, None


def _change(logits: Tensor, targets: Tensor, soft_cap: float | None) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """As `_softmax` (N,), and the gradients (N, V) of the losses by the products, in place of the logits (N, V)."""
    place, inside = _places(targets, 0, logits.shape[1])
    top, chosen = logits.amax(1), torch.where(inside, logits.gather(1, place)[:, 0], torch.nan)
    slope = None if soft_cap is None else 1 - (logits / soft_cap).square()
    change = logits.sub_(top[:, None]).exp_()
    total = change.sum(1)
    change /= total[:, None]
    change.scatter_(1, place, change.gather(1, place) - 1)
    if slope is not None:
        change *= slope
    return (top, total, chosen), change


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the product of left (N, V), transposed, and right (N, D) to (V, D)."""
    if total.dtype == left.dtype:
        total.addmm_(left.T, right)
        return
    for columns in range(0, len(total), _NEAR):  # products that are still in the cache when they are added
        total[columns : columns + _NEAR] += left[:, columns : columns + _NEAR].T @ right


def _factor(gradient: Tensor, weights: Tensor) -> Tensor | None:
    """The number by which (N,) gradients are the weights (N,), to rounding; None where there is none."""
    largest = weights.abs().argmax()
    factor = gradient[largest] / weights[largest]
    same = torch.isclose(gradient, factor * weights, rtol=8 * torch.finfo(weights.dtype).eps, atol=0.0)
    return factor if bool(same.all()) else None


def _again(
    outputs: Unprojected, targets: Tensor, gradient: Tensor, top: Tensor, total: Tensor, asked: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of weight (V, D) and bias (V,), as far as asked for, by gradients (N,) of the losses."""
    hidden, dtype, wide = outputs.hidden, outputs.dtype, _wide(outputs.dtype)
    read, share = hidden.to(dtype), (gradient / total)[:, None]
    of_weight = torch.empty_like(outputs.weight, dtype=wide) if asked[0] else None
    of_bias = torch.empty_like(outputs.weight[:, 0], dtype=wide) if asked[1] else None
    with torch.autocast(hidden.device.type, enabled=False):
        for begin, end in _columns(outputs, len(targets)):
            logits = outputs.columns(read, begin, end)
            slope = None if outputs.soft_cap is None else 1 - (logits / outputs.soft_cap).square()
            change = logits.sub_(top[:, None]).exp_().mul_(share)
            place, inside = _places(targets, begin, end)
            change.scatter_(1, place, change.gather(1, place) - torch.where(inside, gradient, 0.0)[:, None])
            if slope is not None:
                change *= slope
            if of_bias is not None:
                of_bias[begin:end] = change.sum(0)
            if of_weight is not None:
                of_weight[begin:end] = change.to(dtype).T @ read
            del logits, change, slope  # before the next ones are made
    return of_weight, of_bias


def _softmax(
    outputs: Unprojected, hidden: Tensor, targets: Tensor, look: Callable[..., None] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of every position, (N,): the largest logit, the sum of exp(logit − largest), and the target's logit.

    Args:
        hidden: (N, D) in the dtype of the products.
        targets: (N,).
        look: shown every piece, see `scored`.
    """
    wide = _wide(outputs.dtype)
    # Not −∞: a piece of which all logits are that would turn 0 · exp(−∞ − −∞) into NaN.
    top = hidden.new_full(targets.shape, torch.finfo(wide).min, dtype=wide)
    total, chosen = torch.zeros_like(top), torch.full_like(top, torch.nan)
    for begin, end in _columns(outputs, len(targets)):
        logits = outputs.columns(hidden, begin, end)
        highest, (place, inside) = logits.amax(1), _places(targets, begin, end)
        if look is not None:
            look(logits, highest, highest > top, place, inside)
        chosen = torch.where(inside, logits.gather(1, place)[:, 0], chosen)
        # The likeliest class has the share 1 / sum of exp(logit − highest); softmax is faster than exp and sum.
        here = torch.where(highest == -torch.inf, 0.0, 1 / logits.softmax(1).amax(1))
        before, top = top, torch.maximum(top, highest)
        total = total * (before - top).exp() + here * (highest - top).exp()
        del logits  # before the next ones are made
    return top, total, chosen


def _loss(top: Tensor, total: Tensor, chosen: Tensor, targets: Tensor) -> Tensor:
    """(N,) −log p(target)."""
    return torch.where(targets == IGNORED, 0.0, total.log() + (top - chosen))


def _places(targets: Tensor, begin: int, end: int) -> tuple[Tensor, Tensor]:
    """Where targets (N,) stand among the columns from `begin` to `end`, (N, 1), and whether they do, (N,)."""
    place = targets - begin
    return place.clamp(0, end - begin - 1)[:, None], (place >= 0) & (targets < end)


def _columns(outputs: Unprojected, positions: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of one piece of the vocabulary after the other."""
    size, width = len(outputs.weight), max(NARROWEST, AT_ONCE // positions)
    for begin in range(0, size, width):
        yield begin, min(begin + width, size)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return at_least_float32(torch.empty(0, dtype=dtype)).dtype
