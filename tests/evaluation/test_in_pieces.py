"""Cross-entropy in pieces is the plain one, in values and gradients, and no logits (B, T, V) exist on the way."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outlast.evaluation import in_pieces
from outlast.evaluation.costs import Alive
from outlast.evaluation.in_pieces import cross_entropy, scored, some_positions
from outlast.unprojected import Unprojected, unprojected

IGNORED = -100


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 64 columns, and of 5 positions, so that small vocabularies and few positions have several."""
    monkeypatch.setattr(in_pieces, "AT_ONCE", 1)
    monkeypatch.setattr(in_pieces, "POSITIONS", 5)
    monkeypatch.setattr(in_pieces, "_NEAR", 64)


def plain(outputs: Unprojected, targets: Tensor) -> Tensor:
    """The whole logits, as a head makes them, and their cross-entropy."""
    logits = F.linear(outputs.hidden, outputs.weight, outputs.bias)
    if outputs.dtype == torch.bfloat16:
        hidden, weight = outputs.hidden.bfloat16(), outputs.weight.bfloat16()
        logits = F.linear(hidden, weight, None if outputs.bias is None else outputs.bias.bfloat16()).float()
    if outputs.soft_cap is not None:
        logits = outputs.soft_cap * torch.tanh(logits / outputs.soft_cap)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def drawn(shape: tuple[int, int], D: int, V: int, *, bias: bool = True, cap: float | None = None, **how: Any):
    """Outputs with gradients, and targets, one of them ignored where there are several."""
    random = torch.Generator().manual_seed(V)
    dtype = how.get("dtype", torch.float64)
    own = torch.float64 if dtype == torch.float64 else torch.float32
    tensors = [torch.randn(*size, generator=random, dtype=own) for size in ((*shape, D), (V, D), (V,))]
    hidden, weight, offset = (tensor.requires_grad_() for tensor in tensors)
    targets = torch.randint(V, shape, generator=random)
    targets[0, 0] = IGNORED if targets.numel() > 1 else V - 1
    return Unprojected(hidden, weight, offset if bias else None, dtype, cap), targets


def gradients(outputs: Unprojected, losses: Tensor) -> list[Tensor]:
    """Of a sum in which every position counts differently."""
    leaves = [tensor for tensor in (outputs.hidden, outputs.weight, outputs.bias) if tensor is not None]
    return list(torch.autograd.grad((losses * counted(losses)).sum() / 7, leaves))


def counted(like: Tensor) -> Tensor:
    """What every position counts in that sum, but for a factor; some count nothing."""
    share = torch.linspace(-1, 2, like.numel()).view(like.shape)
    return torch.where(share.abs() < 0.1, 0.0, share)


CASES = list(itertools.product([(1, 1), (3, 7), (2, 64)], [1, 64, 65, 301], [True, False], [None, 2.5]))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("shape", "V", "bias", "cap"), CASES)
def test_it_is_the_plain_one(shape: tuple[int, int], V: int, bias: bool, cap: float | None, told: bool) -> None:
    """Values and gradients in float64, whether or not it was told before what the positions count."""
    outputs, targets = drawn(shape, 5, V, bias=bias, cap=cap)
    wanted, found = plain(outputs, targets), cross_entropy(outputs, targets, counted(targets) if told else None)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for mine, its in zip(gradients(outputs, found), gradients(outputs, wanted), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-12, atol=1e-12)
    assert not bool(found[targets == IGNORED].any())


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_in_lower_precision_to_its_rounding(dtype: torch.dtype, tolerance: float, told: bool) -> None:
    """Against the plain one in float64: as near as the plain one in the same precision, and never farther than
    `tolerance` of the largest number."""
    outputs, targets = drawn((4, 33), 16, 515, dtype=dtype)
    exact = Unprojected(
        *(tensor.detach().double().requires_grad_() for tensor in (outputs.hidden, outputs.weight, outputs.bias)),  # pyright: ignore
        dtype=torch.float64,
    )
    losses = {
        "exact": plain(exact, targets),
        "plain": plain(outputs, targets),
        "found": cross_entropy(outputs, targets, counted(targets) if told else None),
    }
    assert losses["found"].dtype == torch.float32
    every = {name: [each, *gradients(exact if name == "exact" else outputs, each)] for name, each in losses.items()}
    for mine, its, right in zip(every["found"], every["plain"], every["exact"], strict=True):
        assert mine.dtype == torch.float32
        mine, its, right = mine.detach(), its.detach(), right.detach()
        off, scale = float((mine - right).abs().max()), float(right.abs().max())
        assert off <= max(1.5 * float((its - right).abs().max()), 1e-6 * scale)
        assert off <= tolerance * scale


