"""Fixed words of reports: names of things, headings, heads of tables. Sentences stand where they are composed."""

from __future__ import annotations

from outlast.reporting.words.language import Named, Text, Texts

SHARES = {"error_rate"}
"""Measures of which a change is already a share, so that a percentage of it would mislead."""


class _Labels:
    """Read as attributes: each is in the language that is spoken."""

    EVALUATION = Text("Evaluation", "評価")
    CHECK = Text("Check of the contract", "契約の検査")
    TRAINING = Text("Training", "学習")
    REPAIR = Text("Repair", "修復")
    COMPARISON = Text("Comparison of repairs", "修復の比較")
    DIAGNOSIS = Text("Diagnosis", "診断")
    PLAN = Text("Plan", "計画")

    CAUSE_NAMES = Named(
        {
            "numerics": ("numerics", "数値計算"),
            "attention_window": ("attention window", "注意の窓"),
            "train_context": ("another training context", "学習文脈長の食い違い"),
            "stale_context": ("stale context", "古くなった文脈"),
            "unexplored_state": ("unexplored state", "未探索の状態"),
            "age_harms": ("age harms, cause unproven", "年齢の害（原因は未証明）"),
            "memory_limited": ("memory too short", "記憶の不足"),
            "harder_data": ("harder data", "データの難しさ"),
        }
    )
    CAUSE_SENTENCES = Named(
        {
            "numerics": (
                "the arithmetic is too narrow: the same model in float64 does not lose as much",
                "計算の精度が足りません。同じモデルを float64 で動かすと、これほど悪くなりません",
            ),
            "attention_window": (
                "its attention window, rather than its recurrent part, meets what training never showed it",
                "再帰部分ではなく注意の窓が、学習で見なかったものに出会っています",
            ),
            "train_context": (
                "it seems to have been trained on windows of another length than was named",
                "指定とは違う長さの窓で学習されたようです",
            ),
            "stale_context": (
                "its context is stale: it loses where the world changed, and not where the world stayed as it was",
                "文脈が古くなっています。世界が変わった所で悪くなり、変わらない所では悪くなりません",
            ),
            "unexplored_state": (
                "its state is unexplored: it wanders to where training never was, and that is where the harm falls",
                "未探索の状態です。状態が学習の通らなかった場所へさまよい、害はそこで生じています",
            ),
            "age_harms": (
                "old states do harm, and why is unproven: none of the causes that were asked about was found",
                "古い状態が害をなしていますが、その理由は証明されていません。調べた原因はどれも該当しませんでした",
            ),
            "memory_limited": (
                "its memory is too short: age does no harm, yet it misses what lies further back",
                "記憶が短すぎます。年齢の害はありませんが、もっと前にあるものを見落としています",
            ),
            "harder_data": (
                "the data get harder along the stream: age does no harm, and young states lose as much there",
                "データが後ろへ行くほど難しくなっています。年齢の害はなく、若い状態でも同じだけ悪くなります",
            ),
        }
    )

    MEASURES = Named(
        {
            "cross_entropy": ("cross-entropy", "交差エントロピー"),
            "error_rate": ("error rate", "誤り率"),
            "squared_error": ("squared error", "二乗誤差"),
            "absolute_error": ("absolute error", "絶対誤差"),
            "pinball": ("pinball loss", "ピンボール損失"),
            "divergence": ("divergence", "ダイバージェンス"),
            "speaker_error": ("speaker error", "話者誤り率"),
            "speaker_margin": ("speaker margin", "話者マージン"),
            "loss": ("loss", "損失"),
        }
    )
    UNITS = Named(
        {
            "nats": ("nats", "nat"),
            "error rate": ("error rate", "誤り率"),
            "squared error": ("squared error", "二乗誤差"),
            "absolute error": ("absolute error", "絶対誤差"),
            "pinball loss": ("pinball loss", "ピンボール損失"),
            "variances": ("variances", "分散"),
            "standard deviations": ("standard deviations", "標準偏差"),
            "squared ranges": ("squared ranges", "範囲の二乗"),
            "ranges": ("ranges", "範囲"),
            "squared quartile distances": ("squared quartile distances", "四分位範囲の二乗"),
            "quartile distances": ("quartile distances", "四分位範囲"),
            "total variation": ("total variation", "全変動距離"),
            "spreads of the target": ("spreads of the target", "目標の標準偏差"),
            "spreads of the embeddings": ("spreads of the embeddings", "埋め込みの標準偏差"),
        }
    )

    RIVALS = Named(
        {
            "base": ("the base model", "元のモデル"),
            "periodic_reset": (
                "the base model under its best periodic reset",
                "最良の周期で定期リセットした元のモデル",
            ),
            "overlapping_reset": (
                "the base model under two overlapping resets",
                "二つの複製を交互にリセットした元のモデル",
            ),
            "control": (
                "the control (equal training from zero states)",
                "対照（ゼロ状態から始める同量の学習）",
            ),
            "control_reset": (
                "the control (equal training from zero states) under its best periodic reset",
                "最良の周期で定期リセットした対照（ゼロ状態から始める同量の学習）",
            ),
        }
    )
    RESETS = Named(
        {
            "periodic_reset": ("periodic reset", "定期リセット"),
            "overlapping_reset": ("overlapping resets", "交互リセット"),
        }
    )
    GUESSES = Named(
        {
            "constant": ("the best constant answer", "最も良い定数の答え"),
            "persistence": ("repeating the newest known value", "最後に分かった値の繰り返し"),
            "unread": ("its own answer before it has read anything", "何も読む前のモデル自身の答え"),
        }
    )
    GUESSES_BRIEF = Named(
        {
            "constant": ("constant", "定数"),
            "persistence": ("persistence", "繰り返し"),
            "unread": ("unread", "未読"),
        }
    )

    REFUSALS = Named(
        {
            "short_context_lost": ("short contexts lost", "短い文脈の悪化"),
            "no_benefit": ("no benefit", "効果なし"),
            "still_fails": ("still fails", "なお破綻"),
            "stopped_reading": ("stopped reading", "読まなくなった"),
            "remedy_suffices": ("better under a remedy", "対処を加えた方が良い"),
            "declines": ("declines itself", "伸びて衰える"),
            "undecided": ("short contexts undecided", "短い文脈は未決定"),
            "plain_training_suffices": ("plain training suffices", "通常の学習で足りる"),
            "broken": ("broken", "壊れている"),
            "nothing_to_repair": ("nothing to repair", "修復は不要"),
            "base_broken": ("the base is broken", "元のモデルが壊れている"),
        }
    )
    REFUSALS_BRIEF = Named(
        {
            "short_context_lost": ("short lost", "短い文脈"),
            "no_benefit": ("no benefit", "効果なし"),
            "still_fails": ("still fails", "なお破綻"),
            "stopped_reading": ("not reading", "読まない"),
            "remedy_suffices": ("remedy does", "対処を"),
            "declines": ("declines", "衰える"),
            "undecided": ("undecided", "未決定"),
            "plain_training_suffices": ("plain does", "通常で足りる"),
            "broken": ("broken", "壊れている"),
            "nothing_to_repair": ("not needed", "不要"),
            "base_broken": ("base broken", "元が壊れている"),
        }
    )
    UNSETTLED = Text("undecided", "未決定")
    NO_BETTER = Text("the base is no better than a guess", "元のモデルが単純な予測を上回らない")
    NO_BETTER_BRIEF = Text("no better", "上回らない")
    OPEN_FAULTS = Named(
        {
            "undecided": (
                "it is not decided whether short contexts held",
                "短い文脈が保たれたかどうかは決まりません",
            ),
            "short_context_lost": (
                "it is not decided whether short contexts held",
                "短い文脈が保たれたかどうかは決まりません",
            ),
            "no_benefit": (
                "it is not decided whether it is better than the base model used at its best",
                "最善の使い方をした元のモデルより良いかどうかは決まりません",
            ),
            "still_fails": (
                "it is not decided whether it still fails itself",
                "それ自身がなお破綻するかどうかは決まりません",
            ),
            "stopped_reading": (
                "it is not decided whether it still reads",
                "まだ入力を読んでいるかどうかは決まりません",
            ),
            "plain_training_suffices": (
                "it is not decided whether plain training does as well",
                "通常の学習でも同じだけ良くなるかどうかは決まりません",
            ),
        }
    )
    FAULTS = Named(
        {
            "broken": (
                "some of its predictions are not finite numbers, or all of them are the same",
                "予測の一部が有限の数でないか、すべて同じです",
            ),
            "short_context_lost": ("short contexts got worse", "短い文脈での性能が悪化しています"),
            "no_benefit": (
                "it is not clearly better than the base model used at its best",
                "最善の使い方をした元のモデルより明らかに良いとは言えません",
            ),
            "still_fails": (
                "it is itself too far above its own best within the training context",
                "学習文脈長以内での自身の最良値を大きく上回っています",
            ),
            "stopped_reading": (
                "it does not clearly do better than something that does not read",
                "何も読まない予測より明らかに良いとは言えません",
            ),
            "remedy_suffices": ("it is better under a remedy", "対処を加えた方が良くなります"),
            "declines": (
                "its own verdict is Declines: at older ages it loses again what it gains past the training context",
                "自身の判定が「伸びて衰える」で、学習文脈長を超えて得たものを、より古い年齢で再び失います",
            ),
            "undecided": (
                "it is not decided whether short contexts held",
                "短い文脈が保たれたかどうかは決まりません",
            ),
            "plain_training_suffices": ("plain training does as well", "通常の学習でも同じだけ良くなります"),
        }
    )

    BADGES = Named(
        {
            "misread": ("Misread", "読み方の誤り"),
            "broken": ("Broken", "壊れている"),
            "fails": ("Fails", "破綻する"),
            "declines": ("Declines", "伸びて衰える"),
            "generalises": ("Generalises", "汎化する"),
            "robust": ("Robust", "保たれる"),
            "undecided": ("Undecided", "未決定"),
            "none": ("No verdict", "判定なし"),
            "accepted": ("Repair accepted", "修復を採用"),
            "refused": ("Repair refused", "修復は不採用"),
            "no_winner": ("No repair accepted", "採用できる修復なし"),
            "nothing_to_repair": ("Nothing to repair", "修復は不要"),
            "kept": ("Contract kept", "契約を満たす"),
            "contract_broken": ("Contract broken", "契約に違反"),
            "trained": ("Trained", "学習済み"),
        }
    )

    # What each point of the contract asks, what it costs when it does not hold, and what to do then.
    CHECKS = Named(
        {
            "repeatable": ("The same call gives the same answer", "同じ呼び出しは同じ答えを返す"),
            "finite": ("Outputs and states are finite numbers", "出力と状態が有限の数である"),
            "causal": ("Outputs do not depend on later inputs", "出力が後の入力に左右されない"),
            "chunked_equals_whole": ("Reading in pieces equals reading at once", "分けて読んでも一度に読んでも同じ"),
            "step_equals_parallel": (
                "One step at a time equals the parallel form",
                "一位置ずつの計算と並列の計算が同じ",
            ),
            "gradient_through_state": ("Gradients flow through the state", "勾配が状態を通って流れる"),
            "rows_independent": ("Rows of a batch do not touch each other", "バッチの行が互いに影響しない"),
            "state_matters": ("The carried state changes the outputs", "持ち越した状態が出力を変える"),
            "nothing_edited_in_place": ("Nothing is edited in place", "何も上書きされない"),
            "save_load_exact": ("Saving and loading is exact", "保存と読み込みが正確"),
            "buffers_saved": ("Every tensor that is used is saved", "使われるテンソルがすべて保存される"),
        }
    )
    CHECK_COSTS = Named(
        {
            "repeatable": (
                "no figure of it could be measured twice, and streams that share the model disturb one another",
                "同じ値を二度測ることができず、モデルを共有する系列が互いに影響します",
            ),
            "finite": (
                "losses and states are no numbers, so nothing about them can be measured",
                "損失も状態も数にならず、何も測れません",
            ),
            "causal": (
                "its figures are of a model that knows what comes next; no deployed one does",
                "測定値は次に来るものを知っているモデルの値になります。運用するモデルはそれを知りません",
            ),
            "chunked_equals_whole": (
                "carrying the state gives other outputs than reading the whole stream, so no measurement could be "
                "trusted",
                "状態を持ち越すと系列全体を読むのとは違う出力になるため、どの測定も信頼できません",
            ),
            "step_equals_parallel": (
                "the model deployed step by step is another model than the one that was trained",
                "一位置ずつ動かす運用時のモデルが、学習したモデルとは別のものになります",
            ),
            "gradient_through_state": (
                "training cannot reach what the state does, and repairs that rely on it will be weak",
                "状態の働きに学習が届かず、それに頼る修復は弱くなります",
            ),
            "rows_independent": (
                "a stream's predictions depend on which other streams are read beside it",
                "ある系列の予測が、一緒に読まれる他の系列に左右されます",
            ),
            "state_matters": (
                "no output depends on what was read before, so there is nothing to carry or to repair",
                "出力が前に読んだものに左右されず、持ち越すものも修復するものもありません",
            ),
            "nothing_edited_in_place": (
                "a state that is kept for later changes behind its owner's back",
                "後のために取っておいた状態が、知らないうちに変わります",
            ),
            "save_load_exact": (
                "the model that is loaded is not the model that was measured",
                "読み込んだモデルが、測定したモデルとは別のものになります",
            ),
            "buffers_saved": (
                "a loaded model computes with other tables or scales than the one that was measured",
                "読み込んだモデルが、測定したモデルとは別の表や尺度で計算します",
            ),
        }
    )
    CHECK_REMEDIES = Named(
        {
            "repeatable": (
                "return everything that is remembered in the state, and let dropout be off in eval mode "
                "(nn.Dropout, or dropout(..., training=self.training))",
                "覚えておくものはすべて状態として返し、ドロップアウトは eval モードで止まるようにします"
                "（nn.Dropout、または dropout(..., training=self.training)）",
            ),
            "finite": (
                "check it on inputs scaled as in training (--data, or example=), and bound what grows",
                "学習時と同じ尺度の入力（--data または example=）で検査し、増え続ける値を抑えます",
            ),
            "causal": (
                "pad convolutions on the left only, mask attention, and normalise by statistics that do not come from "
                "later positions",
                "畳み込みは左だけを埋め、注意にはマスクをかけ、後の位置から求めた統計で正規化しないようにします",
            ),
            "chunked_equals_whole": (
                "take up and return everything that the next position depends on: the recurrent state, the last "
                "inputs of convolutions, a count of positions where positions are used",
                "次の位置が必要とするものをすべて受け取り、返します。再帰の状態、畳み込みの直前の入力、"
                "位置を使うなら位置の数です",
            ),
            "step_equals_parallel": (
                "compare the branch for single positions with the one for windows, or let one of them do both",
                "一位置用の処理と窓用の処理を比べるか、一方だけで両方を行います",
            ),
            "gradient_through_state": (
                "return the state without detach(), .data or no_grad, as new tensors; where a gradient is another than "
                "the derivative on purpose, this point does not apply",
                "状態は detach()、.data、no_grad を使わずに新しいテンソルとして返します。"
                "勾配をわざと微分と変えている場合、この項目は当てはまりません",
            ),
            "rows_independent": (
                "compute nothing over the batch axis: LayerNorm, or BatchNorm with statistics of its own "
                "(track_running_stats=True), and no roll or flatten over rows",
                "バッチ軸にわたる計算をなくします。LayerNorm か、自分の統計を持つ BatchNorm"
                "（track_running_stats=True）を使い、行をまたぐ roll や flatten を避けます",
            ),
            "state_matters": (
                "use the state that forward is given; if the model needs no memory, there is nothing for outlast to do",
                "forward に渡された状態を使います。記憶が要らないモデルなら、outlast の出番はありません",
            ),
            "nothing_edited_in_place": (
                "make new tensors (state + x) instead of writing into given ones (state += x, copy_, state[i] = x), "
                "and return no tensor that the module keeps",
                "渡されたテンソルに書き込まず（state += x、copy_、state[i] = x）、新しいテンソルを作り（state + x）、"
                "モジュールが持ち続けるテンソルを返さないようにします",
            ),
            "save_load_exact": (
                "keep what the outputs depend on as parameters or buffers, not as numbers drawn when it is built",
                "出力を左右するものは、作るときに引いた乱数ではなく、パラメータかバッファとして持ちます",
            ),
            "buffers_saved": (
                "register_buffer(name, tensor) with persistent=True, or compute the tensor from fixed settings",
                "persistent=True の register_buffer(name, tensor) にするか、決まった設定から計算します",
            ),
        }
    )

    EXCESS_CURVE = Text("Excess by age of the state", "状態の年齢ごとの超過")
    CHANGE_CURVE = Text("Change through the repair, by age", "修復による年齢ごとの変化")
    REMEDY_CURVE = Text("Change through the remedy, by age", "対処による年齢ごとの変化")
    CHANGES_CURVE = Text("Change through each repair, by age", "各修復による年齢ごとの変化")
    AGE_CURVE = Text("Loss by age of the state", "状態の年齢ごとの損失")
    POSITION_CURVE = Text("Loss by position in the stream", "系列内の位置ごとの損失")
    PERPLEXITY = Text("perplexity", "パープレキシティ")
    PERPLEXITY_POSITION = Text("Perplexity by position", "位置ごとのパープレキシティ")
    PERPLEXITY_AGE = Text("Perplexity by age of the state", "状態の年齢ごとのパープレキシティ")
    SAMPLES = Text("Texts written on at an old age", "古い年齢で書き継いだ文章")
    SAMPLE_READ = Text("the end of what was read", "読んだ部分の末尾")
    SAMPLE_TRUE = Text("as the text goes on", "文章の本来の続き")
    RECOVERY = Text("Recovery after a switch to another stream", "別の系列に切り替えた後の回復")
    DOSES = Text("Choice of the dose", "用量の選択")
    ALL_DOSES = Text("Doses of all repairs", "すべての修復の用量")
    STATE = Text("Size and spread of the state", "状態の大きさと散らばり")
    INTERVENTIONS = Text("Comparison of the interventions", "介入の比較")
    ONE_REPAIR = Text("Result of the repair", "修復の結果")
    REFUSED_WHY = Text("Reasons for the refusal", "不採用の理由")
    UNTOUCHED_WHY = Text("Reasons for doing nothing", "何もしなかった理由")
    UNTRAINED = Text("Comparison with what needs no training", "学習の要らないものとの比較")
    SIMPLER = Text("Comparison with what is simpler", "より単純なものとの比較")
    GUARDS = Text("Short contexts on other data", "他のデータでの短い文脈")
    OTHER_MEASURES = Text("Other measures", "他の尺度")
    CONTRACT = Text("Points of the contract", "契約の項目")
    TRAINING_LOSS = Text("Training loss", "学習損失")
    NEXT = Text("Next steps", "次にすること")
    METHOD = Text("Method and settings", "測り方と設定")
    GLOSSARY = Text("Glossary", "用語")
    BECAUSE = Text("Reasons for the verdict", "判定の理由")
    NOTES = Text("Oddities of data and predictions", "データと予測の注意すべき点")
    NUMBERS = Text("Numbers behind this figure", "この図の数値")
    CONTENTS = Text("Results in this report", "この報告の結果")
    SKIP = Text("Skip to the result", "結果へ移動")
    DEFAULT_TITLE = Text("Results past the training context", "学習文脈長を超えた結果")
    FOOTER = Text(
        "Written by outlast. This file needs no network.",
        "outlast が作成しました。このファイルは通信を必要としません。",
    )
    SORT = Text("sort by this column", "この列で並べ替える")

    BASE = Text("base", "元のモデル")
    CONTROL = Text("control (zero states)", "対照（ゼロ状態）")
    OF_BASE, OF_CONTROL = Text("base, {}", "元のモデル、{}"), Text("control, {}", "対照、{}")
    OF_REPAIR = Text("repaired model, {}", "修復後、{}")
    THE_MODEL, THE_REPAIR = Text("the model", "モデル"), Text("the repaired model", "修復後のモデル")
    REFUSED_NAME = Text("{} (refused)", "{}（不採用）")
    AGE_AXIS = Text(
        "age of the state (positions read since the initial state)", "状態の年齢（初期状態から読んだ位置の数）"
    )
    AGE_AXIS_NARROW = Text("age of the state", "状態の年齢")
    POSITION_AXIS = Text("position in the stream (from the zero state)", "系列内の位置（ゼロ状態から）")
    POSITION_AXIS_NARROW = Text("position in the stream", "系列内の位置")
    RECOVERY_AXIS = Text("position in the new stream", "新しい系列での位置")
    DOSE_AXIS = Text("change of short contexts", "短い文脈の変化")
    STEP_AXIS = Text("training step", "学習ステップ")
    LOSS = Text("loss", "損失")
    EXCESS_OF = Text("excess of {}", "超過：{}")
    CHANGE_OF = Text("change of {}", "変化：{}")
    COST_OF = Text("old state minus fresh state, {}", "古い状態 − 新しい状態、{}")
    OLDEST_OF = Text("{} at the oldest age", "最も古い年齢での{}")
    NORM = Text("size (root mean square)", "大きさ（二乗平均平方根）")
    SPREAD = Text("spread (standard deviation)", "散らばり（標準偏差）")
    TRAIN_CONTEXT = Text("training context", "学習文脈長")
    TOLERANCE, TWO_TOLERANCES = Text("tolerance", "許容"), Text("two tolerances", "許容の二倍")
    ALLOWED_MEAN = Text("allowed, mean of short contexts", "許される悪化：短い文脈の平均")
    ALLOWED_BAND = Text("allowed, one band of ages", "許される悪化：一つの年齢帯")
    ALLOWED, TAKEN = Text("allowed", "許容"), Text("taken", "選ばれた")
    TAKEN_DOSE, KEPT_DOSE = Text("the dose that was taken", "選ばれた用量"), Text("within the margin", "許容幅以内")
    LOST_DOSE = Text("past the margin", "許容幅を超える")

    FIGURE_CONTEXT = Text("Training context", "学習文脈長")
    FIGURE_OLDEST = Text("Oldest age tested", "調べた最も古い年齢")
    FIGURE_TESTED = Text("Tested on", "調べた系列")
    FIGURE_MEASURE = Text("Measure", "尺度")
    FIGURE_STEPS, FIGURE_TIME = Text("Training steps", "学習ステップ"), Text("Time", "時間")
    FIGURE_LAST_LOSS = Text("Last training loss", "最後の学習損失")
    FIGURE_INTERVENTIONS = Text("Interventions", "介入")
    FIGURE_HOLD, FIGURE_FAIL = Text("Points that hold", "守られる項目"), Text("Points that fail", "守られない項目")
    FIGURE_UNASKED = Text("Not asked", "調べられなかった項目")

    WINNER, PICKED = Text("winner", "採用"), Text("picked", "選択")
    VALIDATION = Text("Results on validation streams", "検証系列での結果")
    HELD, LOST = Text("held", "保持"), Text("lost", "悪化")
    PASSED, FAILED, NOT_ASKED = Text("holds", "成立"), Text("fails", "不成立"), Text("not asked", "調べられず")
    YES, NO = Text("yes", "はい"), Text("no", "いいえ")
    ACCEPTED, REFUSED = Text("accepted", "採用"), Text("refused", "不採用")
    NEXT_SHORT = Text("Next", "次のコマンド")
    WITHOUT_TRAINING = Text("without training", "学習なし")
    FOUND, NOT_FOUND = Text("found", "該当"), Text("not found", "該当せず")

    COLUMN_AGE, COLUMN_POSITION, COLUMN_COUNT = Text("age", "年齢"), Text("position", "位置"), Text("n", "n")
    COLUMN_EXCESS, COLUMN_INTERVAL = Text("excess", "超過"), Text("interval", "区間")
    COLUMN_MEASURE, COLUMN_VALUE = Text("measure", "尺度"), Text("value", "値")
    COLUMN_INTERVENTION, COLUMN_OUTCOME = Text("intervention", "介入"), Text("outcome", "結果")
    COLUMN_DOSE = Text("dose", "用量")
    COLUMN_SHORT, COLUMN_SHORT_BRIEF = Text("short contexts", "短い文脈"), Text("short", "短い文脈")
    COLUMN_OLDEST = Text("oldest age", "最古の年齢")
    COLUMN_OLDEST_LOSS = Text("loss at oldest age", "最も古い年齢での損失")
    COLUMN_BASE = Text("against base", "元のモデルとの差")
    COLUMN_RESET = Text("against periodic reset", "定期リセットとの差")
    COLUMN_OVERLAP = Text("against overlapping resets", "交互リセットとの差")
    COLUMN_STARTS = Text("what the starts gained", "初期状態による改善")
    COLUMN_STARTS_BRIEF = Text("starts gained", "初期状態の効果")
    COLUMN_CONTROL_RESET = Text("against the control, reset", "リセットした対照との差")
    COLUMN_BENEFIT = Text("against best rival (interval)", "最良の競争相手との差（区間）")
    COLUMN_OLD, COLUMN_FRESH = Text("from an old state", "古い状態から"), Text("read afresh", "新しく読む")
    COLUMN_COST = Text("difference", "差")
    COLUMN_CHANGED, COLUMN_POSITIONS = Text("change", "変化"), Text("positions", "位置の数")
    ALL_POSITIONS = Text("all positions", "すべての位置")
    SCENARIOS = Text("By scenario", "シナリオ別")
    COLUMN_SCENARIO, COLUMN_SHARE = Text("scenario", "シナリオ"), Text("share", "割合")
    COLUMN_YOUNG_LOSS = Text("from young states", "若い状態から")
    COLUMN_SIMPLER = Text("what is simpler", "より単純なもの")
    COLUMN_PAIRED = Text("the model minus it", "モデルとの差")
    COLUMN_SO = Text("so the model is", "モデルの方が")
    BETTER, WORSE, ALIKE = Text("better", "良い"), Text("worse", "悪い"), Text("not told apart", "区別できない")
    COLUMN_KEPT = Text("within the margin", "許容幅以内")
    COLUMNS_GUARD = Texts(
        ("data", "データ"), ("change", "変化"), ("allowed", "許容"), ("worst band", "最悪の年齢帯"), ("outcome", "結果")
    )
    COLUMNS_CHECK = Texts(("point", "項目"), ("result", "結果"), ("worst", "最大の差"), ("detail", "詳細"))
    FACT_TOLERANCE, FACT_SHORT = Text("tolerance", "許容"), Text("short", "短")
    FACT_TIME, FACT_PICKED = Text("time", "時間"), Text("picked", "選択")
    FACT_UNITS = Text("units of intervals", "区間の単位")
    FACT_SHORT_AGES = Text("short contexts · ages", "短い文脈 · 年齢")
    FACT_WORST = Text("short contexts · worst band", "短い文脈 · 最悪の年齢帯")
    FACT_BY_BANDS = Text("short contexts · every band alike", "短い文脈 · 各年齢帯を等しく")
    FACT_DOSE = Text("repair · dose", "修復 · 用量")
    FACT_MODEL, FACT_DATA, FACT_SETTING = Text("model", "モデル"), Text("data", "データ"), Text("setting", "設定")
    FACT_INTERVENTION, FACT_TRAINING = Text("intervention", "介入"), Text("repair", "修復")


labels = _Labels()
