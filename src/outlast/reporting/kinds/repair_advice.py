"""What to do next after a repair or a comparison of repairs: it follows from why the repair was refused."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from outlast.errors import InputError
from outlast.interventions import intervention, typed
from outlast.repairs import RepairSettings
from outlast.reporting import terms
from outlast.reporting.commands import Step, command, context, loading, saved
from outlast.reporting.kinds.first_steps import mend, without_training
from outlast.reporting.numbers import integer
from outlast.reporting.terms import level, unit
from outlast.results import Comparison, Evaluation, Refusal, Repair
from outlast.training import TrainSettings


@dataclass(frozen=True)
class _Refused:
    """A refused repair, and where its command is noted."""

    repair: Repair
    because: Refusal
    base: Evaluation
    one: bool  # made by `outlast repair`, not one of several that were compared

    def again(self, *options: str, intervention: str | None = None, steps: int | None = None) -> str:
        """The command that repairs once more, changed by `options`."""
        how = intervention or _intervention(self.repair)
        told = [f"--intervention {how}", f"--steps {steps or self.repair.steps}", *options]
        rate = self.repair.training.get("learning_rate")
        usual = rate in (None, TrainSettings().learning_rate)
        if not usual and not any("--learning-rate" in option for option in options):
            told.append(f"--learning-rate {rate:g}")
        if self.repair.guards:
            told.append(f"--guard {shlex.join(self.repair.guards)}")
        return command("repair", self.base.command, context(self.base), *told)

    def longer(self) -> str:
        """Carry, with a longer expected run than it had."""
        run = _expected_run(self.repair)
        return f"carry:expected_run={20 * self.base.train_context if run is None else 4 * run:g}"


def after_repair(repair: Repair) -> list[Step]:
    if repair.refused_because is None:
        return _after_acceptance(repair.before, "Keep the repaired model")
    if terms.untouched(repair):
        broken = repair.refused_because.name == "base_broken"
        return mend(repair.before) if broken else _leave_it(repair.before, "repair")
    return _after_refusal(_Refused(repair, repair.refused_because, repair.before, one=True))


def after_comparison(comparison: Comparison) -> list[Step]:
    base, row = comparison.base, terms.picked_row(comparison)
    if terms.untouched(comparison):
        because = comparison.refused_because
        return mend(base) if because and because.name == "base_broken" else _leave_it(base, "compare")
    if row is not None and row.name == comparison.winner:
        keep = f"Keep the model that {terms.repair_label(row.repair)} made, and leave the base model in reach"
        return _after_acceptance(base, keep)
    if row is None or row.repair.refused_because is None:
        return [Step("Try the usual interventions:", command("compare", base.command, context(base)))]
    return _after_refusal(_Refused(row.repair, row.repair.refused_because, base, one=False))


def _after_acceptance(before: Evaluation, keep: str) -> list[Step]:
    """Steps once a repair is accepted; `before` is the evaluation that carries the command."""
    folder = saved(before.command)
    if folder is None:
        first = Step(f"{keep} (from Python):", 'outlast.save(done.model, "repaired")')
    else:
        first = Step(f"{keep}: it is in {folder}. From Python:", f"model = {loading(folder, before.command)}")
    blueprint = before.model.get("blueprint") or {}
    code = ["--allow-code"] if folder is None and blueprint.get("kind") == "factory" else []
    return [
        first,
        Step(
            "Measure it once more on data that no choice was made on, before it replaces the base model:",
            command("evaluate", before.command, *code, context(before), model=folder or "repaired", data="OTHER_DATA"),
        ),
    ]


def _leave_it(base: Evaluation, verb: str) -> list[Step]:
    verdict = base.verdict
    again = command(verb, base.command, context(base), "--anyway")
    if verdict is not None and verdict.name in ("fails", "declines"):
        return [
            Step(
                f"Validation and test streams do not agree: the model {verdict.name} on the test streams. Give "
                f"validation streams that resemble what the model will meet, or go on all the same:",
                again,
            ),
            *without_training(base),
        ]
    further = 4 * base.oldest.age[1]
    return [
        Step("Leave the model as it is: up to the oldest age tested there is nothing that a repair could win back."),
        Step(
            "If it will run for longer than that without a reset, test older states, on streams that are long enough:",
            command("evaluate", base.command, context(base), f"--max-length {further}", data="LONGER_DATA"),
        ),
        Step("To go on all the same, for instance to make it better than it is:", again),
    ]


def _after_refusal(refused: _Refused) -> list[Step]:
    """What follows from the fault, then what helps the base without training, then the competition of others."""
    base, name = refused.base, refused.because.name
    steps = _NEXT[name](refused) if name in _NEXT else []
    helps = [] if name in ("no_benefit", "reset_it_instead") else without_training(base)
    others = [Step("Or let other interventions compete:", command("compare", base.command, context(base)))]
    return [*steps, *helps, *(others if refused.one else [])]


def _short_context_lost(refused: _Refused) -> list[Step]:
    guard, doses = refused.because.guard, [point.dose for point in refused.repair.doses]
    smallest = min(doses, default=0.5)
    where = f" The guard data {guard} lost; the test streams alone would not have shown it." if guard else ""
    return [
        Step(
            f"Hold short contexts closer to the untouched model (a stronger anchor), and let validation also choose "
            f"smaller doses than {smallest:g}, which cost less and keep most of the gain.{where}",
            refused.again(f"--anchor {4 * RepairSettings().anchor:g} --doses {smallest / 2:g} {smallest:g}"),
        )
    ]


def _broken(refused: _Refused) -> list[Step]:
    return [
        Step(
            "The training has led to weights that do not hold. Change the model more gently, with a lower learning "
            "rate:",
            refused.again(f"--learning-rate {_slower(refused.repair):.2g}"),
        )
    ]


def _slower(repair: Repair) -> float:
    rate = repair.training.get("learning_rate")
    return 0.3 * float(rate) if isinstance(rate, int | float) else 3e-4


def _no_benefit(refused: _Refused) -> list[Step]:
    helps = without_training(refused.base)
    if helps:
        return [Step("Reset the base model instead of repairing it; no training is needed for that."), *helps]
    return [_push(refused)]


def _push(refused: _Refused) -> Step:
    more = 2 * refused.repair.steps
    return Step(
        f"Push further: more steps than {integer(refused.repair.steps)}, and an expected run nearer to how long one "
        f"situation lasts in your data, so that training meets states as old as the oldest ones tested:",
        refused.again(intervention=refused.longer(), steps=more),
    )


def _still_fails(refused: _Refused) -> list[Step]:
    return [_push(refused)]


def _stopped_reading(refused: _Refused) -> list[Step]:
    return [
        Step(
            "The training seems to have taught it to answer without its inputs. Is the objective the one the model was "
            "made for, and are the inputs scaled as in its training? If so, change it more gently, with a lower "
            "learning rate:",
            refused.again(f"--learning-rate {_slower(refused.repair):.2g}"),
        ),
        Step(
            "Or let states meet foreign streams less often, so that what they hold stays worth reading: a longer "
            "expected run, or none that ends (tbtt):",
            refused.again(intervention=refused.longer()),
        ),
        Step("And with tbtt:", refused.again(intervention="tbtt")),
    ]


def _reset_it_instead(refused: _Refused) -> list[Step]:
    reset = refused.repair.after.resets.get("periodic_reset")
    every = refused.because.every or (reset.every if reset else refused.base.train_context)
    own, folder = refused.base.resets.get("periodic_reset"), saved(refused.base.command, "refused")
    gives = f"; so it gives {level(reset.loss, unit(refused.base))}" if reset else ""
    if gives and own:
        gives += f", the base reset every {integer(own.every)} positions {level(own.loss, unit(refused.base))}"
    made = "done.model" if refused.one else "done.models[NAME]"
    model = loading(folder, refused.base.command) if folder else made
    return [
        Step(
            f"Use the repaired model, and reset it every {integer(every)} positions{gives}:",
            f"model = outlast.with_reset({model}, every={every})",
        ),
        _push(refused),
    ]


def _plain_training_suffices(refused: _Refused) -> list[Step]:
    if refused.repair.control_passes:
        folder = saved(refused.base.command, "control")
        where = f": it is in {folder}" if folder else ""
        code = 'outlast.save(done.control, "repaired")'
        if folder:
            code = f"model = {loading(folder, refused.base.command)}"
        return [
            Step(
                f"Take the control, the same training from zero states: it passes every rule, and its starts are the "
                f"plain ones{where}.",
                code,
            )
        ]
    return [
        Step(
            "The starts add nothing that plain training does not give, and plain training alone does not pass either. "
            "Train the base longer in the plain way if that is enough, or choose starts that go further:",
            refused.again(intervention=refused.longer(), steps=2 * refused.repair.steps),
        )
    ]


_NEXT: dict[str, Callable[[_Refused], list[Step]]] = {
    "broken": _broken,
    "short_context_lost": _short_context_lost,
    "no_benefit": _no_benefit,
    "still_fails": _still_fails,
    "stopped_reading": _stopped_reading,
    "reset_it_instead": _reset_it_instead,
    "plain_training_suffices": _plain_training_suffices,
}


def _expected_run(repair: Repair) -> float | None:
    """Of carry, where it ends at all."""
    run = repair.intervention.get("expected_run")
    return float(run) if isinstance(run, int | float) and 0 < run < math.inf else None


def _intervention(repair: Repair) -> str:
    """The intervention as one types it."""
    try:
        return shlex.quote(typed(intervention(repair.intervention)))
    except InputError:  # one of somebody's own
        return "INTERVENTION"
