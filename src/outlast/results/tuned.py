"""What choosing a remedy finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.results.kinds import Result, result_kind
from outlast.results.measured import Evaluation
from outlast.results.repaired import Benefit, Refusal, ShortContext


@dataclass(frozen=True)
class TriedRemedy:
    """What validation streams say of a remedy: its loss at the oldest age, and the difference from the model as it runs
    on, with its interval.

    Args:
        name: as it is typed, such as ``reset:640``.
        cost: what running it costs, in copies of the model.
        short: of a leak, how short contexts changed, with its interval; None: not at all.
        refused: the rule of acceptance that it breaks on validation streams already, so that it was not picked.
    """

    name: str
    cost: float
    loss: float
    difference: tuple[float, float, float]
    short: tuple[float, float, float] | None = None
    refused: str = ""


@dataclass(frozen=True)
class OtherRemedy:
    """The other remedy that test streams were asked about, and did not accept.

    Args:
        name: as it is typed.
        difference: from the model as it runs on at the oldest age, with its interval.
        because: why it is not accepted.
    """

    name: str
    difference: tuple[float, float, float]
    because: Refusal


@result_kind
@dataclass(frozen=True)
class Tuning(Result):
    """A model as it runs on and under the remedy that validation picked, and whether that is accepted.

    `remedy` is the picked one; ``none`` where nothing was done, and then `after` is `before`. `cost` is what a remedy
    might cost at most, and `tried` are those that validation chose from.

    Where test streams did not accept the first choice, they were asked about a second one, of another kind, whose
    intervals are simultaneous over both looks. `remedy` is the accepted one of the two, and the first where neither is;
    `other` is then the one that is left. None: they were asked once.
    """

    cost: float
    remedy: str
    tried: list[TriedRemedy]
    before: Evaluation
    after: Evaluation
    short_context: ShortContext
    benefit: Benefit
    accepted: bool
    refused_because: Refusal | None
    guards: dict[str, ShortContext] = field(default_factory=dict)
    other: OtherRemedy | None = None
    kind: str = "tune"
    outlast: str = ""
