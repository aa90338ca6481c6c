"""The evidence for each cause: one plain sentence that needs no statistics, and the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Callable

from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, spoken, tell
from outlast.reporting.words.numbers import estimate, integer, number, percent
from outlast.results import Cause

Facts = dict[str, float | int | str]


def plain(cause: Cause) -> str:
    """What was seen, in one sentence."""
    said = _PLAIN.get(cause.name)
    return said(cause.found, cause.facts) if said else terms.reason(cause.because[0]) if cause.because else ""


def numbers(cause: Cause, unit: str) -> list[str]:
    """The figures behind it; as the result says them where it carries none by name.

    Args:
        unit: of the losses that causes were asked in.
    """
    found = _numbers(cause.facts, unit)
    if found or spoken() != "en":
        return found
    return [terms.reason(each) for each in cause.because]


def _numerics(found: bool | None, facts: Facts) -> str:
    if found is None:
        return tell(
            "The model could not be run in double precision, so rounding could not be asked about.",
            "モデルを倍精度で動かせなかったため、丸め誤差の影響は調べられませんでした。",
        )
    if found:
        return tell(
            "Computed in double precision, the model does clearly better at old ages: that is what rounding costs.",
            "倍精度で計算すると、古い年齢で明らかに良くなります。その差は丸め誤差によるものです。",
        )
    return tell(
        "Computing in double precision does not take the harm at old ages away: rounding is not the reason.",
        "倍精度で計算しても、古い年齢での害はなくなりません。丸め誤差は理由ではありません。",
    )


def _attention_window(found: bool | None, facts: Facts) -> str:
    if found is None:
        return tell(
            "What the age of the state costs could not be split between the parts of the state.",
            "状態の年齢による害を、状態の部分ごとに分けることができませんでした。",
        )
    if facts.get("parts") == 0:
        return tell("The state has no attention window.", "状態に注意の窓はありません。")
    if found:
        return tell(
            "With the attention window of a young state the old state does much better: the window carries the harm.",
            "注意の窓だけを若い状態のものに替えると、古い状態は大きく良くなります。害は注意の窓にあります。",
        )
    return tell(
        "With the attention window of a young state the old state does not do much better: the harm lies elsewhere.",
        "注意の窓だけを若い状態のものに替えても、古い状態はあまり良くなりません。害は別の所にあります。",
    )


def _train_context(found: bool | None, facts: Facts) -> str:
    named, turns, side = int(facts.get("named", 0)), int(facts.get("turns", 0)), facts.get("side", "none")
    if "verdict" in facts:
        return tell(
            "No harm of age is proven that another training context could explain.",
            "別の学習文脈長で説明できるような、年齢による害は示されていません。",
        )
    if not found or side == "none":
        return tell(
            f"The loss turns neither clearly before nor clearly after the {integer(named)} positions that were named.",
            f"損失の曲線は、指定された {integer(named)} 位置の前でも後でも、はっきりとは折れません。",
        )
    if side == "longer":
        return tell(
            f"The loss goes on falling long past the named {integer(named)} positions and rises only after about "
            f"{integer(turns)}: training seems to have used longer windows.",
            f"損失は指定の {integer(named)} 位置をはるかに超えて下がり続け、{integer(turns)} あたりの後で初めて"
            "上がります。もっと長い窓で学習されたようです。",
        )
    if turns <= 2:
        past = (
            tell("makes no use of the past", "過去を使っていません")
            if turns <= 1
            else tell(
                "uses of the past little more than the last position", "過去をほとんど直前の一位置しか使っていません"
            )
        )
        return tell(
            f"The model does best when it has hardly read anything, and the loss rises from there: it {past}.",
            f"モデルはほとんど何も読んでいないときに最も良く、損失はそこから上がります。つまり、{past}。",
        )
    return tell(
        f"The loss is lowest well before the named {integer(named)} positions and rises from there: training seems to "
        f"have used shorter windows, of about {integer(turns)}.",
        f"損失は指定の {integer(named)} 位置よりかなり前で最小になり、そこから上がります。"
        f"もっと短い、およそ {integer(turns)} 位置の窓で学習されたようです。",
    )


def _stale_context(found: bool | None, facts: Facts) -> str:
    if found is None:
        return tell(
            "The streams are too short or too few to tell places where the world changed from others.",
            "系列が短すぎるか少なすぎるため、世界が変わった所と変わらない所を区別できません。",
        )
    if found:
        return tell(
            "Where the world changed, an old state does worse than a young one; where it stayed as it was, it does "
            "not.",
            "世界が変わった所では古い状態が若い状態より悪く、変わらない所では悪くありません。",
        )
    if float(facts.get("alike_low", 0.0)) > 0:
        return tell(
            "An old state does worse also where the world stayed as it was: old content that misleads is not the "
            "reason.",
            "世界が変わらない所でも古い状態は悪くなります。古い内容に誤らされていることが理由ではありません。",
        )
    return tell(
        "An old state does not do clearly worse where the world changed than where it stayed as it was.",
        "世界が変わった所で、変わらない所より古い状態が明らかに悪いとは言えません。",
    )


def _unexplored_state(found: bool | None, facts: Facts) -> str:
    if found is None:
        return (
            tell(
                "The streams are too short or too few to find places where the world stayed as it was.",
                "系列が短すぎるか少なすぎるため、世界が変わらない所を見つけられません。",
            )
            if facts.get("why") == "no unchanged places"
            else tell(
                "It could not be asked which states training passes through.",
                "学習がどの状態を通るかは調べられませんでした。",
            )
        )
    if found:
        return sentences(_harmed(facts), _where(facts))
    if float(facts.get("alike_low", 0.0)) > 0:
        share, chance = (percent(float(facts.get(key, 0.0))) for key in ("whole_share", "null"))
        return tell(
            "An old state does worse than a young one even where the world stayed as it was, but that this comes from "
            f"states where training has none is not shown: {share} of the oldest lie there, {chance} would by chance.",
            "世界が変わらない所でも、古い状態は若い状態より悪くなります。ただし、学習が通らなかった場所にある状態の"
            f"ためだとは示せません。最も古い状態でそこにあるのは {share}、偶然なら {chance} です。",
        )
    return tell(
        "Where the world stayed as it was, an old state does not do clearly worse than a young one.",
        "世界が変わらない所で、古い状態が若い状態より明らかに悪いとは言えません。",
    )


def _harmed(facts: Facts) -> str:
    """How it is known that age does the harm."""
    if facts.get("stationary") == "fails":
        return tell(
            "The model fails even on streams whose world does not change.",
            "世界の変わらない系列でもモデルは破綻します。",
        )
    if float(facts.get("alike_low", 0.0)) > 0:
        return tell(
            "An old state does worse than a young one even where the world stayed as it was.",
            "世界が変わらない所でも、古い状態は若い状態より悪くなります。",
        )
    return tell(
        "Old states do worse than young ones, and not only where the world changed.",
        "古い状態は若い状態より悪く、世界が変わった所に限りません。",
    )


def _where(facts: Facts) -> str:
    """Which states lie where training has none."""
    share = percent(float(facts.get("where_share", facts.get("whole_share", 0.0))))
    where = str(facts.get("where", ""))
    if "counter_most" in facts:
        most, trained = (integer(round(float(facts[key]))) for key in ("counter_most", "counter_trained"))
        return tell(
            f"The part {where} counts up to {most}, and in training never further than {trained}.",
            f"部分 {where} は {most} まで数えますが、学習中は {trained} を超えません。",
        )
    by = {"behaviour": tell(", by what they do,", "ふるまいで見て")}.get(where, "")
    if where and where not in ("behaviour", "whole state"):
        by = tell(f", by the part {where},", f"部分 {where} で見て")
    return tell(
        f"Of the oldest states {share} lie{by} where training has none.",
        f"最も古い状態の {share} は、{by}学習が通らなかった場所にあります。",
    )


def _age_harms(found: bool | None, facts: Facts) -> str:
    if found:
        return sentences(
            tell(
                "Before the same targets old states do clearly worse than young ones.",
                "同じ目標に対して、古い状態は若い状態より明らかに悪くなります。",
            ),
            tell(
                "What about them does it was not found: it is proven that age harms, and not why.",
                "その理由は見つかりませんでした。年齢が害をなすことは示されましたが、原因は未証明です。",
            ),
        )
    if facts.get("explained"):
        return tell(
            "What harm the age of the state does has a cause that was found.",
            "状態の年齢による害には、見つかった原因があります。",
        )
    return tell("The age of the state does no clear harm.", "状態の年齢による明らかな害はありません。")


def _memory_limited(found: bool | None, facts: Facts) -> str:
    if found is None:
        return tell(
            "There are no targets, or the streams are too short, to ask whether older inputs would help.",
            "目標がないか、系列が短すぎるため、より古い入力が役に立つかどうかは調べられません。",
        )
    if "gain" not in facts:
        return tell(
            "The age of the state does harm here, so a memory that is too short is not what fails.",
            "ここでは状態の年齢が害をなしているので、記憶が短いことが破綻の理由ではありません。",
        )
    if found:
        return tell(
            "Inputs from before the training context say something about the model's errors: it misses what lies "
            "further back.",
            "学習文脈長より前の入力から、モデルの誤りがいくらか予測できます。もっと前にあるものを見落としています。",
        )
    return tell(
        "Inputs from before the training context say nothing clear about the model's errors: nothing further back is "
        "missed.",
        "学習文脈長より前の入力からは、モデルの誤りについてはっきりしたことはわかりません。見落としは認められません。",
    )


def _harder_data(found: bool | None, facts: Facts) -> str:
    if found is None:
        return tell(
            "The streams are too short, or too few of them have targets, to compare their beginning with their end.",
            "系列が短すぎるか、目標のある系列が少なすぎるため、始めと終わりを比べられません。",
        )
    if found:
        return tell(
            "Equally young states do worse late in the streams than early: it is the data that get harder.",
            "同じように若い状態でも、系列の後の方では前の方より悪くなります。データの方が難しくなっています。",
        )
    if float(facts.get("rise_low", 0.0)) > 0:
        return tell(
            "The data get somewhat harder along the streams, but that alone does not explain what is seen here.",
            "データは後ろへ行くほどいくらか難しくなりますが、それだけではここで見られることを説明できません。",
        )
    return tell(
        "Equally young states do as well late in the streams as early: the data do not get harder.",
        "同じように若い状態は、系列の後の方でも前の方と同じくらい良い予測をします。データは難しくなっていません。",
    )


_PLAIN: dict[str, Callable[[bool | None, Facts], str]] = {
    "numerics": _numerics,
    "attention_window": _attention_window,
    "train_context": _train_context,
    "stale_context": _stale_context,
    "unexplored_state": _unexplored_state,
    "age_harms": _age_harms,
    "memory_limited": _memory_limited,
    "harder_data": _harder_data,
}


def _said(facts: Facts, key: str, unit: str) -> str:
    """ "+0.12 nats (+0.10 to +0.14, n = 63)"."""
    each = estimate(*(float(facts[name]) for name in (key, f"{key}_low", f"{key}_high")), signed=True)
    value, count = terms.with_unit(each.value, unit), integer(int(facts[f"{key}_n"]))
    return tell(f"{value} ({each.interval}, n = {count})", f"{value}（{each.interval}、n = {count}）")


def _numbers(facts: Facts, unit: str) -> list[str]:
    """Every figure that the facts hold, each in a sentence."""
    said = [tell_of(facts, unit) for key, tell_of in _FIGURES if key in facts]
    for key, space in (
        ("whole", tell("the whole state", "状態全体")),
        ("behaviour", tell("its behaviour", "ふるまい")),
    ):
        if f"{key}_share" in facts:
            said.append(_shares(facts, key, space))
    where = str(facts.get("where", ""))
    if where and where not in ("whole state", "behaviour") and "where_share" in facts:
        said.append(_outside(facts, where))
    return [each for each in said if each]


def _shares(facts: Facts, key: str, space: str) -> str:
    share, low, high, young, chance = (
        percent(float(facts[name])) for name in (f"{key}_share", f"{key}_low", f"{key}_high", f"{key}_young", "null")
    )
    count = integer(int(facts[f"{key}_n"]))
    return tell(
        f"Of the oldest states {share} ({low} to {high}, n = {count}) lie, by {space}, where training has none; of "
        f"young states of the same streams {young}, and by chance {chance}.",
        f"最も古い状態のうち、{space}で見て学習が通らなかった場所にあるのは {share}（{low} 〜 {high}、n = "
        f"{count}）です。同じ系列の若い状態では {young}、偶然なら {chance} です。",
    )


def _outside(facts: Facts, where: str) -> str:
    share, low, high = (percent(float(facts[f"where_{name}"])) for name in ("share", "low", "high"))
    count = integer(int(facts["where_n"]))
    return tell(
        f"By the part {where}, which carries the harm, {share} of the oldest states ({low} to {high}, n = {count}) lie "
        "where training has none.",
        f"害を担う部分 {where} で見て学習が通らなかった場所にあるのは、最も古い状態の {share}（{low} 〜 {high}、n = "
        f"{count}）です。",
    )


def _excess(facts: Facts, unit: str) -> str:
    each = estimate(*(float(facts[name]) for name in ("excess", "excess_low", "excess_high")), signed=True)
    return tell(
        f"Excess of the oldest states over young ones: {terms.with_unit(each.value, unit)} ({each.interval}).",
        f"若い状態に対する最も古い状態の超過：{terms.with_unit(each.value, unit)}（{each.interval}）。",
    )


def _alike(facts: Facts, unit: str) -> str:
    age, alike, changed = integer(int(facts["age"])), _said(facts, "alike", unit), _said(facts, "changed", unit)
    return tell(
        f"Excess over a young state at age {age}: where the data changed least {alike}, where they changed most "
        f"{changed}.",
        f"年齢 {age} での若い状態に対する超過は、データが最も変わらなかった所で {alike}、最も変わった所で {changed} "
        "です。",
    )


def _difference(facts: Facts, unit: str) -> str:
    each = _said(facts, "difference", unit)
    return tell(
        f"In float64 the loss falls at old ages by {each} more than at young ages.",
        f"float64 にすると、古い年齢での損失は若い年齢より {each} 多く下がります。",
    )


def _narrow(facts: Facts, unit: str) -> str:
    if not facts["narrow"]:
        return tell("No part of the state is kept in half precision.", "半精度で保たれる状態の部分はありません。")
    return tell(
        f"Parts of the state in half precision: {facts['narrow']}.", f"半精度で保たれる状態の部分：{facts['narrow']}。"
    )


def _window(facts: Facts, unit: str) -> str:
    each = _said(facts, "window", unit)
    return tell(
        f"With the attention windows of a young state, the old state loses {each} less.",
        f"注意の窓を若い状態のものに替えると、古い状態の損失は {each} 減ります。",
    )


def _rise(facts: Facts, unit: str) -> str:
    each = _said(facts, "rise", unit)
    if "early" in facts:
        early, late = integer(int(facts["early"])), integer(int(facts["late"]))
        return tell(
            f"States of the same young age lose {each} more from position {late} on than up to position {early}.",
            f"同じ若さの状態の損失は、位置 {late} から先では、位置 {early} までより {each} 大きくなります。",
        )
    turns = integer(int(facts["turns"]))
    return tell(
        f"The curve turns at about age {turns}, and rises by {each}.",
        f"曲線は年齢 {turns} 付近で折れ、{each} 上がります。",
    )


def _stationary(facts: Facts, unit: str) -> str:
    name = labels.BADGES.get(str(facts["stationary"]), str(facts["stationary"]))
    excess = facts.get("stationary_excess")
    more = "" if excess is None else terms.with_unit(number(float(excess), 3, signed=True), unit)
    return tell(
        f"Verdict on streams whose world does not change: {name.lower()}{f' (excess {more})' if more else ''}.",
        f"世界の変わらない系列での判定：{name}{f'（超過 {more}）' if more else ''}。",
    )


def _plateau(facts: Facts, unit: str) -> str:
    each = _said(facts, "plateau", "")
    return tell(
        f"Leaving old inputs out still moves the prediction by {each}.",
        f"古い入力を除いたときの予測の動き：{each}。",
    )


def _gain(facts: Facts, unit: str) -> str:
    share, low, high = (percent(float(facts[name]), signed=True) for name in ("gain", "gain_low", "gain_high"))
    count, reach = integer(int(facts["gain_n"])), integer(int(facts["reach"]))
    return tell(
        f"Inputs from before the training context, up to {reach} positions back, explain {share} ({low} to {high}, "
        f"n = {count}) of the variance of the errors on other streams, beyond recent inputs.",
        f"学習文脈長より前の入力（最大 {reach} 位置前）は、別の系列での誤差の分散のうち、最近の入力で説明できない分の "
        f"{share}（{low} 〜 {high}、n = {count}）を説明します。",
    )


_FIGURES: tuple[tuple[str, Callable[[Facts, str], str]], ...] = (
    ("excess", _excess),
    ("difference", _difference),
    ("narrow", _narrow),
    ("window", _window),
    ("alike", _alike),
    ("stationary", _stationary),
    ("plateau", _plateau),
    ("gain", _gain),
    ("rise", _rise),
)
