"""Effective remembrance against what the paper's definition gives when written out, and on memories that are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from outlast.data import Streams
from outlast.diagnosis.reading import read_to
from outlast.diagnosis.remembrance import _in_spreads, effective_remembrance, kept_positions
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.state import leaves
from toys import small_gru, token_streams, wave_streams


class Last(NamedTuple):
    tokens: Tensor


class Reach(Recurrent):
    """Predicts from how often token 1 was among the last `reach` tokens, and from nothing else."""

    input_spec = InputSpec("tokens", 5)

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def initial_state(self, batch_size: int) -> Last:
        return Last(torch.zeros(batch_size, self.reach))

    def forward(self, inputs: Tensor, state: Last) -> tuple[Tensor, Last]:
        window, outputs = state.tokens, []
        for token in inputs.unbind(1):
            window = torch.cat([window[:, 1:], (token == 1).float()[:, None]], 1)
            outputs.append(torch.stack([window.sum(1), *[torch.zeros(len(token))] * 4], 1))
        return torch.stack(outputs, 1), Last(window)


def test_it_is_the_definition_written_out() -> None:
    model, streams = small_gru(InputSpec("tokens", 5), outputs=5).eval(), token_streams(streams=9, length=40)
    found = effective_remembrance(model, streams, train_context=8)
    for row in found.rows:
        distances = []
        for number in range(len(streams)):
            batch = streams.window(np.array([number]), np.array([0]), 40)
            with torch.no_grad():
                ends = [
                    model(batch.inputs[:, start:], model.initial_state(1))[0][0, -1].softmax(-1)
                    for start in (0, 40 - row.kept)
                ]
            distances.append(float((ends[0] - ends[1]).abs().sum() / 2))
        assert row.distance == pytest.approx(np.mean(distances), abs=1e-6)
        assert row.low <= row.distance <= row.high


def test_a_memory_of_known_reach_ends_there() -> None:
    found = effective_remembrance(Reach(8).eval(), token_streams(streams=30, length=64), train_context=4)
    assert found.enough == 8
    by_kept = {row.kept: row.distance for row in found.rows}
    assert by_kept[4] > found.negligible
    assert all(distance == 0 for kept, distance in by_kept.items() if kept >= 8)
    assert found.plateau is not None
    assert found.plateau.mean == 0
    sway = effective_remembrance(Reach(64).eval(), token_streams(streams=30, length=64), train_context=4)
    assert sway.enough is not None
    assert sway.enough > 16
    assert sway.plateau is not None
    assert sway.plateau.low > 0.05


class Padded(Reach):
    """Its outputs ten times as wide, the rest of them constant."""

    def __init__(self, inner: Reach) -> None:
        super().__init__(inner.reach)

    def forward(self, inputs: Tensor, state: Last) -> tuple[Tensor, Last]:
        outputs, state = super().forward(inputs, state)
        return torch.cat([outputs, torch.ones_like(outputs).repeat(1, 1, 9)], -1), state


def test_values_are_in_spreads_of_the_target() -> None:
    model, streams = small_gru().eval(), wave_streams(streams=12)
    found = effective_remembrance(model, streams, train_context=8)
    scaled = Streams(streams.inputs, streams.starts, streams.lengths, targets=streams.inputs * 10, horizon=1)
    tenth = effective_remembrance(model, scaled, train_context=8)
    assert found.unit == "spreads of the target"
    for one, other in zip(found.rows, tenth.rows, strict=True):
        assert other.distance == pytest.approx(one.distance / 10, rel=0.02)


def test_a_prediction_that_is_no_number_does_not_spoil_the_spread_of_others() -> None:
    streams = wave_streams(streams=12)
    unpaired = Streams(streams.inputs, streams.starts, streams.lengths)
    outputs = torch.randn(3, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = _in_spreads(outputs, unpaired)
    outputs[0, 5] = torch.nan
    found = _in_spreads(outputs, unpaired)
    assert (found[:, 5] == 1e6).all()
    others = [number for number in range(12) if number != 5]
    assert torch.allclose(found[:, others], whole[:, others], rtol=0.5)


def test_embeddings_are_in_their_own_spread() -> None:
    """Classes as targets do not make logits of outputs; numbers that never move count for nothing."""
    streams = token_streams(streams=30, length=64)
    model = Reach(8).eval()
    found = effective_remembrance(model, streams, train_context=4, outputs="embeddings")
    assert found.unit == "spreads of the embeddings"
    assert found.enough == 8
    wide = Padded(model).eval()
    padded = effective_remembrance(wide, streams, train_context=4, outputs="embeddings")
    assert [row.distance for row in padded.rows] == pytest.approx([row.distance for row in found.rows])
    assert effective_remembrance(wide, streams, train_context=4).rows[0].distance < found.rows[0].distance


def test_few_passes_for_many_rows() -> None:
    kept = kept_positions(8192)
    assert len(kept) >= 24
    assert sum(kept) < 4 * 8192
    assert kept == sorted(set(kept))


def test_a_context_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="context of 999"):
        effective_remembrance(small_gru(), wave_streams(), train_context=8, context=999)


def test_rows_of_many_lengths_end_where_they_would_alone() -> None:
    """The shared reading of stretches of every length gives the states of reading each by itself."""
    model, streams = small_gru().eval(), wave_streams(streams=6, length=600)
    random = np.random.default_rng(0)
    stream, begin = random.integers(0, 6, 40), random.integers(0, 590, 40)
    end = np.minimum(begin + random.integers(0, 600, 40), 600)
    together = leaves(read_to(model, streams, stream, begin, end))[0]
    for i in range(40):
        state = model.initial_state(1)
        if end[i] > begin[i]:
            with torch.no_grad():
                _, state = model(
                    streams.window(stream[i : i + 1], begin[i : i + 1], int(end[i] - begin[i])).inputs, state
                )
        torch.testing.assert_close(together[i : i + 1], leaves(state)[0], rtol=1e-5, atol=1e-6)
