"""What was taken for granted when data were read, in the first lines of an answer.

It is told from the record that every result keeps (`Streams.describe`), in English and in Japanese: on the terminal
before the work begins, at the top of a page's facts, and by ``print(streams)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Pair = tuple[str, str]
"""The same in English and in Japanese."""
MOST_NAMED = 8
"""Names that a line lists."""
_KINDS = {
    "text": "文字列",
    "time": "時刻",
    "empty": "空",
    "index": "行番号",
    "wide integer": "桁の多い整数",
    "other": "その他",
    "left out as asked": "指定により除外",
}
_UNITS = (("d", 86400.0, "日"), ("h", 3600.0, "時間"), ("min", 60.0, "分"), ("s", 1.0, "秒"))


class Line(NamedTuple):
    """One line: what it is about, and what was taken."""

    about: Pair
    taken: Pair


def first_lines(data: Mapping[str, Any]) -> list[Line]:
    """Columns used and left out, streams, step, horizon in time, classes, scaling, gaps and missing rows, as known.

    Args:
        data: what `Streams.describe` gave, or a result recorded of its data.
    """
    found = [
        Line(("columns", "列"), _joined(_columns(data))),
        Line(("streams", "系列"), _joined(_streams(data))),
        Line(("step", "間隔"), _joined(_step(data))),
        Line(("horizon", "予測先"), _joined(_horizon(data))),
        Line(("classes", "クラス"), _joined(_classes(data))),
        Line(("scaling", "尺度"), _joined(_scaling(data))),
        Line(("gaps", "途切れ"), _joined(_gaps(data))),
        Line(("missing", "欠損"), _joined(_missing(data))),
    ]
    return [line for line in found if line.taken[0]]


def lasting(seconds: float) -> Pair:
    """A length of time in the largest unit of which it has one: 90 seconds are 1.5 min."""
    unit, size, ja = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    return f"{seconds / size:.4g} {unit}", f"{seconds / size:.4g} {ja}"


def in_python(taken: str) -> str:
    """What was taken, with options as arguments: ``--gaps join`` is ``gaps='join'``."""

    def argument(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return name if found[2] is None else f"{name}={found[2]!r}"

    return re.sub(r"--([a-z-]+)(?: (\w+))?", argument, taken)


def _joined(parts: Iterator[Pair]) -> Pair:
    pairs = list(parts)
    return "; ".join(en for en, _ in pairs), "；".join(ja for _, ja in pairs)


def _listed(names: Sequence[Any], count: int | None = None) -> Pair:
    """Some names, and how many more there are; `count` of them in all where these are only the first."""
    shown, more = [str(name) for name in names[:MOST_NAMED]], (count or len(names)) - MOST_NAMED
    if more <= 0:
        return ", ".join(shown), "、".join(shown)
    return f"{', '.join(shown)} and {more:,} more", f"{'、'.join(shown)} ほか {more:,}"


def _columns(data: Mapping[str, Any]) -> Iterator[Pair]:
    target = data.get("target")
    if "sheet" in data:
        others = _listed(data["other_sheets"]) if "other_sheets" in data else ("none", "なし")
        yield (
            f"sheet {data['sheet']!r} (others: {others[0]}; --sheet)",
            f"シート {data['sheet']!r}（ほか：{others[1]}、--sheet）",
        )
    if "inputs" in data:
        read = _listed(data["inputs"])
        aim = target.get("column") if isinstance(target, Mapping) else None
        named = _listed([aim] if isinstance(aim, str) else aim or [])
        if aim == "all inputs":
            yield f"{read[0]}, each forecast from all of them", f"{read[1]}（すべてから各列を予測）"
        else:
            yield f"{read[0]}, to forecast {named[0]}", f"{read[1]} から {named[1]} を予測"
    elif isinstance(target, str):
        yield f"the target is {target}", f"目標：{target}"
    if data.get("categories"):
        counts = [f"{name} ({len(known):,})" for name, known in data["categories"].items()]
        yield f"categories: {_listed(counts)[0]}", f"カテゴリー：{_listed(counts)[1]}"
    if data.get("constant_columns"):
        still = _listed(data["constant_columns"])
        yield f"constant in training: {still[0]}", f"学習部分で一定：{still[1]}"
    if data.get("units_row"):
        units = _listed([f"{name} {unit}" for name, unit in data["units_row"].items()])
        yield f"units from the row below the header: {units[0]}", f"見出しの下の行にある単位：{units[1]}"
    if data.get("left_out"):
        kinds = data["left_out"].items()
        yield (
            f"left out: {_listed([f'{name} ({kind})' for name, kind in kinds])[0]}",
            f"除外：{_listed([f'{name}（{_KINDS.get(kind, kind)}）' for name, kind in kinds])[1]}",
        )


def _streams(data: Mapping[str, Any]) -> Iterator[Pair]:
    read = data.get("read", data)
    names = read.get("names", data.get("names"))
    count, shortest, longest = (read.get(name) for name in ("streams", "shortest", "longest"))
    if names:
        named = read.get("named", len(names))
        told, by = _listed(names, named), data.get("stream_column")
        how, how_ja = ("one a file", "ファイルごと") if by is None else (f"told apart by {by!r}", f"{by!r} で区別")
        yield f"{named:,}, {how}: {told[0]}", f"{named:,}（{how_ja}：{told[1]}）"
    elif "rows" in data:
        yield f"one recording of {data['rows']:,} rows", f"{data['rows']:,} 行の一つの記録"
    elif count is not None and shortest is not None and longest is not None:
        size = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        size_ja = f"{longest:,}" if shortest == longest else f"{shortest:,}〜{longest:,}"
        yield f"{count:,} of {size} positions", f"{count:,}（各 {size_ja} 位置）"
    if data.get("streams_too_short"):
        few = data["streams_too_short"]
        yield f"{few:,} too short to be used", f"短すぎて使えないもの {few:,}"
    order = str(data.get("order", ""))
    if order.startswith("newest first"):
        yield "rows stood from the newest to the oldest, and were turned round", "新しい順の行を、古い順に並べ替えた"
    elif order:
        yield "rows were sorted by time", "行を時刻順に並べ替えた"


def _step(data: Mapping[str, Any]) -> Iterator[Pair]:
    times = data.get("times")
    if times is None:
        if data.get("reader") == "table":
            yield "not known, for no column says when rows were (--time)", "不明（時刻の列がない：--time）"
        return
    if times["typical_step"]:
        en, ja = lasting(times["typical_step"])
        yield f"a row every {en}", f"{ja}ごとに 1 行"
    else:
        yield "none that is regular", "一定していない"
    name = data["time_column"]
    if data.get("time_recognised"):
        yield (
            f"by column {name!r}, which nobody named (--time {name} keeps it with a model)",
            f"列 {name!r} による（指定なしに見つけたもの。--time {name} とすればモデルに残る）",
        )
    else:
        yield f"by column {name!r}", f"列 {name!r} による"


def _horizon(data: Mapping[str, Any]) -> Iterator[Pair]:
    target = data.get("target")
    if not isinstance(target, Mapping) or "horizon" not in target:
        return
    horizons = target["horizon"] if isinstance(target["horizon"], list) else [target["horizon"]]
    step = (data.get("times") or {}).get("typical_step")
    counted = ", ".join(f"{rows:,}" for rows in horizons)
    mean = target.get("aggregate") == "mean"
    noun = "row" if horizons == [1] else "rows"
    en = f"the mean over the next {counted} {noun}" if mean else f"{counted} {noun} ahead"
    ja = f"次の {counted} 行の平均" if mean else f"{counted} 行先"
    if horizons == [0]:
        en, ja = "the same row", "同じ行"
    elif step:
        spans = [lasting(rows * step) for rows in horizons]
        en += f", which is {', '.join(span for span, _ in spans)}"
        ja += f"（{'、'.join(span for _, span in spans)}）"
    yield en, ja
    if data.get("horizon_assumed"):
        yield "NOBODY GAVE ONE (--horizon)", "指定がないため既定値（--horizon）"


def numbered(labels: Sequence[Any]) -> Pair:
    """Which label each output stands for: output 0 is idle, 1 off."""
    en, ja = _listed([f"{number} {label}" for number, label in enumerate(labels)])
    return f"output {en.replace(' ', ' is ', 1)}", f"出力の番号：{ja}"


def _classes(data: Mapping[str, Any]) -> Iterator[Pair]:
    target = data.get("target")
    if not isinstance(target, Mapping) or "labels" not in target:
        return
    yield numbered(target["labels"])
    if target.get("labels_by") == "sorted":
        yield "in sorted order (--classes)", "並べ替えた順（--classes）"
    elif target.get("labels_by"):
        asked = target["labels_by"] == "as asked"
        yield ("as asked", "指定どおり") if asked else ("as the model was trained", "モデルの学習時のまま")


def _scaling(data: Mapping[str, Any]) -> Iterator[Pair]:
    scaled = data.get("scaled")
    if not isinstance(scaled, Mapping):
        return
    if scaled.get("by") == "the model":
        yield "as the model was trained", "モデルの学習時のまま"
        return
    for en, ja, words in (("inputs", "入力", scaled.get("inputs")), ("target", "目標", scaled.get("target"))):
        if words:
            usual = max(words.values(), key=list(words.values()).count)
            told = ", ".join([usual, *(f"{name} {word}" for name, word in words.items() if word != usual)])
            yield f"{en} {told}", f"{ja} {told}"
    if scaled.get("by") == "default" and (scaled.get("tried") or {}).get("finding") == "open":
        yield (
            "by default, and WITH NONE THAT WAS TRIED DOES THE MODEL FIT WELL (--scale)",
            "既定。試したどの尺度でもよく合わない（--scale）",
        )
    elif scaled.get("by") == "default":
        yield "by default (--scale)", "既定（--scale）"
    elif scaled.get("by") == "found":
        yield (
            "FOUND BY TRIAL, for nobody said: so read the model is best (--scale)",
            "指定がないため試して決定：このモデルに最も合う読み方（--scale）",
        )
    else:
        yield str(scaled.get("by")), "指定どおり" if scaled.get("by") == "as asked" else str(scaled.get("by"))


def _gaps(data: Mapping[str, Any]) -> Iterator[Pair]:
    times = data.get("times")
    if times is None:
        return
    if times["gaps"]:
        limit = lasting(times["max_gap"])
        count, longest = times["gaps"], lasting(times["longest_step"])
        cut = times["handling"] == "split"
        done = "streams are cut there (--gaps join reads on)" if cut else "rows are read on across them (--gaps split)"
        done_ja = "そこで系列を切る（--gaps join で続ける）" if cut else "続けて読む（--gaps split で切る）"
        yield (
            f"{count:,} of more than {limit[0]}, the longest {longest[0]}: {done}",
            f"{limit[1]}を超えるもの {count:,}（最長 {longest[1]}）、{done_ja}",
        )
    elif times["max_gap"]:
        yield f"none of more than {lasting(times['max_gap'])[0]}", f"{lasting(times['max_gap'])[1]}を超えるものはない"
    if joined := times.get("joined", 0):
        yield (
            f"{joined:,} of a few rows: read on over, and no target across them counts",
            f"数行だけのもの {joined:,}：続けて読み、またぐ目標は数えない",
        )
    if times["equal_times"]:
        equal = times["equal_times"]
        yield f"{equal:,} rows have the time of the row before", f"直前の行と同じ時刻の行 {equal:,}"


def _missing(data: Mapping[str, Any]) -> Iterator[Pair]:
    missing = data.get("missing")
    if missing is None or "rows" not in data:
        return
    if data.get("marks_in_no_cell"):
        marks = _listed([repr(mark) for mark in data["marks_in_no_cell"]])
        yield f"NO CELL HOLDS {marks[0]} (--missing-values)", f"どのセルにもない印：{marks[1]}（--missing-values）"
    dropped, filled = missing["rows_dropped"], missing.get("rows_filled", 0)
    if dropped:
        every = data["rows"] + dropped
        yield (
            f"{dropped:,} of {every:,} rows dropped (--missing hold fills them)",
            f"{every:,} 行のうち {dropped:,} 行を除外（--missing hold で補う）",
        )
    if filled:
        yield f"{filled:,} rows filled with the last value", f"{filled:,} 行を直前の値で補う"
