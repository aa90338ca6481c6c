"""Write the tables, train the strangers' models by plain loops, and leave both in a folder."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--out", type=Path, required=True)
    told.add_argument("--only", nargs="*")
    asked = told.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "strangers", asked.out / "strangers", dirs_exist_ok=True)
    sys.path[:0] = [str(asked.out), str(HERE)]
    from by_hand import STRANGERS, error_at, scaling_of, series_of, train, trained, training_part
    from tables import write_tables

    write_tables(asked.out)
    for stranger in STRANGERS:
        if asked.only and stranger.name not in asked.only:
            continue
        weights = asked.out / "strangers" / f"{stranger.name}.pt"
        series = series_of(stranger, asked.out)
        scaling = scaling_of(stranger, training_part(series))
        began = time.monotonic()
        if weights.exists():
            model = trained(stranger, asked.out)
        else:
            model = train(stranger, series, scaling)
            torch.save(model.state_dict(), weights)
        if stranger.name == "exported":
            stranger.module.write(model, asked.out / "exported.onnx")
        variance = float(np.var(np.concatenate([each.target for each in training_part(series)])))
        context, longest = stranger.train_context, max(len(each.target) for each in series)
        figures = {"variance": variance, "seconds": round(time.monotonic() - began, 1)}
        for age in (context // 2, 4 * context, 16 * context):
            if 2 * age < longest:
                figures[str(age)] = [
                    round(f / variance, 4) for f in error_at(model, stranger, series, scaling, (age, 2 * age))
                ]
        print(stranger.name, json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
