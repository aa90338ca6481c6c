"""What is said of a plan: the advice, why, and what would change it."""

from __future__ import annotations

import math
from pathlib import Path

from outlast.reporting import verdict_reasons
from outlast.reporting.refusals import at_every
from outlast.reporting.verdict_reasons import bound
from outlast.reporting.words import terms
from outlast.reporting.words.language import Words, sentences, tell
from outlast.reporting.words.numbers import estimate, integer, number
from outlast.results import Change, Note, Outlook, Plan, RunEstimate, TriedRemedy

words = Words(Path(__file__).with_name("words.toml"))
"""Fixed words of a plan; those of every kind are in `reporting.words.labels`."""


def training_name(name: str, kind: str) -> str:
    """A training in words: an intervention by its label."""
    return words.KINDS.get(kind, name)


def loss(plan: Plan, value: float) -> str:
    """A mean loss on validation streams, with its unit."""
    return terms.with_unit(number(value, 4), terms.unit(plan.base))


def outlook(plan: Plan, each: Outlook) -> str:
    """ "2.47 nats (2.45 to 2.50)"."""
    told = estimate(each.loss, each.low, each.high, fine=True)
    value = terms.with_unit(told.value, terms.unit(plan.base))
    return tell(f"{value} ({told.interval})", f"{value}（{told.interval}）")


def now(plan: Plan) -> str:
    """The base at its oldest age, and what its best remedy makes of that, where it makes it better."""
    best, own = plan.rival, loss(plan, plan.untrained[0].loss)
    if best.name == "none":
        return own
    given, under = number(best.loss, 4), terms.remedy(best.name)
    return tell(f"{own} ({given} under {under})", f"{own}（{under}では {given}）")


def difference(plan: Plan, name: str) -> str:
    """A difference of the evidence, with its interval."""
    low, high = (float(plan.evidence[f"{name}_{end}"]) for end in ("low", "high"))
    return terms.with_interval(estimate(float(plan.evidence[name]), low, high, signed=True), terms.unit(plan.base))


def headline(plan: Plan) -> str:
    match plan.advice:
        case "mend":
            verdict = plan.base.verdict
            return verdict_reasons.broken(plan.base, verdict.because[0] if verdict else "")
        case "leave_it":
            return _leave_it(plan)
        case "tune":
            return _tune(plan)
        case "reset":
            return _reset(plan)
        case "repair":
            return _repair(plan)
    return _beyond(plan)


def _leave_it(plan: Plan) -> str:
    oldest = terms.oldest_age(plan.base.oldest)
    if plan.reason == "no_verdict":
        return tell(
            "There is no advice, because there is nothing to judge by: too few streams, or no targets.",
            "判断の材料がないため、助言はありません（系列が少なすぎるか、目標がありません）。",
        )
    verdict = plan.base.verdict
    if worthless := verdict_reasons.first_of_all(plan.base):
        return sentences(
            worthless,
            tell(
                "Nothing that was tried betters it enough to be worth it.",
                "試したもののどれも、見合うほどには良くなりません。",
            ),
        )
    if plan.reason == "undecided" and verdict is not None:
        return sentences(
            tell(
                f"Leave the model as it is for now: {oldest}, validation streams do not tell whether it fails, and "
                "nothing that was tried betters it enough to be worth it.",
                f"今はそのまま使います。{oldest}破綻しているかどうかは検証系列ではわからず、"
                "試したもののどれも、見合うほどには良くなりません。",
            ),
            bound(plan.base, verdict),
        )
    return tell(
        f"Leave the model as it is: {oldest}, it does as well as within its training context, and training on would "
        "gain next to nothing.",
        f"モデルはそのまま使います。{oldest}も学習文脈長以内と同じ性能で、さらに学習してもほとんど良くなりません。",
    )


