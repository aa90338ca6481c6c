"""The production loop from end to end, on household power: alarm, incidents, retraining, shadow, canary, promotion.

    python examples/live_demo.py --out runs/live-demo

A forecaster of the next hour's power is at work on sixteen streams, stretches of the test years shifted to one calendar. On
the sixth day something comes up that it has never read: interference, noise on all seven channels (planted; the power that
is to be forecast stays what it was). What happens then is what this shows, faster than it would happen: the alarm, the
states that are kept, a candidate that learns from them and from the first week of it, its gates, and the stages on live data.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import outlast
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import at_work, gates
from outlast.live.ledger.incidents import label, listed
from outlast.live.ledger.tables import Status
from outlast.live.retraining import Collecting, Training, retrain
from outlast.live.retraining.settings import HARMFUL
from outlast.live.running.run import Run, RunSettings
from outlast.live.running.versions import approve, put_to_work
from outlast.live.sources import opened
from outlast.tasks.power_data import CHANNELS, load_power

T, HORIZON, STREAMS = 64, 60, 16
DAY, HISTORY = 1440, 1_000_000
QUIET_DAYS, MOST_DAYS = 5, 36
NOISE = 2.0
"""Standard deviations of every channel."""
BY = "the demo"
SETTINGS = RunSettings(rows=64 * STREAMS, commit=0.5, canary_share=0.25, block=256, warm=12, auto=True)


def minutes() -> pl.DataFrame:
    """Every minute: its time, seven channels as the task prepares them, and the power itself in kW."""
    streams = load_power().test
    assert streams.clock is not None
    scaling = streams.about["scaling"][CHANNELS[0]]
    inputs = np.asarray(streams.inputs)
    power = np.exp(inputs[:, 0].astype(np.float64) * scaling["std"] + scaling["mean"]) - 1e-2
    columns = {"time": np.asarray(streams.clock.times).astype("datetime64[us]")}
    columns |= {name: inputs[:, number] for number, name in enumerate(CHANNELS)}
    return pl.DataFrame(columns | {"power": power})


def houses(table: pl.DataFrame) -> pl.DataFrame:
    """Sixteen stretches of the test years side by side, all on the calendar of the first one."""
    test = table.slice(1_000_000)
    length, found = len(test) // STREAMS, []
    for number in range(STREAMS):
        part = test.slice(number * length, length)
        midnight = part["time"].dt.truncate("1d")[0]
        first = part.filter(pl.col("time") >= midnight + pl.duration(days=1))
        begin = first["time"].dt.truncate("1d")[0]
        shifted = pl.lit(np.datetime64("2010-01-01", "us")) + (pl.col("time") - begin)
        found.append(first.with_columns(time=shifted, stream=pl.lit(f"house {number + 1:02d}")))
    return pl.concat(found).sort("time", "stream")


def days(table: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    begin = np.datetime64("2010-01-01", "us")
    low, high = (begin + np.timedelta64(day, "D") for day in (first, last))
    return table.filter((pl.col("time") >= low) & (pl.col("time") < high))


def disturbed(table: pl.DataFrame, day: int) -> pl.DataFrame:
    """With interference on the channels."""
    random = np.random.default_rng(day)
    noisy = {name: table[name] + NOISE * random.normal(size=len(table)) for name in CHANNELS}
    return table.with_columns(**noisy)


def arriving(table: pl.DataFrame, folder: Path) -> Iterator[int]:
    """Files of a day each."""
    for day in range(MOST_DAYS):
        part = days(table, day, day + 1)
        (part if day < QUIET_DAYS else disturbed(part, day)).write_csv(folder / f"day-{day:03d}.csv")
        yield day


def read(path: Path, schema: Any = None) -> outlast.Streams:
    """A table as the forecaster reads it."""
    if schema is not None:
        return outlast.Streams.from_table(path, schema=schema)
    return outlast.Streams.from_table(
        path, inputs=CHANNELS, target="power", horizon=HORIZON, aggregate="mean", bins=32, stream="stream",
        time="time", gaps="split", max_gap=1800, scale="none",
    )  # fmt: skip


def trained(corpus: outlast.Split) -> outlast.Recurrent:
    """Windows go on where others ended, for a week: it is fine at any age."""
    inputs = outlast.InputSpec("features", len(CHANNELS))
    model = outlast.build("gla", inputs=inputs, outputs=32, seed=0)
    how = outlast.TrainSettings(steps=1200, learning_rate=3e-3)
    outlast.fit(model, corpus.train, "classification", outlast.Carry(expected_run=10_080), T, how)
    return model


class Story:
    """Says what happens, with the seconds that went by."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/live-demo"))
    out, say = parser.parse_args().out, Story()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.set_num_threads(1)

    table = minutes()
    history = table.slice(0, HISTORY).with_columns(stream=pl.lit("history"))
    history.write_parquet(out / "history.parquet")
    corpus = outlast.split(read(out / "history.parquet"))
    model = trained(corpus)
    outlast.save(model, out / "first" / "model")
    say("a forecaster is trained")
    profile = outlast.make_profile(model, corpus, train_context=T, run_length=DAY, streams=STREAMS, every=128)
    profile.save(out / "first" / "profile")
    say(f"its profile: {profile}")

    ledger = Ledger(out / "live")
    put_to_work(ledger, out / "first" / "model", out / "first" / "profile", by=BY, because="the first")
    live, number, healed = houses(table), None, 0
    (out / "arriving").mkdir()
    run = Run(ledger, opened(str(out / "arriving")), out=out / "forecasts.jsonl", settings=SETTINGS, say=say)
    for day in arriving(live, out / "arriving"):
        if day == QUIET_DAYS:
            say(f"day {day}: interference begins")
        while run.step():
            pass
        harmful = [each for each in listed(ledger) if each.harm in HARMFUL]
        print(day, len(harmful), [h.closed for h in harmful][:5], run.roles.beside and run.roles.beside.part, run._evidence and str(run._evidence.finding))
        if number is None and len({each.stream for each in harmful}) >= 15:
            say(f"day {day}: {len(harmful)} incidents that hurt; a person has looked at them")
            for each in harmful:
                label(ledger, each.id, "real", by=BY)
            files = sorted((out / "arriving").glob("*.csv"))
            seen = pl.concat([pl.read_csv(each, try_parse_dates=True) for each in files])
            both = pl.concat([history, seen.select(history.columns).cast(dict(history.schema))])
            both.write_parquet(out / "both.parquet")
            more = outlast.split(read(out / "both.parquet", corpus.train.schema))
            candidate = retrain(
                ledger, more, model=model, profile=profile, train_context=T, by=BY,
                collecting=Collecting(), training=Training(training=outlast.TrainSettings(steps=600, learning_rate=2e-3)),
            )  # fmt: skip
            for gate in gates(ledger, candidate.id):
                say(f"gate {gate.name}: {'passed' if gate.passed else 'NOT passed'} {gate.figures}")
            if candidate.status != Status.GATED:
                say("refused")
                break
            number = approve(ledger, candidate.id, by=BY, because="came through its gates").id
        work = at_work(ledger)
        if work is not None and work.candidate is not None:
            healed += 1
            if healed > 4:
                break
    run.close()
    for each in run.store.history() if False else []:
        print(each)


if __name__ == "__main__":
    main()
