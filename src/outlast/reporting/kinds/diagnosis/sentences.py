"""What a diagnosis says, in both languages; nothing is computed here."""

from __future__ import annotations

from pathlib import Path

from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import Words, sentences, tell
from outlast.results import Evaluation

words = Words(Path(__file__).with_name("words.toml"))
"""Fixed words of this kind; those of every kind are in `reporting.words.labels`."""

HOLDS = ("generalises", "robust")
"""Verdicts that leave nothing to explain where no cause is found."""
LIKELY = ("numerics", "stale_context", "unexplored_state")
"""Causes that would explain a failure, should an undecided verdict turn into one."""


def if_it_fails(cause: str) -> str:
    return tell(
        f"If it fails, the likely cause is: {cause}.", f"もし破綻するとすれば、考えられる原因は「{cause}」です。"
    )


def asked_in(asked: str, measure: str) -> str:
    return tell(
        f"Old and young states are compared by the {asked}, which says more about a single moment than the {measure} "
        "does.",
        f"古い状態と若い状態の比較には{asked}を用います。個々の時点については{measure}より多くのことがわかるためです。",
    )


def headline(text: str, evaluation: Evaluation, cause: str | None) -> str:
    """That of the evaluation, and the reason; where nothing is decided, what would be the cause of a failure."""
    verdict = evaluation.verdict
    if verdict is not None and verdict.name == "undecided":
        return sentences(text, if_it_fails(labels.CAUSE_NAMES[cause]) if cause in LIKELY else "")
    if cause is not None:
        reason = labels.CAUSE_SENTENCES[cause]
        return sentences(text, tell(f"The reason: {reason}.", f"理由：{reason}。"))
    if verdict is not None and verdict.name == "fails":
        return sentences(
            text,
            tell("None of the causes that were asked about explains it.", "調べた原因のどれでも説明できません。"),
        )
    if verdict is not None and verdict.name in HOLDS:
        return sentences(text, tell("Nothing was found that holds it back.", "妨げになるものは見つかりませんでした。"))
    return text


def no_verdict() -> str:
    return tell(
        "There is no verdict and no cause, because the data have no targets to judge by.",
        "データに目標がないため、判定も原因もありません。",
    )


def lead(best: str, loss: str, own: str) -> str:
    return tell(
        f"What helps now, without training: {best} gives {loss} instead of {own} on the same targets.",
        f"学習せずに今できること：「{best}」とすると、同じ目標での損失は {own} から {loss} になります。",
    )


def left_out(what: str, why: str) -> str:
    name = words.LEFT_OUT.get(what, what)
    reasons = {
        "the model is broken": "（モデルが壊れているため）",
        "the data are misread": "（データの読み方が合わないため）",
    }
    return tell(f"Not measured: {name}, because {why}.", f"測っていないもの：{name}{reasons.get(why, '')}。")


def no_help() -> str:
    return tell("No reset is clearly better than the model as it is.", "そのままより明らかに良いリセットはありません。")


def advice(cause: str | None, verdict: str, narrow: bool = False) -> str:
    """What the command below it is for: by the cause, or else by the verdict.

    Args:
        narrow: of numerics, whether parts of the state are in half precision.
    """
    if verdict == "broken":
        return tell(
            "Find out why before anything else; a check says which points of the contract hold:",
            "何よりも先に原因を探します。契約のどの点が守られているかは次の検査でわかります：",
        )
    by_cause = {
        "numerics": tell(
            "Keep the state in float32 (or run the model in float32) and diagnose it again:",
            "状態を float32 で保つか、モデルを float32 で動かして、もう一度診断します：",
        )
        if narrow
        else tell(
            "Run the model in float64 (in Python, model.double()), or rewrite what rounds, and diagnose it again:",
            "モデルを float64 で動かす（Python では model.double()）か、丸めの起きる計算を書き換えて、"
            "もう一度診断します：",
        ),
        "attention_window": tell(
            "Limit the attention window to the training context, then measure again; to train with other starts:",
            "注意の窓を学習文脈長までに抑えて測り直します。別の初期状態で学習するには：",
        ),
        "train_context": tell(
            "Name the length that the model was trained on, and diagnose it again:",
            "実際に学習した長さを指定して、もう一度診断します：",
        ),
        "stale_context": tell(
            "Repair the model with an expected run as long as one situation of the world lasts, here as the data say:",
            "世界の一つの状況が続く長さを expected run として修復します。ここではデータから決めます：",
        ),
        "memory_limited": tell(
            "No other start gives a longer memory at once; try carrying the state for long, and compare:",
            "初期状態を変えるだけで記憶がすぐ長くなるわけではありません。長く持ち越す学習を試し、比べます：",
        ),
    }
    by_verdict = {
        "fails": tell(
            "Repair the model with other starts, the architecture as it is:",
            "構造はそのままに、別の初期状態から追加学習して修復します：",
        ),
        "declines": tell(
            "Keep it near the ages where it is best: reset it before it gets worse, or repair it, so that what it "
            "gains past the training context lasts:",
            "最も良い年齢の近くに保ちます。衰える前にリセットするか、学習文脈長を超えて得たものが続くように"
            "修復します：",
        ),
    }
    holds = tell(
        "Nothing needs repair up to the oldest age tested. Measure older states on longer streams:",
        "調べた最も古い年齢まで、修復は要りません。もっと長い系列で、もっと古い状態を測ります：",
    )
    return by_cause.get(cause or "") or by_verdict.get(verdict) or holds


