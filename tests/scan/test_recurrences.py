"""Every recurrence but the linear one (see test_scan.py) against its step-by-step definition in float64."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast import scan
from outlast.errors import InputError
from outlast.scan import reference

pytestmark = pytest.mark.filterwarnings("ignore:.* runs in plain torch .*not in torch.float64:UserWarning")

OTHERS = [name for name in scan.RECURRENCES if name != "linear_scan"]
ALL = [(name, way) for name in OTHERS for way in scan.RECURRENCES[name] if way != "fla"]
"""Those that run on a CPU; see test_gpu.py for the others."""
FASTER = [(name, way) for name, way in ALL if scan.RECURRENCES[name][way] is not getattr(reference, name)]
STATES = {"mlstm": 3}
"""How many tensors the state is made of, where not one."""


def make(name, B=2, T=7, H=2, K=3, V=4, *, low=-1.0, zeros=0.2, seed=0):
    """Float64 tensors of one recurrence, the state's last; log decays uniform in [low, 0], a share of them 0."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    def decays(*shape):
        kept = torch.rand(shape, generator=draw) >= zeros
        return torch.rand(shape, generator=draw, dtype=torch.float64) * low * kept

    qkv, state = [normal(B, T, H, K), normal(B, T, H, K), normal(B, T, H, V)], normal(B, H, K, V)
    if name == "retention":
        return [*qkv, decays(H), state]
    if name == "rwkv6":
        return [*qkv, decays(B, T, H, K), normal(H, K), state]
    if name == "gated_delta":
        # Unit keys, as in the layer: the memory would grow without bound otherwise.
        qkv[1] = torch.nn.functional.normalize(qkv[1], dim=-1)
        return [*qkv, decays(B, T, H), 2 * torch.rand((B, T, H), generator=draw, dtype=torch.float64), state]
    if name == "dplr":
        # Read at a unit vector and taken away there in part, as in RWKV-7's layer.
        at = torch.nn.functional.normalize(normal(B, T, H, K), dim=-1)
        rate = torch.rand((B, T, H, K), generator=draw, dtype=torch.float64)
        return [*qkv, decays(B, T, H, K), -at, at * rate, state]
    if name == "mlstm":
        return [*qkv, 3 * normal(B, T, H), decays(B, T, H), state, normal(B, H, K), normal(B, H)]
    if name == "short_convolution":
        return [normal(B, T, K * V), normal(H + 1, K * V), normal(K * V), normal(B, H, K * V)]
    if name == "gated_dual_scan":
        step, rate = torch.rand((B, T, H), generator=draw, dtype=torch.float64), decays(H)
        around = [normal(H), normal(B, T, H * V), normal(H * V)]
        return [qkv[2], step, rate, normal(B, T, 1, K), normal(B, T, 1, K), *around, state]
    assert "selective_scan" in name, "a new recurrence gets its arguments here"
    step, rate = torch.rand((B, T, K * V), generator=draw, dtype=torch.float64), decays(K * V, H)
    around = [normal(K * V), normal(B, T, K * V)] if name == "gated_selective_scan" else []
    return [normal(B, T, K * V), step, rate, normal(B, T, H), normal(B, T, H), *around, normal(B, K * V, H)]


def call(name, way, tensors):
    """Outputs, and the tensors of the final state."""
    count = STATES.get(name, 1)
    state = tuple(tensors[-count:])
    asked = inspect.signature(getattr(reference, name)).parameters
    others = [value for what, value in {"scale": 0.3, "eps": 0.1}.items() if what in asked]
    outputs, final = scan.pick(way, name)(*tensors[:-count], state if count > 1 else state[0], *others)
    return outputs, *(final if count > 1 else (final,))


def run(name, way, tensors, dtype):
    """Outputs, final state, and the gradients of a random linear function of both."""
    inputs = [x.to(dtype).detach().requires_grad_() for x in tensors]
    results = call(name, way, inputs)
    draw = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x.dtype) for x in results]
    loss = torch.stack([(x * w).sum() for x, w in zip(results, weights, strict=True)]).sum()
    return *results, *torch.autograd.grad(loss, inputs)


def worst(got, expected, least=1e-30):
    """Largest deviation of each tensor, relative to the largest entry of the expected one, but not below `least`."""
    assert all(torch.isfinite(x).all() for x in got)
    return max(
        ((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=least)).item()
        for a, b in zip(got, expected, strict=True)
        if b.abs().max() > 0 or a.abs().max() > 0
    )


def apart(got, expected, least):
    """`worst` of each tensor."""
    pairs = zip(got, expected, strict=True)
    return [worst([a], [b], least) if a.any() or b.any() else 0.0 for a, b in pairs]


def moved(name, tensors, expected, least):
    """`apart` of the definition in float32, from these arguments and from others that differ in their last bit alone.

    A gradient that is a sum over positions may cancel: then nothing in float32 can tell it better than this."""
    draw = torch.Generator().manual_seed(2)
    every = []
    for size in (0, 1, 1, 1):
        noise = [2 * torch.rand(x.shape, generator=draw, dtype=torch.float64) - 1 for x in tensors]
        near = [x * (1 + size * 2.0**-24 * by) for x, by in zip(tensors, noise, strict=True)]
        every.append(apart(run(name, "reference", near, torch.float32), expected, least))
    return [max(each) for each in zip(*every, strict=True)]


