"""The production loop from end to end, on household power: alarm, incidents, retraining, shadow, canary, promotion.

    python examples/live_demo.py --out runs/live-demo

A forecaster of the next hour's power is at work on sixteen streams, stretches of the test years shifted to one
calendar. On the sixth day something comes up that it has never read: interference, noise on all channels (planted; the
power that is to be forecast stays what it was). What happens then is what this shows, faster than it would happen:
the alarm, the states that are kept, a candidate that learns from them and from the first days of it, its gates, and the
stages on live data. `--show bad` and `--show poisoned` are two other stories, told below.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import outlast
from outlast.live.ledger import Ledger
from outlast.live.ledger.candidates import Candidate, candidates
from outlast.live.ledger.incidents import Recorded, label, listed
from outlast.live.ledger.tables import Status
from outlast.live.retrain import Collecting, Training, retrain
from outlast.live.retrain.pipeline import told
from outlast.live.retrain.settings import HARMFUL
from outlast.live.run.run import Run
from outlast.live.run.settings import RunSettings
from outlast.live.run.status import status
from outlast.live.run.timeline import timeline
from outlast.live.run.versions import approve, propose, put_to_work
from outlast.live.sources import opened
from outlast.results import save_result
from outlast.tasks.power import CHANNELS, load_power

T, HORIZON, STREAMS = 64, 60, 16
DAY, HISTORY, BLOCK = 1440, 1_000_000, 100_000
QUIET_DAYS, MOST_DAYS = 5, 36
HARMS = (*HARMFUL, "none_seen")
"""What incidents may be of which a candidate is made: here losses are unusual, and age is not the cause."""
NOISE = 2.0
"""Standard deviations of every channel."""
BY = "the demo"
SETTINGS = RunSettings(rows=64 * STREAMS, commit=0.5, canary_share=0.25, block=256, warm=40, auto=True)


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
    low, high = (pl.lit(begin + np.timedelta64(day, "D")) for day in (first, last))
    return table.filter(pl.col("time").is_between(low, high, closed="left"))


def disturbed(table: pl.DataFrame, day: int) -> pl.DataFrame:
    """With interference on the channels."""
    random = np.random.default_rng(day)
    noisy = {name: table[name] + NOISE * random.normal(size=len(table)) for name in CHANNELS}
    return table.with_columns(**noisy)


def read(path: Path, schema: Any = None) -> outlast.Streams:
    """A table as the forecaster reads it."""
    if schema is not None:
        return outlast.Streams.from_table(path, schema=schema)
    return outlast.Streams.from_table(
        path, inputs=CHANNELS, target="power", horizon=HORIZON, aggregate="mean", bins=32, stream="stream",
        time="time", gaps="split", max_gap=1800, scale="none",
    )  # fmt: skip


def trained(corpus: outlast.Split, steps: int) -> outlast.Recurrent:
    """Windows go on where others ended, for a week: it is fine at any age."""
    inputs = outlast.InputSpec("features", len(CHANNELS))
    model = outlast.build("gla", inputs=inputs, outputs=32, seed=0)
    how = outlast.TrainSettings(steps=steps, learning_rate=3e-3)
    outlast.fit(model, corpus.train, "classification", outlast.Carry(expected_run=10_080), T, how)
    return model


class Plant:
    """A forecaster at work on streams whose files arrive day by day.

    Args:
        out: folder of everything.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._began, self.day = out, time.monotonic(), 0
        shutil.rmtree(out, ignore_errors=True)
        (out / "arriving").mkdir(parents=True)
        table = minutes()
        # Blocks, each split by time: all seasons are trained on, and all are held out.
        block = pl.format("history {}", pl.int_range(HISTORY) // BLOCK)
        self.history: pl.DataFrame = table.slice(0, HISTORY).with_columns(stream=block)
        self.live: pl.DataFrame = houses(table)
        self.corpus: outlast.Split = outlast.split(read(self.written(self.history, "history")))
        folder = self.version("first", steps=1200)
        self.model: outlast.Recurrent = outlast.load(folder / "model")
        self.profile: outlast.Profile = outlast.load_profile(folder / "profile")
        self.say(f"a forecaster is trained; its profile: {self.profile}")
        self.ledger: Ledger = Ledger(out / "live")
        put_to_work(self.ledger, folder / "model", folder / "profile", by=BY, because="the first")
        source = opened(str(out / "arriving"))
        self.run: Run = Run(self.ledger, source, out=out / "forecasts.jsonl", settings=SETTINGS, say=self.say)

    def say(self, text: str) -> None:
        """What happens, with the seconds that went by."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)

    def version(self, name: str, steps: int) -> Path:
        """A model that is trained for so long, and its profile."""
        model, folder = trained(self.corpus, steps), self.out / name
        outlast.save(model, folder / "model")
        profile = outlast.make_profile(model, self.corpus, train_context=T, run_length=DAY, streams=STREAMS, every=128)
        profile.save(folder / "profile")
        return folder

    def written(self, table: pl.DataFrame, name: str) -> Path:
        path = self.out / f"{name}.parquet"
        table.write_parquet(path)
        return path

    def another_day(self, change: Callable[[pl.DataFrame, int], pl.DataFrame] | None = None) -> None:
        """One more file arrives, and is read."""
        part = days(self.live, self.day, self.day + 1)
        part = part if change is None else change(part, self.day)
        part.write_csv(self.out / "arriving" / f"day-{self.day:03d}.csv")
        self.day += 1
        while self.run.step():
            pass

    def judged(self) -> list[Recorded]:
        """Incidents that are open, and of which is known by now whether age is what hurts."""
        return [each for each in listed(self.ledger, open_only=True) if each.harm in HARMS]

    def until_it_shows(self, change: Callable[[pl.DataFrame, int], pl.DataFrame]) -> None:
        """Days go by until nearly all streams have an incident that is judged; then somebody looks at them."""
        while len(self.judged()) < STREAMS - 1:
            if self.day == MOST_DAYS:
                sys.exit("nothing came of it: see what the ledger says")
            self.another_day(change)
        self.say(f"day {self.day}: {len(self.judged())} streams have an incident; somebody has looked at them")
        for each in self.judged():
            label(self.ledger, each.id, "real", by=BY)

    def retrained(self, corpus: outlast.Split, collecting: Collecting) -> Candidate:
        """A candidate, as far as its gates."""
        how = Training(training=outlast.TrainSettings(steps=600, learning_rate=2e-3))
        found = retrain(
            self.ledger, corpus, model=self.model, profile=self.profile, train_context=T, by=BY,
            collecting=collecting, training=how,
        )  # fmt: skip
        self.say(told(self.ledger, found))
        return found

    def all_that_arrived(self) -> pl.DataFrame:
        """The history, and what came since."""
        files = sorted((self.out / "arriving").glob("*.csv"))
        seen = pl.concat([pl.read_csv(each, try_parse_dates=True) for each in files])
        return pl.concat([self.history, seen.select(self.history.columns).cast(self.history.schema)])

    def status(self) -> Status | None:
        """Of the candidate."""
        found = candidates(self.ledger)
        return found[0].status if found else None

    def done(self) -> None:
        self.run.close()
        print(status(self.ledger))
        found = timeline(self.ledger)
        self.ledger.close()
        save_result(found, self.out / "report" / "result.json")
        print(outlast.write_report([found], self.out / "report" / "report.html"))


def loop(plant: Plant) -> None:
    """Alarm, incidents, retraining, shadow, canary, promotion; then some days in which it has to be quiet."""
    while plant.day < QUIET_DAYS:
        plant.another_day()
    plant.say(f"day {plant.day}: interference begins")
    plant.until_it_shows(disturbed)
    both = plant.written(plant.all_that_arrived(), "both")
    # Of one incident a stream, half are for the gates: an interval over a third of sixteen streams is too wide.
    halves = Collecting(harms=HARMS, earlier=0.5)
    candidate = plant.retrained(outlast.split(read(both, plant.corpus.train.schema)), halves)
    if candidate.status == Status.GATED:
        approve(plant.ledger, candidate.id, by=BY, because="came through its gates")
        while plant.status() in (Status.SHADOW, Status.CANARY) and plant.day < MOST_DAYS:
            plant.another_day(disturbed)
    before = {each.id for each in listed(plant.ledger)}
    for _ in range(QUIET_DAYS):
        plant.another_day(disturbed)
    since = [each for each in listed(plant.ledger) if each.id not in before]
    plant.say(f"day {plant.day}: the candidate is {plant.status()}; {len(since)} incidents in {QUIET_DAYS} days since")


def bad(plant: Plant) -> None:
    """Somebody takes the wrong file, of a training that has hardly begun, and puts it to work by hand without waiting
    for any evidence. It is worse than the one before, and rolls itself back."""
    while plant.day < 2:
        plant.another_day()
    wrong = plant.version("wrong", steps=40)
    number = propose(plant.ledger, wrong / "model", wrong / "profile", by="somebody", because="the newest file").id
    for _ in ("a shadow", "a canary", "work"):
        approve(plant.ledger, number, by="somebody", because="in a hurry", anyway=True)
    plant.say("a person has put another version to work, without waiting for evidence")
    while plant.status() == Status.PROMOTED and plant.day < MOST_DAYS:
        plant.another_day()
    plant.say(f"day {plant.day}: the candidate is {plant.status()}")


def falsified(table: pl.DataFrame, day: int) -> pl.DataFrame:
    """Interference, and a power that has nothing to do with what was measured: targets that teach nonsense."""
    power = np.random.default_rng(day).permutation(table["power"].to_numpy())
    return disturbed(table, day).with_columns(power=pl.Series(power))


def poisoned(plant: Plant) -> None:
    """Somebody falsifies all targets that arrive, and a person trains with them: no candidate comes of it."""
    while plant.day < 2:
        plant.another_day()
    plant.say("from now on all targets that arrive are false")
    plant.until_it_shows(falsified)
    candidate = plant.retrained(plant.corpus, Collecting(harms=HARMS, continuation="arrived"))
    plant.say(f"the candidate is {candidate.status}")


SHOWS = {"loop": loop, "bad": bad, "poisoned": poisoned}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/live-demo"))
    parser.add_argument("--show", choices=list(SHOWS), default="loop")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    plant = Plant(asked.out)
    SHOWS[asked.show](plant)
    plant.done()


if __name__ == "__main__":
    main()
