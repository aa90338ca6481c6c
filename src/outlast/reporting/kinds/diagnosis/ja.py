"""What a diagnosis says in Japanese. `diagnosis_en` has the same names; neither computes anything."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.reporting.kinds.diagnosis.glossary_ja import GLOSSARY_ENTRIES as GLOSSARY_ENTRIES
from outlast.reporting.kinds.diagnosis.notes_ja import note as note
from outlast.reporting.kinds.diagnosis.terms import HOLDS
from outlast.results import Cause, Evaluation, Note

KIND = "診断"
BADGES = {
    "broken": "壊れている",
    "fails": "破綻する",
    "declines": "伸びて衰える",
    "generalises": "汎化する",
    "robust": "保たれる",
    "undecided": "未決定",
    "none": "判定なし",
}
MEASURES = {
    "cross_entropy": "交差エントロピー",
    "error_rate": "誤り率",
    "squared_error": "二乗誤差",
    "absolute_error": "絶対誤差",
    "speaker_error": "話者誤り率",
    "speaker_margin": "話者マージン",
}
UNITS = {
    "total variation": "全変動距離",
    "spreads of the target": "目標の標準偏差",
    "spreads of the embeddings": "埋め込みの標準偏差",
    "nats": "nat",
    "squared error": "",
    "absolute error": "",
    "error rate": "",
}
UNKNOWN = "原因不明"

CONTENTS, SKIP, GLOSSARY = "この報告の結果", "結果へ移動", "用語"
FOOTER = "outlast が作成しました。このファイルは通信を必要としません。"
CAUSES = "なぜか"
HELP = "学習せずに今できること"
NEXT = "次のコマンド"
AGE_CURVE = "状態の年齢ごとの超過"
REMEMBRANCE = "実効的な記憶"
MAP = "状態の地図"
COVERAGE = "学習が通らなかった場所にある状態の割合"
PARTS = "どの層とヘッドが超過を担うか"
TRACE = "害のある瞬間はどこから来るか"
OUTLOOK = "隔たりで説明できること、この先の見通し"
METHOD = "測り方"
NOTES = "注意すべき点"
NUMBERS = "この図の数値"
WHOLE_TIME = "診断全体の時間"

CAUSE_NAMES = {
    "numerics": "数値計算",
    "attention_window": "注意の窓",
    "train_context": "学習文脈長の食い違い",
    "stale_context": "古くなった文脈",
    "unexplored_state": "未探索の状態",
    "memory_limited": "記憶の不足",
    "harder_data": "データの難しさ",
}
CAUSE_SENTENCES = {
    "numerics": "計算の精度が足りません。同じモデルを float64 で動かすと、これほど悪くなりません",
    "attention_window": "再帰部分ではなく注意の窓が、学習で見なかったものに出会っています",
    "train_context": "指定とは違う長さの窓で学習されたようです",
    "stale_context": "文脈が古くなっています。世界が変わった所で悪くなり、変わらない所では悪くなりません",
    "unexplored_state": "未探索の状態です。状態が学習の通らなかった場所へさまよい、世界が変わらない所でも悪くなります",
    "memory_limited": "記憶が短すぎます。年齢の害はありませんが、もっと前にあるものを見落としています",
    "harder_data": "データが後ろへ行くほど難しくなっています。年齢の害はなく、若い状態でも同じだけ悪くなります",
}
FOUND = {True: "該当", False: "該当せず", None: "調べられず"}
COLUMNS_CAUSE = ("考えられる原因", "答え", "根拠")
COLUMNS_HELP = ("学習なし", "損失", "費用")
COLUMNS_COVERAGE = ("見方", "若い状態", "最も古い状態", "距離(偶然)", "n")
COLUMNS_PARTS = ("部分", "超過への寄与", "古い状態に若い値を入れた減り", "若い状態に古い値を入れた増え", "n")
COLUMNS_TRACE = ("瞬間", "害", "由来", "占める割合")
RESETS = {
    "periodic_reset": "{every} 位置ごとにリセット",
    "overlapping_reset": "二つの複製を {every} 位置ごとに交互にリセット",
}
COSTS = {"periodic_reset": "なし", "overlapping_reset": "実行費用が二倍"}
AS_IT_IS = "そのまま、最も古い年齢で"
COLUMNS_REMEMBRANCE = ("残した位置数", "距離", "n")
COLUMNS_AGE = ("年齢", "損失", "超過", "n")

AGE_AXIS = ("状態の年齢(初期状態から読んだ位置の数)", "状態の年齢")
KEPT_AXIS = ("残した最後の位置の数", "残した位置の数")
RESET_AXIS = ("その瞬間の前に読んだ位置の数", "前に読んだ位置の数")
MAP_AXES = ("学習時の状態の第一主成分", "第二主成分")
REGION = "学習の状態がある領域"
SUM, EXCESS = "合計", "超過"
TRAIN_CONTEXT = "学習文脈長"
BASE = "モデル"
GUESSES = {"constant": "最も良い定数の答え", "persistence": "最後に分かった値の繰り返し"}
GUESS_NAMES = {"constant": "定数", "persistence": "繰り返し"}
GUESS_COST = "何も読まない"
TOLERANCE = "許容"
RESET_NAMES = {"periodic_reset": "周期リセット", "overlapping_reset": "重ねたリセット"}
LEVELS = ("超過は許容以内", "超過は許容より大きい", "超過が大きい三分の一")
STATES = {False: "学習にある状態", True: "未探索の状態"}
MEAN_PATH = "系列の平均(年齢順)"
CONTRIBUTION, INTERVAL, SWAP = "超過への寄与(経路積分)", "95 % 区間", "入れ替えの結果"
SPACES = {"whole state": "状態全体", "behaviour": "ふるまい"}
FIGURES = {
    "train_context": "学習文脈長",
    "oldest": "調べた最も古い年齢",
    "tested": "調べた系列",
    "cause": "主な原因",
    "part": "最も寄与する部分",
}


def finished(text: str) -> str:
    """Signs as Japanese writes them: ranges with a wave dash, brackets of full width."""
    return text.replace(" to ", " 〜 ").replace(" – ", " 〜 ").replace("(", "（").replace(")", "）")


def positions(count: str) -> str:
    return f"{count} 位置"


def asked_in(asked: str, measure: str) -> str:
    return (
        f"古い状態と若い状態の比較には{asked}を用います。個々の時点については{measure}より多くのことがわかるためです。"
    )


def streams(count: str, unit: str) -> str:
    return f"{count} 系列" if unit == "stream" else f"{count} 区間"


def in_blocks(pieces: str, blocks: str) -> str:
    return f"{pieces}({blocks} 塊)"


def excess_axis(axis: str) -> str:
    return f"超過:{axis}"


def headline(evaluation: Evaluation, numbers: Mapping[str, str], cause: str | None) -> str:
    verdict = evaluation.verdict.name if evaluation.verdict else "none"
    context = f"学習文脈長({numbers['context']} 位置)"
    oldest, change = numbers["oldest"], f"{numbers['excess']}(区間 {numbers['interval']})"
    text = {
        "fails": f"このモデルは{context}を超えると破綻します。年齢 {numbers['from']} から悪くなり、年齢 {oldest} では"
        f"{numbers['measure']}が {change} 悪化します",
        "declines": f"このモデルは{context}を超えて年齢 {numbers['best']} で最も良くなりますが、その後は衰えます。"
        f"年齢 {oldest} での{numbers['measure']}は、学習文脈長以内との差が {change} で、途中で得たものを失っています",
        "generalises": f"このモデルは{context}を超えても良くなり続けます(長さ一般化、調べた年齢は {oldest} まで)",
        "robust": f"このモデルは{context}を超えても保たれます。年齢 {oldest} での{numbers['measure']}の差は "
        f"{change} で、"
        "許容の範囲内です",
    }.get(
        verdict,
        f"このモデルが{context}を超えて保たれるかは、この測定では決まりません。年齢 {oldest} "
        f"での{numbers['measure']}の差は "
        f"{change} です",
    )
    if cause is not None:
        return f"{text}。理由:{CAUSE_SENTENCES[cause]}。"
    if verdict == "fails":
        return f"{text}。調べた原因のどれでも説明できません。"
    return f"{text}。妨げになるものは見つかりませんでした。" if verdict in HOLDS else f"{text}。"


def broken(why: Note) -> str:
    return f"このモデルは状態の年齢によらず壊れています。{note(why)}"


def no_verdict() -> str:
    return "データに目標がないため、判定も原因もありません。"


def lead(best: str, loss: str, own: str) -> str:
    return f"学習せずに今できること:「{best}」とすると、同じ目標での損失は {own} から {loss} になります。"


def _number(facts: dict[str, float | int | str], key: str) -> str:
    mean, low, high = (
        f"{float(facts[name]):+.4f}".replace("-", "\u2212") for name in (key, f"{key}_low", f"{key}_high")
    )
    return f"{mean}({low} 〜 {high}、n = {facts[f'{key}_n']})"


def _share(value: float | int | str) -> str:
    return f"{float(value):.0%}"


def evidence(cause: Cause) -> list[str]:
    """Sentences from the numbers that the result carries."""
    facts = cause.facts
    if cause.found is None:
        return ["調べられませんでした(データか状態がこの実験を許しません)。"]
    said: list[str] = []
    if "difference" in facts:
        said.append(f"float64 との差は、古い年齢で {_number(facts, 'difference')} です。")
    if facts.get("narrow"):
        said.append(f"半精度で保たれる状態の部分:{facts['narrow']}。")
    if "window" in facts:
        said.append(f"古い状態の注意の窓を若いものに替えると、損失は {_number(facts, 'window')} 減ります。")
    elif facts.get("parts") == 0:
        said.append("状態に注意の窓はありません。")
    if "named" in facts:
        if facts["side"] == "none":
            said.append(f"年齢の曲線は、指定の {facts['named']:,} 位置の前にも後にも、はっきりとは折れません。")
        else:
            way = "短い" if facts["side"] == "shorter" else "長い"
            said.append(
                f"曲線は年齢 {facts['turns']:,} 付近で折れ、上昇は {_number(facts, 'rise')} です。"
                f"実際の学習文脈長は指定の "
                f"{facts['named']:,} より{way}ようです。"
            )
    if "alike" in facts:
        said.append(
            f"年齢 {facts['age']:,} での若い状態に対する超過は、データが最も変わらなかった所で "
            f"{_number(facts, 'alike')}、"
            f"最も変わった所で {_number(facts, 'changed')} です。"
        )
    if "stationary" in facts:
        said.append(f"変化しない系列での判定:{BADGES.get(str(facts['stationary']), facts['stationary'])}。")
    for key, space in (("whole", "状態全体"), ("behaviour", "ふるまい")):
        if f"{key}_share" in facts:
            said.append(
                f"最も古い状態のうち、{space}で見て学習が通らなかった場所にあるのは {_share(facts[f'{key}_share'])}"
                f"({_share(facts[f'{key}_low'])} 〜 {_share(facts[f'{key}_high'])}、n = {facts[f'{key}_n']})です。"
                f"同じ系列の若い状態では {_share(facts[f'{key}_young'])}、偶然なら {_share(facts['null'])} です。"
            )
    if "plateau" in facts:
        said.append(f"古い入力を捨てたときの予測の動き(台地):{_number(facts, 'plateau')}。")
    if "gain" in facts:
        said.append(
            f"学習文脈長より前の入力(最大 {facts['reach']:,} 位置前)は、別の系列での誤差の分散のうち "
            f"{_number(facts, 'gain')} "
            "(割合)を説明します。"
        )
    if "early" in facts:
        said.append(
            f"同じ若さの状態の損失は、位置 {facts['late']:,} より後で、位置 {facts['early']:,} までより "
            f"{_number(facts, 'rise')} "
            "大きくなります。違いはデータによるものです。"
        )
    return said or ["年齢が効いているので、この原因ではありません。"]


def left_out(what: str, why: str) -> str:
    names = {
        "trace": "由来(モデルが破綻しないため)",
        "attribution": "部分ごとの寄与",
        "remembrance": "実効的な記憶",
        "coverage": "状態分布",
        "causes": "原因",
        "changed places": "変化した所の比較",
        "memory": "記憶",
    }
    because = "(モデルが壊れているため)" if why == "the model is broken" else ""
    return f"測っていないもの:{names.get(what, what)}{because}。"


def shorter(used: str, asked: str, pieces: str) -> str:
    return f"各系列で読んだのは {used} 位置です(指定は {asked} 位置)。{pieces}はこれより長くありません。"


def no_help() -> str:
    return "そのままより良いリセットはありません。"


def advice(cause: str | None, verdict: str) -> str:
    if verdict == "broken":
        return "何よりも先に原因を探します。契約のどの点が守られているかは次の検査でわかります:"
    if cause == "numerics":
        return "状態を float32 で保つか、モデルを float32 で動かして、もう一度診断します:"
    if cause == "attention_window":
        return "注意の窓を学習文脈長までに抑えて測り直します。別の初期状態で学習するには:"
    if cause == "train_context":
        return "実際に学習した長さを指定して、もう一度診断します:"
    if cause == "stale_context":
        return "世界の一つの状況が続く長さを expected run として修復します:"
    if cause == "memory_limited":
        return "初期状態を変えるだけで記憶がすぐ長くなるわけではありません。長く持ち越す学習を試し、比べます:"
    if verdict == "fails":
        return "構造はそのままに、別の初期状態から追加学習して修復します:"
    if verdict == "undecided":
        return "もっと多くの系列で、また注意すべき点があればそれのないデータで、測り直します:"
    if verdict == "declines":
        return (
            "最も良い年齢の近くに保ちます。衰える前にリセットするか、学習文脈長を超えて得たものが続くように修復します:"
        )
    return "調べた最も古い年齢まで、修復は要りません。もっと長い系列で、もっと古い状態を測ります:"


def age_caption(n: str, excess: bool) -> str:
    what = (
        "どの点も、違う年齢の状態から予測した同じ目標の損失から、学習文脈長以内の損失(短)を系列ごとに引いたものです。"
        "判定はこの対になった差によります。"
        if excess
        else "どの点も同じ目標を、違う年齢の状態から予測したものです。"
    )
    return (
        f"{what}低いほど良いです。破線より左は学習で出会った年齢です。帯は {n} にわたる 95\u00a0% 区間で、"
        "すべての年齢に同時に成り立ちます。"
        "水平線は、許容、状態をリセットしたときの損失、何も読まない予測です(遠いものは上の表だけに示します)。"
    )


def remembrance_caption(context: str, enough: str | None, negligible: str) -> str:
    rest = (
        f"{enough} 位置以上残せば {negligible} 以下のままです。それより古い入力はもう効きません。"
        if enough
        else f"{negligible} 以下にはなりません。最も古い入力も予測を動かし続けます。"
    )
    return (
        f"{context} 位置を読んだ後の予測が、最後の部分だけを読んだ場合にどれだけ動くかを示します。"
        f"破綻するモデルは破線の右で高い台地になります。{rest}"
    )


def map_caption(explained: str, null: str, samples: str) -> str:
    return (
        "灰色の点は学習の窓が通る状態で、塗った領域はその 95\u00a0% を含みます。記号は運用で出会う状態です。"
        "中抜きの記号は学習に"
        "ない場所にあります(この平面ではなく全次元で測ります)。線は、状態が年をとるときの系列の平均です。"
        "遠い状態は実際より近くに描かれます。この平面は学習時の状態"
        f"分布の分散の {explained} を示します。学習自身の状態でも偶然に {null} は未探索とされます。学習の状態は "
        f"{samples} 個です。"
    )


def coverage_caption(null: str, decorrelation: str) -> str:
    return (
        f"学習時の状態分布の外にある状態の割合です(最近傍による。偶然なら {null})。系列ごとに {decorrelation} "
        f"位置おきに一つの状態を"
        "数えます。同じ系列の若い状態は、年齢ではなくデータによる分を示します。"
        "距離は学習の標準偏差を単位とするスライス・ワッサー"
        "スタイン距離です。ふるまい:短い続きを状態からどう予測するか。状態が動いても、"
        "ふるまいは動かないことがあります。"
    )


def parts_caption(total: str, excess: str, error: str, ranks: str | None, same: bool, ages: str, n: str) -> str:
    agree = (
        "二つの方法は同じ部分を第一に挙げます。"
        if same
        else "二つの方法は違う部分を第一に挙げます。どちらも単独では信じないでください。"
    )
    rank = f"順位の相関は {ranks} です。" if ranks else ""
    return (
        f"棒は、年齢 {ages} の状態が同じ目標で若い状態より悪い分を分けたものです。合計は {total}、測った超過は "
        f"{excess} です(系列ごとの"
        f"誤差の二乗平均平方根 {error})。菱形は、その部分を二つの状態の間で入れ替えたときの損失の動きです。"
        f"{agree}{rank}n = {n}。"
    )


def trace_caption(count: str, considered: str) -> str:
    return (
        f"{considered} の瞬間のうち最悪の {count} つの損失を、その前に読んだ長さごとに示します。線が上がる所で、"
        f"さらに前を読むことが害を"
        "なしています。太い部分は、害の大半を占める最も短い区間です。最悪のものを選んだので、この害は典型ではなく、偶然も含みます。"
    )


def trace_source(first: str, last: str) -> str:
    return f"位置 {first} 〜 {last}"


def trace_from(source: str) -> str:
    return f"{source} から"


def trace_sentence(moment: str, stream: str, source: str, share: str) -> str:
    return f"{moment}(系列 {stream})の損失は {source} から来ています。この区間が害の {share} を占めます。"


def trace_moment(stream: str, first: str, last: str) -> str:
    return f"系列 {stream}、位置 {first} 〜 {last}"


def gap(explains: bool, share: str, interval: str, n: str) -> str:
    if explains:
        return (
            f"同じ年齢の状態の間では、学習からの隔たりが、超過の違いの {share}({interval}、n = {n})"
            f"を別の系列で説明します。"
        )
    return (
        f"同じ年齢の状態の間では、学習からの隔たりはこの破綻を説明しません(別の系列で説明される分散は {share}、"
        f"{interval}、n = {n})。"
    )


def forecast(age: str, seen: str, expected: str, linear: str) -> str:
    return (
        f"年齢 {seen} までから見て、年齢 {age} での超過はおよそ {expected} と見込まれます。"
        f"倍になるたびに同じだけ増え続けるなら {linear} "
        "です。測定ではなく見込みです。"
    )


def forecast_check(age: str, seen: str, said: str, was: str) -> str:
    return (
        f"同じ規則を測定済みの年齢で試すと、年齢 {seen} までから見た年齢 {age} の見込みは {said}、"
        f"実際の測定値は {was} でした。"
    )


def described(name: str, points: str) -> str:
    return f"{name}:{points}。"
