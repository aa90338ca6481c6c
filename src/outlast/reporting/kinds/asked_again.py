"""The command that makes a refused repair once more, otherwise: as far as advice goes in one direction."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

from outlast.durations import seconds_of
from outlast.repairs import RepairSettings
from outlast.repairs.settings import BUDGET
from outlast.reporting.commands import command, context, same_ages
from outlast.reporting.refusals import Unsettled
from outlast.results import Evaluation, Refusal, Repair
from outlast.training import TrainSettings

MOST_STEPS, MOST_ANCHOR, LEAST_DOSE, LEAST_RATE = 8 * TrainSettings().steps, 64.0, 1 / 16, 1e-5
"""As far as advice goes in one direction; what did not help up to there is not what is missing."""
MOST_PASSES = 16.0
"""Times that training may read its data on advice: reading them again is worth less each time, and hardly anything past
some fifteen (arXiv 2305.16264). Up to there more steps come before more data, which are dearer."""
_OF_TRAINING = ("learning_rate", "batch_size", "seed", "read_ahead", "state_penalty", "state_dropout")
"""Settings of a training that one who makes it once more keeps."""
RUN_OF_OLDEST = 4
"""Times the oldest age tested that an expected run is advised for, at most: what is older nobody looks at."""


@dataclass(frozen=True)
class Refused:
    """A refused repair, and where its command is noted."""

    repair: Repair
    because: Refusal
    base: Evaluation
    one: bool  # made by `outlast repair`, not one of several that were compared
    tuned: bool = False  # whether a remedy helps the base is known already
    open: Unsettled | None = None  # the fault that refused it, where the figures show another one and not this one

    def again(
        self,
        *options: str,
        intervention: str | None = None,
        steps: int | None = None,
        data: str = "",
        scored: int | None = None,
    ) -> str:
        """The command that repairs once more, changed by `options`; with what decides an open fault too."""
        if self.open is not None:
            scored, data = scored or self.open.scored, data or ("" if self.open.scored else "MORE_DATA")
        how, record = intervention or _intervention(self.repair), self.repair.training
        changed = bool(options or data or scored) or how != _intervention(self.repair)
        told = [f"--intervention {how}", self._as_long(steps, goes_on=not changed), *options]
        for name in _OF_TRAINING:
            given, option = record.get(name), f"--{name.replace('_', '-')}"
            if given not in (None, getattr(TrainSettings(), name)) and option not in " ".join(options):
                told.append(f"{option} {given:g}")
        if self.anchor != RepairSettings().anchor and "--anchor" not in " ".join(options):
            told.append(f"--anchor {self.anchor:g}")
        if record.get("leak"):
            told.append(f"--leak {record['leak']:g}")
        if self.repair.guards:
            told.append(f"--guard {shlex.join(self.repair.guards)}")
        ages = same_ages(self.base) if data == "MORE_DATA" else None
        asked = [context(self.base, scored=scored, ages=ages), *filter(None, told)]
        return command("repair", self.base.command, *asked, data=data)

    def _as_long(self, steps: int | None, *, goes_on: bool) -> str:
        """For how long to train: steps, or the time that these will take about, after the end of what is there."""
        budget, out = self.repair.training.get("budget"), self.base.command.out
        if budget is None:
            return f"--steps {steps or self.repair.steps}"
        if steps is None:
            return "" if budget == seconds_of(BUDGET, "budget") else f"--budget {budget:g}s"
        resumed = f" --resume --out {shlex.quote(out)}" if goes_on and out else ""
        return f"--budget {budget * steps / self.repair.steps:g}s{resumed}"

    @property
    def anchor(self) -> float:
        """That it was trained with."""
        anchor = self.repair.training.get("anchor")
        return float(anchor) if isinstance(anchor, int | float) else RepairSettings().anchor

    def closer(self) -> str | None:
        """A stronger anchor; None: it was as strong as advice goes."""
        return f"--anchor {4 * self.anchor:g}" if 0 < self.anchor < MOST_ANCHOR else None

    @property
    def passes(self) -> float | None:
        """Times that training read its data; None: files of before do not say."""
        record = self.repair.training
        if not record.get("positions"):
            return None
        rows = self.repair.steps * record["batch_size"] * record["ranks"]
        return rows * self.base.train_context / record["positions"]

    @property
    def steps_pay(self) -> bool:
        """Whether it was not seen that further steps gain nothing."""
        return self.repair.training.get("ended") != "no_more_gain"

    def more_steps(self, times: int) -> int | None:
        """So many times as many, or as the data allow; None: there were as many as advice goes, or as paid."""
        if not self.steps_pay or self.repair.steps >= MOST_STEPS or (self.passes or 0) > MOST_PASSES / 2:
            return None
        if self.passes is not None:
            times = 4 if self.passes <= MOST_PASSES / 4 else 2
        return times * self.repair.steps

    def longer(self) -> str | None:
        """Carry, with a longer expected run than it had; None: it is as long as data tell anything about."""
        most = float(RUN_OF_OLDEST * self.base.oldest.age[1])
        longest = self.repair.training.get("longest_stream")
        most = min(most, float(longest)) if isinstance(longest, int) else most
        name, run = self.repair.intervention.get("name"), _expected_run(self.repair)
        if name == "tbtt" or (name == "carry" and run is None):  # without an end already
            return None
        wanted = min(most, 20.0 * self.base.train_context if run is None else 4 * run)
        return f"carry:expected_run={wanted:g}" if wanted > (run or 0) else None

    def slower(self) -> str | None:
        """A lower learning rate; None: it was as low as advice goes."""
        rate = 0.3 * float(self.repair.training.get("learning_rate", TrainSettings().learning_rate))
        return f"--learning-rate {rate:.2g}" if rate >= LEAST_RATE else None


def _expected_run(repair: Repair) -> float | None:
    """Of carry, where it ends at all."""
    run = repair.intervention.get("expected_run")
    return float(run) if isinstance(run, int | float) and 0 < run < math.inf else None


def _intervention(repair: Repair) -> str:
    """The intervention as one types it."""
    said = repair.typed
    if not said:
        from outlast.interventions import in_one_word  # loads torch: only for files of before, and what cannot be typed

        said = in_one_word(repair.intervention)
    return shlex.quote(said) if said else "INTERVENTION"
