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
from outlast.reporting.labels import labels
from outlast.reporting.language import tell
from outlast.reporting.numbers import integer
from outlast.reporting.refusals import at_every
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
        return _after_acceptance(repair.before, tell("Keep the repaired model", "修復後のモデルを残します"))
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
        made = terms.repair_label(row.repair)
        keep = tell(
            f"Keep the model that {made} made, and leave the base model in reach",
            f"{made} で作ったモデルを残し、元のモデルもすぐ使えるようにしておきます",
        )
        return _after_acceptance(base, keep)
    if row is None or row.repair.refused_because is None:
        text = tell("Try the usual interventions:", "通常の介入を試します：")
        return [Step(text, command("compare", base.command, context(base)))]
    return _after_refusal(_Refused(row.repair, row.repair.refused_because, base, one=False))


def _after_acceptance(before: Evaluation, keep: str) -> list[Step]:
    """Steps once a repair is accepted; `before` is the evaluation that carries the command."""
    folder = saved(before.command)
    if folder is None:
        first = Step(tell(f"{keep} (from Python):", f"{keep}（Python から）："), 'outlast.save(done.model, "repaired")')
    else:
        text = tell(f"{keep}: it is in {folder}. From Python:", f"{keep}。{folder} にあります。Python から：")
        first = Step(text, f"model = {loading(folder, before.command)}")
    blueprint = before.model.get("blueprint") or {}
    code = ["--allow-code"] if folder is None and blueprint.get("kind") == "factory" else []
    return [
        first,
        Step(
            tell(
                "Measure it once more on data that no choice was made on, before it replaces the base model:",
                "元のモデルと置き換える前に、何の選択にも使っていないデータでもう一度測ります：",
            ),
            command("evaluate", before.command, *code, context(before), model=folder or "repaired", data="OTHER_DATA"),
        ),
    ]


def _leave_it(base: Evaluation, verb: str) -> list[Step]:
    verdict = base.verdict
    again = command(verb, base.command, context(base), "--anyway")
    if verdict is not None and verdict.name in ("fails", "declines"):
        return [
            Step(
                tell(
                    f"Validation and test streams do not agree: the model {verdict.name} on the test streams. Give "
                    "validation streams that resemble what the model will meet, or go on all the same:",
                    f"検証系列とテスト系列が一致しません（テスト系列での判定：{labels.BADGES[verdict.name]}）。"
                    "モデルが実際に出会うものに似た検証系列を与えるか、それでも続けるなら：",
                ),
                again,
            ),
            *without_training(base),
        ]
    further = 4 * base.oldest.age[1]
    return [
        Step(
            tell(
                "Leave the model as it is: up to the oldest age tested there is nothing that a repair could win back.",
                "モデルはそのままにします。調べた最も古い年齢まで、修復で取り戻せるものはありません。",
            )
        ),
        Step(
            tell(
                "If it will run for longer than that without a reset, test older states, on streams that are long "
                "enough:",
                "リセットせずにそれより長く動かすなら、十分に長い系列で、もっと古い状態を調べます：",
            ),
            command("evaluate", base.command, context(base, ages=f"--max-length {further}"), data="LONGER_DATA"),
        ),
        Step(
            tell(
                "To go on all the same, for instance to make it better than it is:",
                "それでも続けるなら（たとえば、今より良くするために）：",
            ),
            again,
        ),
    ]


def _after_refusal(refused: _Refused) -> list[Step]:
    """What follows from the fault, then what helps the base without training, then the competition of others."""
    base, name = refused.base, refused.because.name
    steps = _NEXT[name](refused) if name in _NEXT else []
    helps = [] if name in ("no_benefit", "reset_it_instead") else without_training(base)
    text = tell("Or let other interventions compete:", "または、他の介入を競わせます：")
    others = [Step(text, command("compare", base.command, context(base)))]
    return [*steps, *helps, *(others if refused.one else [])]


def _short_context_lost(refused: _Refused) -> list[Step]:
    guard, doses = refused.because.guard, [point.dose for point in refused.repair.doses]
    smallest, closer = min(doses, default=0.5), f"--anchor {4 * RepairSettings().anchor:g}"
    where = ""
    if guard:
        where = tell(
            f" The guard data {guard} lost; the test streams alone would not have shown it.",
            f"悪化したのはガードデータ {guard} で、テスト系列だけではわかりませんでした。",
        )
    if {"still_fails", "no_benefit"} & set(refused.because.also):  # smaller doses would gain even less
        more = 4 * refused.repair.steps
        return [
            Step(
                tell(
                    f"{integer(refused.repair.steps)} steps were too few for old states, too. Take {integer(more)}, "
                    f"and hold short contexts closer to the untouched model (a stronger anchor).{where}",
                    f"{integer(refused.repair.steps)} ステップでは古い状態にも足りませんでした。{integer(more)} "
                    f"ステップにし、短い文脈を元のモデルにもっと近く保ちます（より強いアンカー）。{where}",
                ),
                refused.again(closer, steps=more),
            )
        ]
    return [
        Step(
            tell(
                "Hold short contexts closer to the untouched model (a stronger anchor), and let validation also choose "
                f"smaller doses than {smallest:g}, which cost less and keep most of the gain.{where}",
                "短い文脈を元のモデルにもっと近く保ち（より強いアンカー）、検証で "
                f"{smallest:g} より小さい用量も選べるようにします。悪化が少なく、改善のほとんどは残ります。{where}",
            ),
            refused.again(f"{closer} --doses {smallest / 2:g} {smallest:g}"),
        )
    ]


