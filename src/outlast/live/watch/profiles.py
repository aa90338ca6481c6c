"""A profile: what a model at work usually looks like, and from where on that is an alarm."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cattrs
import numpy as np
import safetensors.numpy
import torch

from outlast.brief import briefly
from outlast.checkpoints import model_fingerprint
from outlast.checkpoints.states import tensors_sha256
from outlast.data import Streams
from outlast.diagnosis.support import Region
from outlast.diagnosis.views import Projections
from outlast.durations import written
from outlast.errors import InputError
from outlast.evaluation.measure import Outputs
from outlast.evaluation.measures import measure_of
from outlast.given_files import require_regular
from outlast.live.watch.alarms import Bars, Tail
from outlast.live.watch.signals import Senses
from outlast.model import Recurrent
from outlast.results import VERSION, write_atomically

RECORD, ARRAYS = "profile.json", "profile.safetensors"
SCHEMA = 1

Arrival = Literal["next", "given", "none"]
"""When targets are known: the next inputs are the targets; whoever watches gives them; or never."""


def arrival_of(streams: Streams) -> Arrival:
    """When the targets of such streams are known."""
    if streams.target_kind is None:
        return "none"
    return "next" if streams.targets is None else "given"


@dataclass(frozen=True)
class Usual:
    """What one signal is like on healthy streams.

    Args:
        mean, spread: of its values.
        tail: how unusual a value is.
        independent: probes that tell as much as if they were independent, of all there were.
    """

    mean: float
    spread: float
    tail: Tail
    independent: float


@dataclass(frozen=True)
class AgeLoss:
    """The loss of the same targets from states of ages [age[0], age[1])."""

    age: tuple[int, int]
    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Facts:
    """What a profile says in plain data.

    Args:
        model: fingerprint of its weights.
        train_context: T; a young state has read T/2 positions, and as many are scored.
        every: positions of a stream between probes.
        streams: of the fleet.
        run_length: positions of every stream between false alarms of the whole fleet.
        step: seconds a position takes, where that is known.
        healthy: held-out positions that the bars were set on.
        probes: that were made there.
        measure, unit: of losses; None: there were no targets.
        outputs: what the model's outputs are.
        targets: when they are known.
        shift: of targets that are the next inputs.
        usual: by signal.
        bars: with targets (where there were any), and without.
        parts: paths of the state's parts.
        sizes: (parts) mean and standard deviation of the logarithm of each one's size.
        excess: mean of what an old state loses by its age, with its interval.
        tolerance: in the unit of the measure, how much is worse.
        verdict: on held-out streams; None: there is none.
        age_curve: on held-out streams.
        share: of the model's own time that watching was measured to take while no incident is open; None: the rate was
            given.
        seed: of the projections.
        about: where the streams came from.
    """

    model: str
    train_context: int
    every: int
    streams: int
    run_length: int
    step: float | None
    healthy: int
    probes: int
    measure: str | None
    unit: str | None
    outputs: Outputs
    targets: Arrival
    shift: int
    usual: dict[str, Usual]
    bars: dict[str, Bars]
    parts: tuple[str, ...]
    sizes: tuple[tuple[float, float], ...]
    excess: tuple[float, float, float] | None
    tolerance: float
    verdict: str | None
    age_curve: tuple[AgeLoss, ...]
    share: float | None
    seed: int
    about: dict[str, Any]
    outlast: str = VERSION


@briefly
@dataclass(frozen=True, eq=False)
class Profile:
    """What `make_profile` made: `facts`, and the region that known states fill.

    Args:
        projections: (D, d) of every part, by its path.
    """

    facts: Facts
    region: Region
    projections: dict[str, np.ndarray]

    @property
    def half(self) -> int:
        """Positions that a young state has read, and that are scored then."""
        return max(1, self.facts.train_context // 2)

    def span(self, *, targets: bool) -> int:
        """Positions that a stream is recorded for, for one probe: targets that are the next inputs take some more."""
        return 2 * self.half + (self.facts.shift if self.facts.targets == "next" and targets else 0)

    def signals(self, *, targets: bool) -> Bars:
        """The bars to hold signals against.

        Raises:
            InputError: with targets, where the healthy streams had none.
        """
        name = "targets" if targets else "blind"
        if name not in self.facts.bars:
            raise InputError(
                "targets for a profile of streams without them",
                "no targets",
                "make a profile from streams with targets, or give none",
            )
        return self.facts.bars[name]

    def delay(self, *, targets: bool) -> int:
        """Positions after which one stream's alarm comes, at the latest on average, where every probe is as unusual
        as one healthy probe in a hundred."""
        bars = self.signals(targets=targets)
        probes = np.ceil(min(bars.values) / (np.log(100) - 2.0))
        return int((probes + 0.5) * self.facts.every) + self.half

    def senses(self, model: Recurrent) -> Senses:
        """How the model is to be looked at.

        Raises:
            InputError: another model than the profile is of.
        """
        found = model_fingerprint(model)
        if found != self.facts.model:
            raise InputError(
                f"a profile of the model {self.facts.model[:12]}… for {found[:12]}…",
                "the profile of this model",
                "make one: outlast live profile",
            )
        projections = Projections(model, self.facts.seed, heads=False)
        kept = [torch.from_numpy(self.projections[view.name]).double() for view in projections.views]
        projections.views = [replace(view, projection=own) for view, own in zip(projections.views, kept, strict=True)]
        target = model.schema.target if model.schema is not None else None
        measure = None if self.facts.measure is None else measure_of(self.facts.measure, target)
        return Senses(model, projections, self.region, np.array(self.facts.sizes).T, measure, self.facts.outputs)

    def __str__(self) -> str:
        facts = self.facts
        time = "" if not facts.step else f" ({written(facts.run_length * facts.step)})"
        of = "one stream" if facts.streams == 1 else f"each of {facts.streams:,} streams"
        told = [
            f"one false alarm in {facts.run_length:,} positions{time} of {of}, set on {facts.healthy:,} held-out ones",
            f"a probe every {facts.every:,} positions"
            + ("" if facts.share is None else f"; watching takes {100 * facts.share:.1f} % of the model's time"),
        ]
        for name, targets in (("with targets", True), ("without", False)):
            if targets and "targets" not in facts.bars:
                continue
            told.append(
                f"{name}: {', '.join(self.signals(targets=targets).signals)}; in one stream, a change that makes every "
                f"probe as unusual as one healthy one in a hundred is seen after about {self.delay(targets=targets):,} "
                "positions"
            )
        if facts.excess is not None:
            mean, low, high = facts.excess
            told.append(
                f"usually an old state does {'worse' if mean > 0 else 'better'} than a young one by {abs(mean):.3g} "
                f"{facts.unit} ({low:+.3g} to {high:+.3g})"
            )
        if facts.verdict in ("fails", "declines"):
            told.append(
                f"on these streams the model {facts.verdict}: that is usual now; repair it first (outlast repair)"
            )
        return "\n".join(told)

    def save(self, folder: str | Path) -> None:
        """Write `profile.json` and `profile.safetensors`.

        Raises:
            InputError: they cannot be written.
        """
        arrays = {f"region.{name}": getattr(self.region, name) for name in ("centre", "whiten", "known")}
        arrays |= {"region.radius": np.array([self.region.radius])}
        arrays |= {f"projection.{name}": each for name, each in self.projections.items()}
        arrays = {name: np.ascontiguousarray(each, np.float64) for name, each in arrays.items()}
        record = {"schema": SCHEMA, **_CONVERTER.unstructure(self.facts), "sha256": _hash(arrays)}
        folder = Path(folder)
        # The record is written last: it says that the arrays are there, and which.
        write_atomically(folder / ARRAYS, safetensors.numpy.save(arrays))
        write_atomically(folder / RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")


def load_profile(folder: str | Path) -> Profile:
    """The profile in a folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    folder = require_regular(Path(folder))
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if not isinstance(record, dict) or record.pop("schema", None) != SCHEMA:
            raise ValueError(f"no profile of schema {SCHEMA}")
        known = record.pop("sha256", None)
        facts = _CONVERTER.structure(record, Facts)
        arrays = safetensors.numpy.load((folder / ARRAYS).read_bytes())
        if known != _hash(arrays):
            raise ValueError(f"{ARRAYS} is not what was written")
        centre, whiten, states = (arrays[f"region.{name}"] for name in ("centre", "whiten", "known"))
        region = Region(centre, whiten, states, float(arrays["region.radius"][0]))
        projections = {name: arrays[f"projection.{name}"] for name in facts.parts}
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} without {Path(error.filename).name}", "a folder with a profile", "make one: outlast live profile"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError, safetensors.SafetensorError) as error:
        why = "; ".join(cattrs.transform_error(error)[:2]) if isinstance(error, cattrs.BaseValidationError) else error
        raise InputError(
            f"{folder}, whose profile cannot be used ({type(error).__name__}: {why})",
            "a profile as outlast wrote it",
            "make it again: outlast live profile",
        ) from None
    return Profile(facts, region, projections)


def _hash(arrays: dict[str, np.ndarray]) -> str:
    return tensors_sha256({name: torch.from_numpy(each.copy()) for name, each in arrays.items()})


_CONVERTER = cattrs.Converter()
