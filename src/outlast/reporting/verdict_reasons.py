"""Why a verdict is what it is, and what was odd about data or predictions, in words."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.reporting.pairing import unbeaten
from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import duration, estimate, integer, number, span
from outlast.reporting.words.terms import reason
from outlast.results import Evaluation, Note, Verdict
from outlast.results.curve import decline
from outlast.results.measured import FEW_MORE

# What was odd about data or predictions, in words; what is no rule's of today is told as the result says it.


def told(odd: Note) -> str:
    """One note as a sentence, or several."""
    return tell(reason(odd.said), _japanese(odd))


def broken(evaluation: Evaluation, because: str) -> str:
    """The headline of a broken model, with the first of its reasons.

    Args:
        because: the reason as the result says it.
    """
    why = next((told(odd) for odd in evaluation.notes if odd.said == because), reason(because))
    return tell(
        f"This model is broken, whatever the age of its state: {because_of(why)}",
        f"このモデルは状態の年齢によらず壊れています。{why}",
    )


def misread(evaluation: Evaluation) -> str:
    """The headline of a model that does not fit the data as they are read."""
    why = next((told(odd) for odd in evaluation.notes if odd.name == "misread"), "")
    return tell(
        f"This model does not fit these data as they are read, so nothing is judged: {because_of(why)}",
        f"このモデルは、読み込まれたままのデータには合っていないため、何も判定しません。{why}",
    )


def unfitting(evaluation: Evaluation) -> str:
    """What a headline adds where the model is good under no scaling, and nobody said which is right; else nothing."""
    if all(odd.name != "no_scaling_fits" for odd in evaluation.notes):
        return ""
    return tell(
        "Under no scaling that was tried is it clearly better than the best constant: its table may be read wrongly.",
        "ただし、試したどの尺度でも最良の定数より明らかに良くはならず、表が誤って読まれているおそれがあります。",
    )


def no_better_than_a_guess(evaluation: Evaluation) -> str:
    """That a model does not beat a guess where it is at its best; empty where it does.

    Nothing of what is misread or broken, nor what a headline says already (`unfitting`).
    """
    found, verdict = unbeaten(evaluation), evaluation.verdict
    if found is None or verdict is None or verdict.name in ("misread", "broken"):
        return ""
    name, (mean, low, high) = found
    if name == "constant" and unfitting(evaluation):
        return ""
    difference = terms.with_interval(estimate(mean, low, high, signed=True), terms.unit(evaluation))
    guess, measure = terms.guess(name), terms.measure_name(evaluation.measure)
    how = tell("is worse", "悪くなります") if low > 0 else tell("is not clearly better", "明らかに良いとは言えません")
    return tell(
        f"This model {how} than {guess}, even at its best age within the training context: on the same targets its "
        f"{measure} differs by {difference}.",
        f"学習文脈長以内の最も良い年齢でも、このモデルは「{guess}」より{how}。同じ目標での{measure}の差は "
        f"{difference} です。",
    )


def first_of_all(evaluation: Evaluation) -> str:
    """The same where a headline begins with it: before what sounds good, and before what is undecided of a model that
    is clearly worse than a guess. Else empty."""
    found, verdict = unbeaten(evaluation), evaluation.verdict
    if found is None or verdict is None:
        return ""
    worthless = verdict.holds or (verdict.name == "undecided" and found[1][1] > 0)
    return no_better_than_a_guess(evaluation) if worthless else ""


def doubt(evaluation: Evaluation) -> str:
    """The same as a lead, where no headline begins with it."""
    return "" if first_of_all(evaluation) else no_better_than_a_guess(evaluation)


def too_few(evaluation: Evaluation) -> Note | None:
    """Why there is no verdict although there are targets: too few streams were read."""
    return next((odd for odd in evaluation.notes if odd.name == "few_streams"), None)


def without_verdict(few: Note) -> str:
    """That as a headline, beside the words that there is no verdict."""
    return tell(reason(few.said.removeprefix("no verdict: ")), _japanese(few))


def because_of(sentence: str) -> str:
    """A sentence as the end of another one."""
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _japanese(odd: Note) -> str:
    """From the numbers that the result carries."""
    facts = odd.facts
    match odd.name:
        case "scaling_found" | "no_scaling_fits" | "misread":
            return _scaling(facts)
        case "constant_outputs":
            return "何を読んでも予測が常に同じです。"
        case "pieces_differ":
            gap, largest = (number(float(facts[key]), 3) for key in ("gap", "largest"))
            return (
                f"最初の位置を分けて読むと、一度に読んだときと出力が違います（差 {gap}、最大の出力 {largest}）。"
                "返される状態は次の位置に必要なものではありません。outlast check が詳しく調べます。"
            )
        case "not_finite":
            young, oldest = (f"{number(100 * float(facts[key]), 3)}\u00a0%" for key in ("young", "oldest"))
            return (
                f"有限の数でない予測が {integer(int(facts['count']))} 個あり、非常に悪い予測として数えました。"
                f"学習文脈長以内では（最も少ない年齢で）{young}、最も古い年齢では {oldest} です。"
            )
        case "constant_inputs" if facts["constant"] == facts["channels"]:
            return "入力がすべて同じで、読むべきものがありません。"
        case "constant_inputs":
            which = f"（{facts['columns']}）" if "columns" in facts else ""
            return f"{facts['channels']} 個の入力のうち {facts['constant']} 個は一度も変わりません{which}。"
        case "constant_targets":
            kind = "一つの類だけ" if facts["kind"] == "classes" else "どれも同じ値"
            return f"目標が{kind}なので、何も読まずに予測できます。"
        case "identical_streams" if facts["distinct"] == 1:
            return "系列がすべて同一です。写しからは、元の系列以上のことはわかりません。"
        case "identical_streams":
            return (
                f"互いに異なる系列は {facts['streams']} 本中 {facts['distinct']} 本だけです。"
                "写しからは、元の系列以上のことはわかりません。"
            )
        case "equal_losses":
            return f"損失が {facts['streams']} 系列すべてで同じです。区間に幅がありません。"
        case "measured_in_float32":
            return (
                f"パラメータは {facts['dtype']} ですが、ここではその精度でモデルを動かせない（{facts['error']}）ため、"
                "float32 で測りました。"
            )
        case "trained_in_float32":
            return f"パラメータは {facts['dtype']} です。学習、測定、保存は float32 で行いました。"
        case "measured_in_bfloat16":
            return "行列の積は bfloat16、ほかは float32 で計算しました。"
        case "attention_window":
            return (
                f"注意機構は直近の {int(facts['window']):,} 位置だけを見ます。transformers ではそれより前も見えるため、"
                "それを超えると、transformers が動かすモデルとは別のモデルです。"
            )
        case "one_at_a_time":
            return (
                f"{_WAITING[str(facts['why'])].format(what=facts['what'])}、モデルの呼び出しは一つずつ行います。"
                "ジョブを並べても速くなりません。"
            )
        case "older_ages":
            now, then = (str(facts.get(f"{key}_ja", integer(int(facts[key])))) for key in ("measured", "possible"))
            return f"{now} の年齢まで測りました。このデータでは {then} まで測れます（--up-to {facts['possible']}）。"
        case "uncounted_streams":
            return f"数えるべき目標のない {facts['count']} 系列を除きました。"
        case "few_streams" if "budget" in facts:
            return (
                f"{_time(facts['budget'])}の予算で読めるのは、判定に要る {facts['least']} 系列のうち "
                f"{facts['streams']} 系列だけなので、判定はありません。判定には {_time(facts['needed'])}かかります。"
            )
        case "few_streams":
            return (
                f"指定により {facts['streams']} 系列だけを読んだため、判定はありません"
                f"（判定には {facts['least']} 系列が要ります）。"
            )
        case "within_budget":
            return (
                f"{_time(facts['budget'])}の予算に収まるよう、{facts['streams']:,} 系列のうち {facts['read']:,} 系列を"
                f"読み、それぞれの {facts['targets']:,} 位置のうち {facts['scored']:,} 位置を採点しました。"
            )
        case "unmet_scenarios":
            return f"採点した目標のうち、{facts['names']} に当たるものはないため、これについては何も言えません。"
        case "unequal_lengths":
            return _lengths({name: int(value) for name, value in facts.items()})
        case "missing_rows":
            done = [f"{facts['dropped']:,} 行を除きました"] if facts["dropped"] else []
            done += [f"{facts['filled']:,} 行を直前の値で補いました"] if facts["filled"] else []
            return f"値が欠けているため、{facts['rows']:,} 行のうち{'、'.join(done)}（{facts['columns']}）。"
        case "gaps":
            return _gaps(facts)
        case "joined_documents":
            return (
                f"{facts['documents']:,} 個の文書をつないで一つの長い記録にしました。"
                "テキストの大部分が短い文書にあるためです。"
            )
    return reason(odd.said)


_WAITING = {
    "changes": "呼び出すたびにモデルの持つ値（{what}）が変わるため",
    "uncopied": "ジョブごとにモデルを複製できない（{what}）ため",
    "differs": "モデルの複製が別の答えを返すため",
    "compiled": "コンパイルされたモジュールが何を持つかは見えないため",
    "too_much": "モデルの持つものが多すぎて調べられないため",
}
"""By why calls of a model go one after another."""


def _scaling(facts: Mapping[str, float | int | str]) -> str:
    given, loss, constant = (f"{float(facts[key]):.3g}" for key in ("given", "loss", "constant"))
    unit = "目標の分散" if facts["unit"] == "variances" else "ナット"
    options, best = facts["options"], f"単位は{unit}、最良の定数では {constant}"
    match facts["finding"]:
        case "found":
            return (
                f"表の尺度が指定されていないため、{options} として読みました。学習窓での損失は {loss} で、"
                f"標準化したときは {given} です（{best}）。"
            )
        case "open":
            return (
                "表の尺度が指定されていません。試した尺度のどれでも、モデルは最良の定数より明らかに良くはなりません"
                f"（学習窓での損失は標準化して {given}、最も良くて {loss}、{best}）。"
                "モデルがほとんど学習していないか、表が誤って読まれています。"
            )
        case "doubtful":
            return (
                f"指定された尺度では学習窓での損失が {given} で、最良の定数より良くありません。{options} とすれば "
                f"{loss} となり、わずかに良くなります（{best}）。モデルがほとんど学習していないか、"
                "表が誤って読まれています。"
            )
        case "order":
            return (
                f"ラベルを別の順にすると出力はずっとよく合います。学習窓での損失は {given} ですが、{options} とすれば "
                f"{loss} になります（{best}）。ラベルの順がおそらく違います。"
            )
        case "another":
            return (
                f"指定された尺度では学習窓での損失が {given} ですが、{options} とすれば {loss} になります（{best}）。"
            )
        case "level":
            other = f"{float(facts['other_loss']):.3g}"
            return (
                f"{options} と {facts['other']} は学習窓で同程度に合い（損失 {loss} と {other}、{best}）、"
                "予測は互いに異なります。"
            )
    return f"学習窓での損失は {given} です（{best}）。試した尺度はどれも合いません（最も良い {options} で {loss}）。"


def _time(seconds: float | int | str) -> str:
    return duration(float(seconds))


def _gaps(facts: Mapping[str, float | int | str]) -> str:
    said = ""
    if facts["count"]:
        usual = f"通常の間隔は {facts['step']:,g} 秒、" if facts["step"] else ""
        done = "そこで系列を分けました" if facts["split"] else "間隔がないものとして続けて読みました"
        said = (
            f"{facts['limit']:,g} 秒を超える間隔が {facts['count']:,} か所あり、{done}"
            f"（{usual}最長 {facts['longest']:,g} 秒）。"
        )
    if joined := facts.get("joined"):
        said += f"通常の間隔の数倍までの間隔が {joined:,} か所あり、続けて読みました（それをまたぐ目標は数えません）。"
    if facts["equal"]:
        said += f"直前の行と同じ時刻の行が {facts['equal']:,} 行あります。"
    return said


def _lengths(facts: dict[str, int]) -> str:
    said = ""
    if facts["left_out"]:
        said = (
            f"{facts['streams']} 系列のうち {facts['left_out']} は、用いた {integer(facts['used'])} 位置より短いため"
            "除きました。"
        )
    if facts["longer"]:
        said += (
            f"{facts['streams']} 系列のうち {facts['longer']} は、用いた {integer(facts['used'])} 位置よりはるかに長い"
            f"（最長 {integer(facts['longest'])} 位置）のですが、区間には 8 以上の系列か区分が要るため、"
            "もっと古い年齢は調べていません。"
        )
    return said


# Why a verdict is what it is, from the numbers of the evaluation.


def reasons(evaluation: Evaluation) -> list[str]:
    """Sentences; first of all what was measured at the oldest age, of a broken or misread one why it is that."""
    verdict, short = evaluation.verdict, evaluation.short
    if verdict is None or short is None or not verdict.because:
        return []
    odd = [told(note) for note in evaluation.notes if note.said in verdict.because]
    measured = _measured(evaluation, verdict, short.loss)
    if verdict.name in ("broken", "misread"):
        return [*odd, measured]
    return [measured, *odd, *_rule(evaluation, verdict, short.loss)]


def _measured(evaluation: Evaluation, verdict: Verdict, short: float) -> str:
    ages, unit = terms.ages(evaluation.oldest.age), terms.unit(evaluation)
    loss = terms.level(evaluation.oldest, unit)
    excess = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    within, tolerance = number(short), terms.tolerated(verdict.tolerance, evaluation)
    return tell(
        f"At {ages} the loss is {loss}, {terms.with_interval(excess)} against {within} within the training context; "
        f"differences up to {tolerance} are tolerated.",
        f"{ages}での損失は {loss} で、学習文脈長以内の {within} との差は {terms.with_interval(excess)} です。"
        f"{tolerance} までの差は許容されます。",
    )


def _rule(evaluation: Evaluation, verdict: Verdict, short: float) -> list[str]:
    curve, unit = evaluation.curve, terms.unit(evaluation)
    match verdict.name:
        case "fails" if verdict.from_age is not None:
            age = integer(verdict.from_age)
            return [
                tell(
                    f"The excess stays above the tolerance from age {age} on.",
                    f"超過は年齢 {age} からずっと許容を上回っています。",
                )
            ]
        case "declines" if found := decline(curve, short):
            lost, best = found
            worse = terms.with_interval(estimate(*lost.triple), unit)
            return [
                tell(
                    f"It is best at ages {span(*best)} and {worse} worse at the oldest: what it gains past the "
                    "training context it loses again.",
                    f"年齢 {span(*best)} で最も良く、最も古い年齢ではそれより {worse} 悪くなります。"
                    "学習文脈長を超えて得たものを、再び失っています。",
                )
            ]
        case "generalises":
            gain = curve.interval(curve.losses[curve.just_past()] - curve.losses[-1])
            below = terms.with_interval(estimate(*gain.triple), unit)
            return [
                tell(
                    f"The oldest band is {below} below the band just past the training context: the model uses what "
                    "lies further back.",
                    f"最も古い年齢帯は、学習文脈長のすぐ先の年齢帯を {below} 下回ります。モデルは、より前にあるものを"
                    "使っています。",
                )
            ]
        case "robust":
            return [
                tell(
                    "The upper end of the excess is within the tolerance.",
                    "超過の区間の上端が許容以内に収まっています。",
                )
            ]
        case "undecided":
            return [*_needed(evaluation, verdict), bound(evaluation, verdict), *knob(evaluation, verdict)]
    return []


def _needed(evaluation: Evaluation, verdict: Verdict) -> list[str]:
    if verdict.streams_needed is None:
        return []
    needed = terms.streams(verdict.streams_needed, terms.unit_of(evaluation))
    there = integer(evaluation.oldest.n)
    if beyond(evaluation, verdict):
        return [
            tell(
                "The interval reaches past the tolerance, and these data cannot decide it at this age: about "
                f"{needed} like these would be needed, and there are {there}.",
                f"区間が許容を越えており、この年齢ではこのデータから決められません。同じような{needed}ほどが要りますが、"
                f"今は {there} です。",
            )
        ]
    return [
        tell(
            f"The interval reaches past the tolerance; about {needed} like these would decide (there are {there}).",
            f"区間が許容を越えています。同じような{needed}ほどあれば決まります（今は {there}）。",
        )
    ]


def beyond(evaluation: Evaluation, verdict: Verdict) -> bool:
    """Whether so much more would be needed that the data that are there cannot decide."""
    return verdict.streams_needed is not None and verdict.streams_needed > FEW_MORE * evaluation.oldest.n


def bound(evaluation: Evaluation, verdict: Verdict) -> str:
    """What may be relied on where nothing is decided."""
    most, ages = terms.at_most(verdict, evaluation), terms.ages(evaluation.oldest.age)
    time = terms.time_of(evaluation, evaluation.oldest.age[1])
    return tell(
        f"Whatever age does, at {ages}{f' (up to {time})' if time else ''} it costs at most {most}.",
        f"年齢の影響がどうであれ、{ages}{f'（最長 {time}）' if time else ''}での悪化は最大でも {most} です。",
    )


def knob(evaluation: Evaluation, verdict: Verdict) -> list[str]:
    """What would decide it soonest, as it was computed."""
    found = verdict.knob
    if found is None:
        return []
    value = integer(round(found.value))
    match found.name:
        case "all_streams":
            count = integer(evaluation.oldest.n)
            return [
                tell(
                    f"What would decide it soonest: all {value} streams, of which {count} were read.",
                    f"最も早く決めるには：{value} 系列すべてを読みます（今は {count}）。",
                )
            ]
        case "scored":
            return [
                tell(
                    f"What may decide it soonest: scoring all {value} targets of each stream (--scored {value}).",
                    f"最も早く決められそうなのは、各系列の目標 {value} 個すべての採点です（--scored {value}）。",
                )
            ]
        case "up_to":
            time, up_to = terms.time_of(evaluation, round(found.value)), f"--up-to {round(found.value)}"
            in_time = tell(f" ({time})", f"（{time}）") if time else ""
            return [
                tell(
                    f"What would decide it soonest: asking about ages up to {value}{in_time}, which these data are "
                    f"expected to decide ({up_to}).",
                    f"最も早く決めるには、年齢 {value}{in_time} までを調べます。このデータで決まる見込みです"
                    f"（{up_to}）。",
                )
            ]
    times = number(found.value, 2)
    return [
        tell(
            f"What would decide it at this age is more data: about {times} times as many.",
            f"この年齢で決めるには、より多くのデータが要ります（約 {times} 倍）。",
        )
    ]
