"""Why something was done, as the ledger has it. What outlast wrote there is told in both languages; what people wrote
stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from outlast.reporting.tables import shown
from outlast.reporting.words.language import Words, listed, tell
from outlast.reporting.words.numbers import MINUS, integer
from outlast.results import CandidateTold

words = Words(Path(__file__).with_name("words.toml"))
"""Fixed words of this kind; those of every kind are in `reporting.words.labels`."""

_FINDING = re.compile(
    r"(better|worse|open) after (\d+) blocks of (\d+) streams \(loss ([+-]\S+); evidence (\S+) that it is better, "
    r"(\S+) that it is worse; (\S+) decides\)"
)


def in_line(text: str) -> str:
    """What people or data gave, in one line, with a replacement for every sign that is none to look at."""
    return " ".join(shown(text).split())


def reason(text: str, of: CandidateTold | None = None) -> str:
    """Why, in the language that is spoken.

    Args:
        of: the candidate that it is about.
    """
    text = in_line(text)
    for pattern, told in _KNOWN:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return told(*found.groups())
    if of is not None and text in [each.figures.get("because") for each in of.gates]:
        return why_not(text)
    return text


def why_not(text: str) -> str:
    """Why a gate was not passed, which is known in English only."""
    for english, japanese in _REFUSED.items():
        if re.fullmatch(english, text):
            return tell(text, japanese)
    return tell(text, "理由は result.json にあります（英語）")


def finding(text: str) -> str:
    """What live streams say of a version."""
    found = _FINDING.fullmatch(text)
    if found is None:
        broken = re.fullmatch(r"worse: ([\d,]+) of its forecasts are no numbers", text)
        if broken is not None:
            count = broken.group(1)
            return tell(f"worse: {count} of its forecasts are no numbers", f"悪い：予測のうち {count} 個が数でない")
        return tell(text, "読めません（詳細は result.json、英語）")
    verdict, blocks, streams, loss, *_ = found.groups()
    loss = loss.replace("-", MINUS)
    return tell(
        f"{verdict} after {blocks} blocks of {streams} streams (loss {loss})",
        f"{streams} 系列の {blocks} ブロックで「{VERDICTS[verdict]}」（損失 {loss}）",
    )


VERDICTS = {"better": "良い", "worse": "悪い", "open": "未決"}
_STAGES = {"shadow": "シャドー", "canary": "カナリア"}
_REFUSED = {
    "no targets arrived: a person has to look": "目標が届いていないため、人の確認が要ります",
    r"at least \d+ streams or incidents with finite losses are due": "有限の損失を持つ系列または異常が足りません",
    "held-out streams of less than three training contexts": "評価用の系列が短すぎます",
}


def _stage(stage: str, found: str) -> str:
    told = finding(found)
    return tell(f"as a {stage} it is {told}", f"{_STAGES[stage]}として：{told}")


def _collected(train: str, later: str) -> str:
    return tell(
        f"{train} states to train on, {later} for the gates", f"学習用の状態 {train} 個、関門用の状態 {later} 個"
    )


def _not_passed(names: str) -> str:
    told = listed([words.GATES.get(name, name) for name in names.split(", ")])
    return tell(f"not passed: {told}", f"不通過：{told}")


_KNOWN: list[tuple[str, Callable[..., str]]] = [
    (r"(\d+) states to train on, (\d+) for the gates", _collected),
    (
        r"trained for (\d+) steps",
        lambda steps: tell(f"trained for {integer(int(steps))} steps", f"{integer(int(steps))} ステップ学習"),
    ),
    ("came through all gates", lambda: tell("came through all gates", "すべての関門を通過")),
    ("not passed: (.+)", _not_passed),
    (r"as a (shadow|canary) it is (.+)", _stage),
    (
        r"on live streams the new version is (.+)",
        lambda text: tell(
            f"on live streams the new version is {finding(text)}", f"運用中の系列での新しい版：{finding(text)}"
        ),
    ),
    (
        "it cannot be put to work: (.+)",
        lambda text: tell(f"it cannot be put to work: {text}", "運用に入れられません（詳細は result.json、英語）"),
    ),
    (r"candidate (\d+) was promoted", lambda n: tell(f"candidate {n} was promoted", f"候補 {n} が昇格")),
    (r"candidate (\d+) was rolled back", lambda n: tell(f"candidate {n} was rolled back", f"候補 {n} を切り戻し")),
    ("no reason given", lambda: tell("no reason given", "理由の記載なし")),
]
