"""The heads of models that transformers runs, left out: seen by trying which logits are what the head makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foreign.test_borrowed import KINDS, READ, borrowed
from outlast import unprojected
from outlast.foreign.caches.model import Borrowed, hands_on
from outlast.unprojected import Unprojected, leaving_out_head

pytestmark = pytest.mark.filterwarnings("ignore:attention sees the last")


@pytest.fixture(autouse=True)
def _small_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprojected, "LEAST", 2)


def both_ways(model: Borrowed) -> tuple[Tensor, Any]:
    """Logits, and what stands for them."""
    tokens = torch.randint(7, (2, 6), generator=torch.Generator().manual_seed(0))
    wanted, after = model(tokens, model.initial_state(2))
    with leaving_out_head(model):
        found, state = model(tokens, model.initial_state(2))
    torch.testing.assert_close(state, after, rtol=0, atol=0)
    return wanted, found


def assert_same(wanted: Tensor, found: Any) -> None:
    assert isinstance(found, Unprojected)
    torch.testing.assert_close(found.columns(found.hidden, 0, found.shape[-1]), wanted)


@pytest.mark.parametrize("name", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_stands_for_logits_makes_them(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """Where there is a soft cap, the logits are made as ever."""
    wanted, found = both_ways(borrowed(name, tmp_path).to(dtype))
    if name == "xlstm":
        assert torch.equal(found, wanted)
    else:
        assert_same(wanted, found)


@pytest.mark.long
@pytest.mark.parametrize("name", READ)
def test_of_every_type(name: str, tmp_path: Path) -> None:
    wanted, found = both_ways(borrowed(name, tmp_path))
    if isinstance(found, Unprojected):
        assert_same(wanted, found)
    else:
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("made_of", "bias", "handed_on"),
    [
        (lambda logits: logits, True, True),
        (lambda logits: logits.double() / 16, False, True),
        (lambda logits: logits / 16, True, False),
        (lambda logits: 30 * torch.tanh(logits / 30), False, False),
        (lambda logits: 900 * torch.tanh(logits / 900), False, False),
        (lambda logits: logits + 50, False, False),
        (lambda logits: logits[..., :-1], False, False),
        (lambda logits: logits * torch.tensor([1.0, 2.0])[:, None], False, False),
    ],
    ids=["as it is", "scaled", "scaled, with a bias", "capped", "hardly capped", "shifted", "cut", "by position"],
)
def test_what_a_library_may_make_of_logits(made_of: Any, bias: bool, handed_on: bool) -> None:
    head, hidden = nn.Linear(4, 11, bias=bias), torch.randn(1, 2, 4)
    assert hands_on(head, lambda: made_of(head(hidden))) is handed_on


def test_a_head_that_is_read_twice_is_not_left_out() -> None:
    head, hidden = nn.Linear(4, 11), torch.randn(1, 2, 4)
    assert not hands_on(head, lambda: head(hidden) + head(hidden))
