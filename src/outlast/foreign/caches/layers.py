"""transformers' cache layers over tensors that are given: what is written is a new tensor, never an edit of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import cache_utils

from outlast.foreign.caches.reading import MAMBA, Reading


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
