"""What a diagnosis says, in both languages; nothing is computed here."""

from __future__ import annotations

from pathlib import Path

from outlast.reporting.verdict_reasons import first_of_all
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import Words, sentences, tell
from outlast.results import Evaluation

words = Words(Path(__file__).with_name("words.toml"))
"""Fixed words of this kind; those of every kind are in `reporting.words.labels`."""

LIKELY = ("numerics", "stale_context", "unexplored_state")
"""Causes that would explain a failure, should an undecided verdict turn into one."""


def headline(text: str, evaluation: Evaluation, cause: str | None) -> str:
    """That of the evaluation, and the reason; where nothing is decided, what would be the cause of a failure."""
    verdict = evaluation.verdict
    if verdict is not None and verdict.name == "undecided":
        return sentences(text, words.told("LIKELY", cause=labels.CAUSE_NAMES[cause]) if cause in LIKELY else "")
    if cause is not None:
        reason = labels.CAUSE_SENTENCES[cause]
        return sentences(text, tell(f"The reason: {reason}.", f"理由：{reason}。"))
    if verdict is not None and verdict.name == "fails":
        return sentences(
            text,
            tell("None of the causes that were asked about explains it.", "調べた原因のどれでも説明できません。"),
        )
    if verdict is not None and verdict.holds and not first_of_all(evaluation):
        return sentences(text, tell("Nothing was found that holds it back.", "妨げになるものは見つかりませんでした。"))
    return text


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
    told = words.ADVICE
    if verdict == "broken":
        return told["broken"]
    if cause == "numerics" and narrow:
        return told["narrow"]
    return told.get(cause or "") or told.get(verdict) or told["holds"]


def remembrance_caption(context: str, enough: str | None, negligible: str) -> str:
    rest = (
        words.told("REMEMBRANCE_ENOUGH", enough=enough, negligible=negligible)
        if enough
        else words.told("REMEMBRANCE_NEVER", negligible=negligible)
    )
    return sentences(
        words.told("REMEMBRANCE_CAPTION", context=context),
        rest,
    )


def part_name(name: str) -> str:
    """A part, or a head of one, as an attribution calls it."""
    path, comma, number = name.rpartition(", head ")
    return head(path, int(number)) if comma and number.isdigit() else name


def and_more(count: str) -> str:
    return tell(f"{count} more", f"他 {count}")


def carried(acting: str, names: list[str], removed: str, excess: str) -> str:
    """Which parts carry the harm and how, and what putting their young values into the old state does to the loss."""
    both = tell(" and ", " と ").join(names[:2])
    takes = words.told("CARRIED_TAKES", removed=removed, excess=excess)
    by_acting = {
        "only together": words.told("CARRIED_TOGETHER_ONLY", both=both, takes=takes),
        "each alone": words.told("CARRIED_EACH", both=both, takes=takes),
        "together": words.told("CARRIED_TOGETHER", both=both, takes=takes),
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
    where = words.told("ONSET_JUST", age=age) if contexts is None else words.told("ONSET", age=age, contexts=contexts)
    if oldest:
        return tell(f"{where}: the oldest ages that were measured.", f"{where}（測った中で最も古い年齢）。")
    return tell(f"{where}.", f"{where}。")


def withheld(error: str | None, excess: str) -> str:
    """Why the sum's figures are not shown."""
    why = (
        words.told("WITHHELD_BY", error=error, excess=excess)
        if error
        else tell("losses on the way between the states leave all bounds", "二つの状態の間で損失が限度を超えます")
    )
    return words.told("WITHHELD", why=why)


def parts_caption(
    total: str, excess: str, error: str, ranks: str | None, same: bool, ages: str, young: str, n: str
) -> str:
    return sentences(
        words.told("PARTS_CAPTION", ages=ages, young=young, total=total, excess=excess, error=error),
        tell("The two name the same part first.", "二つの方法は同じ部分を第一に挙げます。")
        if same
        else words.PARTS_APART,
        tell(f"Their rankings correlate with {ranks}.", f"順位の相関は {ranks} です。") if ranks else "",
        tell(f"n\u00a0=\u00a0{n}.", f"n\u00a0=\u00a0{n}。"),
    )


def trace_source(stretch: str) -> str:
    return tell(f"positions {stretch}", f"位置 {stretch}")


def trace_from(source: str) -> str:
    return tell(f"from {source}", f"{source} から")


def trace_moment(stream: str, stretch: str) -> str:
    return tell(f"stream {stream}, positions {stretch}", f"系列 {stream}、位置 {stretch}")


def gap(explains: bool, share: str, interval: str, n: str) -> str:
    if explains:
        return words.told("GAP_EXPLAINS", share=share, interval=interval, n=n)
    return words.told("GAP", share=share, interval=interval, n=n)


def described(name: str, points: str) -> str:
    return tell(f"{name}: {points}.", f"{name}：{points}。")


def head(path: str, number: int) -> str:
    return tell(f"{path} · head {number}", f"{path} · ヘッド {number}")


def states(count: str) -> str:
    return tell(f"{count} states", f"{count} 個の状態")
