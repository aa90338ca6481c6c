"""Forty typical modules of users, each with what a right outcome of adapting it is.

The list and its outcomes were written down before the rules that adapt them. `whole` is the module's own call, as its
author makes it: what the adapted model has to say from its initial state, position by position.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from outlast.model import InputSpec

Outcome = Literal["alone", "wrapper", "refused"]


@dataclass(frozen=True)
class Listed:
    """One module of the list.

    Args:
        name: ``file:attribute`` in this folder.
        kind: of module, in the words of the documentation.
        outcome: `adapt` takes it alone; or refuses it and prints a wrapper of at most five lines; or refuses it for a
            reason that no wrapper mends.
        reads: what it reads.
        whole: (module, inputs (B, T, …)) -> its outputs (B, T, …) over one window from the start.
        words: that a refusal has to say.
        broken: points of `check` that it does break.
    """

    name: str
    kind: str
    outcome: Outcome
    reads: InputSpec
    whole: Callable[[nn.Module, Tensor], Tensor] | None = None
    words: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def file(self) -> ModuleType:
        """The file that it stands in."""
        return importlib.import_module(f"modules.{self.name.partition(':')[0]}")

    def build(self) -> nn.Module:
        """The module, the same at every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            made = getattr(self.file, self.name.partition(":")[2])()
        return made if isinstance(made, torch.fx.GraphModule) else made.eval()  # what was exported has its one mode


def _first(module: Any, x: Tensor) -> Tensor:
    return module(x)[0]


def _time_first(module: Any, x: Tensor) -> Tensor:
    return module(x.transpose(0, 1))[0].transpose(0, 1)


