"""docs/reproduction.md: what the paper says, what was measured here, and whether the two agree; from kept rows.

The claims and the rules by which they are judged stand here, and were written before the seeds that they judge were
run. Run as ``python -m benchmarks.pages.reproduction --page docs/reproduction.md``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages.language import KEPT, at_age, by_model, everything, over_seeds
from benchmarks.pages.marks import put_figures, table
from outlast.tasks.kept_rows import Row, rows_in

_LARGEST = 700.0
"""Nats whose exponential float64 holds; a broken model loses more."""
TOLERANCE = 0.005
"""Share of a loss up to which two losses are the same: that of verdicts."""
_TITLE = "The paper, reproduced"
SP, TBTT, PLAIN = "state passing, 500 steps", "TBTT, 500 steps", "plain, 500 steps"
RANDOM, FITTED = "random noise, 500 steps", "fitted noise, 500 steps"
SP_100, TBTT_100, LONGER = "state passing, 100 steps", "TBTT, 100 steps", "windows of 256, 500 steps"


@dataclass(frozen=True)
class Finding:
    """What one model says of a claim: figures in words, and whether every seed agrees (None: it cannot tell)."""

    ours: str
    agrees: Sequence[bool | None]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper.

    Args:
        about: which figure or table it is from.
        says: the statement.
        paper: its numbers.
        rule: how it is judged here, in words.
        rows: file of rows that judge it, and the command that makes them.
        judge: the seeds of one model -> what they say; None: that model was not measured for it.
    """

    about: str
    says: str
    paper: str
    rule: str
    rows: str
    judge: Callable[[Sequence[Row]], Finding | None]


def perplexity(measured: Row, *, last: bool) -> float:
    """Perplexity at the last positions, or at those just past the training context."""
    return math.exp(min(_position(measured, last=last), _LARGEST))


def _position(measured: Row, *, last: bool) -> float:
    bins = measured["positions"]
    if last:
        return bins[-1]["loss"]
    young = measured["ages"]
    context = next(band["age"][0] for band in young if band["age"][0] >= measured["train_context"])
    return next(each["loss"] for each in bins if each["start"] >= context)


def _having(seeds: Sequence[Row], *names: str) -> list[dict[str, Row]]:
    found = [
        {name: {**each, "train_context": row["train_context"]} for name, each in everything(row).items()}
        for row in seeds
    ]
    return [rows for rows in found if all(name in rows for name in names)]


def _ppl(rows: Sequence[dict[str, Row]], name: str) -> str:
    past, last = ([perplexity(each[name], last=end) for each in rows] for end in (False, True))
    return f"{over_seeds(past, '{:.2f}')} → {over_seeds(last, '{:.2f}')}"


def _rises(name: str, wanted: bool) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether the perplexity of a row at the last positions lies above that just past the training context."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = _having(seeds, name)
        if not rows:
            return None
        change = [_position(each[name], last=True) - _position(each[name], last=False) for each in rows]
        loss = [_position(each[name], last=False) for each in rows]
        risen = [c > TOLERANCE * short for c, short in zip(change, loss, strict=True)]
        return Finding(_ppl(rows, name), [each == wanted for each in risen])

    return judge


def _below(name: str, other: str) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether a row loses less at the last positions than another."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = _having(seeds, name, other)
        if not rows:
            return None
        mine, others = ([perplexity(each[row], last=True) for each in rows] for row in (name, other))
        lower = [_position(each[name], last=True) < _position(each[other], last=True) for each in rows]
        return Finding(f"{over_seeds(mine, '{:.2f}')} against {over_seeds(others, '{:.2f}')}", lower)

    return judge


def _state_grows(name: str, wanted: bool) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether a row's states spread by more than a tenth past the training context."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = [each for each in _having(seeds, name) if each[name].get("state")]
        if not rows:
            return None
        ratios = [_spread(each[name]) for each in rows]
        return Finding(f"grows {over_seeds(ratios, '{:.2f}')}-fold", [(each > 1.1) == wanted for each in ratios])

    return judge


