"""Which input of a .onnx file is read, which are the state, and in which output each of them comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from outlast.arguments import taking_fields
from outlast.errors import InputError, unknown_name
from outlast.onnx.files import FLOATS, File, Port

Why = Literal["as said", "by name", "by shape", "by order"]
"""How an input was found to belong to an output."""


@taking_fields
@dataclass(frozen=True)
class OnnxPorts:
    """What a .onnx file does not say of itself; what is left out is found by names, shapes and order.

    Args:
        states: by each input that is a part of the state, the output in which it comes back.
        constants: inputs that have one value always, such as a sample rate.
        frame: numbers of a frame, where a call reads one and the file leaves its size open.
        input: what is read, position after position.
        output: the prediction.
    """

    states: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    frame: int | None = None
    input: str | None = None
    output: str | None = None


@dataclass(frozen=True)
class Pair:
    """A part of the state: the input it goes into, and the output it comes back in."""

    before: Port
    after: Port
    why: Why


@dataclass(frozen=True)
class Pairing:
    """What each input and output is for.

    Args:
        read: the input that is read.
        predicted: the output that is the prediction.
        pairs: the state, in the order of the inputs.
        constants: what the other inputs are given.
        unread: outputs that nobody asked for.
    """

    read: Port
    predicted: Port
    pairs: tuple[Pair, ...]
    constants: Mapping[str, float]
    unread: tuple[str, ...]


def paired(file: File, ports: OnnxPorts) -> Pairing:
    """Tell the inputs and outputs of a file apart.

    Raises:
        InputError: names that are not there, an input that cannot be told, or no state.
    """
    inputs, outputs = ({port.name: port for port in each} for each in (file.inputs, file.outputs))
    _whole(file, ports.constants)
    _known("input", [*ports.states, *ports.constants, *([ports.input] if ports.input else [])], inputs)
    _known("output", [*ports.states.values(), *([ports.output] if ports.output else [])], outputs)
    pairs: dict[str, tuple[str, Why]] = {before: (after, "as said") for before, after in ports.states.items()}
    waiting = [port for port in file.inputs if port.name not in {*pairs, *ports.constants, ports.input}]
    free = [port for port in file.outputs if port.name not in {*ports.states.values(), ports.output}]
    for level in (_words, _stem):
        for before, after in _alike(waiting, free, level):
            pairs[before.name] = (after.name, "by name")
            waiting.remove(before)
            free.remove(after)
    first = file.inputs[0].name if file.inputs else ""
    if not waiting and not ports.input and len(pairs) > 1 and pairs.get(first, ("", ""))[1] == "by name":
        # What is read may be called as what is given: audio and audio_out, say. Exporters write it first.
        free.insert(0, outputs[pairs.pop(first)[0]])
        waiting = [inputs[first]]
    if missing := [port for port in waiting if _is_scalar(port)]:
        raise _needs_value(file, missing)
    read = inputs[ports.input] if ports.input else _read(file, waiting, free)
    waiting = [port for port in waiting if port is not read]
    predicted = outputs[ports.output] if ports.output else _predicted(file, waiting, free)
    free = [port for port in free if port is not predicted]
    for before, after, why in _matched(waiting, free):
        pairs[before.name] = (after.name, why)
        waiting.remove(before)
        free.remove(after)
    if waiting:
        raise _untold(file, waiting[0])
    if not pairs:
        raise InputError(
            f"{file.path}, no input of which comes back in an output ({_listed(file.inputs)} -> "
            f"{_listed(file.outputs)})",
            "a model with its state as inputs and outputs",
            "export it so; where there is such a pair, name it: --onnx-states INPUT=OUTPUT",
        )
    if free and not ports.output:
        raise InputError(
            f"{file.path}, whose outputs {_listed([predicted, *free])} may each be the prediction",
            "one of them",
            f"name it: --onnx-output {predicted.name} (in Python OnnxPorts(output={predicted.name!r}))",
        )
    found = [
        Pair(port, outputs[pairs[port.name][0]], pairs[port.name][1]) for port in file.inputs if port.name in pairs
    ]
    for pair in found:
        if not _may_be(pair.before, pair.after):
            raise InputError(
                f"{pair.before} and {pair.after} as one part of the state of {file.path}",
                "an input and an output of one type and shape",
                "correct --onnx-states",
            )
    return Pairing(read, predicted, tuple(found), dict(ports.constants), tuple(port.name for port in free))


def _whole(file: File, constants: Mapping[str, float]) -> None:
    """Raise InputError for a broken number where the file takes whole ones."""
    for port in file.inputs:
        value = constants.get(port.name)
        if value is not None and port.dtype not in FLOATS and not float(value).is_integer():
            raise InputError(f"the constant {port.name} = {value:g} for {port}", "a whole number", "round it")


def _known(kind: str, names: Sequence[str], there: Mapping[str, Port]) -> None:
    for name in names:
        if name not in there:
            raise unknown_name(f"{kind} of the .onnx file", name, there)
        if names.count(name) > 1:
            raise InputError(f"the {kind} {name!r} twice", f"each {kind} for one thing", "name it once")


def _may_be(before: Port, after: Port) -> bool:
    """Whether an input and an output can be one part of the state: of one type and, as far as is known, shape."""
    if before.dtype != after.dtype:
        return False
    if before.dims is None or after.dims is None:
        return True
    return len(before.dims) == len(after.dims) and all(
        a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(before.dims, after.dims, strict=True)
    )


def _is_scalar(port: Port) -> bool:
    return port.dims == () or (port.dims == (1,) and port.dtype.startswith("int"))


_MARKS = {
    *("in", "input", "inputs", "out", "output", "outputs", "prev", "previous", "past", "present", "next", "new", "old"),
    *("before", "after", "cur", "current", "init", "initial", "final", "last", "updated", "t", "tm1", "to", "from"),
}
"""Words that tell a state before a call from the one after it."""


def _words(name: str) -> str:
    """A name without the words that tell before from after; empty where nothing else is left."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    return " ".join(word for word in re.split(r"[^a-z0-9]+", apart) if word and word not in _MARKS)


