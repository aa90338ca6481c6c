"""The tensors of a module, to safetensors and back, bit for bit and without ever unpickling anything."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from outlast.errors import InputError


def _same_memory(module: nn.Module) -> list[list[str]]:
    """The names in the module's state dict, those of one and the same tensor (tied weights) together."""
    groups: dict[object, list[str]] = {}
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"{type(module).__name__} keeps {name!r}, an object of type {type(tensor).__name__}, in its state dict",
                "tensors only",
                "make it a buffer: other objects could only be saved by pickling, which outlast never reads back",
            )
        if tensor.dtype == torch.complex128:
            raise InputError(
                f"{type(module).__name__} keeps {name!r} in complex128",
                "tensors of a dtype that safetensors has, of complex ones complex64",
                "turn it into complex64, or keep its real and imaginary parts",
            )
        storage = tensor.untyped_storage()
        place = (tensor.device, storage.data_ptr() or storage._cdata, tensor.storage_offset(), tensor.shape)
        groups.setdefault((*place, tensor.stride(), tensor.dtype) if tensor.numel() else name, []).append(name)
    return list(groups.values())


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer by name, on the CPU; of tied weights the first name only.

    The tensors are copies: they can be written to safetensors, which refuses shared memory.

    Raises:
        InputError: the state dict holds something other than tensors.
    """
    state = module.state_dict()
    return {names[0]: state[names[0]].detach().cpu().contiguous().clone() for names in _same_memory(module)}


def put_tensors(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy what `tensors_of` returned into a module of the same structure, which takes the tensors' dtypes.

    Args:
        source: where the tensors come from, for the message.

    Raises:
        InputError: names are missing or unknown, or shapes differ; nothing was copied then.
    """
    chosen = fitting(module, tensors, source)
    # load_state_dict keeps the module's dtypes, and would round a model that was saved in another one.
    objects = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    shown = module.state_dict(keep_vars=True)
    for name, given in chosen.items():
        # Of another library's model the state dict shows views of the parameters, under that library's names.
        held = objects.get(name, shown[name]._base)
        if held is not None and held.dtype != tensors[given].dtype:
            held.data = held.data.to(tensors[given].dtype)
    module.load_state_dict({name: tensors[given] for name, given in chosen.items()})


def fitting(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> dict[str, str]:
    """For every tensor of a module, which may be on the meta device, the name of the one in `tensors` that it gets.

    Raises:
        InputError: as `put_tensors`.
    """
    state = module.state_dict()
    missing, chosen = [], {}
    for names in _same_memory(module):
        present = [name for name in names if name in tensors]
        if not present:
            missing.append(names[0])
        else:
            chosen |= dict.fromkeys(names, present[0])
    unknown = sorted(set(tensors) - set(chosen.values()))
    misshaped = [
        f"{name} {tuple(tensors[given].shape)} for {tuple(state[name].shape)}"
        for name, given in chosen.items()
        if tensors[given].shape != state[name].shape
    ]
    problems = {"missing": missing, "not in the model": unknown, "of another shape": misshaped}
    found = [f"{what}: {', '.join(names)}" for what, names in problems.items() if names]
    if found:
        raise InputError(
            f"{source} does not fit {type(module).__name__}: {'; '.join(found)}",
            f"the {len(state)} tensors of the model that its blueprint builds",
            "load it with the code and settings it was saved with",
        )
    return chosen
