"""torch.nn.LSTM, GRU and RNN as they are: the state goes batch-first, a tuple over layers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from outlast.errors import InputError
from outlast.model import InputSpec, Recurrent
from outlast.sizes import MOST_LAYERS
from outlast.state import at_least_float32


class LSTMState(NamedTuple):
    """One layer of an LSTM: `hidden` (B, P) with P the projection size where there is one, `cell` (B, H)."""

    hidden: Tensor
    cell: Tensor


class HiddenState(NamedTuple):
    """One layer whose whole state is `hidden` (B, H): a GRU, a plain RNN, or one tensor of a user's module."""

    hidden: Tensor


def refuse_bidirectional(module: nn.Module) -> None:
    """Raise InputError if `module` is, or holds, a bidirectional torch RNN."""
    for name, inner in module.named_modules():
        if isinstance(inner, nn.RNNBase) and inner.bidirectional:
            where = f"its submodule {name!r}, " if name else ""
            raise InputError(
                f"{type(module).__name__}: {where}a bidirectional {type(inner).__name__}",
                "a model that reads forwards only",
                "train with bidirectional=False: half of a bidirectional model reads the future, "
                "so there is no state to carry from one window to the next",
            )


class TorchRNN(Recurrent):
    """A torch.nn.LSTM, GRU or RNN: inputs (B, T, F) -> outputs (B, T, H), whatever its `batch_first`.

    The state is a tuple over layers of `LSTMState` or `HiddenState`. Dropout between layers stays as the module has it.

    Raises:
        InputError: the module is bidirectional.
    """

    def __init__(self, module: nn.RNNBase) -> None:
        super().__init__()
        refuse_bidirectional(module)
        self.module = module
        self.input_spec = InputSpec("features", module.input_size)
        self.blueprint = blueprint_of(module)

    def initial_state(self, batch_size: int) -> tuple[LSTMState | HiddenState, ...]:
        rnn = self.module
        like = next(rnn.parameters())
        dtype = at_least_float32(like.new_empty(0)).dtype

        def zeros(width: int) -> Tensor:
            return torch.zeros(batch_size, width, device=like.device, dtype=dtype)

        if isinstance(rnn, nn.LSTM):
            width = rnn.proj_size or rnn.hidden_size
            return tuple(LSTMState(zeros(width), zeros(rnn.hidden_size)) for _ in range(rnn.num_layers))
        return tuple(HiddenState(zeros(rnn.hidden_size)) for _ in range(rnn.num_layers))

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, tuple[LSTMState | HiddenState, ...]]:
        rnn = self.module
        dtype = next(rnn.parameters()).dtype
        inputs = inputs if rnn.batch_first else inputs.transpose(0, 1)
        hidden = torch.stack([layer.hidden for layer in state]).to(dtype)
        if isinstance(rnn, nn.LSTM):
            cell = torch.stack([layer.cell for layer in state]).to(dtype)
            outputs, (hidden, cell) = rnn(inputs, (hidden, cell))
            pairs = zip(at_least_float32(hidden).unbind(), at_least_float32(cell).unbind(), strict=True)
            final = tuple(LSTMState(*pair) for pair in pairs)
        else:
            outputs, hidden = rnn(inputs, hidden)
            final = tuple(HiddenState(layer) for layer in at_least_float32(hidden).unbind())
        return (outputs if rnn.batch_first else outputs.transpose(0, 1)), final


TORCH_RNNS: dict[str, type[nn.RNNBase]] = {"torch.nn.LSTM": nn.LSTM, "torch.nn.GRU": nn.GRU, "torch.nn.RNN": nn.RNN}


def blueprint_of(module: nn.RNNBase) -> dict[str, Any] | None:
    """What `rebuild_rnn` needs to build `module` again; None for a subclass, which torch's settings do not describe."""
    kind = next((kind for kind, cls in TORCH_RNNS.items() if type(module) is cls), None)
    if kind is None:
        return None
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"]
    names += {"torch.nn.LSTM": ["proj_size"], "torch.nn.RNN": ["nonlinearity"]}.get(kind, [])
    return {"kind": kind, "settings": {name: getattr(module, name) for name in names}}


def rebuild_rnn(blueprint: dict[str, Any]) -> TorchRNN:
    """The module that `blueprint_of` described, with fresh weights.

    Raises:
        InputError: more layers than a model can have.
    """
    layers = blueprint["settings"].get("num_layers", 1)
    if layers > MOST_LAYERS:
        raise InputError(f"a {blueprint['kind']} of {layers} layers", f"at most {MOST_LAYERS}", "correct the blueprint")
    return TorchRNN(TORCH_RNNS[blueprint["kind"]](**blueprint["settings"]))
