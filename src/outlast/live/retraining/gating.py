"""The third stage: what a trained candidate is held against before it may read along with the model at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from outlast.adapters import adapt
from outlast.data import Split
from outlast.errors import InputError, NotAskable
from outlast.evaluation.asked import the_measures
from outlast.folders import locked
from outlast.live.ledger.candidates import Candidate, gate, move
from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import Status
from outlast.live.making import make_profile
from outlast.live.profiles import Profile
from outlast.live.retraining.handing import handover
from outlast.live.retraining.later import Later, better, gone_quiet, later, no_worse_than_reset
from outlast.live.retraining.verified import (
    GATES,
    PROFILE,
    REQUIRED,
    check_moves,
    collected_of,
    files_in,
    folder_of,
    model_of,
    parent_of,
    result_of,
)
from outlast.model import Recurrent, device_of
from outlast.progress import WorkDone
from outlast.results import Repair, finite_or_null


@dataclass(frozen=True)
class _Held:
    """What gates are asked of."""

    model: Recurrent
    result: Repair
    found: Later | None
    why_not: str
    profile: Profile


def hold(
    ledger: Ledger,
    number: int,
    model: Recurrent,
    profile: Profile,
    data: Split,
    *,
    by: str,
    allow_code: bool = False,
    progress: WorkDone | None = None,
) -> Candidate:
    """Hold a trained candidate to all gates; one of another status stays as it is.

    Args:
        model: the one at work, from which it comes.
        profile: of it.
        data: the trusted corpus.
        allow_code: as for `outlast.load`.

    Raises:
        InputError: another model than the candidate comes from, or what an earlier stage wrote is not what the ledger
            says.
    """
    one, model = check_moves(ledger, number), adapt(model)
    if one.status != Status.TRAINED:
        return one
    fingerprint = parent_of(one, model)
    say = progress or (lambda what, share, loss: None)
    with locked(folder_of(ledger, number), f"outlast live retrain, candidate {number}"):
        trained = model_of(ledger, number, device_of(model), allow_code=allow_code)
        collected, _ = collected_of(ledger, number, model, fingerprint)
        result, found, why = result_of(ledger, number), None, ""
        try:
            own = _profiled(trained, profile, data, say)
            own.save(folder_of(ledger, number) / PROFILE)
            found = later(collected, (model, profile), (trained, own))
        except (InputError, NotAskable) as error:  # of a candidate that is no good
            why = str(error)
        held, failed = _Held(trained, result, found, why, profile), list[str]()
        for name, ask in _GATES.items():
            passed, figures = ask(held)
            figures = finite_or_null({**figures, "model": one.model})
            gate(ledger, number, GATES, name, passed=passed, figures=figures)
            if not passed:
                failed.append(name)
        measure = the_measures(profile.facts.measure, data.test)[0]
        figures = handover(model, trained, data.test, measure, profile.facts.train_context)
        figures = finite_or_null({**figures, "model": one.model})
        gate(ledger, number, GATES, "handover", passed=True, figures=figures)
    assert set(_GATES) == set(REQUIRED)
    if failed:
        return move(ledger, number, Status.REFUSED, by=by, because=f"not passed: {', '.join(failed)}")
    files = files_in(folder_of(ledger, number))
    return move(ledger, number, Status.GATED, by=by, because="came through all gates", files=files)


def _profiled(model: Recurrent, of: Profile, data: Split, say: WorkDone) -> Profile:
    """The candidate's own profile, made as that of the model at work was."""
    facts = of.facts
    return make_profile(
        model,
        data,
        train_context=facts.train_context,
        run_length=facts.run_length,
        streams=facts.streams,
        every=facts.every,
        measures=facts.measure,
        seed=facts.seed,
        progress=lambda share: say("profile of the candidate", share, None),
    )


def _finite(held: _Held) -> tuple[bool, dict[str, Any]]:
    """Parameters, predictions on held-out streams, and those on later incidents."""
    weights = all(bool(torch.isfinite(each).all()) for each in held.model.parameters())
    after = held.result.after
    notes = [note.said for note in after.notes if note.name == "not_finite"]
    broken = after.verdict is not None and after.verdict.name == "broken"
    probes = None if held.found is None else held.found.candidate.probes
    ahead = probes is not None and not bool(np.isinf(probes.loss).any() or np.isinf(probes.divergence).any())
    figures = {"weights": weights, "corpus": not notes and not broken, "later": ahead, "notes": notes}
    return all(figures[name] for name in ("weights", "corpus", "later")), figures


def _short(held: _Held) -> tuple[bool, dict[str, Any]]:
    found = held.result.short_context
    return found.held, {"difference": [found.difference, found.low, found.high], "margin": found.margin}


def _guards(held: _Held) -> tuple[bool, dict[str, Any]]:
    figures = {name: [each.difference, each.low, each.high] for name, each in held.result.guards.items()}
    return all(each.held for each in held.result.guards.values()), {"guards": figures}


def _corpus(held: _Held) -> tuple[bool, dict[str, Any]]:
    """At the oldest age on held-out streams no worse than the base by more than a tolerance, nor clearly worse than the
    base under its best periodic reset by more than that."""
    rivals, verdict = held.result.benefit.rivals, held.result.before.verdict
    tolerance = held.profile.facts.tolerance if verdict is None else verdict.tolerance
    base, reset = rivals["base"], rivals.get("periodic_reset")
    kept = base[2] <= tolerance
    behind = reset is not None and reset[0] > tolerance and reset[1] > 0
    figures = {"against_base": list(base), "against_reset": reset and list(reset), "tolerance": tolerance}
    return kept and not behind, figures


def _of_later(ask: Callable[[_Held, Later], tuple[bool, dict[str, Any]]]) -> _Ask:
    def asked(held: _Held) -> tuple[bool, dict[str, Any]]:
        return (False, {"because": held.why_not}) if held.found is None else ask(held, held.found)

    return asked


_Ask = Callable[[_Held], tuple[bool, dict[str, Any]]]

_GATES: dict[str, _Ask] = {
    "finite": _finite,
    "short contexts": _short,
    "guards": _guards,
    "corpus": _corpus,
    "later incidents": _of_later(lambda _, found: better(found)),
    "not worse than a reset": _of_later(lambda held, found: no_worse_than_reset(found, held.profile)),
    "alarm": _of_later(lambda _, found: gone_quiet(found)),
}
