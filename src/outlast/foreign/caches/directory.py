"""Directories of transformers whose model type outlast has no reader of its own for: in and out by transformers itself.

transformers' own class is built and its weights are read by its own loader, which knows how names and shapes of older
files map to those of today, and back. Only safetensors are read, and no code that a directory brings is run. Every
model that is loaded is asked first whether it reads in pieces what its library reads at once.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import logging

from outlast.errors import InputError, raised
from outlast.foreign.caches.choosing import chosen, refusal, window_of
from outlast.foreign.caches.model import KIND, Borrowed
from outlast.foreign.caches.reading import ATTENTION, reading
from outlast.foreign.files import damaged, safetensors_in
from outlast.model import Recurrent, device_of, dtype_of, quietly
from outlast.randomness import DrawingFrom
from outlast.sizes import require_memory
from outlast.state import HALVES, at_least_float32, leaves, map_state

# Whether a model reads in pieces what its library reads at once: asked of every model that is loaded, before it is
# used, and of every model type in docs/models.md.

PIECES = (5, 1, 1, 6)
"""Positions of the pieces in which a model that is loaded reads; few, for it may be large."""

TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 0.1, torch.bfloat16: 0.25}
"""Root mean square of the differences, as a share of that of the logits, by the dtype of the parameters: half
precisions round much, and a state that is dropped shows all the same."""


Whole = Callable[[Tensor], Tensor]
"""The library's own pass over tokens (B, T), which knows no state: logits (B, T, vocabulary)."""


def at_once(model: Borrowed, tokens: Tensor) -> Tensor:
    """What the library makes of tokens (B, T), as `Whole`."""
    with reading(model.window, dtype_of(model)):
        return model.model(input_ids=tokens, use_cache=False).logits


def in_pieces(model: Recurrent, tokens: Tensor, pieces: Sequence[int]) -> Tensor:
    """Logits (B, T, vocabulary) of tokens (B, T) that are read in `pieces` of so many positions."""
    state, found = model.initial_state(len(tokens)), []
    for piece in tokens.split(list(pieces), 1):
        logits, state = model(piece, state)
        found.append(logits)
    return torch.cat(found, 1)


def tokens_for(model: Recurrent, rows: int, length: int) -> Tensor:
    """Random tokens (rows, length), a function of the sizes alone."""
    assert model.input_spec is not None
    drawn = model.input_spec.random(rows, length, torch.Generator().manual_seed(length))
    return drawn.to(device_of(model))


def gap(found: Tensor, wanted: Tensor) -> float:
    """Root mean square of the differences as a share of that of `wanted`, both of one shape; infinite where there is
    anything that is no number."""
    found, wanted = found.double(), wanted.double()
    share = float((found - wanted).square().mean().sqrt() / wanted.square().mean().sqrt().clamp_min(1e-300))
    return share if share == share else float("inf")


def apart(model: Recurrent, whole: Whole, rows: int, pieces: Sequence[int]) -> float:
    """How far reading in pieces is from the library's reading at once (`gap`)."""
    tokens = tokens_for(model, rows, sum(pieces))
    with quietly(model):
        return gap(in_pieces(model, tokens, pieces), whole(tokens))


def edited(model: Recurrent, rows: int = 2) -> bool:
    """Whether reading one position, or several, writes into the state that is given."""
    with quietly(model):
        _, state = model(tokens_for(model, rows, 3), model.initial_state(rows))
        before = map_state(torch.clone, state)
        for length in (1, 4):
            model(tokens_for(model, rows, length), state)
    return not all(map(torch.equal, leaves(state), leaves(before)))