@pytest.mark.usefixtures("narrow")
def test_extreme_logits_are_no_matter() -> None:
    """Neither large ones, nor a piece of the vocabulary that cannot be."""
    outputs, targets = drawn((2, 9), 5, 200)
    targets = targets.clamp(0, 60)
    bias = torch.zeros(200, dtype=torch.float64)
    bias[64:128] = -torch.inf
    outputs = Unprojected(1e3 * outputs.hidden, outputs.weight, bias, outputs.dtype)
    torch.testing.assert_close(cross_entropy(outputs, targets), plain(outputs, targets), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_so(broken: float) -> None:
    outputs, targets = drawn((1, 4), 5, 200)
    hidden = outputs.hidden.detach().clone()
    hidden[0, 2, 1] = broken
    found = scored(Unprojected(hidden, outputs.weight, outputs.bias, outputs.dtype), targets)
    assert found.finite.tolist() == [[True, True, False, True]]
    assert torch.isfinite(found.loss).tolist() == [[True, True, False, True]]


@pytest.mark.usefixtures("narrow")
def test_a_target_beyond_the_vocabulary_is_no_silent_zero() -> None:
    """Where targets are looked at (on a CPU), it is refused before."""
    outputs, targets = drawn((1, 4), 5, 200)
    targets[0, 3] = 200
    assert cross_entropy(outputs, targets).isnan().tolist() == [[False, False, False, True]]


@pytest.mark.usefixtures("narrow")
def test_what_measures_are_made_of() -> None:
    """The likeliest class is the first of equal ones, as of argmax, in one piece and over several."""
    outputs, targets = drawn((8, 9), 4, 150)
    hidden, weight = ((3 * each.detach()).round() for each in (outputs.hidden, outputs.weight))  # exact products
    weight[equal := torch.tensor([3, 5, 70, 149])] = 10.0
    twice = Unprojected(hidden, weight, None, outputs.dtype)
    logits = F.linear(hidden, weight)
    targets[:, :4], targets[:4, 4:] = equal, logits.argmax(-1)[:4, 4:]
    found = scored(twice, targets)
    torch.testing.assert_close(found.loss, plain(twice, targets))
    assert found.wrong.tolist() == (logits.argmax(-1) != targets).tolist()
    assert not bool(found.wrong[:4, 4:].any())
    assert 0 < int(found.wrong[:, 0].sum()) < 8
    assert bool(found.wrong[:, 1:4].all())
    assert bool(found.finite.all())
    again = torch.cat(list(some_positions(twice)), 1)
    torch.testing.assert_close(again, logits.flatten(0, 1)[None])


@pytest.mark.usefixtures("narrow")
def test_a_tied_head_gets_both_gradients_and_a_second_use_its_own() -> None:
    embedding, head = nn.Embedding(90, 6, dtype=torch.float64), nn.Linear(6, 90, bias=False, dtype=torch.float64)
    head.weight = embedding.weight
    tokens, targets = torch.arange(8).view(2, 4), torch.arange(80, 88).view(2, 4)

    def whole(loss: Any) -> Tensor:
        embedding.weight.grad = None
        hidden = embedding(tokens).tanh()
        total = loss(unprojected(hidden, head), targets).sum() + loss(unprojected(hidden.sin(), head), targets).mean()
        total.backward(retain_graph=True)  # the second one cannot have what the first one took
        total.backward()
        assert embedding.weight.grad is not None
        return embedding.weight.grad

    torch.testing.assert_close(whole(cross_entropy), whole(plain), rtol=1e-12, atol=1e-12)


def test_only_what_is_asked_for_is_computed() -> None:
    outputs, targets = drawn((2, 3), 4, 10)
    frozen = Unprojected(outputs.hidden, outputs.weight.detach(), None, outputs.dtype)
    cross_entropy(frozen, targets).sum().backward()
    assert outputs.hidden.grad is not None
    assert outputs.weight.grad is None


def test_the_same_bits_again() -> None:
    outputs, targets = drawn((2, 50), 8, 5000, dtype=torch.float32)
    first, second = (gradients(outputs, cross_entropy(outputs, targets)) for _ in range(2))
    assert all(torch.equal(*each) for each in zip(first, second, strict=True))


def test_autocast_around_it_changes_nothing() -> None:
    """What products are taken in was settled where the model was called."""
    outputs, targets = drawn((2, 5), 8, 100, dtype=torch.float32)
    alone = gradients(outputs, cross_entropy(outputs, targets))
    with torch.autocast("cpu", torch.bfloat16):
        inside = gradients(outputs, cross_entropy(outputs, targets))
    assert all(torch.equal(*each) for each in zip(alone, inside, strict=True))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("told", [True, False])
def test_logits_are_made_again_only_where_positions_count_as_was_not_said(
    told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, targets = drawn((3, 7), 4, 90, dtype=torch.float32)
    made: list[int] = []
    monkeypatch.setattr(Unprojected, "columns", _noting(made, Unprojected.columns))
    weights = counted(targets)
    losses = cross_entropy(outputs, targets, weights if told else None)
    assert made == [90] * 5  # of 5 positions each
    made.clear()
    ((losses * weights).sum() / weights.sum()).backward()
    assert made == ([] if told else [64, 26])
    made.clear()
    frozen = Unprojected(outputs.hidden, outputs.weight.detach(), None, outputs.dtype)
    cross_entropy(frozen, targets, weights).square().sum().backward()
    assert made == [90] * 5  # of hidden states alone they never are
    made.clear()
    with torch.no_grad():
        cross_entropy(outputs, targets)
    assert made == [64, 26]


def _noting(made: list[int], columns: Any) -> Any:
    """How many columns are made each time."""

    def noted(self: Unprojected, hidden: Tensor, begin: int, end: int) -> Tensor:
        made.append(end - begin)
        return columns(self, hidden, begin, end)

    return noted


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_logits_of_all_positions_exist(dtype: torch.dtype, told: bool) -> None:
    """Forward and backward, gradients included, of what operators make: as a share of the logits of all positions."""
    B, T, D, V = 4, 1000, 8, 8000
    outputs, targets = drawn((B, T), D, V, dtype=dtype)
    weights = counted(targets) if told else None
    ways = {"in pieces": lambda: cross_entropy(outputs, targets, weights), "plain": lambda: plain(outputs, targets)}
    taken = {}
    for name, way in ways.items():
        given = [outputs.hidden, outputs.weight, outputs.bias, targets]
        with Alive([each for each in given if each is not None]) as alive:
            gradients(outputs, way())
        taken[name] = alive.most / (4 * B * T * V)
    assert taken["plain"] > 1
    assert taken["in pieces"] < 0.2
