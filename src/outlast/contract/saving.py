"""Points of the contract about saving: what a file of the model's tensors brings back."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping

import safetensors.torch
import torch
from torch import Tensor, nn

from outlast.checkpoints.weights import put_tensors, tensors_of
from outlast.contract.case import Sizes, Subject
from outlast.contract.comparing import difference
from outlast.contract.editing import same_bits
from outlast.model import Recurrent, device_of
from outlast.modules.factory import from_blueprint
from outlast.modules.precision import runnable, wide_copy
from outlast.onnx import OnnxModel
from outlast.results import Check
from outlast.state import continuous, leaves


def save_load_exact(s: Subject, sizes: Sizes) -> Check:
    """A saved model would not be the one that was measured."""
    model = s.original
    loaded = _loaded(model)
    _put(loaded, unsaved(model))  # whether these come back is asked by itself
    worst = _apart(s, sizes, model, loaded)
    good, bad = (
        "Parameters and persistent buffers, saved and loaded, give the same outputs and final state, bit for bit.",
        "Saved and loaded, the model gives other outputs: something it uses is no tensor of it, such as a number drawn "
        "when it is built, and building it anew does not restore it.",
    )
    return _exactly("save_load_exact", worst, good if worst == 0.0 else bad, sizes.length)


def buffers_saved(s: Subject, sizes: Sizes) -> Check:
    """A loaded model would compute with other tables, scales or statistics than the one that was measured."""
    name, model = "buffers_saved", s.original
    kept = unsaved(model)
    if not kept:
        return Check(name, True, 0.0, 0.0, "Every tensor of the model is a parameter or a persistent buffer.")
    told = ", ".join(kept)
    if getattr(model, "blueprint", None) is not None:
        worst = _apart(s, sizes, model, _loaded(model))
        explained = worst == 0.0 or _apart(s, sizes, model, _put(_loaded(model), kept)) == 0.0
        detail = (
            f"Not saved, and the same when the model is built anew: {told}."
            if worst == 0.0
            else f"Not saved, and other numbers when the model is built anew: {told}."
        )
        return _exactly(name, worst if explained else 0.0, detail, sizes.length)
    if not _they_matter(s, sizes, kept):
        return Check(name, True, 0.0, 0.0, f"Not saved, and no output depends on it: {told}.", positions=sizes.length)
    detail = (
        f"The outputs depend on {told}, which is not saved. Whether building the model restores it cannot be asked of "
        "a module passed as an object: name its factory (from_factory, or --model package.module:build)."
    )
    return Check(name, None, None, None, detail, positions=sizes.length)


def _exactly(name: str, worst: float, detail: str, positions: int) -> Check:
    return Check(name, worst == 0.0, worst if math.isfinite(worst) else None, 0.0, detail, positions=positions)


def unsaved(model: nn.Module) -> dict[str, Tensor]:
    """Tensors of a module that its state dict does not hold, by name: buffers that are not persistent, and plain
    attributes, alone or in lists, tuples and dicts."""
    saved = set(model.state_dict())
    found = {name: buffer for name, buffer in model.named_buffers() if name not in saved}
    for path, inner in model.named_modules():
        for attribute, value in vars(inner).items():
            if attribute not in _TORCHS_OWN:
                found |= {f"{path}.{name}".lstrip("."): tensor for name, tensor in _tensors(attribute, value)}
    parameters = {id(parameter) for parameter in model.parameters()}
    return {name.removeprefix("module."): tensor for name, tensor in found.items() if id(tensor) not in parameters}


_TORCHS_OWN = frozenset(vars(nn.Module()))
"""Attributes that any module has."""


def _tensors(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", each) for key, each in value.items() if isinstance(each, Tensor))
    elif isinstance(value, list | tuple):
        yield from ((f"{name}[{index}]", each) for index, each in enumerate(value) if isinstance(each, Tensor))


def _loaded(model: Recurrent) -> Recurrent:
    """The model built anew where it says how, or else a copy with zeros, with what a file holds of it."""
    saved = safetensors.torch.load(safetensors.torch.save(tensors_of(model)))
    blueprint = getattr(model, "blueprint", None)
    if isinstance(model, OnnxModel):
        loaded = model.again()
    elif blueprint is None:
        loaded = copy.deepcopy(model)
        for tensor in loaded.state_dict().values():
            tensor.zero_()
    else:
        loaded = from_blueprint(blueprint).to(device_of(model)).eval()
    put_tensors(loaded, saved, "the saved file")
    return loaded


def _put(model: Recurrent, tensors: Mapping[str, Tensor]) -> Recurrent:
    """The model, its unsaved tensors made the same, as far as it has the same."""
    for name, tensor in unsaved(model).items():
        if name in tensors and tensor.shape == tensors[name].shape:
            tensor.data = tensors[name].detach().clone()
    return model


@torch.no_grad()
def _apart(s: Subject, sizes: Sizes, model: Recurrent, other: Recurrent) -> float:
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    inputs = s.draw(sizes.rows, sizes.length, "saved", dtype)
    if runnable(model, inputs)[1]:  # the same bits, wider: as they are, this device cannot run them
        model, other = wide_copy(model), wide_copy(other)
    found, wanted = (leaves(each(inputs.clone(), each.initial_state(sizes.rows))) for each in (model, other))
    pairs = zip(found, wanted, strict=True)
    return max(0.0 if same_bits(a, b) else max(difference(b, a), 1e-300) for a, b in pairs)


def _they_matter(s: Subject, sizes: Sizes, kept: Mapping[str, Tensor]) -> bool:
    changed = copy.deepcopy(s.original)
    for name, tensor in unsaved(changed).items():
        if name in kept and continuous(tensor):
            tensor.data = tensor.data + 1
    return _apart(s, sizes, s.original, changed) > 0.0
