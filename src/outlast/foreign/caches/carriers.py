"""How a model of transformers is read from a state: by its cache, or, where it has none of that kind, in another way.

A carrier knows the shapes of the state's tensors and makes one pass. There are three: transformers' own kind of cache,
MiniMax's, and xLSTM's, which is no cache at all.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from transformers import cache_utils

from outlast.foreign.caches.layers import Both, Cache, Layer, Linear, Window
from outlast.foreign.caches.reading import SCANS, STEP, Reading, prepare, reading
from outlast.model import device_of, dtype_of, quietly


class LayerState(NamedTuple):
    """State of one layer, each tensor (B, …); what a layer does not have is an empty tuple or None.

    `recurrent` and `convolution` have as many tensors as the library keeps apart. `keys` and `values` are
    (B, heads, W − 1, K) for a window of W positions.
    """

    recurrent: tuple[Tensor, ...] = ()
    convolution: tuple[Tensor, ...] = ()
    keys: Tensor | None = None
    values: Tensor | None = None


class Positions(NamedTuple):
    """What the attention of all layers has seen: which of the widest window's slots hold a position (B, W − 1), and how
    many positions were read (B)."""

    valid: Tensor
    read: Tensor


@dataclass(frozen=True)
class Piece:
    """A tensor of the state without its rows: its shape, and the dtype in which the library wants it."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Piece:
        """That of a tensor (B, …)."""
        return cls(tuple(tensor.shape[1:]), tensor.dtype)


@dataclass(frozen=True)
class LayerShape:
    """The pieces of one layer's state.

    Args:
        keys, values: (heads, kept, K).
        sliding: positions that the library itself lets this layer see; None: all of them.
    """

    recurrent: tuple[Piece, ...] = ()
    convolution: tuple[Piece, ...] = ()
    keys: Piece | None = None
    values: Piece | None = None
    sliding: int | None = None