def _prefixes(call: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """The answers to all windows that begin where this one does."""
    return lambda module, x: torch.stack([call(module, x[:, : t + 1]) for t in range(x.shape[1])], 1)


def _steps(start: Callable[[Any, int], Any], call: Callable[[Any, Tensor, Any], tuple[Tensor, Any]]) -> Any:
    def whole(module: Any, x: Tensor) -> Tensor:
        state, outputs = start(module, len(x)), []
        for position in x.unbind(1):
            y, state = call(module, position, state)
            outputs.append(y)
        return torch.stack(outputs, 1)

    return whole


def _cell(module: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    h, c = module(x, state)
    return h, (h, c)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros(1, len(x), 8)


def _language_model(module: Any, x: Tensor) -> Tensor:
    y, _ = module(x.T, module.init_hidden(len(x)))
    return y.view(x.shape[1], len(x), -1).transpose(0, 1)


def _packed(module: Any, x: Tensor) -> Tensor:
    packed = pack_padded_sequence(x, torch.full((len(x),), x.shape[1]), batch_first=True)
    return pad_packed_sequence(module(packed)[0], batch_first=True)[0]


def _reset(name: str) -> Callable[[Any, Tensor], Tensor]:
    def whole(module: Any, x: Tensor) -> Tensor:
        getattr(module, name)()
        return module(x)

    return whole


def _stateful_time_first(module: Any, x: Tensor) -> Tensor:
    module.hidden = module.init_hidden(len(x))
    return module(x.transpose(0, 1)).transpose(0, 1)


THREE, FOUR, SIX, EIGHT = (InputSpec("features", size) for size in (3, 4, 6, 8))


def _tokens(size: int) -> InputSpec:
    return InputSpec("tokens", size)


MODULES: tuple[Listed, ...] = (
    Listed("around:LSTMTagger", "returns `y, (h, c)`", "alone", THREE, _first),
    Listed("around:FlatReturn", "returns `y, h, c`", "alone", THREE, _first),
    Listed("around:TwoArguments", "takes `h, c` apart", "alone", THREE, lambda m, x: m(x, _zeros(x), _zeros(x))[0]),
    Listed("around:TimeFirstGRU", "time first", "alone", THREE, _time_first),
    Listed("around:WithAlphas", "an extra output behind the state", "alone", THREE, _first),
    Listed(
        "around:ActorCritic",
        "an extra output before the state, no default for it",
        "alone",
        SIX,
        lambda m, x: m(x, (_zeros(x), _zeros(x)))[0],
    ),
    Listed("around:KeywordOnly", "the state by keyword only", "alone", THREE, _first),
    Listed(
        "around:LengthsBetween",
        "`lengths` before the state",
        "alone",
        _tokens(13),
        lambda m, x: m(x, torch.full((len(x),), x.shape[1]))[0],
    ),
    Listed("around:MaskBetween", "`mask` before the state", "alone", THREE, _first),
    Listed("around:WordLanguageModel", "outputs of all positions in one axis", "alone", _tokens(17), _language_model),
    Listed("around:EmbeddingGRU", "a language model", "alone", _tokens(19), _first),
    Listed("around:LearnedStart", "a learned start", "alone", THREE, _first),
    Listed("around:RandomStart", "a random start", "wrapper", THREE, lambda m, x: m(x, _zeros(x))[0]),
    Listed(
        "around:DictOutput", "returns a dictionary", "alone", _tokens(11), lambda m, x: m(x)["logits"].transpose(1, 2)
    ),
    Listed("around:ListState", "a list with None in it as state", "alone", THREE, _first),
    Listed("around:DataclassState", "an object as state", "alone", THREE, _first),
    Listed("around:ManyToOne", "one output a window", "alone", THREE, _prefixes(lambda m, x: m(x)[0])),
    Listed("cells:Cell", "torch's cells", "alone", THREE, _steps(lambda m, rows: None, _cell)),
    Listed(
        "cells:NameRNN",
        "a cell with a start of one row",
        "alone",
        THREE,
        _steps(lambda m, rows: torch.zeros(rows, 8), lambda m, x, state: m(x, state)),
    ),
    Listed(
        "cells:StepForecaster",
        "one position a call",
        "alone",
        FOUR,
        _steps(lambda m, rows: None, lambda m, x, state: m(x, state)),
    ),
    Listed("cells:StackedCells", "a loop over cells", "alone", THREE, _first),
    Listed("cells:CustomLSTM", "a cell of plain parameters", "alone", THREE, _first),
    Listed("cells:CountedCell", "a Python number in the state", "alone", THREE, _first),
    Listed(
        "inside:TutorialLSTM",
        "starts from zeros at every call, one output a window",
        "alone",
        THREE,
        _prefixes(lambda m, x: m(x)),
    ),
    Listed("inside:StatefulLSTM", "keeps its state, with `reset()`", "alone", THREE, _reset("reset")),
    Listed("inside:InitHiddenInside", "keeps its state, with `init_hidden`", "alone", THREE, _stateful_time_first),
    Listed(
        "inside:DetachedInside",
        "keeps its state, cut from the graph",
        "alone",
        THREE,
        _reset("reset_state"),
        broken=("gradient_through_state",),
    ),
    Listed("inside:LitForecaster", "a Lightning module that drops its state", "alone", THREE, lambda m, x: m(x)),
    Listed("packed:PackedIn", "a PackedSequence in and out", "alone", THREE, _packed),
    Listed("packed:scripted", "torch.jit.script", "alone", _tokens(11), _first),
    Listed("packed:traced", "torch.jit.trace", "alone", THREE, lambda m, x: m(x, _zeros(x))[0]),
    Listed("libraries:CfC", "ncps", "alone", THREE, _first),
    Listed("libraries:XLSTMStack", "xLSTM, by its `step`", "alone", EIGHT, lambda m, x: m(x)),
    Listed("linear:LRU", "a complex state", "alone", THREE, _first),
    Listed("linear:S4D", "a convolution, by its `step`", "alone", THREE, lambda m, x: m(x)),
    Listed("linear:S5", "complex states and parameters", "alone", THREE, _first),
    Listed("attending:LinearTransformer", "attention with a memory of fixed size", "alone", _tokens(13), _first),
    Listed(
        "attending:KVCache",
        "attention that keeps every key",
        "refused",
        _tokens(13),
        words=("grows with the position",),
    ),
    Listed("attending:Seq2Seq", "an encoder and a decoder", "refused", THREE, words=("in pieces",)),
    Listed("attending:BiLSTM", "bidirectional", "refused", _tokens(13), words=("bidirectional", "reads the future")),
)