def _spread(measured: Row) -> float:
    """How many times the standard deviation grows, geometric mean over parts."""
    parts = {row["part"] for row in measured["state"] if not row["part"].endswith((".convolution", ".shift"))}
    grown = []
    for part in parts:
        mine = [row for row in measured["state"] if row["part"] == part]
        at = min(mine, key=lambda row: abs(row["position"] - measured["train_context"]))
        grown.append(mine[-1]["std"] / max(at["std"], 1e-12))
    return float(np.exp(np.mean(np.log(grown))))


def _plateau(name: str, wanted: Callable[[float, float], bool]) -> Callable[[Sequence[Row]], Finding | None]:
    """Effective remembrance where at least twice the training context is kept, of a row and of the base."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = [each for each in _having(seeds, name) if each[name]["remembrance"] and each["base"]["remembrance"]]
        if not rows:
            return None
        values = [tuple(each[row]["remembrance"]["plateau"]["mean"] for row in ("base", name)) for each in rows]
        words = over_seeds([mine for _, mine in values])
        if name != "base":
            words += f" (base {over_seeds([base for base, _ in values])})"
        return Finding(words, [wanted(base, mine) for base, mine in values])

    return judge


def _worth(seeds: Sequence[Row]) -> Finding | None:
    """Beside remembrance: what the oldest states gain over those of one training context, after state passing."""
    rows = _having(seeds, SP)
    if not rows:
        return None
    gains = []
    for each in rows:
        young = at_age(each[SP], each[SP]["train_context"]) or math.nan
        gains.append(each[SP]["ages"][-1]["loss"] - young)
    return Finding(f"{over_seeds(gains, '{:+.3f}')} nats", [each < 0 for each in gains])


def _shorter_hurts(name: str) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether the mean over ages within the training context is above the base's."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = _having(seeds, name)
        if not rows:
            return None
        changes = []
        for each in rows:
            shared = {
                tuple(band["age"]): band["loss"]
                for band in each["base"]["ages"]
                if band["age"][1] <= each["base"]["train_context"]
            }
            mine = {tuple(band["age"]): band["loss"] for band in each[name]["ages"]}
            sizes = {age: age[1] - age[0] for age in shared if age in mine}
            total = sum(sizes.values())
            changes.append(sum((mine[age] - shared[age]) * size for age, size in sizes.items()) / total)
        return Finding(f"{over_seeds(changes, '{:+.4f}')} nats", [each > 0 for each in changes])

    return judge


def _errors(measured: Row, control: str, label: str) -> list[tuple[str, float]]:
    """Error rates of a control by the values of a label, in their order."""
    labels = measured["controls"][control]["slices"]["labels"][label]
    return [(each["value"], each["loss"]) for each in labels if each["loss"] is not None]


def _farthest_better(control: str, label: str, name: str, other: str) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether a row answers more rightly than another at the farthest value of a label."""

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = _having(seeds, name, other)
        if not rows:
            return None
        last = [tuple(_errors(each[row], control, label)[-1][1] for row in (name, other)) for each in rows]
        value = _errors(rows[0][name], control, label)[-1][0]
        mine, others = ([1 - each[k] for each in last] for k in (0, 1))
        words = f"right at {value}: {over_seeds(mine, '{:.2f}')} against {over_seeds(others, '{:.2f}')}"
        return Finding(words, [a < b for a, b in last])

    return judge


def _within(name: str, other: str, control: str) -> Callable[[Sequence[Row]], Finding | None]:
    """Whether a row answers less rightly than another over a whole control. Where all rows of a base err alike, every
    one names the same place always, and nothing is measured.
    """

    def judge(seeds: Sequence[Row]) -> Finding | None:
        rows = _having(seeds, name, other)
        if not rows:
            return None
        whole = [
            tuple(each[row]["controls"][control]["slices"]["all"]["loss"] for row in (name, other)) for each in rows
        ]
        mine, others = ([1 - each[k] for each in whole] for k in (0, 1))
        words = f"right: {over_seeds(mine, '{:.2f}')} against {over_seeds(others, '{:.2f}')}"
        told = [{row["controls"][control]["slices"]["all"]["loss"] for row in each.values()} for each in rows]
        return Finding(words, [a > b if len(all_) > 1 else None for (a, b), all_ in zip(whole, told, strict=True)])

    return judge