def gradients_apart(
    model: Recurrent, whole: Whole, embeddings: Sequence[nn.Module], first: int, second: int, rows: int = 2
) -> float:
    """How far the gradient that reaches the embeddings of `first` positions, through the state, from a loss on `second`
    positions after them is from that of the library's pass over both (`gap`).

    Args:
        model: in eval mode.
        embeddings: the module that embeds tokens in `model`, and the one in `whole`.
    """
    tokens = tokens_for(model, rows, first + second)
    weights = torch.randn(second, generator=torch.Generator().manual_seed(0)).to(tokens.device)

    def gradient(logits: Whole, embedding: nn.Module) -> Tensor:
        with _embedded(embedding) as seen:
            said = logits(tokens)[:, -second:].log_softmax(-1)
        (found,) = torch.autograd.grad((said * weights[:, None]).square().sum(), seen[:1])
        return found[:, :first]

    parts = gradient(lambda given: in_pieces(model, given, (first, second)), embeddings[0])
    return gap(parts, gradient(whole, embeddings[1]))


@contextlib.contextmanager
def _embedded(embedding: nn.Module) -> Iterator[list[Tensor]]:
    """What is embedded inside, (B, T, D) each, as the start of a graph."""
    seen: list[Tensor] = []

    def start(module: object, given: object, made: Tensor) -> Tensor:
        seen.append(made.detach().requires_grad_())
        return seen[-1]

    handle = embedding.register_forward_hook(start)
    try:
        yield seen
    finally:
        handle.remove()


OTHER = "try another version of transformers"

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""Floating dtypes by the names that safetensors have for them."""


def read(directory: Path, record: dict[str, Any], window: int | None) -> Borrowed:
    """The model in a directory, its parameters in the dtype of the file (of several, the widest), in eval mode.

    Args:
        record: what `outlast.foreign.config.parse` made of its config.json.
        window: positions that attention sees at most; None: as `outlast.foreign.caches.choosing.window_of` says.

    Raises:
        InputError: it is not one of transformers' recurrent causal language models, or does not read in pieces what it
            reads at once; says why.
    """
    if (directory / "adapter_config.json").is_file():
        raise refusal(
            f"{directory}, which holds an adapter (adapter_config.json)",
            "the whole model",
            "merge it: peft.AutoPeftModelForCausalLM.from_pretrained(folder).merge_and_unload().save_pretrained(new)",
        )
    config, kind = chosen(record, str(directory / "config.json"))
    window = window_of(config, window)
    names = _names(directory)
    dtype = _widest(names.values())
    with _quiet():
        with _told(f"{directory} cannot be built: transformers says"), torch.device("meta"):
            needed = [*(outline := kind(copy.deepcopy(config))).parameters(), *outline.buffers()]
        require_memory(sum(each.numel() for each in needed) * dtype.itemsize, str(directory))
        with _told(f"{directory} cannot be read: transformers says"):
            model, told = kind.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                attn_implementation=ATTENTION,
                output_loading_info=True,
            )
        _require_whole(told, kind, str(directory))
        with _told(f"{directory} cannot be read in pieces: {kind.__name__} raises", OTHER):
            found = Borrowed(model, {"kind": KIND, "config": record, "attention_window": window}, window).eval()
        found.source.dtypes = {name: DTYPES.get(each) for name, each in names.items()}
        found.source.dtype = dtype
        found.source.beside = _ignored(directory, model, names)
        _require_proof(found, str(directory))
    return found


def fresh(blueprint: Mapping[str, Any]) -> Borrowed:
    """The model of a blueprint, with fresh weights that are a function of the blueprint alone.

    Raises:
        InputError: its config is of no model that `read` would read.
    """
    config, kind = chosen(blueprint["config"], "the blueprint")
    window = window_of(config, blueprint["attention_window"])
    with _quiet(), torch.device("cpu"), DrawingFrom(0):
        model = kind._from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    return Borrowed(model, dict(blueprint), window).eval()


def tensors_of(model: Borrowed) -> dict[str, Tensor]:
    """The tensors that make the directory's weights: names and shapes as the file had them, of tied ones as many, and
    dtypes where they lose nothing by it."""
    theirs, source = model.model, model.source
    given = revert_weight_conversion(theirs, dict(theirs.state_dict()))
    tied = set(getattr(theirs, "all_tied_weights_keys", None) or ()) - set(source.dtypes)
    found = {name: tensor.detach().cpu() for name, tensor in given.items() if name not in tied} | source.beside
    for name, tensor in found.items():
        # transformers keeps some parameters of a file in half precision in float32.
        narrow = tensor.to(source.dtypes.get(name) or tensor.dtype)
        found[name] = (narrow if torch.equal(narrow.to(tensor.dtype), tensor) else tensor).contiguous().clone()
    return found


def _names(directory: Path) -> dict[str, str]:
    """The name of each tensor in a directory's weights, with that of its dtype, without reading them.

    Raises:
        InputError: there are no safetensors, or they are damaged.
    """
    found = {}
    for path in safetensors_in(directory):
        try:
            with safetensors.safe_open(path, "pt") as file:
                found |= {name: file.get_slice(name).get_dtype() for name in [*file.keys()]}
        except (OSError, safetensors.SafetensorError) as error:
            raise damaged(path, str(error).splitlines()[0]) from error
    return found


def _widest(names: Iterable[str]) -> torch.dtype:
    """The dtype that holds every floating number of these dtypes. Without a loss, unlike config.json's, to which
    transformers would round those that are kept wider."""
    found = {DTYPES[name] for name in names if name in DTYPES} or {torch.float32}
    wide = found.pop()
    for each in found:
        wide = torch.promote_types(wide, each)
    return wide


def _require_whole(told: Mapping[str, Any], kind: Any, where: str) -> None:
    """Raise InputError where the file has not exactly the tensors of the model."""
    problems = {"missing": told.get("missing_keys"), "not in the model": told.get("unexpected_keys")}
    found = [f"{what}: {_some(sorted(names))}" for what, names in problems.items() if names]
    if found:
        raise InputError(
            f"{where} does not fit its config.json: {'; '.join(found)}",
            f"the tensors of {kind.__name__}",
            "check that config.json and the weights are of one model",
        )


def _ignored(directory: Path, model: Any, names: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of a file that transformers leaves out by design, such as those of a head that drafts tokens."""
    patterns = [*(model._keys_to_ignore_on_load_unexpected or ())]
    wanted = {name for name in names if any(re.search(pattern, name) for pattern in patterns)}
    found = {}
    for path in safetensors_in(directory) if wanted else ():
        with safetensors.safe_open(path, "pt") as file:
            found |= {name: file.get_tensor(name) for name in [*file.keys()] if name in wanted}
    return found