def _broken(refused: _Refused) -> list[Step]:
    return [
        Step(
            tell(
                "The training has led to weights that do not hold. Change the model more gently, with a lower learning "
                "rate:",
                "学習で重みが壊れました。学習率を下げて、モデルをもっと緩やかに変えます：",
            ),
            refused.again(f"--learning-rate {_slower(refused.repair):.2g}"),
        )
    ]


def _slower(repair: Repair) -> float:
    rate = repair.training.get("learning_rate")
    return 0.3 * float(rate) if isinstance(rate, int | float) else 3e-4


def _no_benefit(refused: _Refused) -> list[Step]:
    helps = without_training(refused.base)
    if helps:
        text = tell(
            "Reset the base model instead of repairing it; no training is needed for that.",
            "修復する代わりに元のモデルをリセットします。学習は要りません。",
        )
        return [Step(text), *helps]
    return [_push(refused)]


def _push(refused: _Refused) -> Step:
    more = 2 * refused.repair.steps
    return Step(
        tell(
            f"Push further: more steps than {integer(refused.repair.steps)}, and an expected run nearer to how long "
            "one situation lasts in your data, so that training meets states as old as the oldest ones tested:",
            f"もっと進めます。{integer(refused.repair.steps)} より多いステップ数と、データの中で一つの状況が続く長さに"
            "より近い expected run で、調べた最も古い状態と同じくらい古い状態に学習で出会うようにします：",
        ),
        refused.again(intervention=refused.longer(), steps=more),
    )


def _still_fails(refused: _Refused) -> list[Step]:
    return [_push(refused)]


def _stopped_reading(refused: _Refused) -> list[Step]:
    return [
        Step(
            tell(
                "The training seems to have taught it to answer without its inputs. Is the objective the one the model "
                "was made for, and are the inputs scaled as in its training? If so, change it more gently, with a "
                "lower learning rate:",
                "学習によって、入力なしで答えることを覚えたようです。目的関数はこのモデル本来のもので、"
                "入力は学習時と同じ尺度ですか。そうであれば、学習率を下げて、もっと緩やかに変えます：",
            ),
            refused.again(f"--learning-rate {_slower(refused.repair):.2g}"),
        ),
        Step(
            tell(
                "Or let states meet foreign streams less often, so that what they hold stays worth reading: a longer "
                "expected run, or none that ends (tbtt):",
                "または、状態が別の系列に出会う頻度を下げ、状態の中身が読む価値のあるままにします。"
                "より長い expected run か、終わりのないもの（tbtt）を使います：",
            ),
            refused.again(intervention=refused.longer()),
        ),
        Step(tell("And with tbtt:", "tbtt では："), refused.again(intervention="tbtt")),
    ]


def _reset_it_instead(refused: _Refused) -> list[Step]:
    reset = refused.repair.after.resets.get("periodic_reset")
    every = refused.because.every or (reset.every if reset else refused.base.train_context)
    folder = saved(refused.base.command, "refused")
    gives = _given_by_resets(refused)
    made = "done.model" if refused.one else "done.models[NAME]"
    model = loading(folder, refused.base.command) if folder else made
    return [
        Step(
            tell(
                f"Use the repaired model, and reset it {at_every(every)}{gives}:",
                f"修復後のモデルを使い、{at_every(every)}にリセットします{gives}：",
            ),
            f"model = outlast.with_reset({model}, every={every})",
        ),
        _push(refused),
    ]


def _given_by_resets(refused: _Refused) -> str:
    """What the repaired model and the base give when they are reset, where both were measured."""
    reset, own = (each.resets.get("periodic_reset") for each in (refused.repair.after, refused.base))
    if reset is None:
        return ""
    gives = level(reset, unit(refused.base))
    if own is None:
        return tell(f"; so it gives {gives}", f"（損失 {gives}）")
    base = level(own, unit(refused.base))
    return tell(
        f"; so it gives {gives}, the base reset {at_every(own.every)} {base}",
        f"（損失 {gives}。元のモデルを{at_every(own.every)}にリセットすると {base}）",
    )


def _plain_training_suffices(refused: _Refused) -> list[Step]:
    if refused.repair.control_passes:
        folder = saved(refused.base.command, "control")
        where = tell(f": it is in {folder}", f"（{folder} にあります）") if folder else ""
        code = 'outlast.save(done.control, "repaired")'
        if folder:
            code = f"model = {loading(folder, refused.base.command)}"
        return [
            Step(
                tell(
                    "Take the control, the same training from zero states: it passes every rule, and its starts are "
                    f"the plain ones{where}.",
                    f"対照（ゼロ状態から始める同じ学習）を使います{where}。すべての規則を満たし、"
                    "初期状態は通常のままです。",
                ),
                code,
            )
        ]
    return [
        Step(
            tell(
                "The starts add nothing that plain training does not give, and plain training alone does not pass "
                "either. Train the base longer in the plain way if that is enough, or choose starts that go further:",
                "初期状態は通常の学習以上の改善をもたらさず、通常の学習だけでも合格しません。"
                "それで足りるなら元のモデルを通常の方法でもっと長く学習し、そうでなければ、"
                "もっと先まで進む初期状態を選びます：",
            ),
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