_LANGUAGE = "paper-language.jsonl"
_COPYING, _PASSKEY = "paper-copying.jsonl", "paper-passkey.jsonl"
_STORIES, _FEW_SHOT = "paper-stories.jsonl", "paper-few-shot.jsonl"
CLAIMS = (
    Claim(
        "perplexity by position",
        "the base fails past its training context",
        "Mamba-2 370M 7.9 → 12.3 at 32k; 780M diverges at about 4k",
        "above tolerance from just past the training context to the last positions",
        _LANGUAGE,
        _rises("base", True),
    ),
    Claim(
        "perplexity by position",
        "random noise is not flat",
        "8.2 → 8.8 (370M)",
        "rises above tolerance",
        _LANGUAGE,
        _rises(RANDOM, True),
    ),
    Claim(
        "perplexity by position",
        "random noise is better than the base at the end",
        "8.8 against 12.3 (370M)",
        "below the base at the last positions",
        _LANGUAGE,
        _below(RANDOM, "base"),
    ),
    Claim(
        "perplexity by position",
        "fitted noise is flat",
        "about 7.9 flat (370M); fails at 1.3B, 11.7 at 32k",
        "does not rise above tolerance",
        _LANGUAGE,
        _rises(FITTED, False),
    ),
    Claim(
        "perplexity by position",
        "state passing is flat",
        "7.75 flat (370M), 6.9 (780M), 6.35 (1.3B)",
        "does not rise above tolerance",
        _LANGUAGE,
        _rises(SP, False),
    ),
    Claim(
        "perplexity by position",
        "state passing is better than the base at the end",
        "7.75 against 12.3 (370M)",
        "below the base at the last positions",
        _LANGUAGE,
        _below(SP, "base"),
    ),
    Claim(
        "perplexity by position",
        "TBTT is flat",
        "7.7 flat (370M), 6.8 (780M), 6.3 (1.3B)",
        "does not rise above tolerance",
        _LANGUAGE,
        _rises(TBTT, False),
    ),
    Claim(
        "perplexity by position",
        "TBTT is a little below state passing",
        "7.7 against 7.75 (370M)",
        "below state passing at the last positions",
        _LANGUAGE,
        _below(TBTT, SP),
    ),
    Claim(
        "perplexity by position",
        "it is the starts, not the further training",
        "not stated as a figure",
        "state passing below plain fine-tuning of equal steps at the last positions",
        _LANGUAGE,
        _below(SP, PLAIN),
    ),
    Claim(
        "steps of post-training",
        "100 steps already help: state passing",
        "0.02 % of pre-training",
        "below the base at the last positions",
        _LANGUAGE,
        _below(SP_100, "base"),
    ),
    Claim(
        "steps of post-training",
        "100 steps already help: TBTT",
        "0.02 % of pre-training",
        "below the base at the last positions",
        _LANGUAGE,
        _below(TBTT_100, "base"),
    ),
    Claim(
        "longer windows",
        "long training windows are not needed",
        "not stated as a figure",
        "TBTT in windows of T below windows of 4 T of equal tokens, at the last positions",
        _LANGUAGE,
        _below(TBTT, LONGER),
    ),
    Claim(
        "states by position",
        "the state's standard deviation grows past the training context",
        "1.0 → 2.25 by 8k (a failing Mamba-2)",
        "by more than a tenth from the training context to the last position, geometric mean over parts",
        _LANGUAGE,
        _state_grows("base", wanted=True),
    ),
    Claim(
        "states by position",
        "state passing flattens the states' spread",
        "not stated as a figure",
        "by no more than a tenth after state passing, geometric mean over parts",
        _LANGUAGE,
        _state_grows(SP, wanted=False),
    ),
    Claim(
        "effective remembrance",
        "the base is swayed by what it read long ago",
        "plateau 0.67 (780M), 0.42 (1.3B)",
        "plateau above 0.1",
        _LANGUAGE,
        _plateau("base", lambda base, mine: mine > 0.1),
    ),
    Claim(
        "effective remembrance",
        "after state passing it is not",
        "at most 0.06",
        "plateau below half of the base's",
        _LANGUAGE,
        _plateau(SP, lambda base, mine: mine < base / 2),
    ),
    Claim(
        "effective remembrance",
        "and yet history is worth something after state passing (ours: remembrance falls for anything that forgets)",
        "not measured",
        "the oldest states below those of age T",
        _LANGUAGE,
        _worth,
    ),
    Claim(
        "short contexts",
        "an intervention can hurt short contexts: state passing",
        "few-shot BABILong at 0k: .31 → .14 (TBTT)",
        "mean over ages within T above the base's",
        _LANGUAGE,
        _shorter_hurts(SP),
    ),
    Claim(
        "short contexts",
        "an intervention can hurt short contexts: TBTT",
        "few-shot BABILong at 0k: .31 → .14 (TBTT)",
        "mean over ages within T above the base's",
        _LANGUAGE,
        _shorter_hurts(TBTT),
    ),
    Claim(
        "copying",
        "past three times the training length, state passing copies more rightly than the base",
        "0.27 ± 0.03 → 0.47 ± 0.11",
        "above the base for the longest strings",
        _COPYING,
        _farthest_better("longer", "length", SP, "base"),
    ),
    Claim(
        "copying",
        "it is the starts, not the further training",
        "not stated as a figure",
        "state passing above plain fine-tuning of equal steps for the longest strings",
        _COPYING,
        _farthest_better("longer", "length", SP, PLAIN),
    ),
    Claim(
        "pass key",
        "with fitted noise the key is found far away, where the base fails",
        "780M + fitted noise: 100 % to 256k",
        "above the base at the farthest distance",
        _PASSKEY,
        _farthest_better("farther", "distance", FITTED, "base"),
    ),
    Claim(
        "pass key",
        "state passing as well (not reported there)",
        "not stated as a figure",
        "above the base at the farthest distance",
        _PASSKEY,
        _farthest_better("farther", "distance", SP, "base"),
    ),
    Claim(
        "stories (BABILong), fine-tuned",
        "state passing is above the base at long distances",
        "780M base / SP: 64k .11 / .30; 256k .09 / .24",
        "above the base at the farthest distance",
        _STORIES,
        _farthest_better("hidden", "distance", SP, "base"),
    ),
    Claim(
        "stories (BABILong), fine-tuned",
        "state passing is above TBTT there",
        "SP / TBTT: 64k .30 / .21; 256k .24 / .18",
        "above TBTT at the farthest distance",
        _STORIES,
        _farthest_better("hidden", "distance", SP, TBTT),
    ),
    Claim(
        "stories (BABILong), few-shot",
        "an intervention can hurt: TBTT (there at 0k, here at ages of 16 T)",
        "base .31, TBTT .14 at 0k",
        "TBTT below the base over all few-shot questions",
        _FEW_SHOT,
        _within(TBTT, "base", "few_shot"),
    ),
)


