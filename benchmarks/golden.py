"""What `benchmarks/same_outputs.py` compares: small, seeded outputs of every room, written to the current folder.

Only public names and the command line are used, so that the same file runs with the package of any commit.
``--load FOLDER`` makes nothing: it loads what another commit saved there, and holds it to what this one saved here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import outlast
from outlast.cli import main as command_line

STRANGER = '''
"""A model as one usually writes it."""

import torch
from torch import nn


class Forecaster(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.lstm = nn.LSTM(3, width, batch_first=True)
        self.head = nn.Linear(width, 1)
        with torch.no_grad():
            self.lstm.bias_hh_l0[width : 2 * width] = 4.0

    def forward(self, x, hidden=None):
        y, hidden = self.lstm(x, hidden)
        return self.head(y), hidden


def build():
    torch.manual_seed(0)
    return Forecaster()
'''
FAMILIES = ("gated_deltanet", "gla", "gru", "hybrid", "lstm", "mamba", "mamba2", "mlstm", "retnet", "rglru", "rwkv6")
FOREIGN: dict[str, dict[str, Any]] = {
    "mamba": {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2},
    "mamba2": {
        "hidden_size": 16,
        "state_size": 8,
        "num_heads": 4,
        "head_dim": 8,
        "n_groups": 2,
        "num_hidden_layers": 2,
    },
    "rwkv": {"hidden_size": 16, "attention_hidden_size": 16, "num_hidden_layers": 2},
    "recurrent_gemma": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "lru_width": 16,
        "attention_window_size": 8,
    },
}
T = 8
"""Training context of all models here."""


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    Path("stranger.py").write_text(STRANGER)
    sys.path.insert(0, os.getcwd())
    for make in (families, interventions, modules, foreign, readings, commands):
        make()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def leaves(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [leaf for each in state for leaf in leaves(each)] if isinstance(state, list | tuple) else []


def arrays(path: str, **held: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: each.detach().numpy() for name, each in held.items()})


def read(model: outlast.Recurrent, *pieces: Tensor) -> dict[str, Any]:
    """Outputs of the pieces, read one after the other, the state behind them, and the gradient of the first weight."""
    state = model.initial_state(len(pieces[0]))
    held: dict[str, Any] = {}
    for i, piece in enumerate(pieces):
        held[f"outputs.{i}"], state = model(piece, state)
    sum((each.float() ** 2).sum() for each in held.values()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    held |= {f"gradient.{name}": each.grad for name, each in model.named_parameters() if each.grad is not None}
    return held | {f"state.{i}": each for i, each in enumerate(leaves(state))}


def families() -> None:
    """Every family on tokens and on features: outputs, states and gradients, its directory, and a few steps."""
    tokens = torch.randint(16, (2, 40), generator=torch.Generator().manual_seed(1))
    for name in FAMILIES:
        model = outlast.build(name, inputs=outlast.InputSpec("tokens", 16), outputs=16, seed=3, width=16, layers=2)
        arrays(f"families/{name}.npz", **read(model, tokens[:, :33], tokens[:, 33:]))
        outlast.save(model, f"families/{name}")
        model = outlast.build(name, inputs=outlast.InputSpec("features", 3), outputs=2, seed=4, width=16, layers=2)
        arrays(f"families/{name}-features.npz", **read(model, drawn(2, 7, 3), drawn(2, 1, 3)))
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            outputs, _ = model(drawn(2, 20, 3), model.initial_state(2))
        arrays(f"families/{name}-half.npz", outputs=outputs.float())


def waves(streams: int = 48, length: int = 65) -> outlast.Streams:
    random = np.random.default_rng(0)
    rates = random.uniform(0.1, 0.5, (streams, 1))
    values = np.sin(rates * np.arange(length)) + random.normal(size=(streams, length)) / 9
    return outlast.Streams.from_arrays(values[..., None].astype(np.float32), horizon=1)


def interventions() -> None:
    """Three steps from the starts of every intervention, what they leave of the weights, and an age curve of each."""
    streams = waves()
    rules: dict[str, Any] = {
        "zero": outlast.Zero(),
        "random_noise": outlast.RandomNoise(),
        "fitted_noise": outlast.FittedNoise(),
        "state_passing": outlast.state_passing(),
        "tbtt": outlast.tbtt(),
        "carry": outlast.Carry(expected_run=32),
        "replay": "replay:size=16",
        "mix": "mix:members=zero|tbtt",
        "partial": "partial:of=tbtt,strength=0.5",
    }
    rules["mix"] = {"name": "mix", "members": ["zero", "tbtt"]}
    model = outlast.build("gru", inputs=outlast.InputSpec("features", 1), outputs=1, seed=0, width=8, layers=1)
    for name, rule in rules.items():
        done = outlast.repair(
            model,
            streams,
            train_context=T,
            intervention=rule,
            measuring=outlast.EvalSettings(targets=32),
            training=outlast.TrainSettings(steps=3, batch_size=4),
            repairing=outlast.RepairSettings(doses=(1.0,), control=False, anyway=True),
        )
        arrays(f"interventions/{name}.npz", **done.model.state_dict())
        outlast.save_result(done.result, f"interventions/{name}/result.json")


def modules() -> None:
    """A stranger's module as it is adapted and with resets; a GLA under each remedy, and with other decays."""
    from stranger import build  # pyright: ignore[reportMissingImports]

    for name, module in {"own": build(), "gru": seeded(lambda: nn.GRU(3, 2, batch_first=True))}.items():
        model = outlast.adapt(module)
        arrays(f"modules/{name}.npz", **read(model, drawn(2, 7, 3), drawn(2, 2, 3)))
        Path(f"modules/{name}.txt").write_text("\n".join(map(str, model.state_parts())))
        arrays(f"modules/{name}-reset.npz", **read(outlast.with_reset(model, every=5), drawn(2, 12, 3)))
    gla = outlast.build("gla", inputs=outlast.InputSpec("features", 2), outputs=1, seed=0, width=8, layers=1)
    remedies = {
        "decay": outlast.with_decay(gla, 0.9),
        "leak": outlast.with_leak(gla, 6.0),
        "leak-late": outlast.with_leak(gla, 16.0, every=2, from_age=5),
        "reset": outlast.with_reset(gla, every=5),
        "handover": outlast.with_reset(gla, every=6, warm_up=2),
        "copies": outlast.with_reset(gla, every=6, overlap=True),
    }
    for name, model in remedies.items():
        arrays(f"modules/gla-{name}.npz", **read(model, drawn(2, 9, 2), drawn(2, 4, 2)))
    mamba = outlast.build("mamba", inputs=outlast.InputSpec("features", 2), outputs=1, seed=0, width=8, layers=1)
    arrays("modules/decay.npz", **read(outlast.with_decay(mamba, 0.9), drawn(2, 12, 2)))


def seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    return make()


def foreign() -> None:
    """Directories of transformers: what they give in two pieces, and all numbers of the state, sorted by size."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    tokens = torch.randint(32, (2, 20), generator=torch.Generator().manual_seed(1))
    for name, settings in FOREIGN.items():
        known: dict[str, Any] = {"vocab_size": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **settings}
        config = CONFIG_MAPPING[name](**known)
        theirs = seeded(lambda config=config: AutoModelForCausalLM.from_config(config))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            theirs.save_pretrained(f"foreign/{name}")
        model = outlast.load(f"foreign/{name}")
        held = read(model, tokens[:, :13], tokens[:, 13:])
        state = [held.pop(key).double().flatten() for key in list(held) if key.startswith("state.")]
        outputs = {key: each for key, each in held.items() if key.startswith("outputs.")}
        arrays(f"foreign/{name}.npz", **outputs, state=torch.cat(state).sort().values)
        outlast.save(model, f"foreign/{name}-saved")


def readings() -> None:
    """A table of 24 machines, a stream of tokens, and rows to be read one by one."""
    random = np.random.default_rng(5)
    lines = ["machine,temperature,speed,power"]
    for machine in range(24):
        rate = random.uniform(0.1, 0.5)
        for row in range(160):
            value = np.sin(rate * row) + random.normal() / 9
            lines.append(f"m{machine},{20 + 5 * np.cos(rate * row):.3f},{row % 7},{value:.4f}")
    Path("readings.csv").write_text("\n".join(lines) + "\n")
    steps = np.where(random.random((32, 96)) < 0.1, 2, 1)
    np.save("tokens.npy", steps.cumsum(1) % 12)
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:61]]
    values = [{name: each if name == "machine" else float(each) for name, each in row.items()} for row in rows]
    Path("rows.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in values))


TABLE = "--data readings.csv --target power --horizon 2 --stream machine --train-context 8"
MODEL = "--model runs/train/model --allow-code"
LINES = {
    "train": f"train --model stranger:build {TABLE} --steps 60 --seed 1 --out runs/train --quiet",
    "check": "check --model stranger:build --out runs/check --quiet",
    "evaluate": f"evaluate {MODEL} {TABLE} --out runs/evaluate --quiet",
    "diagnose": f"diagnose {MODEL} {TABLE} --jobs 1 --figures --out runs/diagnose --quiet",
    "repair": f"repair {MODEL} {TABLE} --steps 20 --expected-run 64 --anyway --out runs/repair --quiet",
    "compare": f"compare {MODEL} {TABLE} --steps 6 --anyway --interventions zero tbtt --doses 1 --language ja "
    "--out runs/compare --quiet",
    "plan": f"plan {MODEL} {TABLE} --steps 16 --budget 10min --anyway --out runs/plan --quiet",
    "save": "save --model stranger:build --data readings.csv --target power --stream machine --out runs/save",
    "dose": "dose --base runs/train/model --repaired runs/train/model --allow-code --dose 0.5 --out runs/dose",
    "stream": f"stream {MODEL} --state runs/states.safetensors",
    "stream-on": f"stream {MODEL} --state runs/states.safetensors",
    "stream-reset": f"stream {MODEL} --resets overlapping:8",
    "tokens": "train --family gla --settings width 16 layers 1 --data tokens.npy --train-context 8 --steps 20 "
    "--out runs/tokens --quiet",
    "generate": "generate --model runs/tokens/model --tokens 1 2 3 --steps 12 --json",
    "export": "export --model runs/tokens/model --out runs/model.onnx",
    "onnx": "evaluate --model runs/model.onnx --data tokens.npy --train-context 8 --out runs/onnx --quiet",
    "profile": f"live profile {MODEL} {TABLE} --run-length 40 --every 4 --out runs/profile --quiet",
    "deploy": "live deploy --model runs/train/model --allow-code --profile runs/profile --by ann --ledger runs/live",
    "run": "live run --once --source rows.jsonl --ledger runs/live --out runs/forecasts.jsonl --allow-code --quiet",
    "incidents": "live incidents list --ledger runs/live",
    "report": "report runs/evaluate runs/diagnose runs/repair --out runs/report.html --figures runs/figures",
    "report-ja": "report runs/plan runs/compare runs/check --language ja --out runs/report-ja.html",
    "wrong": "evaluate --model stranger:build --data readings.csv --train-context eight",
    "refused": "evaluate --model stranger:nothing --data readings.csv --train-context 8",
}


def commands() -> None:
    """Every line in turn: its exit status, and what it says on both of its outputs."""
    Path("said").mkdir()
    for name, line in LINES.items():
        out, err = io.StringIO(), io.StringIO()
        with open("rows.jsonl") as rows, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.stdin = rows
            status = command_line(line.split())
        Path(f"said/{name}.txt").write_text(f"{status}\n{out.getvalue()}\n{err.getvalue()}")
        if status > 1 and name not in ("wrong", "refused"):
            sys.exit(f"{name}: {err.getvalue()}")


def load(theirs: Path) -> None:
    """Directories and results that another commit saved give here what they gave there.

    Raises:
        AssertionError: they do not.
    """
    sys.path.insert(0, os.getcwd())
    tokens = torch.randint(16, (2, 9), generator=torch.Generator().manual_seed(2))
    for name in FAMILIES:
        models = [outlast.load(each / "families" / name) for each in (theirs, Path())]
        with torch.no_grad():
            one, other = (model(tokens, model.initial_state(2))[0] for model in models)
        assert torch.equal(one, other), f"families/{name}"
    for name in ("train", "evaluate", "diagnose", "repair", "compare", "plan", "check"):
        read_back = outlast.load_result(theirs / "runs" / name)
        outlast.save_result(read_back, "again.json")
        assert Path("again.json").read_text() == (theirs / "runs" / name / "result.json").read_text(), f"runs/{name}"
        Path("again.json").unlink()
    outlast.load_profile(theirs / "runs" / "profile")
    with contextlib.redirect_stdout(io.StringIO()):
        for words in ("live status", "live incidents list"):
            assert command_line([*words.split(), "--ledger", str(theirs / "runs" / "live")]) == 0, "runs/live"


if __name__ == "__main__":
    load(Path(sys.argv[2])) if sys.argv[1:2] == ["--load"] else main()
