"""What stands under figures and tables: how to read them. What they show in words is in `terms`."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting import refusals
from outlast.reporting.words import terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import listed, sentences, tell
from outlast.reporting.words.numbers import integer, number, span
from outlast.reporting.words.terms import in_unit, measure_name, over, pieces, unit
from outlast.results import Evaluation, Repair, Sample, Short


def gaps() -> str:
    return tell("Along faint dotted stretches nothing was measured.", "薄い点線の部分では何も測っていません。")


def hollow() -> str:
    return tell("Hollow marks belong to repairs that are refused.", "中抜きの印は不採用の修復です。")


def _young() -> str:
    return tell(
        "Left of the dashed line are ages the model met in training.",
        "破線より左は、モデルが学習で出会った年齢です。",
    )


def _faint(count: int) -> str:
    return (
        tell(
            "The base, the picked repair, the control and the best of the others are drawn strongly and named; the "
            "rest is faint, and named in the legend.",
            "元のモデル、選ばれた修復、対照、他の中で最も良いものは太く描いて名前を付け、"
            "残りは薄く描いて凡例だけに示します。",
        )
        if count
        else ""
    )


def blocks_note(evaluation: Evaluation) -> str:
    """That neighbouring segments are one unit, and share what warms them up, where they do."""
    blocks, found = terms.blocks_in(evaluation), []
    if blocks:
        found.append(
            tell(
                f"Neighbouring ones resemble each other and are taken together into {integer(blocks)} blocks, which "
                f"are the units of the intervals.",
                f"隣り合うものは互いに似ているため {integer(blocks)} 個のブロックにまとめ、これを区間の単位とします。",
            )
        )
    if evaluation.data.get("together"):
        found.append(
            tell(
                "They share the positions that warm their states up, and no targets.",
                "状態を温める位置は隣り合うもので共有しますが、目標は共有しません。",
            )
        )
    return sentences(*found)


def shorter(evaluation: Evaluation) -> str:
    """That streams were read less far than --max-length asked for, where they were."""
    lengths = terms.shorter(evaluation)
    if lengths is None:
        return ""
    asked, used = map(integer, lengths)
    told = pieces(evaluation)
    return tell(
        f"{used} positions of each stream were read, not the {asked} asked for: {told} are no longer than that.",
        f"各系列で読んだのは {used} 位置です（指定は {asked} 位置）。{told}はこれより長くありません。",
    )


def summary_units(evaluation: Evaluation) -> str:
    """What intervals are over, where neighbouring pieces are one unit."""
    note, told = blocks_note(evaluation), pieces(evaluation)
    return sentences(tell(f"Intervals are over {told}.", f"区間は {told}にわたるものです。"), note) if note else ""


def halves_note(evaluation: Evaluation) -> str:
    """How resets were measured whose periods two halves of the streams chose for each other, and did not agree."""
    found = [(labels.RESETS[name], each.halves) for name, each in evaluation.resets.items() if each.halves]
    return sentences(
        *(
            tell(
                f"{name[:1].upper()}{name[1:]}: one half of the streams is best every {integer(halves[0])}, the other "
                f"every {integer(halves[1])}, and each is scored as the other chose. Tuning and repairing choose on "
                "validation streams, so their figures of a reset differ a little.",
                f"{name}：系列の半分は {integer(halves[0])} 位置ごと、残りの半分は "
                f"{integer(halves[1])} 位置ごとが最良で、互いに他方の選んだ周期で測っています。"
                "調整と修復は検証系列で選ぶため、リセットの値は少し異なります。",
            )
            for name, halves in found
        )
    )


def units(blocks: int, evaluation: Evaluation) -> str:
    told = pieces(evaluation)
    return tell(
        f"{integer(blocks)} blocks of neighbouring ones among {told}",
        f"{told}を隣り合うものでまとめた {integer(blocks)} ブロック",
    )


def _intervals(evaluation: Evaluation, lines: int, *, over: str = "ages") -> str:
    """What bands are: over ages or positions all together, or, of differences, at the oldest age for that age alone."""
    told, positions = pieces(evaluation), over == "positions"
    alone = over == "differences"
    return sentences(
        tell(
            f"{'Bands' if lines <= 3 else 'Bands, and bars at the right end,'} are 95\u00a0% intervals over {told}, "
            f"for all {'positions' if positions else 'ages'} "
            f"together{', at the oldest age for that age alone' * alone}.",
            f"{'帯' if lines <= 3 else '帯と右端の棒'}は {told}にわたる 95\u00a0% 区間で、"
            f"すべての{'位置' if positions else '年齢'}に同時に成り立ちます"
            f"{'（最も古い年齢では、その年齢だけについて）' * alone}。",
        ),
        blocks_note(evaluation),
    )


def _left_out(count: int) -> str:
    if not count:
        return ""
    return tell(f"{integer(count)} more are in the table only.", f"他の {integer(count)} 件は表だけに示します。")


def logarithmic(linear_within: float | None) -> str:
    """How an axis is read that is not even."""
    if linear_within is None:
        return tell("The loss axis is logarithmic.", "損失の軸は対数目盛です。")
    within = number(linear_within, 2)
    return tell(
        f"Further than {within} from zero the vertical axis is logarithmic.",
        f"縦軸は、ゼロから {within} より離れると対数目盛になります。",
    )


def excess_hint(evaluation: Evaluation, lines: int, left_out: int, far: int, faint: int = 0) -> str:
    """How to read the excess by age."""
    whose, own = ("the loss", "the") if lines == 1 else ("each model's loss", "its own")
    levels = tell("Horizontal lines: the tolerance.", "水平線は許容です。")
    if lines == 1 and (evaluation.resets or evaluation.guesses):
        levels = tell(
            "Horizontal lines: the tolerance, and what needs no training (resets of the model; guesses that read "
            "nothing).",
            "水平線は、許容と、学習の要らないもの（モデルのリセット、何も読まない予測）です。",
        )
    return sentences(
        tell(
            f"Excess: {whose} at an age minus {own} loss within the training context (short), on the same targets, "
            "stream by stream. The verdict rests on these paired differences, at the oldest age. Lower is better; zero "
            "is as good as within the training context.",
            f"超過とは、{'' if lines == 1 else '各モデルについて、'}ある年齢での損失から学習文脈長以内の損失（短）を、"
            "同じ目標で系列ごとに引いたものです。判定は最も古い年齢でのこの対になった差によります。"
            "低いほど良く、ゼロなら学習文脈長以内と同じ良さです。",
        ),
        _young(),
        levels,
        tell("What is simpler and far off is in the table only.", "より単純なもののうち遠いものは表だけに示します。")
        if far
        else "",
        _intervals(evaluation, lines, over="differences"),
        _faint(faint),
        _left_out(left_out),
    )


def loss_hint(evaluation: Evaluation, lines: int, left_out: int, faint: int = 0) -> str:
    """How to read losses by age, several models on one axis."""
    judged = evaluation.verdict is not None or evaluation.short is not None
    return sentences(
        tell(
            f"Every point scores the same {'targets' if judged else 'inputs'}, predicted from a state of another age; "
            "lower is better.",
            f"どの点も、同じ{'目標' if judged else '入力'}を違う年齢の状態から予測したものです。低いほど良いです。",
        ),
        _young(),
        tell(
            "A healthy curve falls and then stays down; one that climbs to the right of the line fails.",
            "健全な曲線は下がったまま保たれ、破線の右で上がる曲線は破綻しています。",
        ),
        tell(
            "Horizontal lines: the base model when its state is reset, which needs no training, and guesses that read "
            "nothing, where they are not far off.",
            "水平線は、状態をリセットした元のモデル（学習は要りません）と、何も読まない予測のうち遠くないものです。",
        )
        if evaluation.resets
        else tell(
            "Horizontal lines: guesses that read nothing, where they are not far off.",
            "水平線は、何も読まない予測のうち遠くないものです。",
        )
        if evaluation.guesses
        else "",
        _intervals(evaluation, lines),
        tell(
            "They are as wide as these differ from one another; differences between ages and between models are "
            "paired, and known more closely.",
            "その幅はこれらの間の違いによるものです。年齢の間やモデルの間の差は対にしてあり、もっと細かくわかります。",
        ),
        _faint(faint),
        _left_out(left_out),
    )


def change_hint(base: Evaluation, lines: int, left_out: int, *, margin: bool, faint: int = 0) -> str:
    """How to read what repairs changed."""
    return sentences(
        tell(
            "Each model minus the base at each age, on the same targets, paired by stream: below zero it is better.",
            "各モデルの損失から元のモデルの損失を、年齢ごとに、同じ目標で系列ごとに引いたものです。ゼロより下なら"
            "良くなっています。",
        ),
        _young(),
        tell(
            "The horizontal lines there are what short contexts may lose: their mean over ages, and one band of ages.",
            "そこの水平線は短い文脈に許される悪化です（年齢にわたる平均と、一つの年齢帯）。",
        )
        if margin
        else "",
        _intervals(base, lines, over="differences"),
        _faint(faint),
        _left_out(left_out),
    )


def recovery_hint(evaluation: Evaluation, lines: int) -> str:
    """How to read what a switch to another stream costs."""
    return sentences(
        tell(
            "A state that one stream has aged goes on to read another one, from its beginning. Drawn is how much worse "
            "the new stream is predicted than by the same model that reads it afresh, paired by the new stream; at "
            "zero it has recovered.",
            "ある系列で年をとった状態が、別の系列を最初から読み続けます。図は、新しい系列の予測が、同じモデルが"
            "新しく読んだ場合よりどれだけ悪いかを、新しい系列ごとに対にして示します。ゼロになれば回復しています。",
        ),
        _intervals(evaluation, lines, over="positions"),
    )


def recovered(name: str, start: str, until: str | None) -> str:
    """What the figure of recovery shows of one model.

    Args:
        start: what the first positions cost.
        until: the position from which on nothing can be told; None: there is none.
    """
    if until == "0":
        return tell(
            f"{name}: an old state costs nothing that can be told, from the first position on ({start} there).",
            f"{name}：最初の位置から、古い状態の害は認められません（そこで {start}）。",
        )
    if until is None:
        return tell(
            f"{name}: an old state costs {start} at first, and still something where the measurement ends.",
            f"{name}：古い状態の害は最初に {start} で、測定の終わりでもまだ残っています。",
        )
    return tell(
        f"{name}: an old state costs {start} at first; from position {until} on no cost can be told.",
        f"{name}：古い状態の害は最初に {start} で、位置 {until} からは認められません。",
    )


def dose_hint() -> str:
    """How to read the figure of doses."""
    return tell(
        "Validation streams. Each point is the repair with that share of its change of the weights: further left it "
        "costs short contexts less, further down it gains more at the oldest age. Bars are 95\u00a0% intervals of the "
        "change; those of the loss are in the table, as wide as streams differ from one another and not as doses do. "
        "The dashed line is what short contexts of the test streams may lose. A dose is within the margin if the upper "
        "end is that the change has on typical streams (the interval of a trimmed mean), once what choosing among "
        "doses flatters is taken off the margin.",
        "検証系列での結果です。各点は、重みの変化をその割合だけ加えた修復です。左ほど短い文脈の悪化が少なく、"
        "下ほど最も古い年齢での改善が大きくなります。棒は変化の 95\u00a0% 区間です。損失の区間は表にあり、その幅は"
        "用量の間ではなく系列の間の違いによるものです。破線はテスト系列の短い文脈に許される悪化です。"
        "用量を選ぶことによる甘さを許容幅から差し引いた上で、典型的な系列での変化（トリム平均の区間）の上端が"
        "収まるとき、その用量は許容幅以内です。",
    )


def position_hint(log_loss: bool) -> str:
    return sentences(
        tell(
            "The streams read once from the beginning, from the zero state. Unlike the age curve, each point scores "
            "other targets, so a slope can also come from the data.",
            "系列をゼロ状態から、最初から一度だけ読みます。年齢の曲線と違って各点の目標は別のものなので、"
            "傾きはデータから来ることもあります。",
        ),
        logarithmic(None) if log_loss else "",
    )


def perplexity_hint(
    evaluation: Evaluation, lines: int, *, aged: bool, logarithmic: bool, top: str, refused: bool
) -> str:
    """How to read perplexities.

    Args:
        aged: by age of the state; otherwise by position.
        logarithmic: whether their axis is.
        top: the perplexity from which on lines are drawn at the top edge; empty where none reaches it.
        refused: whether repairs that are refused are among the lines.
    """
    return sentences(
        tell(
            "Perplexity is exp of the mean cross-entropy in nats: among how many equally likely next tokens the model "
            "is left, on average. Lower is better.",
            "パープレキシティは、交差エントロピー（nat）の平均の exp です。平均で何個の同様に確からしい次のトークンの"
            "間で迷っているかを表し、低いほど良いです。",
        ),
        tell(
            "Every point scores the same targets, predicted from a state of another age.",
            "どの点も、同じ目標を違う年齢の状態から予測したものです。",
        )
        if aged
        else tell(
            "The streams are read once from the zero state; each point scores other targets, so a slope can also come "
            "from the data.",
            "系列をゼロ状態から一度だけ読みます。各点の目標は別のものなので、傾きはデータから来ることもあります。",
        ),
        _intervals(evaluation, lines, over="ages" if aged else "positions"),
        tell("The perplexity axis is logarithmic too.", "パープレキシティの軸も対数目盛です。") if logarithmic else "",
        tell(
            f"Perplexities above {top}, as a broken model has them, are drawn at that height; the table has them.",
            f"{top} を超えるパープレキシティ（壊れたモデルのもの）はその高さに描き、値は表に示します。",
        )
        if top
        else "",
        hollow() if refused else "",
    )


def slices_hint(evaluation: Evaluation, *, refused: bool, log_loss: bool) -> str:
    """How to read losses by the values of a label."""
    return sentences(
        tell(
            f"Streams read from their beginning, told apart by their label. Bands are 95\u00a0% intervals over "
            f"{pieces(evaluation)}, each for one value alone.",
            "系列を最初から読んだ損失をラベルの値ごとに分けたものです。"
            f"帯は {pieces(evaluation)}にわたる 95\u00a0% 区間で、それぞれ一つの値についてのものです。",
        ),
        logarithmic(None) if log_loss else "",
        hollow() if refused else "",
    )


def slices_note(evaluation: Evaluation, *, several: bool, worst_first: bool) -> str:
    """How the table of a label is read."""
    return sentences(
        tell(
            f"Every position counts the same; n is how many of {over(evaluation)} have any. Verdicts are not about "
            "these rows.",
            f"どの位置も等しく数えます。n は、{over(evaluation)}のうち該当する位置を持つものの数です。"
            "判定はこれらの行によるものではありません。",
        ),
        tell(
            "The change is the repaired model minus the base; it has no interval of its own.",
            "変化は修復後のモデルから元のモデルを引いたもので、それ自体の区間はありません。",
        )
        if several
        else "",
        tell("The highest losses stand first.", "損失の大きいものから並べます。") if worst_first else "",
    )


def scenarios_hint(evaluation: Evaluation) -> str:
    """How the figure of scenarios is read."""
    return tell(
        f"The {measure_name(evaluation.measure)} of the same targets by the age of the state that predicts them, in "
        "each scenario. Where a line rises past the training context, old states cost there.",
        f"同じ目標の{measure_name(evaluation.measure)}を、予測する状態の年齢ごとに、シナリオ別に示します。"
        "学習文脈長を超えて線が上がるところでは、古い状態が損失を増やしています。",
    )


def scenarios_note(evaluation: Evaluation) -> str:
    """How the table of scenarios is read."""
    return sentences(
        tell(
            "Whether a position is in a scenario is asked of the row that is read there. Young states are those of the "
            "age within the training context that is best for all targets together; the excess is the loss at the "
            "oldest age minus theirs, paired, and every position counts the same.",
            "位置がシナリオに入るかどうかは、そこで読む行で決まります。若い状態とは、学習文脈長以内で目標全体にとって"
            "最も良い年齢の状態です。超過は、最も古い年齢での損失からその損失を対にして引いたもので、どの位置も等しく数えます。",
        ),
        tell(
            f"n is how many of {over(evaluation)} have any. Verdicts are about all targets.",
            f"n は、{over(evaluation)}のうち該当するものの数です。判定は目標全体についてのものです。",
        ),
    )


def all_values(count: int) -> str:
    return tell(f"All {integer(count)} values", f"すべての値（{integer(count)} 件）")


def further_values(count: int) -> str:
    return tell(f"{integer(count)} more values", f"他の値（{integer(count)} 件）")


def sampled(sample: Sample) -> str:
    stream, age = integer(sample.stream), integer(sample.age)
    return tell(
        f"Test stream {stream}, after {age} positions (seed {sample.seed})",
        f"テスト系列 {stream}、{age} 位置を読んだ後（シード {sample.seed}）",
    )


def samples_hint(sample: Sample) -> str:
    """How the texts of models were made."""
    return tell(
        "Both models read the same stream from its beginning up to that position and then write on, at temperature "
        f"{sample.temperature:g} and with the same draws. The streams are the first of the test streams, not chosen by "
        "what came out. Bytes that are no text are shown as \ufffd. A few texts are an impression; what is known of "
        "the models stands in the figures.",
        "二つのモデルは同じ系列を最初からその位置まで読み、"
        f"温度 {sample.temperature:g} で、同じ乱数を使って続きを書きます。"
        "系列はテスト系列の最初のもので、結果を見て選んだものではありません。"
        "文字にならないバイトは \ufffd で示します。数個の文章は印象にすぎず、確かなことは図と表にあります。",
    )


def state_hint(left_out: int, repaired: str | None) -> str:
    return sentences(
        tell(
            "How large each part of the state is, and how much it differs between streams, by position. Growth past "
            "the dashed line is a hint, not a verdict: some models fail with a flat state, and some are healthy with a "
            "growing one.",
            "状態の各部分の大きさと、系列の間の違いを位置ごとに示します。破線より右での増大は手がかりであって判定では"
            "ありません。状態が一定でも破綻するモデルも、増えても健全なモデルもあります。",
        ),
        tell(
            f"Both the base model and {repaired} are drawn.",
            f"元のモデルと {repaired} の両方を描きます。",
        )
        if repaired
        else "",
        tell(
            f"The parts that change most are drawn; {integer(left_out)} more are left out.",
            f"最も変わる部分を描き、他の {integer(left_out)} 個は省きます。",
        )
        if left_out
        else "",
    )


def outlook_hint() -> str:
    return tell(
        "Each point is a whole training of that many steps, judged on validation streams. Past the dotted stretch it "
        "is what is expected of more steps; below a horizontal line it is better than that. " + outlook_interval(),
        "各点は、そのステップ数で終わる一回の学習を検証系列で測ったものです。点線の先はステップを増やしたときの見込みです。"
        "横線より下なら、それより良くなります。" + outlook_interval(),
    )


def outlook_interval() -> str:
    return tell(
        "Nine of ten such trainings should end within the interval, judged on other streams like these.",
        "同じような別の系列で測ると、このような学習十回のうち九回が区間内で終わる見込みです。",
    )


def training_hint() -> str:
    return tell(
        "The objective on training windows, as it was recorded. It says nothing about ages past the training context.",
        "学習の窓での目的関数の記録です。学習文脈長を超えた年齢については何も示しません。",
    )


def picked_note() -> str:
    return tell(
        "Equal steps and data for each; all are held against the control of the picked one. What is picked, and at "
        "which dose, validation streams say, not the figures here.",
        "ステップ数とデータはすべて等しく、どれも選ばれたものの対照と比べます。"
        "どれをどの用量で選ぶかは検証系列が決めるもので、ここの数値ではありません。",
    )


def also(repair: Repair, names: Sequence[str]) -> str:
    told = listed([refusals.named(repair, name) for name in names])
    return tell(f"What else would have refused it: {told}.", f"他の不採用の理由：{told}。")


def outcome(repair: Repair) -> tuple[str, str, str]:
    """For a table: the word, the reasons below it, the tone. Only what is accepted is good."""
    because = refusals.obstacle(repair)
    if because is None:
        return labels.ACCEPTED, "", "good"
    if because.name == "undecided":
        return labels.UNSETTLED, labels.REFUSALS["undecided"], "open"
    return labels.REFUSED, listed([refusals.named(repair, name) for name in (because.name, *because.also)]), "bad"


def outcome_brief(repair: Repair) -> str:
    """For a narrow column."""
    because = refusals.obstacle(repair)
    return labels.ACCEPTED if because is None else refusals.brief(repair, because.name)


def allowed(size: str) -> str:
    return tell(f"allowed {size}", f"許容 {size}")


def made_by(steps: int, dose: float) -> str:
    return tell(f"{integer(steps)} steps, dose {dose:g}", f"{integer(steps)} ステップ、用量 {dose:g}")


def cost(text: str) -> str:
    """What a failing point of the contract costs, as a sentence of its own."""
    return tell(f"What it costs: {text}.", f"その結果：{text}。")


def remedy(text: str) -> str:
    """What to do about it, as a sentence of its own."""
    return tell(f"What to do: {text}.", f"対処：{text}。")


def entries(count: int) -> str:
    return tell(f"{integer(count)} entries", f"{integer(count)} 件")


def repair_note() -> str:
    return tell(
        "Differences are at the oldest age, the repair minus what stands above the column, paired by stream: negative "
        "is better. Short contexts: the change over all ages within the training context, every age alike. A repair is "
        "accepted when short contexts hold; when it is clearly below the base model and below the control, as they are "
        "and under their best periodic resets; and when it still reads, is not better reset, and does not itself fail "
        "or decline. Overlapping resets cost twice as much to run and are shown for comparison.",
        "差は最も古い年齢でのもので、修復から列の見出しのものを系列ごとに引きます。負なら良くなっています。"
        "短い文脈は、学習文脈長以内のすべての年齢を等しく見た変化です。修復が採用されるのは、短い文脈が保たれ、"
        "元のモデルと対照を（そのままでも最良の定期リセットでも）明らかに下回り、今も入力を読み、リセットした方が"
        "良くなることがなく、それ自体も破綻も衰えもしないときです。交互リセットは実行費用が二倍で、比較のために示します。",
    )


def no_control_note() -> str:
    return tell(
        "No control was made, so it is not known what the starts gained and what the training alone would have given.",
        "対照を作らなかったため、初期状態による改善と、学習だけでも得られた改善との区別はわかりません。",
    )


def simpler_note(name: str) -> str:
    return tell(
        f"Losses of the same targets. The difference is {name} at its oldest age minus what is simpler, paired by "
        f"stream; it is better or worse where the whole interval is on one side of zero.",
        f"同じ目標での損失です。差は、最も古い年齢での{name}から、より単純なものを系列ごとに引いたものです。"
        "区間の全体がゼロの片側にあれば、良い、または悪いとします。",
    )


def short_description(short: Short, unit: str) -> str:
    bands = tell(" and ", " と ").join(dict.fromkeys(span(*band) for band in short.bands))
    value = terms.with_unit(number(short.loss), unit)
    return tell(f"{value}, best of ages {bands}", f"{value}（最も良い年齢 {bands}）")


def ages_weighed(ages: tuple[int, int]) -> str:
    return tell(f"{span(*ages)}, every age alike", f"{span(*ages)}（各年齢を等しく）")


def by_bands(value: str, interval: str) -> str:
    return tell(
        f"{value} ({interval}); as it used to be told, and not what decides",
        f"{value}（{interval}）。以前の示し方で、これでは決めません",
    )


def table_legend(base: Evaluation, controlled: bool) -> str:
    """What the columns of the terminal table of repairs mean."""
    measure = in_unit(measure_name(base.measure), unit(base))
    return sentences(
        tell(
            f"{measure}. short: change within the training context, every age alike. Negative differences are better; "
            "the best rival is the base model, or the base model under its best periodic reset.",
            f"{measure}。短い文脈：学習文脈長以内の変化（各年齢を等しく）。差は負なら良くなっています。"
            "最良の競争相手は、元のモデルか、最良の周期で定期リセットした元のモデルです。",
        ),
        tell(
            "starts gained: against the control, equal training from zero states.",
            "初期状態の効果：対照（ゼロ状態から始める同量の学習）との差。",
        )
        if controlled
        else no_control_note(),
        tell(f"Intervals are 95\u00a0%, over {over(base)}.", f"区間は 95\u00a0% で、{over(base)}にわたります。"),
    )