class Carrier(Protocol):
    """One way of reading from a state."""

    layers: tuple[LayerShape, ...]

    def read(
        self, tokens: Tensor, state: Sequence[LayerState], positions: Positions | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Tokens (B, T) -> logits (B, T, vocabulary) and the layers' states after them."""
        ...


def carrier_of(model: nn.Module, window: int) -> Carrier:
    """The way of reading that fits a model of transformers.

    Args:
        window: positions that attention is to see at most.
    """
    # torch's product of groups, which mixtures of experts take, is not there in float64.
    model.set_experts_implementation("eager" if dtype_of(model) == torch.float64 else None)  # pyright: ignore
    kinds = {"minimax": MiniMax, "xlstm": XLSTM}
    return kinds.get(model.config.model_type, Cached)(model, window)  # pyright: ignore


@dataclass(frozen=True)
class Arguments:
    """The names under which a model's forward takes what it is given beside the tokens."""

    cache: str
    positions: bool
    mask: bool

    @classmethod
    def of(cls, model: Any) -> Arguments:
        """Those of a model. transformers 5.24 renamed the cache; RWKV's is a state."""
        names = inspect.signature(model.forward).parameters
        cache = next(name for name in ("cache", "past_key_values", "cache_params", "state") if name in names)
        return cls(cache, "position_ids" in names, "attention_mask" in names)

    def given(self, cache: Any, tokens: Tensor, positions: Positions | None) -> dict[str, Any]:
        """The arguments of one pass over tokens (B, T)."""
        given: dict[str, Any] = {"input_ids": tokens, self.cache: cache, "use_cache": True}
        if positions is not None:
            B, T = tokens.shape
            if self.mask:
                given["attention_mask"] = torch.cat([positions.valid, positions.valid.new_ones(B, T)], 1).long()
            if self.positions:
                given["position_ids"] = positions.read[:, None] + torch.arange(T, device=tokens.device)
        return given


def modules_of(model: nn.Module) -> list[ModuleType]:
    """The modules of transformers in which the parts of a model are defined."""
    names = {type(each).__module__ for each in model.modules()}
    return [sys.modules[name] for name in sorted(names) if name.startswith("transformers.models.")]


class Cached:
    """A model with transformers' own kind of cache."""

    def __init__(self, model: Any, window: int) -> None:
        self._model, self._arguments = model, Arguments.of(model)
        modules = modules_of(model)
        for each in modules:
            prepare(each)
        self._steps = any(hasattr(each, STEP) for each in modules)
        self._scan = next((name for name in SCANS if any(hasattr(each, name) for each in modules)), None)
        tried = self._empty()
        tokens = torch.zeros(1, 2, dtype=torch.int64, device=device_of(model))
        with quietly(model), reading(None, dtype_of(model)):
            model(**self._arguments.given(tried, tokens, None))
        self.layers = self._shapes(tried, window)
        self._kept = max((each.keys.shape[1] for each in self.layers if each.keys), default=0)

    def read(
        self, tokens: Tensor, state: Sequence[LayerState], positions: Positions | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Tokens (B, T) -> logits (B, T, vocabulary) and the layers' states after them."""
        with reading(self._kept + 1 if self._kept else None, dtype_of(self._model)) as begun:
            cache = self._holding(state, begun)
            found = self._model(**self._arguments.given(cache, tokens, positions))
        return found.logits, self._held(cache)

    def _empty(self) -> Any:
        """The library's cache before it was filled."""
        return cache_utils.DynamicCache(config=self._model.config)

    def _shapes(self, filled: Any, window: int) -> tuple[LayerShape, ...]:
        """The pieces of the layers of a cache that the library filled with two positions."""
        return tuple(_shape(layer, window) for layer in filled.layers)

    def _holding(self, state: Sequence[LayerState], begun: Reading) -> Any:
        """A cache that holds a state."""
        layers = [self._layer(*each) for each in zip(self.layers, state, strict=True)]
        return Cache(layers, begun, steps=self._steps, scan=self._scan)

    def _held(self, cache: Any) -> list[LayerState]:
        """The state that a cache holds after a pass."""
        return [_state(layer) for layer in cache.layers]

    def _layer(self, shape: LayerShape, state: LayerState) -> Layer:
        linear = Linear(state.recurrent, state.convolution) if state.recurrent or state.convolution else None
        window = None
        if shape.keys is not None:
            sliding = shape.sliding is not None
            window = Window(state.keys, state.values, shape.keys.shape[1], self._kept, sliding)
        if linear is not None and window is not None:
            return Both(linear, window)
        return linear or window or cache_utils.DummyLayer()


def _shape(layer: Any, window: int) -> LayerShape:
    """The pieces of one layer that the library filled."""
    found = _linear_states(layer)
    recurrent, convolution = (tuple(map(Piece.of, each)) for each in found)
    keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
    if keys is None or values is None:
        return LayerShape(recurrent, convolution)
    sliding = getattr(layer, "sliding_window", None)
    kept = min(window, sliding or window) - 1
    pieces = [Piece((each.shape[1], kept, each.shape[3]), each.dtype) for each in (keys, values)]
    return LayerShape(recurrent, convolution, *pieces, sliding=sliding)


def _state(layer: Any) -> LayerState:
    """The state of one layer after a pass."""
    return LayerState(*_linear_states(layer), getattr(layer, "keys", None), getattr(layer, "values", None))


def _linear_states(layer: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The recurrent states and the windows that a layer of a cache holds."""
    if not isinstance(layer, cache_utils.LinearAttentionCacheLayerMixin):
        return (), ()
    recurrent, windows = (
        tuple(each for each in states.values() if each is not None)
        for states in (layer.recurrent_states, layer.conv_states)
    )
    return recurrent, windows


class MiniMax(Cached):
    """MiniMax's cache: a list of states, one a layer of lightning attention, beside layers of keys and values."""

    def _empty(self) -> Any:
        from transformers.models.minimax.modeling_minimax import MiniMaxCache

        return MiniMaxCache()

    def _shapes(self, filled: Any, window: int) -> tuple[LayerShape, ...]:
        layers = super()._shapes(filled, window)
        states = _padded(filled.linear_cache, len(filled))
        return tuple(
            LayerShape(recurrent=(Piece.of(state),)) if isinstance(state, Tensor) else layer
            for state, layer in zip(states, _padded(layers, len(filled)), strict=True)
        )

    def _holding(self, state: Sequence[LayerState], begun: Reading) -> Any:
        cache = self._empty()
        cache.layer_class_to_replicate = None
        # The library asks a layer of any kind for the sizes of its mask.
        cache.layers = [Window(each.keys, each.values, self._kept, self._kept) for each in state]
        cache.linear_cache = [each.recurrent[0] if each.recurrent else [] for each in state]
        return cache

    def _held(self, cache: Any) -> list[LayerState]:
        return [
            LayerState(recurrent=(state,)) if isinstance(state, Tensor) else _state(layer)
            for state, layer in zip(_padded(cache.linear_cache, len(cache.layers)), cache.layers, strict=True)
        ]


def _padded(given: Sequence[Any], count: int) -> list[Any]:
    return [*given, *[None] * (count - len(given))]


class XLSTM:
    """xLSTM's blocks, one after another: its model writes into the states that it is given, and cuts gradients where
    more than `max_inference_chunksize` positions are read."""

    def __init__(self, model: Any, window: int) -> None:
        self._model, config = model, model.config
        config.mode = "inference"  # of any length, with the last state
        # The blocks' own sizes: those that config computes are rounded up to multiples of 64, and these are not.
        layer, heads = model.backbone.blocks[0].mlstm_layer, config.num_heads
        keys, values = layer.qk_dim // heads, layer.v_dim // heads
        wide = getattr(torch, config.inference_state_dtype)
        pieces = tuple(Piece(shape, wide) for shape in ((heads, keys, values), (heads, keys), (heads, 1)))
        self.layers = (LayerShape(recurrent=pieces),) * config.num_hidden_layers

    def read(
        self, tokens: Tensor, state: Sequence[LayerState], positions: Positions | None
    ) -> tuple[Tensor, list[LayerState]]:
        """Tokens (B, T) -> logits (B, T, vocabulary) and the layers' states after them."""
        body, after = self._model.backbone, []
        head, cap = self._model.lm_head, self._model.config.output_logit_soft_cap
        with reading(None, head.weight.dtype):
            x = body.embeddings(tokens)
            for block, before in zip(body.blocks, state, strict=True):
                x, found = block(x, before.recurrent)
                after.append(LayerState(recurrent=tuple(found)))
            logits = head(body.out_norm(x).to(head.weight.dtype)).float()
        return logits if cap is None else cap * torch.tanh(logits / cap), after
