"""Do the arguments of a recurrence fit together? Asked alike by every implementation of it."""

from __future__ import annotations

from torch import Tensor

from outlast.errors import InputError


def check_axes(**given: tuple[Tensor, str]) -> None:
    """Raise InputError unless every tensor has the axes that its letters name, the same letter one size everywhere.

    Args:
        given: by name, a tensor of any shape and its axis letters, such as ``q=(q, "BTHK")``. T is at least 1.
    """
    sizes: dict[str, int] = {}
    for tensor, letters in given.values():
        if tensor.dim() == len(letters):
            for letter, size in zip(letters, tensor.shape, strict=True):
                sizes.setdefault(letter, size)
    right = all(tuple(tensor.shape) == tuple(sizes.get(x, -1) for x in letters) for tensor, letters in given.values())
    if not right or sizes.get("T", 1) == 0:
        raise InputError(
            ", ".join(f"{name} {tuple(tensor.shape)}" for name, (tensor, _) in given.items()),
            ", ".join(f"{name} ({', '.join(letters)})" for name, (_, letters) in given.items()) + ", T ≥ 1",
            "bring all of them to the same sizes",
        )


def check_shapes(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.linear_scan`."""
    given = ", ".join(
        f"{name} {tuple(tensor.shape)}"
        for name, tensor in (("q", q), ("k", k), ("v", v), ("log_decay", log_decay), ("initial_state", initial_state))
    )
    fits = q.dim() == 4 and v.dim() == 4 and q.shape[1] > 0 and q.shape == k.shape and q.shape[:2] == v.shape[:2]
    if not (
        fits
        and q.shape[2] > 0
        and v.shape[2] % q.shape[2] == 0
        and log_decay.shape in (v.shape[:3], (*v.shape[:3], q.shape[3]))
        and initial_state.shape == (v.shape[0], v.shape[2], q.shape[3], v.shape[3])
    ):
        raise InputError(
            given,
            "q, k (B, T, H or a divisor, K), v (B, T, H, V), log_decay (B, T, H) or (B, T, H, K), "
            "initial_state (B, H, K, V), T ≥ 1",
            "bring all five to one B, T, H, K and V",
        )


def check_dual(x: Tensor, step: Tensor, rate: Tensor, skip: Tensor, gate: Tensor, weight: Tensor) -> None:
    """Raise InputError unless these arguments of `outlast.scan.reference.gated_dual_scan` fit together."""
    check_axes(x=(x, "BTHP"), step=(step, "BTH"), rate=(rate, "H"), skip=(skip, "H"))
    check_axes(x=(x.flatten(2), "BTD"), gate=(gate, "BTD"), weight=(weight.flatten(), "D"))


def check_selective(x: Tensor, step: Tensor, rate: Tensor, b: Tensor, c: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.selective_scan`."""
    check_axes(
        x=(x, "BTD"),
        step=(step, "BTD"),
        rate=(rate, "DN"),
        b=(b, "BTN"),
        c=(c, "BTN"),
        initial_state=(initial_state, "BDN"),
    )


def check_mlstm(
    q: Tensor, k: Tensor, v: Tensor, log_input: Tensor, log_forget: Tensor, state: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.mlstm`."""
    memory, normaliser, stabiliser = state
    check_axes(
        q=(q, "BTHK"),
        k=(k, "BTHK"),
        v=(v, "BTHV"),
        log_input=(log_input, "BTH"),
        log_forget=(log_forget, "BTH"),
        memory=(memory, "BHKV"),
        normaliser=(normaliser, "BHK"),
        stabiliser=(stabiliser, "BH"),
    )


def check_rwkv6(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, bonus: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.rwkv6`."""
    check_axes(
        q=(q, "BTHK"),
        k=(k, "BTHK"),
        v=(v, "BTHV"),
        log_decay=(log_decay, "BTHK"),
        bonus=(bonus, "HK"),
        initial_state=(initial_state, "BHKV"),
    )


def check_delta(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.gated_delta`."""
    check_axes(
        q=(q, "BTHK"),
        k=(k, "BTHK"),
        v=(v, "BTHV"),
        log_decay=(log_decay, "BTH"),
        strength=(strength, "BTH"),
        initial_state=(initial_state, "BHKV"),
    )


def check_dplr(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, a: Tensor, b: Tensor, initial_state: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.dplr`."""
    check_axes(
        q=(q, "BTHK"),
        k=(k, "BTHK"),
        v=(v, "BTHV"),
        log_decay=(log_decay, "BTHK"),
        a=(a, "BTHK"),
        b=(b, "BTHK"),
        initial_state=(initial_state, "BHKV"),
    )


def check_convolution(x: Tensor, weight: Tensor, bias: Tensor, window: Tensor) -> None:
    """Raise InputError unless the shapes are those of `outlast.scan.reference.causal_convolution`."""
    check_axes(x=(x, "BTD"), weight=(weight, "WD"), bias=(bias, "D"))
    check_axes(x=(x, "BTD"), window=(window, "BLD"), but_one=(weight[1:], "LD"))
