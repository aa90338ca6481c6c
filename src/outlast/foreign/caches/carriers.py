"""How a model of transformers is read from a state: by its cache, or, where it has none of that kind, in another way.

A carrier knows the shapes of the state's tensors and makes one pass. There are three: transformers' own kind of cache,
MiniMax's, and xLSTM's, which is no cache at all. Cache layers take tensors that are given: what is written is a new
tensor, never an edit of one.
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

from outlast.foreign.caches.reading import MAMBA, SCANS, STEP, Reading, prepare, reading
from outlast.model import device_of, dtype_of, quietly

# transformers' cache layers over tensors that are given: what is written is a new tensor, never an edit of one.


class Linear(cache_utils.LinearAttentionLayer):
    """Recurrent states and convolutions' windows, where transformers would copy into the tensors that it holds.

    Args:
        recurrent, convolution: tensors (B, …), as many as the layer has of each; a layer may have either alone.
    """

    def __init__(self, recurrent: tuple[Tensor, ...], convolution: tuple[Tensor, ...]) -> None:
        super().__init__(number_of_states=max(len(recurrent), len(convolution)))
        for i in range(self.number_of_states):
            self.has_previous_state[i] = True
        self.recurrent_states |= dict(enumerate(recurrent))
        self.conv_states |= dict(enumerate(convolution))
        self.is_recurrent_states_initialized |= dict.fromkeys(range(len(recurrent)), True)
        self.is_conv_states_initialized |= dict.fromkeys(range(len(convolution)), True)

    def update_conv_state(self, conv_states: Tensor, state_idx: int = 0, *_: Any, **__: Any) -> Tensor:
        """(B, D, T) -> the window before it and it, (B, D, W + T); the last W are kept."""
        before = self.conv_states[state_idx]
        assert before is not None
        joined = torch.cat([before.to(conv_states.dtype), conv_states], -1)
        self.conv_states[state_idx] = joined[..., joined.shape[-1] - before.shape[-1] :]
        return joined

    def update_recurrent_state(self, recurrent_states: Tensor, state_idx: int = 0, **_: Any) -> Tensor:
        """Keep a state (B, …)."""
        self.recurrent_states[state_idx] = recurrent_states
        return recurrent_states


class Window(cache_utils.CacheLayerMixin):
    """The last keys and values, always as many: those that stand for no position are masked.

    Args:
        keys, values: (B, heads, kept, K); None in a layer that has none and is asked for sizes alone.
        kept: positions that this layer keeps.
        most: positions that the widest layer keeps: slots of all layers are counted from where its first one is.
    """

    is_sliding = is_croppable = is_compileable = False

    def __init__(self, keys: Tensor | None, values: Tensor | None, kept: int, most: int, sliding: bool = False) -> None:
        cache_utils.CacheLayerMixin.__init__(self)
        self.keys, self.values, self.is_initialized = keys, values, True
        self.kept, self.most, self.is_sliding = kept, most, sliding

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to do."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, T, K) -> those that can be seen, (B, heads, kept + T, K)."""
        assert self.keys is not None
        assert self.values is not None
        keys = torch.cat([self.keys.to(key_states.dtype), key_states], 2)
        values = torch.cat([self.values.to(value_states.dtype), value_states], 2)
        self.keys, self.values = (each[:, :, each.shape[2] - self.kept :] for each in (keys, values))
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys there are, and the slot of the first."""
        return self.kept + query_length, self.most - self.kept

    def get_seq_length(self) -> int:
        """The slot of the first query."""
        return self.most

    def get_max_length(self) -> int:
        """Without a bound."""
        return -1


class Both(Linear, Window):
    """Both in one layer."""

    is_compileable = is_croppable = False  # pyright: ignore

    def __init__(self, linear: Linear, window: Window) -> None:
        Window.__init__(self, window.keys, window.values, window.kept, window.most, window.is_sliding)
        Linear.__init__(self, _some(linear.recurrent_states), _some(linear.conv_states))

    def lazy_initialization(self, *_: Any, **__: Any) -> None:
        """Nothing is left to do."""


def _some(states: dict[int, Tensor | None]) -> tuple[Tensor, ...]:
    return tuple(each for each in states.values() if each is not None)


Layer = Linear | Window | Both | cache_utils.DummyLayer


class Cache(cache_utils.Cache):
    """A cache that keeps from a model what it would write into.

    Args:
        layers: one for each layer of the cache.
        begun: the pass, whose scans are given the recurrent states that the model does not get.
        steps: the model reads a single position by writing into its convolution's window. It is not given one, and
            reads it as it reads several.
        scan: the function of the model that gets the recurrent state from `begun`; None: the model gets it itself.
    """

    def __init__(self, layers: list[Layer], begun: Reading, *, steps: bool, scan: str | None) -> None:
        super().__init__(layers=layers)  # pyright: ignore[reportArgumentType]
        self._begun, self._steps, self._scan = begun, steps, scan

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The window (B, D, W), unless it would be written into."""
        return None if self._steps else super().get_conv_state(layer_idx, state_idx)

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The state (B, …), unless the scan has it already."""
        state = super().get_recurrent_state(layer_idx, state_idx)
        if self._scan is None or state is None:
            return state
        # Mamba-1's states are (B, D, N); Zamba's have heads, and are scanned one by one.
        by_head = self._scan == MAMBA and state.dim() == 4
        self._begun.waiting += state.unbind(1) if by_head else [state]
        return None


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