@pytest.mark.parametrize(("name", "way"), FASTER)
@settings(max_examples=25, deadline=None)
@given(
    T=st.one_of(st.integers(1, 5), st.integers(6, 100)),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    low=st.sampled_from([-1e-4, -0.1, -1.5, -30.0, -100.0]),
    seed=st.integers(0, 99),
)
def test_equals_the_definition(name, way, T, sizes, low, seed):
    B, H, K, V = sizes
    tensors = make(name, B, T, H, K, V, low=low, seed=seed)
    expected = run(name, "reference", tensors, torch.float64)
    dtype, tolerance = (torch.float32, 5e-5) if way == "numba" else (torch.float64, 1e-9)
    got = run(name, way, tensors, dtype)
    # Chunks sum decays before they are told apart: the tiny gradient of a strong decay is exact to the rounding of 1.
    # In float32, what a norm leaves of a gradient through a decay of e^-35 is exact beside others, not by itself.
    least = 1e-5 if dtype == torch.float64 else 1e-10
    far = apart(got, expected, least)
    if max(far) >= tolerance:
        assert way == "numba"
        least_there_is = moved(name, tensors, expected, least)
        assert all(a < tolerance or a < 2 * b for a, b in zip(far, least_there_is, strict=True)), (far, least_there_is)


@pytest.mark.parametrize(("name", "way"), FASTER)
@pytest.mark.parametrize("low", [-30.0, -1.2, -1e-3, 0.0])
def test_long_sequences_in_single_precision(name, way, low):
    """From no decay at all to one that forgets within a position, over 1,100 positions."""
    tensors = make(name, 1, 1100, 2, 4, 4, low=low, seed=3)
    expected = call(name, "reference", tensors)
    assert worst(call(name, way, [x.float() for x in tensors]), expected) < 2e-4


_DECAYS = {"rwkv6": 3, "gated_delta": 3, "mlstm": 4}
"""Which argument is a decay of every position. Retention has one for all, the selective scan a rate times a step."""


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, way in ALL if name in _DECAYS])
def test_a_decay_of_zero_cuts_the_past(name, way):
    """A log decay of −∞ at one position: nothing before it counts after it, and no gradient is NaN."""
    tensors, at = make(name, T=50, seed=5), 20
    tensors[_DECAYS[name]][:, at] = -torch.inf
    results = run(name, way, tensors, torch.float64)
    assert all(torch.isfinite(x).all() for x in results)
    others = list(tensors)
    others[2] = torch.where((torch.arange(50) < at)[None, :, None, None], 7.0, others[2])
    # RWKV-6 reads the memory before a position: there the position of the cut itself still sees the past.
    after = at + (name == "rwkv6")
    assert worst([call(name, way, others)[0][:, after:]], [results[0][:, after:]]) < 1e-12


@pytest.mark.parametrize(("name", "way"), ALL)
@pytest.mark.parametrize("T", [1, 70])
def test_half_precision_inputs(name, way, T):
    """Half-precision inputs: outputs in their dtype, state and arithmetic in float32, also under autocast."""
    count = STATES.get(name, 1)
    tensors = [x.to(torch.bfloat16) for x in make(name, T=T, seed=7)]
    tensors[-count:] = [x.float() for x in tensors[-count:]]
    exact = call(name, "reference", [x.double() for x in tensors])
    with torch.autocast("cpu", torch.bfloat16):
        outputs, *final = call(name, way, tensors)
    assert outputs.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in final)
    assert worst(final, exact[1:]) < 1e-5
    assert worst([outputs], exact[:1]) < 1e-2


@pytest.mark.parametrize(("name", "way"), FASTER)
@pytest.mark.parametrize("low", [-0.5, -50.0])
def test_gradients_against_finite_differences(name, way, low):
    tensors = [x.requires_grad_() for x in make(name, 1, 37, 1, 2, 2, low=low, zeros=0.0, seed=8)]
    assert torch.autograd.gradcheck(lambda *given: call(name, way, given), tensors, fast_mode=True)


@pytest.mark.parametrize(("name", "way"), ALL)
def test_pieces_equal_the_whole_and_inputs_are_left_alone(name, way):
    tensors, count = make(name, T=75, seed=9), STATES.get(name, 1)
    copies = [x.clone() for x in tensors]
    whole = call(name, way, tensors)
    along = [x.dim() >= 3 and x.shape[1] == 75 for x in tensors]

    def piece(first, last, state):
        cut = [x[:, first:last] if at else x for x, at in zip(tensors[:-count], along, strict=False)]
        return call(name, way, [*cut, *state])

    early = piece(0, 33, tensors[-count:])
    late = piece(33, 75, early[1:])
    assert worst([torch.cat([early[0], late[0]], 1), *late[1:]], whole) < 1e-12
    assert all(torch.equal(a, b) for a, b in zip(tensors, copies, strict=True))


