"""Mamba and Mamba-2 as mamba_ssm saves them, held against the papers' definitions; saved as transformers reads them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForCausalLM

from contract_sizes import Ask, in_full
from foreign import theirs
from foreign.theirs import worst
from outlast.checkpoints import load, save
from outlast.cli import main
from outlast.errors import InputError

MAMBA: dict[str, Any] = {
    "d_model": 18,
    "n_layer": 2,
    "vocab_size": 11,
    "ssm_cfg": {},
    "rms_norm": True,
    "residual_in_fp32": True,
    "fused_add_norm": True,
    "pad_vocab_size_multiple": 8,
}
"""The fields of the first published models' config.json, small."""
MAMBA2: dict[str, Any] = {
    **MAMBA,
    "d_model": 16,
    "d_intermediate": 0,
    "ssm_cfg": {"layer": "Mamba2", "headdim": 8, "d_state": 6},
    "attn_layer_idx": [],
    "attn_cfg": {},
    "pad_vocab_size_multiple": 16,
    "tie_embeddings": True,
}


def norm(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    parts = x.unflatten(-1, (groups, -1))
    return (parts / (parts.square().mean(-1, keepdim=True) + 1e-5).sqrt()).flatten(-2) * weight


def convolved(x: Tensor, weight: Tensor, bias: Tensor | float) -> Tensor:
    """Depthwise and causal: each position is the weighted sum of itself and those before it."""
    T, W = x.shape[0], weight.shape[-1]
    before = torch.cat([torch.zeros(W - 1, x.shape[1], dtype=x.dtype), x])
    return F.silu(torch.stack([(before[t : t + W] * weight[:, 0].T).sum(0) for t in range(T)]) + bias)


def mamba_layer(x: Tensor, w: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    """Algorithm 2 and section 3.4 of Gu and Dao (2023), one position after the other: x (T, D) -> (T, D)."""
    u, z = (x @ w["in_proj.weight"].T + w.get("in_proj.bias", 0.0)).chunk(2, -1)
    u = convolved(u, w["conv1d.weight"], w.get("conv1d.bias", 0.0))
    N = w["A_log"].shape[1]
    low, B, C = (u @ w["x_proj.weight"].T).split([w["dt_proj.weight"].shape[1], N, N], -1)
    step = F.softplus(low @ w["dt_proj.weight"].T + w["dt_proj.bias"])
    A, h, outputs = -w["A_log"].exp(), torch.zeros_like(w["A_log"]), []
    for t in range(len(x)):
        h = (step[t][:, None] * A).exp() * h + step[t][:, None] * B[t][None] * u[t][:, None]
        outputs.append(h @ C[t] + w["D"] * u[t])
    return (torch.stack(outputs) * F.silu(z)) @ w["out_proj.weight"].T + w.get("out_proj.bias", 0.0)


def mamba2_layer(x: Tensor, w: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    """Section 5 and figure 6 of Dao and Gu (2024), one position after the other: x (T, D) -> (T, D)."""
    settings = config["ssm_cfg"]
    H, P, N, G = len(w["A_log"]), settings["headdim"], settings["d_state"], settings.get("ngroups", 1)
    mixed = x @ w["in_proj.weight"].T + w.get("in_proj.bias", 0.0)
    z, u, step = mixed.split([H * P, H * P + 2 * G * N, H], -1)
    u = convolved(u, w["conv1d.weight"], w.get("conv1d.bias", 0.0))
    u, B, C = u.split([H * P, G * N, G * N], -1)
    step = F.softplus(step + w["dt_bias"]).clamp(*settings.get("dt_limit", (0.0, math.inf)))
    u, B, C = u.view(-1, H, P), B.view(-1, G, N), C.view(-1, G, N)
    A, h, outputs = -w["A_log"].exp(), torch.zeros(H, P, N, dtype=x.dtype), []
    for t in range(len(x)):
        for head in range(H):
            group = head // (H // G)
            written = step[t, head] * u[t, head][:, None] * B[t, group][None]
            h = h.clone()
            h[head] = (step[t, head] * A[head]).exp() * h[head] + written
        read = [h[head] @ C[t, head // (H // G)] + w["D"][head] * u[t, head] for head in range(H)]
        outputs.append(torch.cat(read))
    y = norm(torch.stack(outputs) * F.silu(z), w["norm.weight"], G)
    return y @ w["out_proj.weight"].T + w.get("out_proj.bias", 0.0)


def logits(tokens: Tensor, weights: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    """The whole model in float64: tokens (T) -> logits (T, padded vocabulary)."""
    weights = {name: tensor.double() for name, tensor in weights.items()}
    layer = mamba2_layer if config["ssm_cfg"].get("layer") == "Mamba2" else mamba_layer
    x = weights["backbone.embedding.weight"][tokens]
    for i in range(config["n_layer"]):
        before = f"backbone.layers.{i}."
        own = f"{before}mixer."
        mixer = {name.removeprefix(own): each for name, each in weights.items() if name.startswith(own)}
        x = x + layer(norm(x, weights[f"{before}norm.weight"]), mixer, config)
    return norm(x, weights["backbone.norm_f.weight"]) @ weights["lm_head.weight"].T


def drawn(config: dict[str, Any]) -> dict[str, Tensor]:
    """Weights as MambaLMHeadModel has them: names, shapes and order of mamba_ssm."""
    settings = config["ssm_cfg"]
    D, W, N = config["d_model"], settings.get("d_conv", 4), settings.get("d_state", 16)
    inner, multiple = settings.get("expand", 2) * D, config["pad_vocab_size_multiple"]
    vocabulary = math.ceil(config["vocab_size"] / multiple) * multiple
    shapes: dict[str, tuple[int, ...]] = {"backbone.embedding.weight": (vocabulary, D)}
    for i in range(config["n_layer"]):
        mixer: dict[str, tuple[int, ...]] = {}
        if settings.get("layer") == "Mamba2":
            P, G = settings["headdim"], settings.get("ngroups", 1)
            H, channels = inner // P, inner + 2 * G * N
            mixer = {"dt_bias": (H,), "A_log": (H,), "D": (H,), "in_proj.weight": (inner + channels + H, D)}
            mixer |= {"norm.weight": (inner,)}
        else:
            channels, R = inner, settings.get("dt_rank", math.ceil(D / 16))
            mixer = {"A_log": (inner, N), "D": (inner,), "in_proj.weight": (2 * inner, D)}
            mixer |= {"x_proj.weight": (R + 2 * N, inner), "dt_proj.weight": (inner, R), "dt_proj.bias": (inner,)}
        mixer |= {"conv1d.weight": (channels, 1, W), "out_proj.weight": (D, inner)}
        if settings.get("conv_bias", True):
            mixer["conv1d.bias"] = (channels,)
        if settings.get("bias", False):
            mixer |= {"in_proj.bias": (mixer["in_proj.weight"][0],), "out_proj.bias": (D,)}
        shapes |= {f"backbone.layers.{i}.mixer.{name}": shape for name, shape in mixer.items()}
        shapes[f"backbone.layers.{i}.norm.weight"] = (D,)
    shapes |= {"backbone.norm_f.weight": (D,), "lm_head.weight": (vocabulary, D)}
    generator = torch.Generator().manual_seed(0)
    weights = {name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    if config.get("tie_embeddings", True):
        weights["lm_head.weight"] = weights["backbone.embedding.weight"]
    return weights


def written(folder: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    """A folder as mamba_ssm's save_pretrained leaves it, and the weights in it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = drawn(config)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    return weights


def with_layer(config: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {**config, "ssm_cfg": {**config["ssm_cfg"], **settings}}


CASES = {
    "mamba": MAMBA,
    "mamba-bias": with_layer(MAMBA, bias=True, conv_bias=False, d_conv=3, d_state=5, expand=1, dt_rank=3),
    "mamba-untied": {**MAMBA, "tie_embeddings": False, "residual_in_fp32": False, "vocab_size": 16},
    "mamba2": MAMBA2,
    "mamba2-groups": with_layer(MAMBA2, ngroups=2, bias=True, conv_bias=False, dt_limit=[0.02, 0.6], d_conv=3),
    "mamba2-untied": {**MAMBA2, "tie_embeddings": False, "pad_vocab_size_multiple": 1},
}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_the_definition_and_of_transformers_after_saving(name: str, tmp_path: Path) -> None:
    config = CASES[name]
    weights = written(tmp_path / "original", config)
    model = load(tmp_path / "original")
    vocabulary = len(weights["backbone.embedding.weight"])
    tokens = torch.randint(config["vocab_size"], (1, 23), generator=torch.Generator().manual_seed(1))
    expected = logits(tokens[0], weights, config)
    state, pieces = model.initial_state(1), []
    with torch.no_grad():
        for piece in tokens.split([1, 7, 15], 1):
            output, state = model(piece, state)
            pieces.append(output)
    got = torch.cat(pieces, 1)[0]
    assert got.shape == (23, vocabulary)
    assert worst(got, expected) < 1e-4
    save(model, tmp_path / "saved")
    theirs_: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert worst(theirs.logits(theirs_.eval(), tokens)[0], expected) < 1e-4
    with torch.no_grad():
        again = load(tmp_path / "saved")
        assert torch.equal(again(tokens, again.initial_state(1))[0], model(tokens, model.initial_state(1))[0])
    missing = theirs_.from_pretrained(tmp_path / "saved", output_loading_info=True)[1]
    assert not any(missing[key] for key in ("missing_keys", "unexpected_keys"))


@in_full(["mamba", "mamba2"], "mamba2")
def test_the_contract_is_kept(name: str, ask: Ask, tmp_path: Path) -> None:
    written(tmp_path, CASES[name])
    report = ask(load(tmp_path))
    assert report.passed, [point for point in report.checks if point.passed is False]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({**MAMBA2, "attn_layer_idx": [1]}, "attn_layer_idx = [1]"),
        ({**MAMBA2, "d_intermediate": 32}, "d_intermediate = 32"),
        ({**MAMBA, "rms_norm": False}, "rms_norm = False"),
        ({**MAMBA, "d_model": "wide"}, "d_model = 'wide'"),
        ({**MAMBA, "n_layer": 0}, "n_layer = 0"),
        ({**MAMBA, "pad_vocab_size_multiple": 0}, "pad_vocab_size_multiple = 0"),
        (with_layer(MAMBA, layer="Mamba3"), "ssm_cfg.layer = 'Mamba3'"),
        (with_layer(MAMBA, d_state="many"), "ssm_cfg.d_state = 'many'"),
        (with_layer(MAMBA2, d_ssm=8), "ssm_cfg.d_ssm = 8"),
        (with_layer(MAMBA2, D_has_hdim=True), "ssm_cfg.D_has_hdim = True"),
        (with_layer(MAMBA2, rmsnorm=False), "ssm_cfg.rmsnorm = False"),
        (with_layer(MAMBA2, norm_before_gate=True), "ssm_cfg.norm_before_gate = True"),
        (with_layer(MAMBA2, headdim=5), "ssm_cfg.headdim = 5"),
    ],
)
def test_what_is_refused_is_named(
    config: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["check", "--model", str(tmp_path)]) == 2
    assert f"given: config.json with {words}" in capsys.readouterr().err


def test_what_stands_against_a_config_is_named(tmp_path: Path) -> None:
    weights = written(tmp_path, MAMBA)
    torch.save({**weights, "lm_head.weight": weights["lm_head.weight"] + 1}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="correct tie_embeddings in config"):
        load(tmp_path)
    torch.save({**weights, "backbone.extra": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"not in the model: backbone\.extra"):
        load(tmp_path)
    torch.save({**weights, "step": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="a pickle that cannot be read as weights alone"):
        load(tmp_path)


def test_saving_beside_the_pickle_is_refused(tmp_path: Path) -> None:
    written(tmp_path, MAMBA2)
    with pytest.raises(InputError, match="two sets of weights"):
        save(load(tmp_path), tmp_path)


def test_half_precision_stays(tmp_path: Path) -> None:
    weights = written(tmp_path, MAMBA2)
    torch.save({name: tensor.half() for name, tensor in weights.items()}, tmp_path / "pytorch_model.bin")
    model = load(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    save(model, tmp_path / "saved")
    theirs_: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype="auto")
    assert theirs_.dtype == torch.float16
    again = theirs_.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again[name]), name
