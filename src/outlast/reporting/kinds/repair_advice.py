"""What to do next after a repair or a comparison of repairs: it follows from why the repair was refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from outlast.reporting.commands import Step, command, context, loading, saved
from outlast.reporting.kinds.asked_again import LEAST_DOSE, Refused
from outlast.reporting.kinds.evaluation import untouched
from outlast.reporting.kinds.first_steps import better_first, leak_code, reset_code, settling, without_training
from outlast.reporting.pairing import paired, unbeaten
from outlast.reporting.refusals import (
    Unsettled,
    at_every,
    equal_to_the_base,
    obstacle,
    open_whole,
    settled,
    suffices,
    unsettled,
)
from outlast.reporting.words import terms
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import estimate, integer, number
from outlast.reporting.words.terms import level, unit
from outlast.results import Comparison, Evaluation, Repair, UnderRemedy


def after_repair(repair: Repair) -> list[Step]:
    if repair.refused_because is None:
        return _after_acceptance(repair, repair.before, tell("Keep the repaired model", "修復後のモデルを残します"))
    if terms.untouched(repair):
        return untouched(repair.before, repair.refused_because, "repair")
    return _after_refusal(Refused(repair, repair.refused_because, repair.before, one=True))


def after_comparison(comparison: Comparison) -> list[Step]:
    base, row = comparison.base, terms.picked_row(comparison)
    if terms.untouched(comparison):
        return untouched(base, comparison.refused_because, "compare")
    if row is not None and row.name == comparison.winner:
        made = terms.repair_label(row.repair)
        keep = tell(
            f"Keep the model that {made} made, and leave the base model in reach",
            f"{made} で作ったモデルを残し、元のモデルもすぐ使えるようにしておきます",
        )
        return _after_acceptance(row.repair, base, keep)
    if row is None or row.repair.refused_because is None:
        text = tell("Try the usual interventions:", "通常の介入を試します：")
        return [Step(text, command("compare", base.command, context(base)))]
    tuned = comparison.tuning is not None
    return _after_refusal(Refused(row.repair, row.repair.refused_because, base, one=False, tuned=tuned))


def _after_acceptance(repair: Repair, before: Evaluation, keep: str) -> list[Step]:
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
        *_on_top(repair, before, folder),
        Step(
            tell(
                "Measure it once more on data that no choice was made on, before it replaces the base model:",
                "元のモデルと置き換える前に、何の選択にも使っていないデータでもう一度測ります：",
            ),
            command("evaluate", before.command, *code, context(before), model=folder or "repaired", data="OTHER_DATA"),
        ),
    ]


def _on_top(repair: Repair, before: Evaluation, folder: str | None) -> list[Step]:
    """The leak that validation likes on top of a repair."""
    if (leak := repair.on_top) is None:
        return []
    change = estimate(*paired(repair.after, np.array(leak.per_stream) - repair.after.oldest.per_stream), signed=True)
    against, named = terms.with_interval(change, unit(repair.after)), terms.remedy(leak.name)
    text = tell(
        f"Or run it under {named}, which validation streams like on top of it; on test streams that is {against} at "
        "the oldest age, against the repair alone:",
        f"または、検証系列でさらに良くなった{named}を加えて動かします。テスト系列の最も古い年齢では、"
        f"修復だけの場合との差は {against} です：",
    )
    return [Step(text, _under(leak.name, before, folder, "done.model"))]


def _after_refusal(refused: Refused) -> list[Step]:
    """What follows from the fault, then what helps the base without training, then the competition of others."""
    base, shown = refused.base, settled(refused.repair)
    first, guess = obstacle(refused.repair), unbeaten(base)
    if (guess and guess[1][1] > 0) or (first and first.name == "stopped_reading" and equal_to_the_base(refused.repair)):
        return better_first(base)
    if shown and shown[0] != refused.because.name:
        # The fault that refused it may be none: what is advised is about one that the figures show.
        also = [name for name in (refused.because.name, *refused.because.also) if name != shown[0]]
        still_open = unsettled(refused.repair, refused.because.name)
        read_on = refused.passes is not None and refused.more_steps(2) and _NEXT.get(shown[0]) is _push
        if still_open and still_open.scored is None and read_on:
            still_open = None  # the steps that are advised move it too
        refused = replace(refused, because=replace(refused.because, name=shown[0], also=also), open=still_open)
    name, missing = refused.because.name, open_whole(refused.repair)
    steps = _settled_by(refused, missing) if missing else _NEXT[name](refused) if name in _NEXT else []
    if not steps:
        steps = [_something_else(refused)]
    elif refused.open is not None and steps[0].code is not None and steps[0].code.startswith("outlast repair"):
        steps[0] = steps[0]._replace(text=sentences(_first(refused, refused.open), steps[0].text))
    known = refused.tuned or (name in ("no_benefit", "remedy_suffices") and not missing)
    helps = [] if known else without_training(base, refused.repair.remedies.get("leak"))
    text = tell("Or let other interventions compete:", "または、他の介入を競わせます：")
    others = [Step(text, command("compare", base.command, context(base)))]
    return [*steps, *helps, *(others if refused.one and not missing else [])]


def _first(refused: Refused, missing: Unsettled) -> str:
    """What an open fault needs beside the step that answers the one that figures show."""
    base = refused.base
    if missing.scored is not None:
        every = integer(missing.scored)
        return tell(
            f"Score all {every} targets of each stream: without that it would be refused for the same reason.",
            f"各系列の {every} 個すべての目標を採点します。そうしなければ、同じ理由で再び棄却されます。",
        )
    needed = terms.streams(math.ceil(missing.times * base.oldest.n), terms.unit_of(base))
    return tell(
        f"Take more data, about {needed}: with these alone it would be refused for the same reason.",
        f"データを増やします（{needed}ほど）。今のデータだけでは、同じ理由で再び棄却されます。",
    )


def _settled_by(refused: Refused, missing: Unsettled) -> list[Step]:
    """What would settle a refusal of which nothing is: more steps before more data, where training read its data few
    times; a better repair is told from a bad one on fewer streams."""
    more, passes = refused.more_steps(2), refused.passes
    if missing.scored is not None or passes is None or more is None:
        return [_settle(refused, missing)]
    read, steps = number(passes, 2), integer(refused.repair.steps)
    text = tell(
        f"No figure says that this repair fails, and it may only be young: in {steps} steps training read its data "
        f"{read} times. Train it for {integer(more)} steps, which costs less than more data:",
        f"この修復が悪いことを示す値はなく、学習が足りないだけかもしれません。{steps} ステップで学習データを読んだのは "
        f"{read} 回です。データを増やすより安い {integer(more)} ステップの学習を試します：",
    )
    return [Step(text, refused.again(steps=more)), _settle(refused, missing)]


def _settle(refused: Refused, missing: Unsettled) -> Step:
    """More data, or more of their targets, where these are all that is missing."""
    times = number(missing.times, 2)
    more = tell(f" ({times} times as many)", f"（約 {times} 倍）")
    text = settling(missing, refused.base, tell("this repair", "この修復"), more)
    data = "MORE_DATA" if missing.scored is None else ""
    return Step(text, refused.again(scored=missing.scored, data=data))


def _something_else(refused: Refused) -> Step:
    """Where what is usually advised has been tried as far as advice goes."""
    text = tell(
        "More of the same will not do: it was trained as long, as slowly and as close to the base as advice goes. A "
        "plan tries other remedies on a small scale and says which of them pays:",
        "同じことを続けても足りません。学習の長さも遅さも元のモデルへの近さも、勧められる限界まで試しました。"
        "計画は、他の対処を小さな規模で試し、どれが見合うかを示します：",
    )
    return Step(text, command("plan", refused.base.command, context(refused.base)))


def _short_context_lost(refused: Refused) -> list[Step]:
    guard, doses = refused.because.guard, [point.dose for point in refused.repair.doses]
    smallest, closer = min(doses, default=0.5), refused.closer()
    where = ""
    if guard:
        where = tell(
            f" The guard data {guard} lost; the test streams alone would not have shown it.",
            f"悪化したのはガードデータ {guard} で、テスト系列だけではわかりませんでした。",
        )
    # Smaller doses would gain even less.
    also = {"still_fails", "no_benefit"} & set(refused.because.also) & set(settled(refused.repair))
    more = refused.more_steps(4)
    if also and more is not None and closer is not None:
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
    if also or closer is None or smallest / 2 < LEAST_DOSE:
        return []
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


def _broken(refused: Refused) -> list[Step]:
    slower = refused.slower()
    if slower is None:
        return []
    return [
        Step(
            tell(
                "The training has led to weights that do not hold. Change the model more gently, with a lower learning "
                "rate:",
                "学習で重みが壊れました。学習率を下げて、モデルをもっと緩やかに変えます：",
            ),
            refused.again(slower),
        )
    ]


def _no_benefit(refused: Refused) -> list[Step]:
    helps = [] if refused.tuned else without_training(refused.base, refused.repair.remedies.get("leak"))
    if helps:
        text = tell(
            "Tune the base model instead of repairing it; no training is needed for that.",
            "修復する代わりに元のモデルを調整します。学習は要りません。",
        )
        return [Step(text), *helps]
    return _push(refused)


def _push(refused: Refused) -> list[Step]:
    """More steps, and a longer run as far as data tell anything about one; nothing where both went as far."""
    more, longer = refused.more_steps(2), refused.longer()
    if more is None and longer is not None and not refused.steps_pay:
        text = tell(
            "More steps gained next to nothing. Let training meet older states, with an expected run nearer to how "
            "long one situation lasts in your data:",
            "ステップ数を増やしても、ほとんど改善しませんでした。データの中で一つの状況が続く長さにより近い "
            "expected run で、もっと古い状態に学習で出会うようにします：",
        )
        return [Step(text, refused.again(intervention=longer))]
    if more is None:
        return []
    if longer is None:
        text = tell(
            f"Push further: more steps than {integer(refused.repair.steps)}. Its runs are as long as these data tell "
            "anything about:",
            f"もっと進めます。{integer(refused.repair.steps)} より多いステップ数にします。"
            "expected run は、このデータでわかる限り長くしてあります：",
        )
        return [Step(text, refused.again(steps=more))]
    text = tell(
        f"Push further: more steps than {integer(refused.repair.steps)}, and an expected run nearer to how long "
        "one situation lasts in your data, so that training meets states as old as the oldest ones tested:",
        f"もっと進めます。{integer(refused.repair.steps)} より多いステップ数と、データの中で一つの状況が続く長さに"
        "より近い expected run で、調べた最も古い状態と同じくらい古い状態に学習で出会うようにします：",
    )
    return [Step(text, refused.again(intervention=longer, steps=more))]


def _stopped_reading(refused: Refused) -> list[Step]:
    found, slower, longer = [], refused.slower(), refused.longer()
    if slower is not None:
        text = tell(
            "The training seems to have taught it to answer without its inputs. Is the objective the one the model "
            "was made for, and are the inputs scaled as in its training? If so, change it more gently, with a "
            "lower learning rate:",
            "学習によって、入力なしで答えることを覚えたようです。目的関数はこのモデル本来のもので、"
            "入力は学習時と同じ尺度ですか。そうであれば、学習率を下げて、もっと緩やかに変えます：",
        )
        found.append(Step(text, refused.again(slower)))
    if longer is not None:
        text = tell(
            "Or let states meet foreign streams less often, so that what they hold stays worth reading: a longer "
            "expected run, or none that ends (tbtt):",
            "または、状態が別の系列に出会う頻度を下げ、状態の中身が読む価値のあるままにします。"
            "より長い expected run か、終わりのないもの（tbtt）を使います：",
        )
        found.append(Step(text, refused.again(intervention=longer)))
        found.append(Step(tell("And with tbtt:", "tbtt では："), refused.again(intervention="tbtt")))
    return found


def _remedy_suffices(refused: Refused) -> list[Step]:
    after, base, found = refused.repair.after, refused.base, suffices(refused.repair)
    made, folder = "done.model" if refused.one else "done.models[NAME]", saved(base.command, "refused")
    if isinstance(found, UnderRemedy):
        gives, leak = level(found, unit(base)), terms.remedy(found.name)
        text = tell(
            f"Use the repaired model under {leak}; so it gives {gives}:",
            f"修復後のモデルに{leak}を加えて使います（損失 {gives}）：",
        )
        return [Step(text, _under(found.name, base, folder, made)), *_push(refused)]
    every = found.every if found else base.train_context
    fine = after.verdict and after.verdict.holds
    # What is robust, tune leaves as it is, and what is under a remedy it does not take.
    tunes = folder is not None and not fine and "remedy" not in after.model
    code = command("tune", base.command, context(base), model=folder) if tunes else None
    return [
        Step(
            tell(
                f"Use the repaired model, and reset it {at_every(every)}{_given_by_resets(refused)}:",
                f"修復後のモデルを{at_every(every)}にリセットします{_given_by_resets(refused)}：",
            ),
            code or _under(f"reset:{every}", base, folder, made),
        ),
        *_push(refused),
    ]


def _under(remedy: str, base: Evaluation, folder: str | None, made: str) -> str:
    """What runs a model under a remedy: the one in a folder, or where there is none the one that Python has `made`."""
    if folder is not None:
        return command("stream", replace(base.command, options=""), f"--resets {remedy}", model=folder, data=None)
    kind, number, *_ = remedy.split(":")
    return leak_code(remedy, made) if kind == "leak" else reset_code("periodic_reset", int(number), made)


def _given_by_resets(refused: Refused) -> str:
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


def _plain_training_suffices(refused: Refused) -> list[Step]:
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
    more, longer = refused.more_steps(2), refused.longer()
    if more is None:
        return []
    return [
        Step(
            tell(
                "The starts add nothing that plain training does not give, and plain training alone does not pass "
                "either. Train the base longer in the plain way if that is enough, or choose starts that go further:",
                "初期状態は通常の学習以上の改善をもたらさず、通常の学習だけでも合格しません。"
                "それで足りるなら元のモデルを通常の方法でもっと長く学習し、そうでなければ、"
                "もっと先まで進む初期状態を選びます：",
            ),
            refused.again(intervention=longer, steps=more),
        )
    ]


_NEXT: dict[str, Callable[[Refused], list[Step]]] = {
    "broken": _broken,
    "short_context_lost": _short_context_lost,
    "undecided": _short_context_lost,
    "no_benefit": _no_benefit,
    "still_fails": _push,
    "stopped_reading": _stopped_reading,
    "remedy_suffices": _remedy_suffices,
    "declines": _push,
    "plain_training_suffices": _plain_training_suffices,
}