def _stem(name: str) -> str:
    """The same without the index of time behind it: h0 and hn, stateN."""
    return re.sub(r"\s*\b([a-z]+?)_?\s*[0n]$", r" \1", _words(name)).strip()


def _alike(inputs: Sequence[Port], outputs: Sequence[Port], level: object) -> list[tuple[Port, Port]]:
    """Pairs whose names are alike, where each is alike one alone."""
    called = {port.name: level(port.name) for port in (*inputs, *outputs)}  # pyright: ignore[reportCallIssue]
    found = []
    for before in inputs:
        mine = [each for each in outputs if called[each.name] == called[before.name] and _may_be(before, each)]
        theirs = [each for each in inputs if called[each.name] == called[before.name]]
        if re.search("[a-z]", called[before.name]) and len(mine) == 1 and len(theirs) == 1:
            found.append((before, mine[0]))
    return found


def _read(file: File, waiting: Sequence[Port], free: Sequence[Port]) -> Port:
    """The input that is read: the only one that no output is like, or else the first."""
    alone = [port for port in waiting if not any(_may_be(port, each) for each in free)]
    if len(alone) > 1:
        raise InputError(
            f"{file.path}, whose inputs {_listed(alone)} come back in no output",
            "one input that is read position after position, states, and constants",
            f"name what is read, --onnx-input {alone[0].name}, and the others: --onnx-states INPUT=OUTPUT, or "
            "--onnx-constants NAME=VALUE",
        )
    if alone or waiting:
        return (alone or waiting)[0]
    raise InputError(
        f"{file.path}, all of whose inputs ({_listed(file.inputs)}) are states",
        "one input that is read position after position",
        f"name it: --onnx-input {file.inputs[0].name if file.inputs else 'NAME'}",
    )


def _predicted(file: File, waiting: Sequence[Port], free: Sequence[Port]) -> Port:
    """The first output without which every input that waits still finds its own."""
    for port in free:
        rest = [each for each in free if each is not port]
        if len(_matched(waiting, rest)) == len(waiting):
            return port
    if free:
        return free[0]
    raise InputError(
        f"{file.path}, all of whose outputs ({_listed(file.outputs)}) are states",
        "one output that is the prediction",
        "name the states: --onnx-states INPUT=OUTPUT; all other outputs may be the prediction",
    )


def _matched(inputs: Sequence[Port], outputs: Sequence[Port]) -> list[tuple[Port, Port, Why]]:
    """Inputs with the outputs of their shape: the only one, or in their order where there are as many of both."""
    found: list[tuple[Port, Port, Why]] = []
    left = list(outputs)
    for port in inputs:
        same = [each for each in inputs if each.dims == port.dims and each.dtype == port.dtype]
        fitting = [each for each in outputs if _may_be(port, each)]
        if len(same) != len(fitting):
            continue
        mine = fitting[same.index(port)]
        if mine in left:
            found.append((port, mine, "by shape" if len(same) == 1 else "by order"))
            left.remove(mine)
    return found


def _needs_value(file: File, ports: Sequence[Port]) -> InputError:
    rates = [port.name for port in ports if re.search(r"(^|_)(sr|rate|fs)($|_)", port.name)]
    example = f"{rates[0]}=16000" if rates else f"{ports[0].name}=1"
    return InputError(
        f"{file.path} with the single number {_listed(ports)} as an input",
        "its value, which is the same in every call",
        f"give it: --onnx-constants {example} (in Python OnnxPorts(constants={{{example.split('=')[0]!r}: …}}))",
    )


def _untold(file: File, port: Port) -> InputError:
    return InputError(
        f"{file.path}, of whose input {port} it cannot be told in which output it comes back ({_listed(file.outputs)})",
        "a state that comes back in the same shape, or a constant",
        f"name it: --onnx-states {port.name}=OUTPUT, or --onnx-constants {port.name}=VALUE (in Python OnnxPorts)",
    )


def _listed(ports: Sequence[Port]) -> str:
    return ", ".join(map(str, ports))
