"""A state in local variables of loops: carried where pieces are the whole, and refused in words where they are not."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contract_sizes import quick_check
from modules.meeting import together
from modules.published import GRUD, KalmanFilter, MinimalMamba
from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt
from outlast.state import leaves


class Block(nn.Module):
    """Its loop stands in a method of its own, in a layer."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.decay, self.into = nn.Parameter(torch.rand(width)), nn.Linear(width, width)

    def scan(self, u: Tensor, *, gain: float = 0.7) -> Tensor:
        """Sums that decay, written into a tensor of all positions."""
        h: Tensor = torch.ones(u.shape[0], u.shape[2])
        ys = torch.zeros_like(u)
        for t in range(u.shape[1]):
            h = self.decay * h + gain * u[:, t]
            ys[:, t] = h
        return ys

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        return x + self.scan(torch.tanh(self.into(x)))


class Layers(nn.Module):
    """Layers in a loop of another kind, one of them met twice."""

    input_spec = InputSpec("features", 4)

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Block(), Block()]), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 4) -> (B, T, 2)."""
        for block in (*self.blocks, self.blocks[0]):
            x = block(x)
        return self.head(x)


class Lists(nn.Module):
    """States of layers in a list that is written into, and the last position's answer."""

    input_spec = InputSpec("features", 3)

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.Linear(11, 8), nn.Linear(16, 8)])
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3) -> (B, 2)."""
        hidden = [x.new_zeros(len(x), 8) for _ in self.cells]
        for step in x.unbind(1):
            for i, cell in enumerate(self.cells):
                hidden[i] = torch.tanh(cell(torch.cat([step, hidden[i]], -1)))
                step = hidden[i]
        return self.head(hidden[-1])


class Warmed(nn.Module):
    """What it does depends on the place in the window."""

    input_spec = InputSpec("features", 3)

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3) -> (B, T, 2)."""
        h, outputs = x.new_zeros(len(x), 3), []
        for t in range(x.shape[1]):
            h = h + x[:, t] / (t + 1)
            outputs.append(self.head(h))
        return torch.stack(outputs, 1)


def _whole(module: Any, x: Tensor) -> Tensor:
    returned = module(x)
    return returned[0] if isinstance(returned, tuple) else returned


def _prefixes(module: Any, x: Tensor) -> Tensor:
    return torch.stack([module(x[:, : t + 1]) for t in range(x.shape[1])], 1)


KINDS = [
    (Layers, 4, 3, _whole),
    (Lists, 3, 2, _prefixes),
    (MinimalMamba, 4, 1, _whole),
    (GRUD, 6, 2, _whole),
    (KalmanFilter, 1, 2, _whole),
]


def built(kind: type[nn.Module]) -> nn.Module:
    """One of them, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return kind().eval()


def in_pieces(model: Recurrent, x: Tensor) -> Tensor:
    state, found = model.initial_state(len(x)), []
    for piece in x.split([1, 4, 6, x.shape[1] - 11], 1):
        outputs, state = model(piece, state)
        found.append(outputs)
    return torch.cat(found, 1)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "features", "tensors", "plain"), KINDS)
def test_pieces_are_the_plain_loop_in_one_thread_and_in_two(
    kind: type[nn.Module], features: int, tensors: int, plain: Any
) -> None:
    module = built(kind)
    held = dict(vars(module))
    model = adapt(module, InputSpec("features", features))
    assert "in its loop over positions" in str(model.found)
    assert len(leaves(model.initial_state(2))) == tensors
    read = [torch.randn(rows, 15, features, generator=torch.Generator().manual_seed(rows)) for rows in (2, 5)]
    wanted = [plain(module, x) for x in read]
    alone = [in_pieces(model, x) for x in read]
    for found in (alone, together(*(functools.partial(in_pieces, model, x) for x in read))):
        for outputs, own in zip(found, wanted, strict=True):
            torch.testing.assert_close(outputs, own, rtol=0, atol=1e-6)
    assert vars(module).keys() == held.keys()
    assert all(not {"scan", "forward"} & vars(inner).keys() for inner in module.modules())


def test_the_contract_is_kept() -> None:
    assert quick_check(adapt(built(Layers))).passed


def test_a_weight_behind_the_loop_is_trained_through_the_state() -> None:
    module = built(Layers)
    x = torch.randn(2, 6, 4)
    wanted = torch.autograd.grad(module(x)[:, -1].sum(), list(module.parameters()))
    model = adapt(module)
    _, state = model(x[:, :4], model.initial_state(2))
    found = torch.autograd.grad(model(x[:, 4:], state)[0][:, -1].sum(), list(module.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_loop_that_knows_its_place_in_the_window_is_refused() -> None:
    with pytest.raises(InputError, match="in pieces does not give"):
        adapt(built(Warmed))


def test_a_file_that_is_not_the_source_is_no_crash(tmp_path: Path) -> None:
    """Code that was run from a page: what lies at its place is not Python, or other Python."""
    page = tmp_path / "page.md"
    page.write_text("# Text (and no code\n\nof any kind\n")
    code = (
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)\n"
        "    def forward(self, x, h=None):\n"
        "        y, h = self.rnn(x, h)\n"
        "        return self.head(y), h\n"
    )
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(code, str(page), "exec", dont_inherit=True), names)
    page.write_text("def unlike(\n" * 9)
    assert adapt(names["Net"]()).state_parts()[0].path == "layers.0.hidden"
