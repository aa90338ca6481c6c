"""The first things to do: tuning, resets, and what to look at where a model is broken or no better than a guess."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace

from outlast.reporting.commands import Step, command, context
from outlast.reporting.pairing import helpful_resets, helps, tunable, unbeaten
from outlast.reporting.refusals import Unsettled, at_every
from outlast.reporting.words import terms
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import integer
from outlast.reporting.words.terms import level, unit, unused
from outlast.results import Evaluation, Reset, UnderRemedy


def settling(missing: Unsettled, base: Evaluation, this: str, more: str = "") -> str:
    """That no figure shows `this` to fail, and what would decide it: more targets, or more data.

    Args:
        more: of data, how many more that is.
    """
    if missing.scored is not None:
        every = integer(missing.scored)
        return tell(
            f"No figure says that {this} fails; too few targets were scored. Score all {every} of each stream, which "
            "may decide it:",
            f"{this}が悪いことを示す値はなく、採点した目標が足りません。各系列の {every} 個すべてを採点すれば、"
            "決まる可能性があります：",
        )
    needed = terms.streams(math.ceil(missing.times * base.oldest.n), terms.unit_of(base))
    return tell(
        f"No figure says that {this} fails; the test data are too few. About {needed}{more} would decide it:",
        f"{this}が悪いことを示す値はなく、テストデータが足りません。{needed}{more}ほどあれば決まります：",
    )


def without_training(evaluation: Evaluation, leak: UnderRemedy | None = None) -> list[Step]:
    """What helps now: the command that tunes, or where tuning is not for it the resets by themselves.

    Args:
        leak: the model under its best leak, where that was measured.
    """
    return tuned(evaluation, leak) or resets(evaluation)


def tuned(evaluation: Evaluation, leak: UnderRemedy | None = None) -> list[Step]:
    """The best remedies that are known, and the command that tunes it, of a model that fails or declines."""
    verdict, found = evaluation.verdict, tunable(evaluation)
    leak = leak if leak and helps(evaluation, leak.per_stream) else None
    if verdict is None or verdict.name not in ("fails", "declines") or not (found or leak):
        return []
    name = "periodic_reset" if "periodic_reset" in found or leak else "overlapping_reset"
    own = terms.loss(evaluation.oldest).value
    read_off, gain = tell("Read off these ages, ", "これらの年齢から読み取ると、"), ""
    if name in found:
        gain = _gain(name, found[name], evaluation)
    if leak:
        gives, under = level(leak, unit(evaluation)), terms.remedy(leak.name)
        read_off, said = (
            "",
            tell(f"On the same targets {under} gives {gives}", f"同じ目標で{under}は {gives} になります"),
        )
        gain = tell(f"{said}, and {gain}", f"{said}。{gain}") if gain else said
    twice = [] if name == "periodic_reset" else ["--cost 2"]
    return [
        Step(
            tell(
                f"Tune the model, which takes no training. {read_off}{gain}, against {own} as it runs on. Tuning "
                "chooses the remedy on validation streams and judges it on test streams:",
                f"モデルを調整します。学習は要りません。{read_off}そのまま続けた場合の {own} "
                f"に対して、{gain}。調整は検証系列で対処を選び、テスト系列で判定します：",
            ),
            command("tune", evaluation.command, context(evaluation), *twice),
        )
    ]


def resets(evaluation: Evaluation) -> list[Step]:
    """Resets that help now, with what they give."""
    found = helpful_resets(evaluation)
    gains = [_gain(name, found[name], evaluation) for name in _RESETS if name in found]
    if not gains:
        return []
    *_, name = found
    own = level(evaluation.oldest, unit(evaluation))
    return [
        Step(
            tell(
                f"What helps now, without training: on the same targets, against {own} at the oldest age, "
                f"{'; '.join(gains)}.",
                f"学習せずに今できること：同じ目標での損失は、最も古い年齢の {own} に対して、{'。'.join(gains)}。",
            ),
            reset_code(name, found[name].every),
        )
    ]


def better_first(base: Evaluation) -> list[Step]:
    """Where the base is no better than a guess, what it lacks is no start and no remedy; else nothing."""
    found = unbeaten(base)
    if found is None:
        return []
    guess = terms.guess(found[0])
    text = tell(
        f"Make the model better first: it is no better than {guess}, and neither a reset nor a repair mends that. "
        "Check that inputs and target are scaled as in its training, and that the inputs tell something about the "
        "target. Then train it longer:",
        f"まずモデルを良くします。「{guess}」を上回らないモデルは、リセットや修復では直りません。入力と目標の尺度が"
        "学習時と同じであること、入力から目標について何かがわかることを確かめます。その後、もっと長く学習します：",
    )
    return [Step(text, command("train", base.command, f"--train-context {base.train_context}"))]


_RESETS = ("periodic_reset", "overlapping_reset")


def reset_code(name: str, every: int, model: str = "model") -> str:
    """Python that resets a model like this."""
    overlap = ", overlap=True" if name == "overlapping_reset" else ""
    return f"model = outlast.with_reset({model}, every={every}{overlap})"


def leak_code(name: str, model: str) -> str:
    """Python that puts a leak on a model, as it is typed: ``leak:32:every=4``."""
    _, tau, *options = name.replace("from=", "from_age=").split(":")
    return f"model = outlast.with_leak({', '.join([model, f'tau={tau}', *options])})"


def _gain(name: str, reset: Reset, evaluation: Evaluation) -> str:
    gives, every = level(reset, unit(evaluation)), at_every(reset.every)
    if name == "periodic_reset":
        return tell(
            f"resetting the state {every}{',' if reset.every <= 1 else ''} gives {gives} at no extra cost",
            f"状態を{every}にリセットすると {gives} になります（追加の費用なし）",
        )
    past = tell(" (of the past they use only the last position)", "（過去は直前の一位置だけを使う）")
    means = past if unused(name, reset.every) and reset.every > 1 else ""
    return tell(
        f"two overlapping copies, each reset {every}{means}, give {gives} at twice the cost of running",
        f"二つの複製を{every}に交互にリセットすると{means} {gives} になります（実行費用は二倍）",
    )


def read_rightly(verb: str, misread: Evaluation) -> Step:
    """The step where a model does not fit the data as they are read: the same, scaled as it fits them best."""
    facts = next((note.facts for note in misread.notes if note.name == "misread"), {})
    options = str(facts.get("options", ""))
    given = replace(misread.command, options=_without(misread.command.options, options))
    if facts.get("finding") == "order":
        text = tell(
            "List the labels in the order of the model's outputs; of all orders this one fits best:",
            "ラベルをモデルの出力の順に並べて指定します。最も合う順は次のとおりです：",
        )
        return Step(text, command(verb, given, context(misread), options))
    if facts.get("finding", "none") == "none":
        text = tell(
            "Say how inputs and target were scaled in the model's training: none of the usual scalings fits, and "
            "--scale FILE.json gives figures of your own:",
            "モデルの学習時に入力と目標がどう尺度化されていたかを指定します。通常の尺度はどれも合わないため、"
            "--scale FILE.json で独自の数値を渡します：",
        )
        return Step(text, command(verb, given, context(misread), "--scale FILE.json"))
    return Step(
        tell(
            "Say how inputs and target were scaled in the model's training; of what was tried, this fits best. "
            "--scale FILE.json gives figures of your own:",
            "モデルの学習時に入力と目標がどう尺度化されていたかを指定します。試したうち最も合うのは次のものです。"
            "--scale FILE.json では独自の数値を渡せます：",
        ),
        command(verb, given, context(misread), str(facts["options"])),
    )


def _without(options: str, said: str) -> str:
    """Typed options but those that are `said` anew: how a table is scaled, or how classes are ordered."""
    anew = [word for word in shlex.split(said) if word.startswith("--")]
    if "--scale" in anew or not anew:
        anew += ["--scale", "--target-scale", "--log"]
    kept, leaves = [], False
    for word in shlex.split(options):
        if word.startswith("--"):
            leaves = word in anew
        if not leaves:
            kept.append(word)
    return shlex.join(kept)


def mend(broken: Evaluation) -> list[Step]:
    """Steps where a model gives no predictions to speak of."""
    return [
        Step(
            tell(
                "Find out why before anything else: do all weights hold finite numbers, and others than zero? Are the "
                "inputs scaled as in training, and without numbers that are missing or huge? A check says which points "
                "of the contract hold:",
                "何よりも先に原因を探します。重みはすべて有限の数で、ゼロ以外の値がありますか。入力は学習時と同じ尺度で、"
                "欠けた値や極端に大きな値はありませんか。契約のどの項目が守られているかは検査でわかります：",
            ),
            command("check", broken.command),
        )
    ]