def _tune(plan: Plan) -> str:
    picked, each, asked = plan.picked, plan.expected, plan.remedy
    assert picked is not None
    was, then, under = number(plan.untrained[0].loss, 4), loss(plan, picked.loss), terms.remedy(picked.name)
    where, measure = terms.oldest_age(plan.base.oldest), terms.measure_name(plan.base.measure)
    tuned = tell(
        f"Without training, {under} takes the {measure} {where} from {was} to {then}.",
        f"学習なしで、{under}により{where}の{measure}は {was} から {then} になります。",
    )
    if each is None or asked is None:
        none = tell(
            "No training that was tried is clearly better, or is expected to become better.",
            "試した学習のどれも、それより明らかに良くはなく、良くなる見込みもありません。",
        )
        return sentences(tuned, none)
    what, steps, reached = training_name(asked.name, asked.kind), integer(asked.steps), outlook(plan, each)
    later = tell(
        f"No short training did better. A whole one, {what} with {steps} steps, is expected to reach {reached}.",
        f"短い学習はどれもそれを上回りませんでした。{what}を {steps} ステップまで行えば {reached} の見込みです。",
    )
    return sentences(tuned, later)


def period(reset: TriedRemedy) -> int:
    """Of a reset."""
    return int(reset.name.split(":")[1])


def _reset(plan: Plan) -> str:
    found = plan.rival
    was, then = loss(plan, plan.untrained[0].loss), loss(plan, found.loss)
    every, measure = at_every(period(found)), terms.measure_name(plan.base.measure)
    return tell(
        f"Reset the state {every}: that takes the {measure} from {was} to {then} without any training, and no training "
        "that was tried is clearly better.",
        f"状態を{every}にリセットします。学習なしで{measure}が {was} から {then} になり、"
        "試した学習のどれも、それより明らかに良くはありません。",
    )


def _repair(plan: Plan) -> str:
    each, asked = plan.expected, plan.remedy
    assert each is not None
    assert asked is not None
    was, then = now(plan), outlook(plan, each)
    steps, measure = integer(asked.steps), terms.measure_name(plan.base.measure)
    where = terms.oldest_age(plan.base.oldest)
    return tell(
        f"Repair the model with {asked.name}, {steps} steps: {where}, its {measure} is expected to go from {was} to "
        f"{then}.",
        f"{asked.name}、{steps} ステップでモデルを修復します。{where}の{measure}は {was} から {then} になる"
        "見込みです。",
    )


def _beyond(plan: Plan) -> str:
    where, measure = terms.oldest_age(plan.base.oldest), terms.measure_name(plan.base.measure)
    if plan.reason == "nothing_helps":
        return tell(
            f"Starts are not enough: {where}, nothing that was tried lowers the {measure} clearly, neither other "
            "starts nor plain training nor a remedy without training.",
            f"初期状態だけでは足りません。{where}の{measure}は、試したもの（別の初期状態、通常の学習、学習なしの対処）の"
            "どれでも明らかには下がりません。",
        )
    each, asked = plan.expected, plan.remedy
    assert each is not None
    assert asked is not None
    was, then = now(plan), outlook(plan, each)
    what = training_name(asked.name, asked.kind)
    if plan.reason == "training_on_helps":
        return tell(
            f"Starts are not enough: most of what can be gained comes from training on, whatever windows start from. "
            f"With {what} the {measure} is expected to go from {was} to {then}, {where}.",
            f"初期状態だけでは足りません。良くなる分のほとんどは、窓をどこから始めても、学習を続けることで得られます。"
            f"{what}により、{where}の{measure}は {was} から {then} になる見込みです。",
        )
    return tell(
        f"Starts are not enough: with {what} as much or more is gained. The {measure} is then expected to go from "
        f"{was} to {then}, {where}.",
        f"初期状態だけでは足りません。{what}の方が同じかそれ以上に良く、{where}の{measure}は {was} から {then} になる"
        "見込みです。",
    )


def lead(plan: Plan) -> str:
    """What the advice rests on."""
    if not plan.pilots:
        return ""
    read = tell(
        "Measured on validation streams alone, with short trainings; the test streams were left for what is done.",
        "短い学習で、検証系列だけを使って測りました。テスト系列は実際の処置の確認のために残してあります。",
    )
    return sentences(_other_steps(plan), _because(plan), read)


