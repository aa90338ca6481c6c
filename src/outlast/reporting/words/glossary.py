"""The terms that reports explain, each in both languages."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.reporting.words.language import Entry

Entries = Sequence[Entry]

_MEASURED: Entries = (
    Entry(
        "Training context",
        "How many positions a training window had. The model never saw an older state in training.",
        "学習文脈長",
        "学習の窓の位置の数。モデルは学習でこれより古い状態を見ていません。",
    ),
    Entry(
        "State",
        "What the model carries from one position to the next.",
        "状態",
        "モデルが一つの位置から次の位置へ持ち越すもの。",
    ),
    Entry(
        "Age of a state",
        "How many positions were read since the state was the initial one.",
        "状態の年齢",
        "初期状態から読んだ位置の数。",
    ),
    Entry(
        "Short",
        "The loss within the training context: the best band of ages there, chosen on half of the streams and scored "
        "on the other half.",
        "短",
        "学習文脈長以内で最も良い年齢帯の損失。系列の半分で選び、残りの半分で測ります。",
    ),
    Entry(
        "Excess",
        "The loss at an age minus short, on the same targets, paired by stream.",
        "超過",
        "ある年齢での損失から「短」を引いたもの。同じ目標で、系列ごとに対にします。",
    ),
    Entry(
        "Interval",
        "The range, over streams, that holds the true value with 95 % confidence: for all rows of a curve together, "
        "and at the oldest age, on which the verdict rests, for that age alone.",
        "区間",
        "系列にわたって真の値を 95 % の確かさで含む範囲。一つの曲線のすべての行に同時に成り立ちます。"
        "判定のよりどころである最も古い年齢では、その年齢だけについての範囲です。",
    ),
    Entry(
        "Block",
        "Neighbouring segments of one recording, which resemble each other: taken together they are one unit of an "
        "interval.",
        "ブロック",
        "一つの記録の隣り合う部分をまとめたもの。互いに似ているので、まとめて区間の一つの単位とします。",
    ),
    Entry("Tolerance", "How large an excess still counts as none.", "許容", "超過がないとみなす大きさ。"),
)

USUAL: Entries = (
    *_MEASURED,
    Entry(
        "Periodic reset",
        "The state is set back to the initial one every so many positions. It needs no training.",
        "定期リセット",
        "決まった数の位置ごとに状態を初期状態へ戻すこと。学習は要りません。",
    ),
    Entry(
        "Overlapping resets",
        "Two copies of the model, reset in turn, so that the one that answers has always read something. It needs no "
        "training and costs twice as much.",
        "交互リセット",
        "モデルの二つの複製を交互にリセットし、答える方がいつも何かを読んでいるようにすること。"
        "学習は要りませんが、費用は二倍です。",
    ),
    Entry(
        "Repair",
        "Post-training with other starting states. The architecture stays as it is.",
        "修復",
        "別の初期状態から始める追加学習。構造はそのままです。",
    ),
    Entry(
        "Control",
        "The same rows, windows and steps as the repair, always from the zero state. What the repair gains over it, "
        "its starts have gained; what both gain, the training has.",
        "対照",
        "修復と同じ行、窓、ステップで、いつもゼロ状態から始める学習。修復がこれより良い分は初期状態の効果で、"
        "両方に共通の改善は学習の効果です。",
    ),
    Entry(
        "Dose",
        "How far from the base to the repaired model the weights go: 0 is the base, 1 the whole way.",
        "用量",
        "重みを元のモデルから修復後のモデルへどこまで動かすか。0 は元のモデル、1 は修復後のモデル。",
    ),
    Entry(
        "Intervention", "The rule for where training windows start.", "介入", "学習の窓をどの状態から始めるかの規則。"
    ),
    Entry(
        "Carry",
        "The intervention in which a training window goes on with its own stream, or starts a new stream on the old "
        "state. The expected run says how long a stream goes on, on average.",
        "持ち越し（carry）",
        "学習の窓が自分の系列を続けるか、古い状態のまま新しい系列を始める介入。"
        "expected run は、一つの系列が平均でどれだけ続くかを表します。",
    ),
)

CHECKED: Entries = (
    _MEASURED[1],
    Entry(
        "Contract",
        "What a recurrent model must do for its figures to mean something.",
        "契約",
        "再帰モデルの測定値が意味を持つために、モデルが守るべきこと。",
    ),
    Entry(
        "Worst",
        "The largest difference that was found, as a share of the size of the values compared.",
        "最大の差",
        "見つかった最も大きな差。比べた値の大きさに対する割合で示します。",
    ),
)

DIAGNOSED: Entries = (
    *_MEASURED,
    Entry(
        "Length generalisation",
        "The loss goes on improving past the training context, where the data have something to use.",
        "長さ一般化",
        "データに使えるものがある限り、学習文脈長を超えても損失が良くなり続けること。",
    ),
    Entry(
        "Unexplored state",
        "A state that no training window starts from or passes through.",
        "未探索の状態",
        "どの学習の窓も、そこから始まらず、通りもしない状態。",
    ),
    Entry(
        "Distribution of states",
        "Where states lie, and how often.",
        "状態分布",
        "状態がどこに、どれだけの頻度であるか。",
    ),
    Entry(
        "Stale context",
        "What was read before the world changed and now misleads.",
        "古くなった文脈",
        "世界が変わる前に読まれ、今は誤らせるもの。",
    ),
    Entry(
        "Effective remembrance",
        "How much a prediction changes when old inputs are left out.",
        "実効的な記憶",
        "古い入力を除いたとき予測がどれだけ変わるか。",
    ),
    Entry(
        "Behaviour",
        "How a fixed set of short continuations is predicted from a state.",
        "ふるまい",
        "決まった短い続きを、その状態からどう予測するか。",
    ),
    Entry(
        "Swap",
        "Putting one part's value from a young state into an old one, or the other way round.",
        "入れ替え",
        "ある部分の値を若い状態から古い状態へ、またはその逆へ移すこと。",
    ),
)

AT_WORK: Entries = (
    Entry(
        "Incident",
        "A stretch of one stream in which the model at work was not as it usually is. Whether that hurts is asked of a "
        "young copy that reads the same.",
        "異常",
        "一つの系列のうち、運用中のモデルが普段と違っていた区間。害があるかは、同じものを読む若い複製と比べて調べます。",
    ),
    Entry(
        "Candidate",
        "A new version on its way: collected, trained, held to gates, then a shadow, a canary, and at work.",
        "候補",
        "新しい版。収集、学習、関門を経て、シャドー、カナリア、運用へ進みます。",
    ),
    Entry(
        "Gate",
        "What a candidate is held against before it may go on.",
        "関門",
        "候補が先へ進む前に満たすべきこと。",
    ),
    Entry(
        "Shadow",
        "A candidate that reads all that comes in, and answers nobody.",
        "シャドー",
        "届くものをすべて読むが、誰にも応答しない候補。",
    ),
    Entry(
        "Canary",
        "A candidate that answers some of the streams, always the same ones.",
        "カナリア",
        "一部の系列（いつも同じもの）に応答する候補。",
    ),
    Entry(
        "Kept ready",
        "The version before goes on reading for a while after a promotion, so that a roll-back loses nothing.",
        "待機中",
        "昇格の後もしばらく読み続ける前の版。切り戻しても何も失われません。",
    ),
    Entry(
        "Evidence",
        "Bets on which version loses less, on the same rows. It may be looked at at any time; 20 decides.",
        "証拠",
        "同じ行でどちらの版の損失が小さいかへの賭け。いつ見ても構いません。20 で決まります。",
    ),
)
