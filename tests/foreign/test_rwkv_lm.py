"""RWKV-7 as RWKV-LM saves it, held against the paper's definition, position by position."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contract_sizes import quick_check
from foreign.test_directories import Spy
from foreign.theirs import worst
from outlast.checkpoints import load, save
from outlast.cli import main
from outlast.errors import InputError

C, N, LAYERS, VOCABULARY = 128, 64, 2, 11
RANKS = {"w": 5, "a": 3, "v": 4, "g": 6}


def drawn(size: int = N, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Tensors of RWKV-LM's names and shapes."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return (
            torch.randn(shape, generator=generator) / shape[-1] ** 0.5
            if len(shape) == 2
            else 0.5 * torch.randn(shape, generator=generator)
        ).to(dtype)

    def scaled(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + normal(C), f"{name}.bias": normal(C)}

    tensors = {"emb.weight": 8 * normal(VOCABULARY, C), **scaled("ln_out"), "head.weight": normal(VOCABULARY, C)}
    for i in range(LAYERS):
        att, ffn = f"blocks.{i}.att.", f"blocks.{i}.ffn."
        tensors |= scaled(f"blocks.{i}.ln1") | scaled(f"blocks.{i}.ln2") | scaled(f"{att}ln_x")
        tensors |= scaled("blocks.0.ln0") if i == 0 else {}
        tensors |= {f"{att}x_{letter}": normal(1, 1, C) for letter in "rwkvag"}
        for letter, rank in RANKS.items():
            if letter != "g":
                tensors[f"{att}{letter}0"] = normal(1, 1, C)
            tensors |= {f"{att}{letter}1": normal(C, rank), f"{att}{letter}2": normal(rank, C)}
        tensors |= {f"{att}k_k": normal(1, 1, C), f"{att}k_a": normal(1, 1, C), f"{att}r_k": normal(C // size, size)}
        tensors |= {f"{att}{name}.weight": normal(C, C) for name in ("receptance", "key", "value", "output")}
        tensors |= {f"{ffn}x_k": normal(1, 1, C), f"{ffn}key.weight": normal(7, C), f"{ffn}value.weight": normal(C, 7)}
    return tensors


def logits(tokens: Tensor, w: dict[str, Tensor]) -> Tensor:
    """Peng et al. (2025), section 4 and appendix: tokens (T) -> logits (T, vocabulary), in float64."""
    w = {name: tensor.double() for name, tensor in w.items()}

    def norm(x: Tensor, name: str, groups: int = 1, eps: float = 1e-5) -> Tensor:
        parts = x.view(groups, -1)
        centred = parts - parts.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + eps).sqrt()
        return scaled.view(-1) * w[f"{name}.weight"] + w[f"{name}.bias"]

    H = C // N
    S = [torch.zeros(H, N, N, dtype=torch.float64) for _ in range(LAYERS)]  # values by keys
    before = {(i, part): torch.zeros(C, dtype=torch.float64) for i in range(LAYERS) for part in ("att", "ffn")}
    outputs = []
    for token in tokens:
        x = norm(w["emb.weight"][token], "blocks.0.ln0")
        first: Tensor | None = None
        for i in range(LAYERS):
            att = {name.removeprefix(f"blocks.{i}.att."): each for name, each in w.items()}
            u = norm(x, f"blocks.{i}.ln1")
            shift, before[i, "att"] = before[i, "att"] - u, u
            r_in, w_in, k_in, v_in, a_in, g_in = (u + shift * att[f"x_{letter}"].view(-1) for letter in "rwkvag")

            def low(of: Tensor, letter: str, att: dict[str, Tensor] = att) -> Tensor:
                return att[f"{letter}0"].view(-1) + of @ att[f"{letter}1"] @ att[f"{letter}2"]

            r, k, v = (
                att[f"{name}.weight"] @ each for name, each in (("receptance", r_in), ("key", k_in), ("value", v_in))
            )
            decay = att["w0"].view(-1) + torch.tanh(w_in @ att["w1"]) @ att["w2"]
            decay = torch.exp(-torch.exp(-F.softplus(-decay) - 0.5))
            if first is None:
                first = v
            else:
                v = v + (first - v) * torch.sigmoid(low(v_in, "v"))
            a, gate = torch.sigmoid(low(a_in, "a")), torch.sigmoid(g_in @ att["g1"]) @ att["g2"]
            removal = (k * att["k_k"].view(-1)).view(H, N)
            removal = removal / removal.norm(dim=1, keepdim=True)
            k = k * (1 + (a - 1) * att["k_a"].view(-1))
            read = []
            for h in range(H):
                at = slice(h * N, (h + 1) * N)
                transition = torch.diag(decay[at]) - torch.outer(removal[h], a[at] * removal[h])
                S[i][h] = S[i][h] @ transition + torch.outer(v[at], k[at])
                read.append(S[i][h] @ r[at])
            y = norm(torch.cat(read), f"blocks.{i}.att.ln_x", H, 64e-5)
            bonus = (r.view(H, N) * k.view(H, N) * att["r_k"]).sum(1, keepdim=True) * v.view(H, N)
            x = x + att["output.weight"] @ ((y + bonus.view(-1)) * gate)
            u = norm(x, f"blocks.{i}.ln2")
            shift, before[i, "ffn"] = before[i, "ffn"] - u, u
            key = w[f"blocks.{i}.ffn.key.weight"] @ (u + shift * w[f"blocks.{i}.ffn.x_k"].view(-1))
            x = x + w[f"blocks.{i}.ffn.value.weight"] @ key.relu().square()
        outputs.append(w["head.weight"] @ norm(x, "ln_out"))
    return torch.stack(outputs)


def test_logits_are_those_of_the_definition_and_go_back_as_flas(tmp_path: Path) -> None:
    weights, path = drawn(), tmp_path / "RWKV-x070.pth"
    torch.save(weights, path)
    model = load(path)
    tokens = torch.randint(VOCABULARY, (1, 41), generator=torch.Generator().manual_seed(1))
    expected = logits(tokens[0], weights)
    state, pieces = model.initial_state(1), []
    with torch.no_grad():
        for piece in tokens.split([1, 33, 7], 1):
            output, state = model(piece, state)
            pieces.append(output)
        assert worst(torch.cat(pieces, 1)[0], expected) < 1e-4
        save(model, tmp_path / "saved")
        again = load(tmp_path / "saved")
        assert torch.equal(again(tokens, again.initial_state(1))[0], model(tokens, model.initial_state(1))[0])
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["model_type"] == "rwkv7"
    report = quick_check(model)
    assert report.passed, [point for point in report.checks if point.passed is False]


def test_half_precision_and_what_the_first_layer_does_not_use(tmp_path: Path) -> None:
    """Some files lack the first layer's v0, v1 and v2; the model is the same."""
    weights, path = drawn(dtype=torch.bfloat16), tmp_path / "a.pth"
    torch.save(weights, path)
    model = load(path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    for name in ("v0", "v1", "v2"):
        del weights[f"blocks.0.att.{name}"]
    torch.save(weights, path)
    tokens = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        other = load(path)
        assert torch.equal(model(tokens, model.initial_state(1))[0], other(tokens, other.initial_state(1))[0])


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pth"
    torch.save(drawn(size=32), path)
    assert main(["check", "--model", str(path)]) == 2
    assert "with 32 channels a head" in capsys.readouterr().err
    weights = drawn()
    for change, words in (
        ({"blocks.1.att.more": torch.zeros(1)}, "not in the model"),
        ({"blocks.0.ffn.key.weight": None}, "sizes cannot be told"),
        ({"blocks.1.att.key.weight": None}, "missing: model.layers.1.attn.k_proj.weight"),
    ):
        torch.save({name: each for name, each in {**weights, **change}.items() if each is not None}, path)
        with pytest.raises(InputError) as caught:
            load(path)
        assert words in str(caught.value)
    torch.save({**weights, "more": Spy(tmp_path / "ran")}, path)
    with pytest.raises(InputError, match="never runs a pickle's code"):
        load(path)
    assert not (tmp_path / "ran").exists()
    torch.save({"emb.weight": torch.zeros(2, 2), "blocks.0.att.time_decay": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="of which RWKV-7 alone is read"):
        load(path)
