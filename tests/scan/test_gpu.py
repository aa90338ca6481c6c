"""What runs on a GPU: the choice, the arguments that flash-linear-attention gets, and, where there is one, its results.

Its kernels cannot run here. `_Kernels` stands in for it: functions of the names and signatures of release 0.6, which
compute from the definitions in its documentation and refuse what the kernels cannot do.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import types
import warnings

import pytest
import torch
import torch.nn.functional as F

from outlast import scan
from outlast.cli.environment import environment
from outlast.scan import gpu, reference

TENSORS = {
    "linear_scan": ("q", "k", "v", "log_decay", "state"),
    "retention": ("q", "k", "v", "log_decay", "state"),
    "gated_dual_scan": ("x", "step", "rate", "b", "c", "skip", "gate", "weight", "state"),
    "rwkv6": ("q", "k", "v", "log_decay", "bonus", "state"),
    "gated_delta": ("q", "k", "v", "log_decay", "strength", "state"),
    "short_convolution": ("x", "weight", "bias", "window"),
}
SIZES = [
    ("linear_scan", {"vector": True}),
    ("linear_scan", {"vector": False}),
    ("linear_scan", {"vector": True, "G": 1, "K": 33}),
    ("linear_scan", {"vector": False, "G": 1, "K": 33}),
    ("retention", {}),
    ("gated_dual_scan", {"H": 4, "G": 2}),
    ("rwkv6", {}),
    ("gated_delta", {}),
    ("short_convolution", {"K": 4}),
    ("short_convolution", {"K": 2}),
]
"""Recurrences and sizes: heads H, groups of keys G, key width K (of a convolution: its kernel)."""


def make(name, B=2, T=7, H=2, G=None, K=3, V=5, *, low=-1.0, vector=True, dtype=torch.float32, device="cpu"):
    """Arguments of one recurrence; log decays in [low, 0], and where low is −∞, some −∞ among decays in [−1, 0]."""
    draw = torch.Generator().manual_seed(T)

    def normal(*shape):
        return torch.randn(shape, generator=draw)

    def decays(*shape):
        if low == -torch.inf:
            return torch.where(torch.rand(shape, generator=draw) < 0.1, low, -torch.rand(shape, generator=draw))
        return torch.rand(shape, generator=draw) * low

    if name == "short_convolution":
        made = [normal(B, T, V), normal(K, V), normal(V), normal(B, K - 1, V)]
    elif name == "gated_dual_scan":
        step, rate = torch.rand((B, T, H), generator=draw), -normal(H).exp()
        shared = [normal(B, T, G or H, K), normal(B, T, G or H, K)]
        around = [normal(H), normal(B, T, H * V), normal(H * V)]
        made = [normal(B, T, H, V), step, rate, *shared, *around, normal(B, H, K, V)]
    else:
        q, k = normal(B, T, G or H, K), normal(B, T, G or H, K)
        shape = {"retention": (H,), "rwkv6": (B, T, H, K), "gated_delta": (B, T, H)}
        gates = [decays(*shape.get(name, (B, T, H, K) if vector else (B, T, H)))]
        if name == "rwkv6":
            gates.append(normal(H, K))
        if name == "gated_delta":
            k = F.normalize(k, dim=-1)
            gates.append(2 * torch.rand((B, T, H), generator=draw))
        made = [q, k, normal(B, T, H, V), *gates, normal(B, H, K, V)]
    return [tensor.to(device, dtype) for tensor in made]


def run(name, tensors, function):
    """Outputs, the final state, and the gradients of a random linear function of both."""
    inputs = [tensor.detach().requires_grad_() for tensor in tensors]
    results = function(*inputs, *(() if name == "short_convolution" else (0.3,)))
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x) for x in results]
    return [*results, *torch.autograd.grad(results, inputs, weights)]


def deviations(name, tensors, function):
    """By tensor, the largest deviation from the definition in float64, relative to the tensor's largest entry."""
    expected = run(name, [tensor.double() for tensor in tensors], getattr(reference, name))
    got = run(name, tensors, function)
    assert all(torch.isfinite(tensor).all() for tensor in got)
    assert [tensor.dtype for tensor in got[:2]] == [tensors[0].dtype, torch.float32]
    names = ("outputs", "final", *(f"d {tensor}" for tensor in TENSORS[name]))
    return {
        name: ((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-30)).item()
        for name, a, b in zip(names, got, expected, strict=True)
    }


class _NoBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *tensors):
        return tensors

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("this kernel has no backward, or a wrong one")