def write_page(page: Path, kept: Path = KEPT) -> None:
    """Put every claim with what the kept rows say of it into `page`."""
    put_figures(page, _TITLE, sections(kept))


def sections(kept: Path) -> list[str]:
    """A table a model, claims in lines, and the perplexities behind them."""
    found = []
    files = list(dict.fromkeys(claim.rows for claim in CLAIMS))
    for file in files:
        for name, seeds in by_model(rows_in(kept / file)).items():
            lines = []
            for claim in (each for each in CLAIMS if each.rows == file):
                finding = claim.judge(seeds)
                if finding is not None:
                    lines.append(
                        [claim.about, claim.says, claim.paper, finding.ours, agreement(finding.agrees), claim.rule]
                    )
            numbers = ", ".join(str(row["seed"]) for row in seeds)
            found.append(f"### {file.removeprefix('paper-').removesuffix('.jsonl')}: {name}\n\nSeeds {numbers}.")
            found.append(table(["of", "the paper says", "its numbers", "ours", "agrees", "judged by"], lines))
    return found


def agreement(agrees: Sequence[bool | None]) -> str:
    """``yes``, ``no``, or on how many seeds; and where most seeds cannot tell, that it is not measurable."""
    known = [each for each in agrees if each is not None]
    if 2 * len(known) <= len(agrees):
        return f"not measurable (on {len(agrees) - len(known)} of {len(agrees)} seeds)"
    yes = sum(known)
    if yes in (0, len(known)):
        return f"{'yes' if yes else 'no'} ({yes} of {len(known)})"
    return f"on {yes} of {len(known)} seeds"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the figures of docs/reproduction.md.")
    parser.add_argument("--page", type=Path, default=Path("docs/reproduction.md"))
    parser.add_argument("--kept", type=Path, default=KEPT)
    given = parser.parse_args()
    write_page(given.page, given.kept)
