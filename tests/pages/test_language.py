"""The map's tables say what its rows say, and compare the same seeds with one another."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.language import map_sections


def row(model: str, size: int, step: int, seed: int, excess: float) -> dict[str, Any]:
    return {
        "cell": f"cipher-{model}-T64-seed{seed}",
        "data": "cipher",
        "family": "gla",
        "model": model,
        "train_context": 64,
        "state_numbers": size,
        "seed": seed,
        "step": step,
        "verdict": {"name": "fails", "excess": excess, "low": excess - 0.01, "high": excess + 0.01},
    }


def test_the_same_seeds_are_compared() -> None:
    small = {100: (0.1, 0.3), 101: (0.0, 0.3), 102: (0.2, 0.3)}
    large = {100: (0.0, 0.5), 101: (0.0, 0.6)}
    rows = [
        row(model, size, step, seed, excess)
        for model, size, found in (("small", 640, small), ("large", 6400, large))
        for seed, both in found.items()
        for step, excess in zip((1000, 20_000), both, strict=True)
    ]
    page = "\n".join(map_sections([*reversed(rows), row("small", 640, 1000, 0, 9.0)]))
    assert "| small | 64 | 10 | 102 | fails +0.200 (+0.190 to +0.210) | fails +0.300 (+0.290 to +0.310) |" in page
    assert "| cipher, T = 64, small: 1,000 and 20,000 steps | 3 | +0.200 (-0.048 to +0.448) |" in page
    assert "| cipher, T = 64, large: 1,000 and 20,000 steps | 2 | +0.500 and +0.600 |" in page
    assert "| cipher, T = 64, 20,000 steps: small and large | 2 | +0.200 and +0.300 |" in page


def test_without_fresh_seeds_nothing_is_compared() -> None:
    assert "fresh" not in "\n".join(map_sections([row("small", 640, 1000, 0, 0.1)]))
