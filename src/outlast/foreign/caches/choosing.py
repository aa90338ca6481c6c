"""Which of transformers' classes a config.json means, and why some cannot be shown with a state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, cache_utils
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from outlast.errors import InputError, raised
from outlast.foreign.config import unmarked
from outlast.sizes import MOST_LAYERS

WINDOW = 4096
"""Positions that attention sees at most, unless another number is asked for."""

OTHERWISE = {
    "rwkv": "transformers keeps its state in a list of its own, and outlast reads its directories itself",
}
"""Why a model type cannot be read through transformers."""

RECURRENT = frozenset({"linear_attention", "conv", "hybrid", "hybrid_sliding"})
"""transformers' names of layers that have a recurrent state or a convolution's window."""

LAYERS = (
    cache_utils.DynamicLayer,
    cache_utils.DynamicSlidingWindowLayer,
    cache_utils.LinearAttentionLayer,
    cache_utils.LinearAttentionAndFullAttentionLayer,
    cache_utils.LinearAttentionAndSlidingWindowAttentionLayer,
    cache_utils.DummyLayer,
)
"""Kinds of layers of transformers' caches that can be shown as a state."""

RESCALED = ("dynamic", "longrope")
"""Rotary positions that depend on how much was read in one pass, and so on the pieces in which it is read."""


def chosen(record: Mapping[str, Any], where: str) -> tuple[Any, Any]:
    """transformers' configuration of a config.json, and the class of its model.

    Raises:
        InputError: what it names is not read, and why.
    """
    name = record.get("model_type")
    if not isinstance(name, str) or name not in CONFIG_MAPPING:
        own = " and brings code of its own, which is not run" if record.get("auto_map") else ""
        raise refusal(
            f"{where} with model_type = {name!r}{own}",
            f"a model type that transformers {transformers.__version__} has, or one of those of fla that are read",
            "install the version of transformers that has it; or build the model in a function of yours that returns a "
            "module with initial_state(rows) and forward(inputs, state), and name it to outlast.from_factory",
        )
    if record.get("quantization_config") is not None:
        raise refusal(
            f"{where} with a quantization_config", "weights that are not quantised", "load the original weights"
        )
    try:
        config = CONFIG_MAPPING[name].from_dict(_without_kernels(unmarked(dict(record))))
        text = config.get_text_config(decoder=True)
        kinds = _layer_types(text)
        count = len(kinds)
    except Exception as error:  # whatever transformers raises for values that it cannot have
        said = f"{where} with model_type = {name!r}, of which transformers says {raised(error)}"
        raise refusal(said, "a config.json of that type", "restore it as it was saved") from error
    if not 1 <= count <= MOST_LAYERS:
        raise refusal(f"{where} with {count} layers", f"at least 1 and at most {MOST_LAYERS}", "correct the number")
    if why := _why_not(text, kinds):
        raise refusal(f"{where} with model_type = {name!r}: {why}", "a model whose whole past is a state of one size",
                       "take another model")  # fmt: skip
    kind = _class(name, config, record, where)
    return (config if isinstance(config, kind.config_class) else text), kind


def _without_kernels(record: dict[str, Any]) -> dict[str, Any]:
    """A config.json without the implementations that it asks for, which transformers might fetch and run."""
    return {
        key: _without_kernels(value) if isinstance(value, dict) else value
        for key, value in record.items()
        if not str(key).endswith("_implementation")
    }


def is_recurrent(config: Any) -> bool:
    """Whether a configuration's model has a recurrent state or a convolution's window, read here or not."""
    text = config.get_text_config(decoder=True)
    return text.model_type in OTHERWISE or bool(RECURRENT & set(_layer_types(text)))


def _layer_types(text: Any) -> list[str]:
    """The kind of each layer of a configuration, by transformers' names; xLSTM has no such names."""
    if text.model_type == "xlstm":
        return ["linear_attention"] * text.num_hidden_layers
    return list(cache_utils.get_layer_types_and_kwargs(text)[0])


def _why_not(text: Any, kinds: list[str]) -> str:
    """Why a configuration's model is not read; empty where it may be."""
    if text.model_type in OTHERWISE:
        return OTHERWISE[text.model_type]
    for each in dict.fromkeys(kinds):
        if each == "indexed_attention":
            return "its attention picks keys by an index over all of the past"
        known = cache_utils.DYNAMIC_LAYER_TYPE_MAPPING.get(each)
        if known not in LAYERS or each == "chunked_attention":
            return f"it has layers of {each}, which look back in a way of their own"
    if not RECURRENT & set(kinds):
        return "it has attention alone and no recurrent state: it keeps all that it reads"
    rope = getattr(text, "rope_parameters", None) or {}
    for each in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if each.get("rope_type") in RESCALED:
            return f"its rotary positions ({each['rope_type']}) depend on how much is read at once"
    return ""


def _class(name: str, config: Any, record: Mapping[str, Any], where: str) -> Any:
    """The class that a config.json names, if it is one that predicts tokens.

    Raises:
        InputError: it is another one.
    """
    known = {each.__name__: each for each in classes_of(config)}
    named = record.get("architectures")
    if not known:
        raise refusal(f"{where} with model_type = {name!r}", "a model that predicts tokens", "take its language model")
    if named is None:
        return next(iter(known.values()))
    if not isinstance(named, list) or len(named) != 1 or named[0] not in known:
        raise refusal(
            f"{where} with architectures = {named!r}",
            " or ".join(f"[{each!r}]" for each in known),
            "save the model with its language modelling head: a body without one, or with another head, predicts no "
            "tokens",
        )
    return known[named[0]]


def classes_of(config: Any) -> list[Any]:
    """transformers' classes of the models of a configuration that predict tokens: of text, then of more than text."""
    causal = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    named = dict(MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES).get(config.model_type)
    several = getattr(transformers, named, None) if isinstance(named, str) else None
    return [each for each in (causal, several) if each is not None]


def window_of(config: Any, asked: int | None) -> int:
    """The window of a model's attention."""
    if asked is not None:
        if not isinstance(asked, int) or isinstance(asked, bool) or asked < 2:
            raise InputError(f"attention_window = {asked!r}", "a whole number, at least 2", "correct it")
        return asked
    made_for = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return max(2, min(WINDOW, made_for or WINDOW))


def refusal(given: str, expected: str, do: str) -> InputError:
    """The error for a model that is not read."""
    return InputError(given, expected, f"{do}; docs/models.md lists the types that are read")
