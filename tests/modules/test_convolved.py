"""Causal convolutions before a recurrence: their last inputs are part of the state, or the module is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

import outlast
from contract_sizes import quick_check
from modules.published import ConvGRU
from outlast.errors import InputError
from outlast.modules import adapt


class Convolved(nn.Module):
    """A convolution that is causal by what `shape` cuts off."""

    def __init__(self, conv: nn.Conv1d, shape: str = "z[..., : x.shape[1]]") -> None:
        super().__init__()
        self.conv, self.shape = conv, shape
        self.gru, self.head = nn.GRU(conv.out_channels, 8, batch_first=True), nn.Linear(8, 1)

    def before(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        z = self.before(x.transpose(1, 2))
        z = eval(self.shape, {"z": z, "x": x})
        return self.head(self.gru(z.transpose(1, 2))[0])


class Loop(Convolved):
    """A gated recurrence in a loop of its own behind a depthwise convolution, as small Mambas have it."""

    def __init__(self) -> None:
        super().__init__(nn.Conv1d(3, 3, 4, groups=3, padding=3))
        self.gate, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        u = self.conv(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2)
        h, said = torch.zeros(len(x), 3), []
        for t in range(x.shape[1]):
            gate = torch.sigmoid(self.gate(u[:, t]))
            h = gate * h + (1 - gate) * u[:, t]
            said.append(self.out(h))
        return torch.stack(said, 1)


class Causal(nn.Conv1d):
    """Puts the zeros before its inputs by itself."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad(input, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


class Ones(Convolved):
    def before(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (2, 0), value=1.0))


class First(Convolved):
    """What it puts before its inputs is the first of the window."""

    def before(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (2, 0), mode="replicate"))


class Twice(Convolved):
    def before(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x)[..., : x.shape[2]])


READ = {
    "cut": lambda: Convolved(nn.Conv1d(3, 6, 3, padding=2)),
    "ones": lambda: Ones(nn.Conv1d(3, 6, 3), "z"),
    "class": lambda: Convolved(Causal(3, 6, 2, dilation=3), "z"),
    "loop": Loop,
}
NOT_CAUSAL = {
    "ahead": lambda: Convolved(nn.Conv1d(3, 6, 3, padding=2), "z[..., 1:-1]"),
    "same": lambda: Convolved(nn.Conv1d(3, 6, 3, padding="same"), "z"),
    "first": lambda: First(nn.Conv1d(3, 6, 3), "z"),
    "twice": lambda: Twice(nn.Conv1d(3, 3, 3, padding=2)),
    "stride": lambda: Convolved(nn.Conv1d(3, 6, 3, padding=2, stride=2), "z.repeat(1, 1, 2)[..., : x.shape[1]]"),
}


@pytest.mark.parametrize("kind", READ)
def test_read_in_pieces_it_is_the_module(kind: str) -> None:
    module = READ[kind]().eval()
    model, x = adapt(module), torch.randn(2, 21, 3, generator=torch.Generator().manual_seed(0))
    state, said = model.initial_state(2), []
    for piece in x.split([1, 1, 4, 2, 13], 1):
        outputs, state = model(piece, state)
        said.append(outputs)
    torch.testing.assert_close(torch.cat(said, 1), module(x), rtol=0, atol=1e-6)
    assert "and the last inputs of `conv`" in str(model.found)
    assert [part.kind for part in model.state_parts()] == ["recurrent", "convolution"]
    assert quick_check(model).passed
    assert "_conv_forward" not in vars(module.conv)  # it is as it was


@pytest.mark.parametrize("kind", NOT_CAUSAL)
def test_what_is_not_causal_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match=r"in pieces|at once"):
        adapt(NOT_CAUSAL[kind]().eval())


@pytest.mark.long
def test_the_window_is_exported_for_any_number_of_rows(tmp_path: object) -> None:
    module = ConvGRU().eval()
    written = outlast.export(adapt(module), f"{tmp_path}/model.onnx")
    x = torch.randn(5, 9, 3)
    first, state = written(x[:, :1], written.initial_state(5))
    found = torch.cat([first, written(x[:, 1:], state)[0]], 1)
    torch.testing.assert_close(found, module(x), rtol=0, atol=1e-5)
