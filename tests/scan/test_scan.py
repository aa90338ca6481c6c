"""Every scan against the step-by-step definition in float64."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast import scan
from outlast.errors import InputError
from outlast.scan import chunked, reference

HERE = [name for name in scan.SCANS if name != "fla"]
"""Those that run on a CPU; see test_gpu.py for the other."""
FASTER = [name for name in HERE if name != "reference"]


def make(B=2, T=7, H=2, K=3, V=4, *, low=-1.0, vector=True, zeros=0.2, seed=0):
    """Float64 arguments with log decays uniform in [low, 0], a share `zeros` of them exactly 0."""
    draw = torch.Generator().manual_seed(seed)
    shape = (B, T, H, K) if vector else (B, T, H)
    decay = torch.rand(shape, generator=draw, dtype=torch.float64) * low
    decay = decay * (torch.rand(shape, generator=draw) >= zeros)
    normal = [(B, T, H, K), (B, T, H, K), (B, T, H, V), (B, H, K, V)]
    q, k, v, state = (torch.randn(s, generator=draw, dtype=torch.float64) for s in normal)
    return [q, k, v, decay, state]


def call(name, arguments):
    q, k, v, log_decay, initial_state = arguments
    return scan.pick(name)(q, k, v, log_decay, initial_state, 0.3)


def run(name, arguments, dtype):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.to(dtype).detach().requires_grad_() for x in arguments]
    outputs, final = call(name, inputs)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x.dtype) for x in (outputs, final)]
    loss = (outputs * weights[0]).sum() + (final * weights[1]).sum()
    return outputs, final, *torch.autograd.grad(loss, inputs)


def worst(got, expected, beside=None):
    """Largest deviation of each tensor, relative to the largest entry of the expected one, or of those in `beside`."""
    assert all(torch.isfinite(x).all() for x in got)
    return max(
        ((a.double() - b.double()).abs().max() / c.double().abs().max().clamp(min=1e-30)).item()
        for a, b, c in zip(got, expected, beside or expected, strict=True)
        if b.abs().max() > 0 or a.abs().max() > 0
    )


def summed(arguments):
    """What each result is a sum of, as magnitudes: terms may cancel, and no sum is exact but beside its terms.

    The gradient of a decay is, in chunks, a running sum from the end of q · dq − k · dk, and of state · dstate.
    """
    q, k, v, decay, state = arguments
    inputs = [x.detach().requires_grad_() for x in (q.abs(), k.abs(), v.abs(), decay, state.abs())]
    results = call("reference", inputs)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw, dtype=torch.float64).abs() for x in results]
    dq, dk, dv, ddecay, dstate = torch.autograd.grad(results, inputs, weights)
    steps = (q.abs() * dq).sum(1).max(), (k.abs() * dk).sum(1).max(), (state.abs() * dstate).max(), ddecay.max()
    return *results, dq, dk, dv, torch.stack(steps), dstate


@pytest.mark.parametrize("name", FASTER)
@settings(max_examples=40, deadline=None)
@given(
    T=st.one_of(st.integers(1, 5), st.integers(6, 140)),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    low=st.sampled_from([-1e-4, -0.1, -1.5, -30.0, -100.0]),
    vector=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_definition(name, T, sizes, low, vector, seed):
    B, H, K, V = sizes
    # Numbers that float32 holds: what rounding the arguments changes is not the scan's.
    arguments = [x.float().double() for x in make(B, T, H, K, V, low=low, vector=vector, seed=seed)]
    expected, beside = run("reference", arguments, torch.float64), summed(arguments)
    if name != "numba":
        assert worst(run(name, arguments, torch.float64), expected, beside) < 1e-12
    assert worst(run(name, arguments, torch.float32), expected, beside) < 5e-6


@pytest.mark.parametrize("name", FASTER)
@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("low", [-30.0, -1.2, -1e-3, 0.0])
def test_long_sequences(name, vector, low):
    """At length 4096, from no decay at all to one that forgets within a position."""
    arguments = make(1, 4096, 2, 4, 4, low=low, vector=vector, seed=3)
    expected = run("reference", arguments, torch.float64)
    assert worst(run(name, arguments, torch.float32), expected) < 1e-4


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("vector", [True, False])
def test_a_decay_of_zero_cuts_the_past(name, vector):
    """log_decay = −∞ at one position: nothing before it counts after it, and no gradient is NaN."""
    arguments = make(2, 50, 2, 3, 4, vector=vector, seed=5)
    arguments[3][:, 20] = -torch.inf
    results = run(name, arguments, torch.float32)
    assert all(torch.isfinite(x).all() for x in results)
    alone, final = call("reference", [*(x[:, 20:] for x in arguments[:4]), torch.zeros(2, 2, 3, 4)])
    assert worst([results[0][:, 20:], results[1]], [alone, final]) < 1e-5


@pytest.mark.parametrize("name", FASTER)
@pytest.mark.parametrize("vector", [True, False])
def test_mild_and_strong_chunks_side_by_side(name, vector):
    """One violent position among mild ones changes how its chunk is computed and nothing else."""
    arguments = make(2, 100, 2, 3, 4, low=-0.01, vector=vector, seed=6)
    arguments[3][1, 40] = -100.0
    expected = run("reference", arguments, torch.float64)
    assert worst(run(name, arguments, torch.float32), expected) < 1e-5


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("T", [1, 70])
def test_half_precision_inputs(name, dtype, T):
    """Half-precision q, k, v: outputs in their dtype, state and arithmetic in float32, also under autocast."""
    arguments = [x.to(dtype) for x in make(2, T, seed=7)[:3]]
    decay, state = (x.float() for x in make(2, T, seed=7)[3:])
    exact = call("reference", [x.double() for x in (*arguments, decay, state)])
    with torch.autocast("cpu", torch.bfloat16):
        outputs, final = call(name, [*arguments, decay, state])
    assert outputs.dtype == dtype
    assert final.dtype == torch.float32
    assert worst([final], [exact[1]]) < 1e-5
    assert worst([outputs], [exact[0]]) < 1e-2


@pytest.mark.parametrize("name", FASTER)
@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("low", [-0.5, -50.0])
def test_gradients_against_finite_differences(name, vector, low):
    arguments = [x.requires_grad_() for x in make(1, 37, 1, 2, 2, low=low, vector=vector, zeros=0.0, seed=8)]
    assert torch.autograd.gradcheck(lambda *a: call(name, a), arguments, fast_mode=True)


@pytest.mark.parametrize("name", HERE)
def test_inputs_are_left_alone(name):
    arguments = make(2, 40, seed=9)
    copies = [x.clone() for x in arguments]
    call(name, arguments)
    assert all(torch.equal(a, b) for a, b in zip(arguments, copies, strict=True))


def test_pick(monkeypatch):
    monkeypatch.setenv("OUTLAST_SCAN", "reference")
    assert scan.pick() is reference.linear_scan
    assert scan.pick("chunked") is chunked.linear_scan
    monkeypatch.setenv("OUTLAST_SCAN", "chunkd")
    with pytest.raises(InputError, match="chunked"):
        scan.pick()


@pytest.mark.parametrize(
    ("name", "device", "dtype", "chosen", "aloud"),
    [
        (None, "cpu", torch.float32, "numba", False),
        (None, "cpu", torch.float64, "chunked", False),
        (None, "meta", torch.float32, "chunked", False),
        ("numba", "cpu", torch.float64, "chunked", True),
        ("numba", "meta", torch.float32, "chunked", True),
        ("reference", "cpu", torch.float32, "reference", False),
    ],
)
def test_choice(name, device, dtype, chosen, aloud):
    choice = scan.choose("linear_scan", torch.device(device), dtype, name)
    assert (choice.name, choice.aloud) == (chosen, aloud)
    assert choice.why


def test_falling_back_is_said_once(monkeypatch):
    monkeypatch.setattr(scan, "_said", set())
    arguments = make()
    with pytest.warns(UserWarning, match="float32"):
        results = call("numba", arguments)
    assert torch.equal(results[0], call("chunked", arguments)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call("numba", arguments)


@pytest.mark.parametrize("name", HERE)
def test_shapes_that_do_not_fit(name):
    q, k, v, decay, state = make()
    with pytest.raises(InputError, match="initial_state"):
        call(name, (q, k, v, decay, state[:1]))
    with pytest.raises(InputError, match="T ≥ 1"):
        call(name, [*(x[:, :0] for x in (q, k, v, decay)), state])