def _require_proof(model: Borrowed, where: str) -> None:
    """Raise InputError where the model reads in pieces otherwise than at once, or writes into the state it is given."""
    what = f"{where}, whose model ({type(model.model).__name__})"
    with _told(f"{what} cannot be read in pieces: it raises", OTHER):
        if not any(part.touched for part in model.state_parts()):
            raise refusal(f"{what} has no recurrent state in its cache", "a model that has one", "take another model")
        if dtype_of(model) in HALVES:
            try:
                apart(model, partial(at_once, model), 1, PIECES)
            except RuntimeError:  # a CPU lacks some operations in half precision
                model = copy.deepcopy(model)._apply(at_least_float32)
        distance, written = apart(model, partial(at_once, model), 2, PIECES), edited(model)
    if not distance <= TOLERANCE[dtype_of(model)] or written:
        wrong = f"reads in pieces otherwise than at once (by {distance:.1e} of its logits)"
        wrong = "writes into the state that it is given" if written else wrong
        raise refusal(
            f"{what} {wrong} with this version of transformers",
            "a model whose carried state is all that the past leaves",
            OTHER,
        )


@contextlib.contextmanager
def _told(given: str, do: str = "restore the folder") -> Iterator[None]:
    """What transformers or torch raise inside is told as wrong input."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise refusal(f"{given} {raised(error)}", "a model as transformers saved it", do) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """transformers says nothing inside: what matters is asked and told here."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