class _Kernels:
    """fla's functions, by the formulas of its documentation. `called` lists their names."""

    def __init__(self):
        self.called = []

    def __getattr__(self, name):
        """A kernel that notes its name, and checks what fla's check or take for granted."""
        compute = object.__getattribute__(self, "_" + name)

        def kernel(q, k, v, *gates, scale, initial_state, output_final_state, **named):
            self.called.append(name)
            tensors = [q, k, v, *gates, *named.values(), initial_state]
            assert output_final_state
            assert all(tensor.dtype == torch.float32 for tensor in tensors)
            assert q.shape == k.shape
            assert q.shape[:3] == v.shape[:3]
            assert all(torch.isfinite(tensor).all() for tensor in tensors)  # sums of −∞ are subtracted: not a number
            if name in ("fused_recurrent_rwkv6", "fused_recurrent_gated_delta_rule"):
                q, k, v = _NoBackward.apply(q, k, v)
            return compute(q * scale, k, v, initial_state, *gates, **named)

        return kernel

    def _chunk_gla(self, q, k, v, S, g):
        assert q.shape == g.shape
        outputs = []
        for t in range(q.shape[1]):
            S = torch.einsum("bhk,bhkv->bhkv", g[:, t].exp(), S) + torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S))
        return torch.stack(outputs, 1), S

    def _fused_recurrent_gla(self, q, k, v, S, gk):
        return self._chunk_gla(q, k, v, S, gk)

    def _chunk_simple_gla(self, q, k, v, S, g):
        assert q.shape[:3] == g.shape
        return self._chunk_gla(q, k, v, S, g[..., None].expand_as(q))

    def _fused_recurrent_simple_gla(self, q, k, v, S, g):
        return self._chunk_simple_gla(q, k, v, S, g)

    def _chunk_rwkv6(self, q, k, v, S, w, u):
        outputs = []
        for t in range(q.shape[1]):
            written = torch.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S + u[:, :, None] * written))
            S = w[:, t, :, :, None].exp() * S + written
        return torch.stack(outputs, 1), S

    def _fused_recurrent_rwkv6(self, q, k, v, S, w, u):
        return self._chunk_rwkv6(q, k, v, S, w, u)

    def _chunk_gated_delta_rule(self, q, k, v, S, g, beta):
        assert q.shape[-1] <= 256
        outputs, eye = [], torch.eye(q.shape[-1])
        for t in range(q.shape[1]):
            k_t, b_t = k[:, t], beta[:, t, :, None, None]
            kept = eye - b_t * torch.einsum("bhk,bhl->bhkl", k_t, k_t)
            S = g[:, t, :, None, None].exp() * kept @ S + b_t * torch.einsum("bhk,bhv->bhkv", k_t, v[:, t])
            outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S))
        return torch.stack(outputs, 1), S

    def _fused_recurrent_gated_delta_rule(self, q, k, v, S, g, beta):
        return self._chunk_gated_delta_rule(q, k, v, S, g, beta)

    def causal_conv1d(self, x, weight, bias, *, initial_state, output_final_state, activation, backend):
        (B, _, D), W = x.shape, weight.shape[1]
        assert weight.shape == (D, W)
        assert weight.is_contiguous()
        assert initial_state.shape == (B, D, W)
        assert (output_final_state, activation, backend) == (True, "silu", "triton")
        joined = torch.cat([initial_state, x.transpose(1, 2)], 2)
        outputs = F.conv1d(joined[:, :, 1:], weight[:, None], bias, groups=D)
        return F.silu(outputs).transpose(1, 2), joined[:, :, -W:]


_MODULES = {
    "gla": ("chunk_gla", "fused_recurrent_gla"),
    "simple_gla": ("chunk_simple_gla", "fused_recurrent_simple_gla"),
    "rwkv6": ("chunk_rwkv6", "fused_recurrent_rwkv6"),
    "gated_delta_rule": ("chunk_gated_delta_rule", "fused_recurrent_gated_delta_rule"),
}


