"""Fixed words of a timeline, each in both languages; those of every kind are in `reporting.labels`."""

from __future__ import annotations

from outlast.reporting.words.language import Named, Text, Texts


class _Words:
    """Read as attributes: each is in the language that is spoken."""

    TIMELINE = Text("Timeline of a model at work", "運用の経過")
    BADGES = Named(
        {
            "nothing": ("Nothing at work", "運用なし"),
            "quiet": ("No incident open", "異常なし"),
            "open": ("Incidents open", "異常が継続中"),
            "harmful": ("Incidents that hurt are open", "害のある異常が継続中"),
        }
    )
    STATUS = Named(
        {
            "collected": ("collected", "収集"),
            "trained": ("trained", "学習済み"),
            "gated": ("gated", "関門を通過"),
            "shadow": ("shadow", "シャドー"),
            "canary": ("canary", "カナリア"),
            "promoted": ("promoted", "昇格"),
            "retired": ("retired", "引退"),
            "refused": ("refused", "不採用"),
            "rolled_back": ("rolled back", "切り戻し"),
            "deployed": ("put to work", "運用開始"),
            "back": ("back at work", "運用に復帰"),
        }
    )
    PARTS = Named(
        {
            "work": ("at work", "運用中"),
            "shadow": ("as a shadow", "シャドーとして"),
            "canary": ("as a canary", "カナリアとして"),
            "warm": ("kept ready", "待機中"),
        }
    )
    HARMS = Named(
        {
            "unknown": ("not known yet", "まだ不明"),
            "none_seen": ("no harm seen", "害は見られない"),
            "advantage_lost": ("advantage lost", "履歴の利点が失われた"),
            "worse_than_reset": ("worse than a reset", "リセットより悪い"),
            "age_changes_predictions": ("age changes the predictions", "年齢が予測を変える"),
            "unfamiliar": ("unfamiliar states", "見慣れない状態"),
        }
    )
    SIGNALS = Named(
        {
            "unexplored": ("unexplored states", "未探索の状態"),
            "norms": ("size of the state", "状態の大きさ"),
            "loss": ("loss", "損失"),
            "excess": ("excess", "超過"),
            "divergence": ("divergence", "ダイバージェンス"),
        }
    )
    LABELS = Named(
        {
            "real": ("real", "本物"),
            "false_alarm": ("false alarm", "誤報"),
            "do_not_use": ("do not use", "使用しない"),
        }
    )
    GATES = Named(
        {
            "collected": ("states collected", "状態の収集"),
            "trained": ("training", "学習"),
            "finite": ("finite", "有限の数"),
            "short contexts": ("short contexts", "短い文脈"),
            "guards": ("guards", "他のデータの短い文脈"),
            "corpus": ("corpus", "信頼するデータ"),
            "later incidents": ("later incidents", "後の異常"),
            "not worse than a reset": ("not worse than a reset", "リセットより悪くない"),
            "alarm": ("alarm", "警報"),
            "handover": ("handover", "引き継ぎ"),
            "paired losses": ("live streams", "運用中の系列"),
        }
    )
    PASSED, NOT_PASSED = Text("passed", "通過"), Text("not passed", "不通過")
    INFORMATION = Text("for information", "参考")
    HAPPENED = Text("What happened, in order", "起きたこと（順に）")
    EARLIER = Text("What happened before", "それ以前に起きたこと")
    PICTURE = Text("Loss of the versions over time", "各版の損失の推移")
    CANDIDATES = Text("Gates of the candidates", "候補の関門")
    INCIDENTS = Text("Incidents", "異常")
    MORE_INCIDENTS = Text("More incidents", "他の異常")
    COLUMNS_HAPPENED = Texts(
        ("rows answered (UTC)", "応答した行（UTC）"), ("what", "何が"), ("who", "誰が"), ("why", "なぜ")
    )
    COLUMN_TIME = Text("time of the data", "データの時刻")
    COLUMNS_GATES = Texts(("gate", "関門"), ("result", "結果"), ("figures", "値"))
    COLUMNS_INCIDENTS = Texts(
        ("incident", "異常"),
        ("harm", "害"),
        ("positions of the stream", "系列内の位置"),
        ("rows answered (UTC)", "応答した行（UTC）"),
        ("a person says", "人の判断"),
    )
    FIGURE_ROWS, FIGURE_ASIDE = Text("Rows answered", "応答した行"), Text("Rows put aside", "除外した行")
    FIGURE_INCIDENTS, FIGURE_CANDIDATES = Text("Incidents", "異常"), Text("Candidates", "候補")
    FIGURE_CHANGES = Text("Changes of what is at work", "運用モデルの交代")
    ROWS_AXIS = Text("rows answered", "応答した行")
    ROWS_AND_TIME_AXIS = Text(
        "rows answered, and the time that the data have there", "応答した行と、そこでのデータの時刻"
    )
    OPEN = Text("incidents open; in colour those that hurt", "継続中の異常（色付き：害のあるもの）")
    OPEN_NARROW = Text("incidents open (in colour: they hurt)", "継続中の異常（色付き：有害）")
    FIRST_MODEL = Text("the first model", "最初のモデル")
    GOES_ON = Text("open", "継続中")
    FACT_LEDGER, FACT_LAST = Text("ledger", "台帳"), Text("last written down (UTC)", "最後の記録（UTC）")
    FACT_AT_WORK = Text("model at work", "運用中のモデル")
    FACT_VERSION = Text("weights", "重み")


words = _Words()
