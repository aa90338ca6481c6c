"""Forty-nine modules in the shapes in which others publish them, each with what a right outcome of adapting it is.

Written down before the rules that adapt them, as `modules.listed` was (what is read since was a refusal there); of a
kind that cannot be carried from one window to the next by anybody, the right outcome is a refusal in words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modules.listed import EIGHT, FOUR, THREE, Listed, _first, _prefixes, _reset, _steps, _time_first, _tokens
from outlast.model import InputSpec

ONE, TWO, FIVE, SIXTEEN = (InputSpec("features", size) for size in (1, 2, 5, 16))


def _from_zeros(axes: tuple[int, int]) -> Any:
    return lambda m, x: m(x, torch.zeros(axes[0], len(x), axes[1]))[0]


def _call(m: Any, x: Tensor, state: Any) -> Any:
    return m(x, state)


def _deep_ar(m: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    mu, _, hidden, cell = m(x[None], *state)
    return mu, (hidden, cell)


def _kept_rows(m: Any, x: Tensor) -> Tensor:
    m.reset(len(x))
    return m(x)


def _policy(m: Any, x: Tensor) -> Tensor:
    zeros = torch.zeros(1, len(x), 8)
    return m(x.transpose(0, 1), (zeros, zeros), torch.zeros(x.shape[1], len(x)))[0].transpose(0, 1)


def _skorch(m: Any, x: Tensor) -> Tensor:
    return m(x.T)[0].transpose(0, 1)


def _generator(m: Any, x: Tensor) -> Tensor:
    return m(x.T, m.init_state(len(x)))[0].transpose(0, 1)


def _rollout(m: Any, x: Tensor) -> Tensor:
    return m(x, [torch.zeros(len(x), 8)] * 2, None)[0]


def _alone(name: str, kind: str, reads: InputSpec, whole: Any, **more: Any) -> Listed:
    return Listed(f"published:{name}", kind, "alone", reads, whole, **more)


def _refused(name: str, kind: str, *words: str) -> Listed:
    return Listed(f"published:{name}", kind, "refused", THREE, words=words)


_window = _prefixes(lambda m, x: m(x))

PUBLISHED: tuple[Listed, ...] = (
    _alone("CharRNN", "a character a call", _tokens(11), _steps(lambda m, n: m.init_hidden(n), _call)),
    _alone("NameClassifier", "a class for lines, time first", FIVE, _prefixes(lambda m, x: m(x.transpose(0, 1)))),
    _alone("SineSequence", "numbers without an axis of features", ONE, lambda m, x: m(x[..., 0])[..., None]),
    _alone(
        "AwdEncoder", "states of layers in a list of the module", _tokens(13), _reset("reset"),
        broken=("gradient_through_state",),
    ),
    _refused("Seq2Seq", "an encoder, and a decoder from its state", "at once|ends there|in pieces|the last position"),
    _alone(
        "DeepAR", "two states apart, and a method for each", FOUR,
        _steps(lambda m, n: (m.init_hidden(n), m.init_cell(n)), _deep_ar),
    ),
    _alone("ConvGRU", "a causal convolution before a recurrence", THREE, lambda m, x: m(x)),
    _refused("AttentionPool", "attention over all outputs", "one output a window"),
    _alone(
        "PackedLengths", "lengths, packed, and no state", _tokens(11),
        lambda m, x: m(x, torch.full((len(x),), x.shape[1])),
    ),
    _alone(
        "KerasStateful", "stateful, one output a window", THREE,
        lambda m, x: torch.stack([_reset("reset_states")(m, x[:, : t + 1]) for t in range(x.shape[1])], 1),
        broken=("gradient_through_state",),
    ),
    _alone("NestedState", "a dictionary of dictionaries", THREE, lambda m, x: m(x)["y"]),
    _refused("quantised", "quantised in steps of what a batch holds (torch.ao)", "depends on the other rows"),
    _alone("weight_normed", "weight norm", THREE, _window),
    _alone("compiled", "torch.compile, state inside", THREE, _window),
    _alone("compiled_with_state", "torch.compile, state in and out", THREE, _from_zeros((1, 8))),
    _refused("scripted_last_step", "torch.jit.script, state inside", "TorchScript", "before it is compiled"),
    _refused("traced_last_step", "torch.jit.trace, state inside", "TorchScript", "before it is compiled"),
    _refused("traced_loop", "torch.jit.trace of a loop", "TorchScript", "before it is compiled"),
    _refused("exported_fixed", "torch.export, state inside", "torch.export", "before it is exported"),
    _alone("exported_with_state", "torch.export of any length, state in and out", THREE, _from_zeros((1, 8))),
    _alone("LitRegressor", "Lightning, squeezed outputs", THREE, _window),
    _alone("SkorchLanguageModel", "skorch's language model", _tokens(13), _skorch),
    _alone(
        "ForecastingDict", "reads one key of a dictionary", THREE, lambda m, x: m({"encoder_cont": x})["prediction"]
    ),
    _alone("MinGRU", "minGRU, its state on request", FOUR, lambda m, x: m(x)),
    _alone("ChannelMix", "a block in RWKV's way", FOUR, _first),
    _alone("MinimalMamba", "a state that stays in the call", FOUR, lambda m, x: m(x)),
    _alone("SmallSLSTM", "sLSTM, four states", THREE, _first),
    # It takes slices of its columns: nothing in it says that there are six, and more pass as well.
    _alone("GRUD", "GRU-D, last values in the call", EIGHT, lambda m, x: m(x)),
    _refused("ConvLSTM", "frames (B, T, C, H, W)", "cannot be read", "expected 5, got 3"),
    _alone("CellsKept", "lists of states in the module", THREE, _kept_rows),
    _refused("BiGRU", "bidirectional", "bidirectional"),
    _alone("RecurrentPolicy", "an agent, with starts of episodes", FOUR, _policy),
    _alone("EchoState", "a reservoir in buffers", THREE, _first),
    _alone("AroundPeephole", "drops the state of own recurrences", THREE, lambda m, x: m(x)),
    _refused("AutoEncoder", "says its window again", "in pieces|at once"),
    _alone("ResidualStack", "residuals and norms between layers", THREE, _first),
    _alone("SRU", "a light recurrence, time first", FOUR, _time_first),
    _refused("LSTNet", "convolution and skips", "in pieces|one by one|one output a window|no axis runs over rows"),
    _alone("TimeMajor", "in TensorFlow's words", THREE, _time_first),
    _alone("LiquidTime", "times between positions, left out", THREE, _first),
    _alone(
        "SpeechDetector", "a frame a call, two halves in one state", SIXTEEN,
        _steps(lambda m, n: torch.zeros(2, n, 8), _call),
    ),
    _alone("TextGenerator", "a tutorial's generator", _tokens(11), _generator),
    _alone("KalmanFilter", "a start that is made in the call", ONE, _first),
    _alone("RolloutModel", "RLlib's states", FOUR, _rollout),
    _alone("data_parallel", "nn.DataParallel", THREE, _from_zeros((1, 8))),
    _alone("sequential", "nn.Sequential", THREE, lambda m, x: m(x)),
    _refused("TwoInputs", "what does not change apart", "also `sequence`|two inputs|`static`"),
    _refused("FixedRows", "a buffer of so many rows", "no hidden state", "none was found"),
    _alone("NamedAnswer", "a NamedTuple returned", _tokens(11), lambda m, x: m(x).logits),
)  # fmt: skip
