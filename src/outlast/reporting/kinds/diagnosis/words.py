"""Fixed words of a diagnosis, each in both languages; those of every kind are in `reporting.labels`."""

from __future__ import annotations

from outlast.reporting.words.language import Named, Text, Texts


class _Words:
    """Read as attributes: each is in the language that is spoken."""

    UNKNOWN = Text("Cause unknown", "原因不明")
    CAUSES = Text("Possible causes", "考えられる原因")
    HELP = Text("Remedies without training, and the next command", "学習せずに今できることと、次のコマンド")
    REMEMBRANCE = Text("Effective remembrance", "実効的な記憶")
    MAP = Text("Map of states", "状態の地図")
    COVERAGE = Text("Share of states that lie where training has none", "学習が通らなかった場所にある状態の割合")
    PARTS = Text("Layers and heads that carry the excess", "超過を担う層とヘッド")
    TRACE = Text("Origin of harmful moments", "害のある瞬間の由来")
    OUTLOOK = Text("Explanation by the gap, and outlook", "隔たりによる説明と、この先の見通し")
    EVIDENCE = Text("Numbers behind this answer", "この答えの数値")
    WHOLE_TIME = Text("time of the whole diagnosis", "診断全体の時間")

    FOUND = Named({True: ("found", "該当"), False: ("not found", "該当せず"), None: ("not asked", "調べられず")})
    IF_IT_FAILS = Text("if it fails", "破綻なら")
    COLUMNS_CAUSE = Texts(("possible cause", "考えられる原因"), ("answer", "答え"), ("evidence", "根拠"))
    COLUMNS_HELP = Texts(("without training", "学習なし"), ("loss", "損失"), ("cost", "費用"))
    COLUMNS_COVERAGE = Texts(
        ("seen as", "見方"),
        ("young states", "若い状態"),
        ("oldest states", "最も古い状態"),
        ("distance (chance)", "距離（偶然）"),
        ("n", "n"),
    )
    SCENARIOS = Text("States by scenario", "シナリオ別の状態")
    COLUMNS_SCENARIOS = Texts(
        ("scenario", "シナリオ"),
        ("outside what training passed through", "学習が通った範囲の外"),
        ("the same, by what they do", "振る舞いで見た場合"),
        ("loss over young states", "若い状態との損失の差"),
        ("n", "n"),
    )
    COLUMNS_PARTS = Texts(
        ("part", "部分"),
        ("adds to the excess", "超過への寄与"),
        ("young value put into the old state", "古い状態に若い値を入れた減り"),
        ("old value put into the young one", "若い状態に古い値を入れた増え"),
        ("n", "n"),
    )
    COLUMNS_GROUPS = Texts(
        ("swapped at once", "同時に入れ替えた部分"),
        ("young values put into the old state", "古い状態に若い値を入れた減り"),
        ("old values put into the young one", "若い状態に古い値を入れた増え"),
        ("n", "n"),
    )
    GROUPS = Text("Parts that were swapped at once", "同時に入れ替えた部分")
    COLUMNS_COUNTERS = Texts(
        ("counter", "カウンター"),
        ("reads in training", "学習中の値"),
        ("reads at the oldest ages", "最も古い年齢での値"),
        ("states past training", "学習を超えた状態"),
        ("n", "n"),
    )
    COUNTERS = Text("Parts that count", "数える部分")
    COLUMNS_TRACE = Texts(("moment", "瞬間"), ("harm", "害"), ("comes from", "由来"), ("holds", "占める割合"))
    COLUMNS_REMEMBRANCE = Texts(("kept", "残した位置数"), ("distance", "距離"), ("n", "n"))
    COSTS = Named(
        {"periodic_reset": ("none", "なし"), "overlapping_reset": ("twice the running cost", "実行費用が二倍")}
    )
    AS_IT_IS = Text("as it is, at the oldest age", "そのまま、最も古い年齢で")
    KEPT_AXIS = Texts(
        ("last positions that are kept", "残した最後の位置の数"), ("last positions kept", "残した位置の数")
    )
    RESET_AXIS = Texts(
        ("positions read before the moment", "その瞬間の前に読んだ位置の数"),
        ("positions read before", "前に読んだ位置の数"),
    )
    MAP_AXES = Texts(
        ("first principal component of training states", "学習時の状態の第一主成分"),
        ("second principal component", "第二主成分"),
    )
    REGION = Text("where training has states", "学習の状態がある領域")
    SUM, EXCESS = Text("sum", "合計"), Text("excess", "超過")
    NEGLIGIBLE = Text("negligible", "無視できる大きさ")
    MODEL = Text("model", "モデル")
    GUESS_COST = Text("it reads nothing", "何も読まない")
    LEVELS = Texts(
        ("excess within the tolerance", "超過は許容以内"),
        ("excess above it", "超過は許容より大きい"),
        ("largest third of excesses", "超過が大きい三分の一"),
    )
    STATES = Named({False: ("like training's", "学習にある状態"), True: ("unexplored", "未探索の状態")})
    MEAN_PATH = Text("mean over streams, by age", "系列の平均（年齢順）")
    CONTRIBUTION = Text("adds to the excess (path integral)", "超過への寄与（経路積分）")
    INTERVAL, SWAP = Text("95 % interval", "95 % 区間"), Text("what swapping says", "入れ替えの結果")
    SPACES = Named({"whole state": ("whole state", "状態全体"), "behaviour": ("behaviour", "ふるまい")})
    FIGURE_CAUSE = Text("Main cause", "主な原因")
    FIGURE_PART = Text("Part that carries it", "害を担う部分")
    LEFT_OUT = Named(
        {
            "trace": ("trace", "害のある瞬間の由来"),
            "attribution": ("attribution", "部分ごとの寄与"),
            "remembrance": ("remembrance", "実効的な記憶"),
            "coverage": ("coverage", "状態分布"),
            "causes": ("causes", "原因"),
            "changed places": ("changed places", "変化した所の比較"),
            "memory": ("memory", "記憶"),
        }
    )


words = _Words()