@pytest.fixture
def packages(monkeypatch):
    """Installs fla-core in the given version, or removes it; `import fla.ops` then raises `failure`, if any."""

    def install(version, failure=None):
        found = importlib.metadata.version

        def lookup(name):
            if name != "fla-core":
                return found(name)
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        def load(name, *others):
            if name.startswith("fla") and failure is not None:
                raise failure
            return importing(name, *others)

        importing = importlib.import_module
        monkeypatch.setattr(importlib.metadata, "version", lookup)
        monkeypatch.setattr(importlib, "import_module", load)
        kernels = _Kernels()
        for name in ("fla", "fla.ops", "fla.modules", "fla.modules.causal_conv1d"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        vars(sys.modules["fla.modules.causal_conv1d"])["causal_conv1d"] = kernels.causal_conv1d
        for name, functions in _MODULES.items():
            module = types.ModuleType(f"fla.ops.{name}")
            for function in functions:
                setattr(module, function, getattr(kernels, function))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        gpu.version.cache_clear()
        gpu.unusable.cache_clear()
        return kernels

    yield install
    gpu.version.cache_clear()
    gpu.unusable.cache_clear()


@pytest.mark.parametrize(("name", "sizes"), SIZES)
@pytest.mark.parametrize("T", [1, 2, 64, 70])
@pytest.mark.parametrize("low", [-1.0, -torch.inf])
def test_arguments_mean_what_they_mean_to_fla(packages, name, sizes, T, low):
    packages("0.6.0")
    assert max(deviations(name, make(name, T=T, low=low, **sizes), scan.RECURRENCES[name]["fla"]).values()) < 2e-5


@pytest.mark.parametrize(("name", "sizes"), SIZES)
def test_half_precision_is_widened(packages, name, sizes):
    """Outputs come in the dtype of v, the state in float32 and as exact as in float32."""
    packages("0.6.0")
    *half, state = make(name, T=9, dtype=torch.bfloat16, **sizes)
    scale = () if name == "short_convolution" else (0.3,)
    outputs, final = scan.RECURRENCES[name]["fla"](*half, state.float(), *scale)
    _, exact = getattr(reference, name)(*(tensor.double() for tensor in (*half, state)), *scale)
    assert (outputs.dtype, final.dtype) == (torch.bfloat16, torch.float32)
    assert torch.allclose(final.double(), exact, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sizes", "few", "few_with_gradients", "many"),
    [
        ("linear_scan", {"vector": True}, "fused_recurrent_gla", "fused_recurrent_gla", "chunk_gla"),
        (
            "linear_scan",
            {"vector": False},
            "fused_recurrent_simple_gla",
            "fused_recurrent_simple_gla",
            "chunk_simple_gla",
        ),
        ("rwkv6", {}, "fused_recurrent_rwkv6", "chunk_rwkv6", "chunk_rwkv6"),
        (
            "gated_delta",
            {},
            "fused_recurrent_gated_delta_rule",
            "chunk_gated_delta_rule",
            "chunk_gated_delta_rule",
        ),
    ],
)
def test_few_positions_go_step_by_step_where_gradients_allow(packages, name, sizes, few, few_with_gradients, many):
    kernels = packages("0.6.0")
    for T, gradients in ((1, False), (64, False), (1, True), (64, True), (65, False), (65, True)):
        tensors = [tensor.requires_grad_(gradients) for tensor in make(name, T=T, **sizes)]
        scan.RECURRENCES[name]["fla"](*tensors, 0.3)
    assert kernels.called == [few, few, few_with_gradients, few_with_gradients, many, many]


CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_the_default_on_a_gpu(packages):
    packages("0.6.0")
    chosen = {name: scan.choose(name, CUDA, torch.float32) for name in scan.RECURRENCES}
    assert {name for name, choice in chosen.items() if choice.name == "fla"} == set(TENSORS)
    assert {choice.name for choice in chosen.values()} == {"fla", "chunked"}
    assert "no initial state" in chosen["selective_scan"].why
    assert not any(choice.aloud for choice in chosen.values())
    assert scan.choose("linear_scan", CPU, torch.float32).name == "numba"


@pytest.mark.parametrize(
    ("version", "failure", "device", "dtype", "name", "why", "aloud"),
    [
        (None, None, CUDA, torch.float32, None, "not installed", False),
        (None, None, CUDA, torch.float32, "fla", "not installed", True),
        ("0.4.1", None, CUDA, torch.float32, None, "not 0.4.1", True),
        ("0.60.0", None, CUDA, torch.float32, None, "not 0.60.0", True),
        ("0.6.0", ValueError("key"), CUDA, torch.float32, None, "ValueError: key", True),
        ("0.6.0", None, CUDA, torch.float64, None, "float64", False),
        ("0.6.0", None, CUDA, torch.float64, "fla", "float64", True),
        ("0.6.0", None, CPU, torch.float32, "fla", "not on cpu", True),
        ("0.6.0", None, CUDA, torch.float32, "numba", "not on cuda", True),
    ],
)
def test_what_keeps_fla_away(packages, version, failure, device, dtype, name, why, aloud):
    packages(version, failure)
    choice = scan.choose("linear_scan", device, dtype, name)
    assert (choice.name, choice.aloud) == ("chunked", aloud)
    assert why in choice.why


def test_asked_for_on_a_cpu_it_is_said_once(packages, monkeypatch):
    packages("0.6.0")
    monkeypatch.setattr(scan, "_said", set())
    monkeypatch.setenv("OUTLAST_SCAN", "fla")
    tensors = make("linear_scan")
    with pytest.warns(UserWarning, match="fla runs on cuda"):
        outputs, _ = scan.pick()(*tensors, 0.3)
    assert torch.equal(outputs, scan.pick("chunked")(*tensors, 0.3)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scan.pick()(*tensors, 0.3)


@pytest.mark.parametrize(("K", "calls"), [(256, 1), (257, 0)])
def test_keys_too_wide_for_the_kernel_go_to_plain_torch(packages, monkeypatch, K, calls):
    kernels = packages("0.6.0")
    monkeypatch.setattr(scan, "_said", set())
    monkeypatch.setattr(scan, "choose", lambda *_: scan.Choice("fla", "as on a GPU"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scan.pick(recurrence="gated_delta")(*make("gated_delta", T=2, K=K), 0.3)
    assert (len(kernels.called), len(said)) == (calls, 1 - calls)


def test_outlast_env_prints_the_choice(packages, monkeypatch):
    packages("0.6.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    printed = environment()
    assert printed["scan gated_delta"].startswith("fla: ")
    assert printed["scan selective_scan"].startswith("chunked: the kernel of mamba-ssm")