def remembrance_caption(context: str, enough: str | None, negligible: str) -> str:
    rest = (
        tell(
            f"From {enough} kept positions on it stays at or below {negligible}: older inputs no longer matter.",
            f"{enough} 位置以上残せば {negligible} 以下のままです。それより古い入力はもう効きません。",
        )
        if enough
        else tell(
            f"It does not stay below {negligible}: even the oldest inputs still sway what the model says.",
            f"{negligible} 以下にはなりません。最も古い入力も予測を動かし続けます。",
        )
    )
    return sentences(
        tell(
            f"How far the prediction after {context} positions moves when only the last ones are read, from the "
            "initial state. A failing model has a high plateau to the right of the dashed line.",
            f"{context} 位置を読んだ後の予測が、最後の部分だけを読んだ場合にどれだけ動くかを示します。"
            "破綻するモデルは破線の右で高い台地になります。",
        ),
        rest,
    )


def map_caption(explained: str, null: str, samples: str) -> str:
    return tell(
        "Grey dots are states that training windows pass through, and the shaded region holds 95\u00a0% of them. "
        "Symbols are states met in deployment; hollow ones lie where training has no states (measured in all "
        "dimensions, not in this plane). The line is the mean over streams as the state grows older. States far out "
        f"are drawn closer than they are. The plane shows {explained} of the variance of training states; {null} of "
        f"training's own states would be called unexplored by chance. {samples} training states.",
        "灰色の点は学習の窓が通る状態で、塗った領域はその 95\u00a0% を含みます。記号は運用で出会う状態です。"
        "中抜きの記号は学習にない場所にあります（この平面ではなく全次元で測ります）。線は、状態が年をとるときの"
        f"系列の平均です。遠い状態は実際より近くに描かれます。この平面は学習時の状態分布の分散の {explained} を"
        f"示します。学習自身の状態でも偶然に {null} は未探索とされます。学習の状態は {samples} 個です。",
    )


def coverage_caption(null: str, decorrelation: str) -> str:
    return tell(
        f"Share of states outside the training states' support (nearest neighbours; by chance {null}), one state a "
        f"stream and {decorrelation} positions, after which states of one stream are no longer alike. Young states of "
        "the same streams show what comes from the data and not from age. Distance: sliced Wasserstein, in training "
        "standard deviations. Behaviour: how short continuations are predicted from the state; a state may drift where "
        "behaviour does not.",
        f"学習時の状態分布の外にある状態の割合です（最近傍による。偶然なら {null}）。系列ごとに {decorrelation} "
        "位置おきに一つの状態を数えます。同じ系列の若い状態は、年齢ではなくデータによる分を示します。"
        "距離は学習の標準偏差を単位とするスライス・ワッサースタイン距離です。ふるまいは、短い続きを状態からどう"
        "予測するかです。状態が動いても、ふるまいは動かないことがあります。",
    )


def part_name(name: str) -> str:
    """A part, or a head of one, as an attribution calls it."""
    path, comma, number = name.rpartition(", head ")
    return head(path, int(number)) if comma and number.isdigit() else name


def and_more(count: str) -> str:
    return tell(f"{count} more", f"他 {count}")


def part_not_asked() -> str:
    return tell(
        "Which part of the state does it could not be asked (why is said under how it was measured).",
        "状態のどの部分によるのかは調べられませんでした（理由は測定方法の欄にあります）。",
    )


def no_excess() -> str:
    return tell(
        "At the ages where parts were swapped, old states are not clearly worse than young ones: no part is named.",
        "部分を入れ替えて調べた年齢では、古い状態は若い状態より明らかに悪くはないため、部分は名指しできません。",
    )


