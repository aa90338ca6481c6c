"""The model that a command names, on the device that it asks for; what it was said to be of a .onnx file."""

from __future__ import annotations

import sys
import warnings

import torch

from outlast import checkpoints
from outlast.cli.option_groups import Machine, Ports, Stepping
from outlast.cli.saying import tell
from outlast.errors import InputError, unknown_name
from outlast.model import Recurrent
from outlast.modules import from_factory, names_factory
from outlast.modules.precision import require_trainable
from outlast.onnx import OnnxModel, OnnxPorts, is_onnx
from outlast.ranks import local_rank, ranks
from outlast.results import forgetting


def device(options: Machine) -> torch.device:
    """The device that was asked for, after asking for the threads."""
    if options.threads:
        torch.set_num_threads(options.threads)
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and ranks() > 1:
        name = f"cuda:{local_rank()}"  # each rank has a card of its own
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps", "xpu"):
        raise unknown_name("device", name, ("auto", "cpu", "cuda", "mps", "xpu"))
    try:
        found = torch.device(name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:  # torch reports a device it lacks as either
        raise InputError(
            f"device {name!r} ({str(error).splitlines()[0]})", "a device of this machine, or auto", "try --device cpu"
        ) from None
    return found


def model(name: str, options: Machine) -> Recurrent:
    """The model in a directory or a .onnx file, or of a factory, on the device that was asked for.

    Raises:
        InputError: no such model, or one that cannot be trained, for a verb that trains.
    """
    place = device(options)
    if is_onnx(name) and options.device == "auto":
        place = "cpu"
    found = model_on(name, place, allow_code=options.allow_code, onnx=ports(options))
    if isinstance(options, Stepping):
        require_trainable(found)  # before anything is read
    if isinstance(found, OnnxModel) and not getattr(options, "quiet", False):
        print("\n".join(found.told), file=sys.stderr)
    return found


def ports(options: Machine) -> OnnxPorts | None:
    """What was said of a .onnx file's inputs and outputs; None: nothing.

    Raises:
        InputError: no pairs, or values that are no numbers.
    """
    if not isinstance(options, Ports):
        return None
    constants: dict[str, float] = {}
    for name, value in _pairs("--onnx-constants sr=16000", options.onnx_constants).items():
        try:
            constants[name] = float(value)
        except ValueError:
            raise InputError(
                f"--onnx-constants {name}={value}", "NAME=NUMBER", "for example --onnx-constants sr=16000"
            ) from None
    states = _pairs("--onnx-states h=hn", options.onnx_states)
    found = OnnxPorts(states, constants, options.onnx_frame, options.onnx_input, options.onnx_output)
    return None if found == OnnxPorts() else found


def _pairs(example: str, said: tuple[str, ...] | None) -> dict[str, str]:
    """What was typed as NAME=VALUE."""
    flag, found = example.split()[0], {}
    for each in said or ():
        name, equals, value = each.partition("=")
        if not name or not equals or not value or name in found:
            raise InputError(f"{flag} {each}", "NAME=VALUE, each name once", f"for example {example}")
        found[name] = value
    return found


def model_on(name: str, place: torch.device | str, *, allow_code: bool, onnx: OnnxPorts | None = None) -> Recurrent:
    if names_factory(name):
        if onnx is not None:
            raise InputError(f"model {name!r} with {onnx}", "a .onnx file, where its inputs are told", "leave that out")
        return from_factory(name).to(place)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "attention sees the last")
        found = checkpoints.load(name, place, allow_code=allow_code, onnx=onnx)
    if found.forgets is not None:
        tell([forgetting(found.forgets)])
    return found
