"""What a user's module may read: as it says, or by the sizes of what is in it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from outlast.model import InputSpec

_FEATURES = (
    "input_size", "input_dim", "input_sz", "in_features", "n_features", "num_features", "n_inputs", "d_input", "in_dim",
    "inputs", "embedding_dim", "d_model",
)  # fmt: skip


def input_specs(module: nn.Module) -> list[InputSpec]:
    """What the module may read, likeliest first: its own `input_spec`; tokens, where it has an embedding; else the
    input widths of its recurrent and linear layers, numbers that it keeps under names such as `input_size`, and
    widths that occur in its parameters or are a little smaller (what is read beside an own number)."""
    declared = getattr(module, "input_spec", None)
    if isinstance(declared, InputSpec):
        return [declared]
    for inner in module.modules():
        if isinstance(inner, nn.Embedding):
            return [InputSpec("tokens", inner.num_embeddings)]
        if getattr(inner, "original_name", None) == "Embedding":  # of a compiled module
            return [InputSpec("tokens", parameter.shape[0]) for parameter in inner.parameters()]
    return [InputSpec("features", size) for size in widths(module)]


def widths(module: nn.Module) -> list[int]:
    """How many features it may read, likeliest first."""
    return list(dict.fromkeys(size for size in _widths(module) if size > 0))


def _widths(module: nn.Module) -> Iterator[int]:
    for inner in module.modules():
        if isinstance(size := getattr(inner, "input_size", None), int):  # quantised ones have it too
            yield size
        elif isinstance(inner, nn.Linear):
            yield inner.in_features
        elif isinstance(inner, nn.Conv1d):
            yield inner.in_channels
    for name, parameter in module.named_parameters():
        if "weight_ih" in name:
            yield parameter.shape[-1]
    for name in _FEATURES:
        if isinstance(value := getattr(module, name, None), int):
            yield value
    sizes = {size for parameter in module.parameters() for size in parameter.shape[-2:]}
    yield from sorted(sizes)
    yield from range(1, min(max(sizes, default=0), 32))