def spread() -> str:
    return tell(
        "No part of the state carries most of the harm, nor do two of them or all of one kind: it is spread.",
        "害の大半を担う部分はなく、二つの組や同じ種類の部分全体でもありません。害は状態全体に広がっています。",
    )


def carried(acting: str, names: list[str], removed: str, excess: str) -> str:
    """Which parts carry the harm and how, and what putting their young values into the old state does to the loss."""
    both = tell(" and ", " と ").join(names[:2])
    takes = tell(
        f"with young values there the loss of old states changes by {removed}, where the whole excess is {excess}",
        f"そこに若い値を入れると、古い状態の損失は {removed} 動きます（超過の全体は {excess}）",
    )
    by_acting = {
        "only together": tell(
            f"{both} do the harm, and only together: with either of them young there is hardly any. Swapped together, "
            f"{takes}.",
            f"害をなすのは {both} で、二つがそろったときだけです。どちらか一方が若ければ、害はほとんどありません。"
            f"同時に入れ替えて{takes}。",
        ),
        "each alone": tell(
            f"{both} each do the harm alone: it stays while one of them is old. Swapped together, {takes}.",
            f"{both} は、それぞれが単独でも害をなします。一方が古いままなら害は残ります。同時に入れ替えて{takes}。",
        ),
        "together": tell(
            f"{both} do the harm together, neither most of it alone: swapped at once, {takes}.",
            f"害は {both} の両方によるもので、一方だけでは大半になりません。同時に入れ替えて{takes}。",
        ),
        "kind": tell(
            f"The harm is spread over {len(names)} parts of one kind, from {names[0]} to {names[-1]}: swapped at once, "
            f"{takes}.",
            f"害は {names[0]} から {names[-1]} までの同じ種類の {len(names)} 個の部分に広がっています。"
            f"同時に入れ替えて{takes}。",
        ),
    }
    alone = tell(f"{names[0]} does the harm: {takes}.", f"害をなすのは {names[0]} です。{takes}。")
    return by_acting.get(acting, alone)


def onset(age: str, contexts: str | None, *, oldest: bool) -> str:
    """From which age on, which is `contexts` training contexts; None: just past the first."""
    where = (
        tell(
            f"Old states are clearly worse from age {age} on, just past the training context",
            f"状態は、学習文脈長を超えたばかりの年齢 {age} から、明らかに悪くなります",
        )
        if contexts is None
        else tell(
            f"Old states are clearly worse from age {age} on, {contexts} times the training context",
            f"状態は、学習文脈長の {contexts} 倍にあたる年齢 {age} から、明らかに悪くなります",
        )
    )
    if oldest:
        return tell(f"{where}: the oldest ages that were measured.", f"{where}（測った中で最も古い年齢）。")
    return tell(f"{where}.", f"{where}。")


def onset_of_decline(best: str) -> str:
    return tell(
        f"The loss rises again after {best}, where it is lowest.", f"損失は、最も低い{best} の後で再び上がります。"
    )


def withheld(error: str | None, excess: str) -> str:
    """Why the sum's figures are not shown."""
    why = (
        tell(
            f"it misses the measured excess by {error} (root mean square over streams; the excess itself is {excess} "
            "by the same measure)",
            f"測った超過との差が {error} あります（系列ごとの二乗平均平方根。同じ尺度で超過そのものは {excess}）",
        )
        if error
        else tell("losses on the way between the states leave all bounds", "二つの状態の間で損失が限度を超えます")
    )
    return tell(
        f"The gradients' sum over parts is withheld: {why}. What swapping does was measured, and is not touched by "
        "that.",
        f"勾配による部分ごとの合計は示しません。{why}。入れ替えの結果は実測であり、これに左右されません。",
    )


def swaps_caption(ages: str, young: str, n: str) -> str:
    return tell(
        f"What the loss does when a part is swapped between states of age {ages} and young ones, which have read "
        f"{young} positions. n\u00a0=\u00a0{n}.",
        f"年齢 {ages} の状態と、{young} 位置を読んだ若い状態との間で部分を入れ替えたときの損失の動きです。"
        f"n\u00a0=\u00a0{n}。",
    )


