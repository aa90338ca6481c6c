"""Fixed words of a plan, each in both languages; those of every kind are in `reporting.labels`."""

from __future__ import annotations

from outlast.reporting.language import Named, Text, Texts


class _Words:
    """Read as attributes: each is in the language that is spoken."""

    BADGES = Named(
        {
            "leave_it": ("Leave it", "そのまま使う"),
            "reset": ("Reset it", "リセットする"),
            "repair": ("Repair it", "修復する"),
            "beyond_starts": ("Starts are not enough", "初期状態では足りない"),
            "mend": ("Broken", "壊れている"),
        }
    )
    KINDS = Named(
        {
            "plain": ("plain training", "通常の学習"),
            "longer_windows": ("longer windows", "より長い窓"),
        }
    )
    TRIED = Text("What was tried on a small scale", "小さな規模で試したもの")
    ROUNDS = Text("All pilots, round by round", "すべての試行、回ごと")
    BUYS = Text("What more steps are expected to reach", "ステップを増やしたときの見込み")
    MONEY = Text("Cost and benefit", "費用と効果")
    CHANGES = Text("What would change this advice", "この助言が変わる場合")
    RUNS = Text("How long one situation lasts", "一つの状況が続く長さ")
    COLUMNS_TRIED = Texts(
        ("what is done", "すること"),
        ("loss at oldest age", "最も古い年齢での損失"),
        ("against running on", "そのまま動かす場合との差"),
        ("short contexts", "短い文脈"),
        ("expected of a whole repair", "修復全体での見込み"),
    )
    COLUMNS_ROUNDS = Texts(
        ("training", "学習"), ("steps", "ステップ"), ("loss at oldest age", "最も古い年齢での損失"), ("dose", "用量"),
        ("short contexts", "短い文脈"), ("time", "時間"),
    )  # fmt: skip
    STEPS_AXIS = Text("training steps (the schedule of each ends there)", "学習ステップ（各学習の終わり）")
    STEPS_AXIS_NARROW = Text("training steps", "学習ステップ")
    RUN_ON = Text("as it runs on", "そのまま動かす")
    HELD, MAYBE_LOST = Text("hold", "保たれる"), Text("may get worse", "悪化の恐れ")
    FIGURE_COST, FIGURE_GAIN = Text("Cost", "費用"), Text("Expected gain", "見込まれる改善")
    FIGURE_DAY, FIGURE_SPENT = Text("Paid for itself", "元が取れる日"), Text("Planning took", "計画にかかった時間")
    FACT_STEPS, FACT_POSITIONS = (
        Text("training steps", "学習ステップ"),
        Text("positions to learn from", "学習する位置の数"),
    )
    FACT_TIME, FACT_CORE_HOURS = Text("time on this machine", "この機械での時間"), Text("core-hours", "コア時間")
    FACT_MONEY, FACT_SPENT = Text("money", "金額"), Text("planning itself", "計画そのもの")
    FACT_DEFAULT = Text("one repair with the given settings", "与えられた設定での修復一回")
    FACT_GAIN = Text("gain over the best use without training", "学習なしの最善の使い方からの改善")
    FACT_A_DAY = Text("worth a day", "一日あたりの価値")
    FACT_DAY = Text("paid for itself", "元が取れる日")
    NEVER = Text("never", "取れない")
    TRAINING, VALIDATION = Text("training streams", "学習系列"), Text("validation streams", "検証系列")


words = _Words()