def _other_steps(plan: Plan) -> str:
    """That other steps are planned than were asked for, and why; nothing where they are those."""
    asked, named = plan.settings.get("training", {}).get("steps"), plan.expected
    given = [each for each in plan.outlooks if named and (each.name, each.steps) == (named.name, asked)]
    if named is None or not given or named.steps == asked:
        return ""
    these, those, here = integer(given[0].steps), integer(named.steps), outlook(plan, given[0])
    if named.steps > given[0].steps:
        return tell(
            f"Asked for were {these} steps, which are expected to reach {here}. {those} are the fewest that are "
            "expected to give nine tenths of what twice as many as asked for give.",
            f"指定は {these} ステップで、見込みは {here} です。指定の二倍で得られる改善の九割に達する見込みの"
            f"最少のステップ数は {those} です。",
        )
    return tell(
        f"Asked for were {these} steps, which are expected to reach {here}; {those} are expected to give nine tenths "
        "of what can be gained.",
        f"指定は {these} ステップで、見込みは {here} です。{those} ステップで改善の九割に達する見込みです。",
    )


def _because(plan: Plan) -> str:
    evidence = plan.evidence
    if plan.advice == "repair" and "by_starts" in evidence:
        unclear = float(evidence["by_starts_high"]) >= 0
        return tell(
            f"After {integer(plan.pilots[-1].steps)} steps its pilot is {difference(plan, 'starts')} against the model "
            f"as it is best used without training, and {difference(plan, 'by_starts')} against plain training."
            f"{' Few streams do not make that clear; the repair makes its control, which will tell.' * unclear}",
            f"{integer(plan.pilots[-1].steps)} ステップの試行で、学習なしの最善の使い方に対して "
            f"{difference(plan, 'starts')}、通常の学習に対して {difference(plan, 'by_starts')} でした。"
            f"{'この系列数では確かではなく、修復が作る対照で確かめられます。' * unclear}",
        )
    if plan.reason in ("plain_training_does_as_well", "training_on_helps") and "by_starts" in evidence:
        return tell(
            f"Against the model as it is best used without training, the pilot of plain training is "
            f"{difference(plan, 'plain')}; the best starts add {difference(plan, 'by_starts')} to that.",
            f"学習なしの最善の使い方に対して、通常の学習の試行は {difference(plan, 'plain')}、"
            f"最も良い初期状態がさらに {difference(plan, 'by_starts')} を加えます。",
        )
    if plan.reason == "longer_windows_do_better":
        return tell(
            f"Longer windows, as many positions a step, are {difference(plan, 'longer_windows')} against the model as "
            f"it is best used without training; the best starts are {difference(plan, 'starts')}.",
            f"一ステップの位置の数を変えずに窓を長くすると、学習なしの最善の使い方に対して "
            f"{difference(plan, 'longer_windows')}、最も良い初期状態では {difference(plan, 'starts')} です。",
        )
    trained = [name for name in ("starts", "plain", "longer_windows") if name in evidence]
    if not trained:
        return ""
    best, steps = min(trained, key=lambda name: float(evidence[name])), integer(plan.pilots[-1].steps)
    apart = difference(plan, best)
    return tell(
        f"The best training that was tried is, after {steps} steps, {apart} against the model as it is best used "
        "without training.",
        f"試した中で最も良い学習は、{steps} ステップの後、学習なしの最善の使い方に対して {apart} です。",
    )


def run(each: RunEstimate) -> str:
    """How long one situation lasts in some of the streams."""
    where = words.TRAINING if each.streams == "training" else words.VALIDATION
    if each.run is None:
        said = tell("no situations that last were found; one rule holds everywhere", "続く状況は見つかりません")
    elif each.endless:
        length = integer(round(each.run))
        said = tell(
            f"longer than {length} positions, the most that was looked at", f"調べた最大の {length} 位置より長い"
        )
    else:
        low, high = (integer(round(end or 0)) for end in (each.low, each.high))
        length = integer(round(each.run))
        said = tell(f"{length} positions ({low} to {high})", f"{length} 位置（{low} 〜 {high}）")
    return tell(f"In {where}: {said}.", f"{where}：{said}。")