def test_the_delta_rule_replaces_what_stood_at_the_key():
    """At strength 1 and without decay, the memory read at a key just written is the value."""
    _, k, v, decay, strength, state = make("gated_delta", T=40, K=5)
    read, _ = reference.gated_delta(k, k, v, 0 * decay, torch.ones_like(strength), state, 1.0)
    torch.testing.assert_close(read, v)


def test_diagonal_plus_rank_one_is_the_gated_delta_rule_where_it_should_be():
    """With one decay for all channels of a head, read at the decayed key and written back with the opposite sign."""
    q, k, v, decay, strength, state = make("gated_delta", T=40, K=5)
    expected = reference.gated_delta(q, k, v, decay, strength, state, 0.3)
    strength = strength[..., None]
    a, b = decay[..., None].exp() * k, -strength * k
    got = reference.dplr(q, k, strength * v, decay[..., None].expand_as(k), a, b, state, 0.3)
    torch.testing.assert_close(got, expected)


def test_diagonal_plus_rank_one_with_a_decay_of_zero():
    """What is read and written again passes by the decay: the past still counts, and no gradient is NaN."""
    tensors = make("dplr", T=50, seed=5)
    tensors[3][:, 20] = -torch.inf
    expected = run("dplr", "reference", tensors, torch.float64)
    assert worst(run("dplr", "chunked", tensors, torch.float64), expected) < 1e-9


def test_rwkv6_with_a_bonus_of_one_and_no_decay_is_linear_attention():
    q, k, v, decay, bonus, state = make("rwkv6", T=40)
    expected = reference.linear_scan(q, k, v, 0 * decay, state, 0.3)
    got = reference.rwkv6(q, k, v, 0 * decay, torch.ones_like(bonus), state, 0.3)
    torch.testing.assert_close(got, expected)


def test_the_mlstm_does_not_depend_on_its_stabiliser():
    """C and n divided by exp(m): the same numbers written with another m give the same outputs, but for the floor."""
    q, k, v, log_input, log_forget, memory, normaliser, stabiliser = make("mlstm", T=40)
    other = torch.exp(stabiliser - 2.0)
    outputs, _ = reference.mlstm(q, k, v, log_input, log_forget, (memory, normaliser, stabiliser), 0.3)
    moved = (memory * other[..., None, None], normaliser * other[..., None], torch.full_like(stabiliser, 2.0))
    again, _ = reference.mlstm(q, k, v, log_input, log_forget, moved, 0.3)
    torch.testing.assert_close(again, outputs, rtol=1e-3, atol=1e-4)


def test_input_gates_of_any_size_do_not_overflow():
    tensors = make("mlstm", T=40)
    tensors[3] = tensors[3] * 1000
    for way in scan.RECURRENCES["mlstm"]:
        assert all(torch.isfinite(x).all() for x in call("mlstm", way, [x.float() for x in tensors]))


def test_the_selective_scan_keeps_the_states_of_a_chunk_only():
    """What is held for the backward pass grows with T / CHUNK states, not with T of them."""
    B, T, D, N = 1, 640, 4, 64
    held = []

    def pack(tensor):
        held.append(tensor.numel())
        return tensor

    x, step = torch.rand(B, T, D, requires_grad=True), torch.rand(B, T, D)
    b, c = torch.rand(B, T, N), torch.rand(B, T, N)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scan.pick("chunked", "selective_scan")(x, step, -torch.rand(D, N), b, c, torch.zeros(B, D, N))
    assert sum(held) < B * T * D * N


@pytest.mark.parametrize(("name", "way"), ALL)
def test_shapes_that_do_not_fit(name, way):
    tensors, count = make(name), STATES.get(name, 1)
    with pytest.raises(InputError, match=r"initial_state|memory|window"):
        call(name, way, [*tensors[:-count], *(x[:1] for x in tensors[-count:])])
    with pytest.raises(InputError, match="T ≥ 1"):
        call(
            name,
            way,
            [x[:, :0] if x.dim() > 2 and i < 5 else x for i, x in enumerate(tensors[:-count])] + tensors[-count:],
        )


def test_names_that_do_not_fit():
    with pytest.raises(InputError, match="gated_delta"):
        scan.pick(recurrence="gated_dleta")
    with pytest.raises(InputError, match="chunked"):
        scan.pick("chunkd", "rwkv6")


WAYS = [each.name for each in pkgutil.iter_modules(scan.__path__) if each.name.startswith(("chunked", "fused", "gpu"))]


@pytest.mark.parametrize("module", WAYS)
def test_every_way_takes_what_the_definition_takes(module):
    """So the definition's signature and docstring are those of all: arguments have its names, in its order."""
    found = importlib.import_module(f"outlast.scan.{module}")
    known = {*scan.RECURRENCES, *scan.POINTWISE} - {"product"}  # torch's own
    for name in known & {name for name, each in vars(found).items() if inspect.isfunction(each)}:
        way, definition = (inspect.signature(getattr(each, name)).parameters for each in (found, reference))
        assert [each for each in way if each != "by"] == [each for each in definition if each != "by"], name
