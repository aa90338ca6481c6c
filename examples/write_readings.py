"""Write a synthetic recording of a machine to readings.csv: power, temperature and speed, one row a minute."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def readings(rows: int, seed: int = 0) -> np.ndarray:
    """(rows, 3): the load switches now and then, power follows it, temperature follows power slowly."""
    random = np.random.default_rng(seed)
    load = np.repeat(random.uniform(0.2, 1.0, rows // 40 + 1), 40)[:rows]
    power = 5 * load + np.sin(np.arange(rows) / 30) + random.normal(0, 0.2, rows)
    temperature = np.zeros(rows)
    for row in range(1, rows):
        temperature[row] = 0.98 * temperature[row - 1] + 0.02 * (20 + 4 * power[row])
    speed = 1000 * load + random.normal(0, 20, rows)
    return np.column_stack([power, temperature, speed])


def write(path: str | Path, rows: int, seed: int = 0) -> None:
    header = "power,temperature,speed"
    np.savetxt(path, readings(rows, seed), fmt="%.4f", delimiter=",", header=header, comments="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--out", type=Path, default=Path("readings.csv"))
    options = parser.parse_args()
    write(options.out, options.rows)
    print(f"{options.out}: {options.rows} rows")


if __name__ == "__main__":
    main()