def diverged(note: Note) -> str:
    """A training that did not hold."""
    name, steps = str(note.facts["name"]), integer(int(note.facts["steps"]))
    return tell(
        f"{name}, {steps} steps: its loss stopped being a number, and it was tried no further. A lower learning rate "
        "may hold.",
        f"{name}、{steps} ステップ：損失が数でなくなったため、それ以上は試していません。学習率を下げれば"
        "うまくいくかもしれません。",
    )


def _without_training(plan: Plan, each: Change) -> str:
    """What remedies would change."""
    facts = each.facts
    given = loss(plan, float(facts.get("loss", 0.0)))
    match each.name:
        case "no_resets":
            return tell(
                "If the model must not be reset, because what it holds is needed: a longer training would have to be "
                "tried, and may not be enough.",
                "状態に必要な内容があってリセットできない場合：より長い学習を試すことになりますが、足りるとは限りません。",
            )
        case "no_remedy":
            return tell(
                "If the model must neither be reset nor forget, because what it holds is needed: a longer training "
                "would have to be tried, and may not be enough.",
                "状態に必要な内容があり、リセットも忘却もできない場合：より長い学習を試すことになりますが、足りるとは"
                "限りません。",
            )
        case "no_training":
            under = terms.remedy(str(facts["remedy"]))
            return tell(
                f"If nothing may be trained, or not yet: {under} gives {given} at no extra cost of running. "
                "outlast tune judges it on test streams.",
                f"学習ができない、またはまだしない場合：{under}で、実行費用を増やさずに {given} になります。"
                "outlast tune がテスト系列で判定します。",
            )
        case "dearer":
            under = terms.remedy(str(facts["remedy"]))
            cost = f"{math.ceil(100 * float(facts['cost'])) / 100:g}"  # never below: it is typed
            return tell(
                f"If running may cost {cost} times as much: {under} gives {given} at once (outlast tune "
                f"--cost {cost}).",
                f"実行費用が {cost} 倍でもよい場合：{under}で、すぐに {given} になります"
                f"（outlast tune --cost {cost}）。",
            )
    every = at_every(int(facts["every"]))
    return tell(
        f"If running may cost twice as much: two overlapping copies, each reset {every}, give {given} at once.",
        f"実行費用が二倍でもよい場合：二つの複製を{every}に交互にリセットすれば、すぐに {given} になります。",
    )


def change(plan: Plan, each: Change) -> str:
    """One thing that would change the advice."""
    facts = each.facts
    match each.name:
        case "no_resets" | "no_remedy" | "no_training" | "dearer" | "two_copies":
            return _without_training(plan, each)
        case "short_contexts":
            anchor = number(float(facts["anchor"]), 2)
            return tell(
                "If short contexts must hold: the pilot does not yet show that they do. A stronger anchor "
                f"(--anchor {anchor}) holds them closer.",
                f"短い文脈を必ず保つ場合：試行ではまだ確かではありません。より強いアンカー（--anchor {anchor}）で"
                "元のモデルに近く保てます。",
            )
        case "worth_less":
            value = number(float(facts["value"]), 3)
            return tell(
                f"If a day with one unit less of loss is worth less than {value}: the repair does not pay for itself "
                "within a year.",
                f"損失が一単位低い一日の価値が {value} より小さい場合：修復は一年以内に元が取れません。",
            )
        case "never_pays":
            return tell("It is not expected to pay for itself.", "元が取れる見込みはありません。")
        case "other_starts":
            given = loss(plan, float(facts["loss"]))
            return tell(
                f"{facts['name']} may do as well: {given} is expected of it. outlast compare tells.",
                f"{facts['name']} も同じくらい良いかもしれません（見込み {given}）。outlast compare で確かめられます。",
            )
        case "more_streams":
            needed = integer(int(facts["needed"]))
            return tell(
                f"With more streams, about {needed}: then it is known whether the model fails.",
                f"系列を約 {needed} 本に増やした場合：破綻しているかどうかがわかります。",
            )
    age = integer(int(facts["age"]))
    return tell(
        f"If it runs on beyond {age} positions without a reset: nothing older was measured.",
        f"リセットせずに {age} 位置を超えて動かす場合：それより古い状態は測っていません。",
    )
