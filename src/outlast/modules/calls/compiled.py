"""Modules that were traced, scripted, exported, compiled or wrapped before they came here.

What torch.compile and nn.DataParallel stand for is the module inside. What torch.export made is called as it is. What
torch.jit made checks nothing of what it is given, and may end the process where a trial gives it another shape: it is
tried in a process of its own first.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outlast.errors import InputError
from outlast.model import InputSpec

_SECONDS = 300.0
"""How long a trial may take."""


def bare(module: nn.Module) -> nn.Module:
    """The module that somebody wrote, out of those that only call it."""
    if type(module).__name__ == "OptimizedModule" and isinstance(module._modules.get("_orig_mod"), nn.Module):
        return bare(module._modules["_orig_mod"])  # pyright: ignore[reportArgumentType]
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return bare(module.module)
    return Exported(module) if is_exported(module) else module


def is_exported(module: nn.Module) -> bool:
    """Whether torch.export made it."""
    return isinstance(module, torch.fx.GraphModule) and "inline_constraints" in module.meta


class Exported(nn.Module):
    """A program of torch.export, which has one mode, and refuses to be put in another."""

    original_name = "ExportedProgram"

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> Exported:
        """Note the mode, which changes nothing."""
        self.training = mode
        return self

    @property
    def forward(self) -> Callable[..., Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The program, of which the call alone checks what it is given, by place."""
        program, signature = self.program, inspect.signature(self.program.forward)

        def call(*args: Any, **kwargs: Any) -> Any:
            return program(*signature.bind(*args, **kwargs).args)

        call.__dict__["__signature__"] = signature
        return call


def hides_its_state(module: nn.Module) -> InputError | None:
    """What is wrong with a compiled program of which no state goes in and out; None: it is none."""
    scripted = isinstance(module, torch.jit.ScriptModule)
    if not scripted and not isinstance(module, Exported):
        return None
    how, made = ("TorchScript", "compiled") if scripted else ("torch.export", "exported")
    return InputError(
        f"a program of {how}, whose forward takes no hidden state: what it carries stays in the program",
        "forward(inputs, hidden) -> (outputs, hidden), for any number of rows and positions",
        f"give the module as it was before it is {made}, or let its forward take and return the state",
    )


def tried_elsewhere(module: nn.Module, inputs: InputSpec | None) -> None:
    """Try a program of TorchScript in a process of its own.

    Raises:
        InputError: that process was ended by it.
    """
    if not isinstance(module, torch.jit.ScriptModule):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.pt"
        torch.jit.save(module, path)
        how = _ended(path, str(module.inlined_graph), inputs)
    if how:
        raise InputError(
            f"a program of TorchScript that ended the process in which it was tried ({how})",
            "a program that raises where it is given another number of rows or positions than it can read",
            "give the module as it was before it is compiled: what was traced no longer checks the shapes of its state",
        )


_known: dict[tuple[str, InputSpec | None], str] = {}
"""How trials ended, by the graph of a program, which is the same with other weights."""


def _ended(path: Path, graph: str, inputs: InputSpec | None) -> str:
    """By what a trial was ended; empty: by itself."""
    if (graph, inputs) not in _known:
        spec = [] if inputs is None else [inputs.kind, str(inputs.size)]
        command = [sys.executable, "-P", "-m", "outlast.modules.calls.trying_elsewhere", str(path), *spec]
        try:
            done = subprocess.run(command, check=False, capture_output=True, timeout=_SECONDS, env=os.environ)
            _known[graph, inputs] = signal.Signals(-done.returncode).name if done.returncode < 0 else ""
        except subprocess.TimeoutExpired:
            _known[graph, inputs] = f"after {_SECONDS:.0f} s it still ran"
    return _known[graph, inputs]