def parts_caption(
    total: str, excess: str, error: str, ranks: str | None, same: bool, ages: str, young: str, n: str
) -> str:
    return sentences(
        tell(
            f"Bars split the excess of states of age {ages} over young ones, which have read {young} positions, on the "
            f"same targets; they add up to {total}, the measured excess is {excess} (error by stream: {error}, root "
            "mean square). Diamonds say what the loss does when the part is swapped between the two states.",
            f"棒は、年齢 {ages} の状態が同じ目標で若い状態（{young} 位置を読んだもの）より悪い分を分けたものです。"
            f"合計は {total}、測った超過は {excess} です（系列ごとの誤差の二乗平均平方根 {error}）。菱形は、その部分を"
            "二つの状態の間で入れ替えたときの損失の動きです。",
        ),
        tell("The two name the same part first.", "二つの方法は同じ部分を第一に挙げます。")
        if same
        else tell(
            "The two do not name the same part first: trust neither alone.",
            "二つの方法は違う部分を第一に挙げます。どちらも単独では信じないでください。",
        ),
        tell(f"Their rankings correlate with {ranks}.", f"順位の相関は {ranks} です。") if ranks else "",
        tell(f"n\u00a0=\u00a0{n}.", f"n\u00a0=\u00a0{n}。"),
    )


def trace_caption(count: str, considered: str) -> str:
    return tell(
        f"The loss at the {count} worst of {considered} moments, by how much was read before them. Where a line rises, "
        "reading further back does the harm; the broad stretch is the shortest that holds most of it. They were chosen "
        "for being the worst, so their harm is not typical, and chance has a part in it.",
        f"{considered} の瞬間のうち最悪の {count} つの損失を、その前に読んだ長さごとに示します。線が上がる所で、"
        "さらに前を読むことが害をなしています。太い部分は、害の大半を占める最も短い区間です。"
        "最悪のものを選んだので、この害は典型ではなく、偶然も含みます。",
    )


def trace_source(stretch: str) -> str:
    return tell(f"positions {stretch}", f"位置 {stretch}")


def trace_from(source: str) -> str:
    return tell(f"from {source}", f"{source} から")


def trace_sentence(moment: str, stream: str, source: str, share: str) -> str:
    return tell(
        f"The loss at {moment} (stream {stream}) comes from {source}: that stretch holds {share} of the harm.",
        f"{moment}（系列 {stream}）の損失は {source} から来ています。この区間が害の {share} を占めます。",
    )


def trace_moment(stream: str, stretch: str) -> str:
    return tell(f"stream {stream}, positions {stretch}", f"系列 {stream}、位置 {stretch}")


def gap(explains: bool, share: str, interval: str, n: str) -> str:
    if explains:
        return tell(
            f"Among states of equal age, how far a state lies from training explains {share} ({interval}, n = {n}) of "
            "how the excess differs between moments, on streams it was not fitted on.",
            f"同じ年齢の状態の間では、学習からの隔たりが、超過の違いの {share}（{interval}、n = {n}）を"
            "別の系列で説明します。",
        )
    return tell(
        "Among states of equal age, the gap to training does not explain how the excess differs between moments: "
        f"{share} ({interval}, n = {n}) of its variance on streams it was not fitted on.",
        "同じ年齢の状態の間では、学習からの隔たりはこの破綻を説明しません（別の系列で説明される分散は "
        f"{share}、{interval}、n = {n}）。",
    )


def forecast(age: str, seen: str, expected: str, linear: str) -> str:
    return tell(
        f"Going by ages up to {seen}, the excess at age {age} would be about {expected}. If every doubling went on "
        f"adding what the last one did, it would be {linear}; a guess, not a measurement.",
        f"年齢 {seen} までから見て、年齢 {age} での超過はおよそ {expected} と見込まれます。"
        f"倍になるたびに同じだけ増え続けるなら {linear} です。測定ではなく見込みです。",
    )


def forecast_check(age: str, seen: str, said: str, was: str) -> str:
    return tell(
        f"The same rule, tried on what was measured: from ages up to {seen} it would have said {said} for age {age}; "
        f"measured there: {was}.",
        f"同じ規則を測定済みの年齢で試すと、年齢 {seen} までから見た年齢 {age} の見込みは {said}、"
        f"実際の測定値は {was} でした。",
    )


def described(name: str, points: str) -> str:
    return tell(f"{name}: {points}.", f"{name}：{points}。")


def head(path: str, number: int) -> str:
    return tell(f"{path} · head {number}", f"{path} · ヘッド {number}")


def states(count: str) -> str:
    return tell(f"{count} states", f"{count} 個の状態")


def scenarios_caption(null_rate: str) -> str:
    """How the table of states by scenario is read."""
    return tell(
        "Carried states of all ages past the training context, by the row that was read last. Of states like those "
        f"that training passes through, {null_rate} would lie outside. n counts streams.",
        "学習文脈長を超えたすべての年齢の、引き継がれた状態を、最後に読んだ行で分けたものです。"
        f"学習が通る状態と同じようなものなら、外にあるのは {null_rate} です。n は系列の数です。",
    )
