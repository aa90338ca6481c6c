"""What a pass takes is foreseen, so that a stated memory bounds how many rows are read side by side."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.evaluation import EvalSettings, evaluate
from outlast.evaluation.costs import MemoryNeeded, memory_needed
from outlast.evaluation.measure import CROSS_ENTROPY
from outlast.model import InputSpec, Recurrent
from toys import token_streams

CLASSES, STATE, CPU = 5, 50_000, torch.device("cpu")


class Fat(NamedTuple):
    memory: Tensor


class FatState(Recurrent):
    """A state of 200 kB a row, which every position adds to, and a head as wide as the vocabulary."""

    input_spec = InputSpec("tokens", CLASSES)

    def __init__(self, hidden: int = 8) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(CLASSES, hidden), nn.Linear(hidden, CLASSES)
        self.most_rows: dict[int, int] = {}

    def initial_state(self, batch_size: int) -> Fat:
        return Fat(torch.zeros(batch_size, STATE))

    def forward(self, inputs: Tensor, state: Fat) -> tuple[Tensor, Fat]:
        rows, length = inputs.shape
        self.most_rows[length] = max(rows, self.most_rows.get(length, 0))
        return self.head(self.embed(inputs)), Fat(state.memory + length)


def small(outputs: Tensor, batch: object) -> Tensor:
    return outputs[..., 0]


def test_rows_and_positions_are_told_apart() -> None:
    found = memory_needed(FatState(), CPU, token_streams(streams=2, length=64), 64, [CROSS_ENTROPY.per_position])
    # The state before and after; a few numbers of every position.
    assert found.row == pytest.approx(2 * 4 * STATE, rel=0.02)
    assert 50 < found.position < 2000
    assert found.rows(1e6, 1) == 2
    assert found.rows(1, 1) == 1


def test_weights_are_not_counted() -> None:
    """They lie in memory anyway, however many rows are read."""
    streams = token_streams(streams=2, length=64)
    narrow, wide = (memory_needed(FatState(hidden), CPU, streams, 64, [small]) for hidden in (8, 800))
    assert wide.row < narrow.row + 4 * 2 * 800 + 1000
    assert wide.position < 100 * narrow.position


def test_scores_are_counted() -> None:
    streams = token_streams(streams=2, length=64)

    def large(outputs: Tensor, batch: object) -> Tensor:
        return outputs.repeat(1, 1, 10_000).sum(-1)

    with_score, without = (memory_needed(FatState(), CPU, streams, 64, scores) for scores in ([large], [small]))
    assert with_score.position - without.position == pytest.approx(4 * CLASSES * 10_000, rel=0.01)


def test_the_stated_memory_bounds_the_rows_of_every_pass() -> None:
    """Short readings too: what a row takes does not shrink with them."""
    model = FatState()
    settings = EvalSettings(targets=64, memory_mib=4)
    evaluate(model, token_streams(streams=12, length=128), train_context=16, settings=settings)
    assert max(model.most_rows.values()) == 10  # of 400 kB each
    assert set(model.most_rows) >= {1, 2, 4, 8}


@pytest.mark.parametrize("memory", [0, -1.0])
def test_no_memory_at_all_is_refused(memory: float) -> None:
    with pytest.raises(InputError, match="memory_mib"):
        EvalSettings(memory_mib=memory)


def test_as_many_rows_as_fit() -> None:
    assert MemoryNeeded(100, 10).rows(1000, 10) == 5
