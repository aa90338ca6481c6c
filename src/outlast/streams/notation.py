"""How numbers and missing values are written: read as a notation says, and what another notation would make of them."""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from outlast.errors import Choice, InputError
from outlast.schema import Notation

MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"]
"""Spellings of a missing value in text."""
_MISSING = frozenset(MISSING)
_BLANKS = "[ \u00a0\u2009\u202f]"
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([ \u00a0\u2009\u202f,.'’])\d{3})+(?:(?!\1)([.,])\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d+\.\d+([eE][+-]?\d+)?")
_MARKS = {"decimal": (".", ","), "thousands": (",", ".", " ", "'", "’", "_")}


def notation_of(schema_says: Notation, **given: Any) -> Notation:
    """The notation that options give (None: not given), over what a model's schema says.

    Raises:
        InputError: a mark that is none, marks that are the same, an encoding nobody knows, or two ways to read times.
    """
    told = {name: value for name, value in given.items() if value is not None}
    if "missing_values" in told:
        values = told["missing_values"]
        values = [values] if isinstance(values, str | int | float) else list(values)
        told["missing_values"] = tuple(dict.fromkeys(_spelt(value) for value in values))
    if "decimal" in told and "thousands" not in told and told["decimal"] == schema_says.thousands:
        told["thousands"] = None
    if "time_format" in told and not told.get("day_first"):
        told["day_first"] = None
    found = Notation(**{**schema_says.__dict__, **told})
    for name, known in _MARKS.items():
        mark = getattr(found, name)
        if mark not in known and not (name == "thousands" and mark is None):
            raise InputError(f"{name} {mark!r}", f"one of {' '.join(map(repr, known))}", f"for example {name}=','")
    if found.decimal == found.thousands:
        raise InputError(
            f"decimal and thousands {found.decimal!r}", "two different marks", "for example decimal=',', thousands='.'"
        )
    if found.time_format is not None and found.day_first is not None:
        raise InputError("time_format and day_first", "one way to read times", "leave one of them out")
    try:
        codecs.lookup(found.encoding)
    except (LookupError, ValueError):
        raise InputError(
            f"encoding {found.encoding!r}",
            "an encoding that Python knows",
            "for example utf-16, latin-1 or cp1252",
        ) from None
    return found


def _spelt(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"missing_values {value!r}", "text or numbers", 'for example missing_values=["Bad", -9999]')
    return str(value).strip()


@functools.lru_cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    point = re.escape(decimal)
    whole = r"\d+"
    if thousands is not None:
        mark = _BLANKS if thousands == " " else re.escape(thousands)
        whole = rf"(?:\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?")


def number_in(text: str, notation: Notation) -> float | None:
    """The number that a text is; None: it is none. Blanks around it do not matter."""
    text = text.strip()
    if _pattern(notation.decimal, notation.thousands).fullmatch(text) is None:
        return None
    if notation.thousands is not None:
        text = re.sub(_BLANKS if notation.thousands == " " else re.escape(notation.thousands), "", text)
    return float(text.replace(notation.decimal, "."))


def is_missing(text: str, notation: Notation) -> bool:
    """Whether a text stands for a value that is missing."""
    text = text.strip()
    if text in _MISSING or not notation.missing_values:
        return text in _MISSING
    numbers = missing_numbers(notation)
    return text in notation.missing_values or bool(numbers and number_in(text, notation) in numbers)


@functools.lru_cache
def missing_numbers(notation: Notation) -> tuple[float, ...]:
    """Numbers that stand for a value that is missing."""
    found = []
    for text in notation.missing_values:
        try:
            found.append(float(text))
        except ValueError:
            continue
    return tuple(number for number in found if number == number)


def nearly_number(text: str) -> bool:
    """Whether a text would be a number in some notation, if not in the one that it is read by."""
    text = text.strip()
    return any(each.fullmatch(text) is not None for each in (_COMMA, _POINT, _GROUPED))


def other_notations(texts: Sequence[str], notation: Notation) -> list[Choice]:
    """Under which marks all of these texts, which are no numbers as they are read, would be numbers.

    Args:
        texts: some of one column, without those that are missing.
    """
    if not all(map(nearly_number, texts)):
        return []
    seen = {found[1] for text in texts if (found := _GROUPED.fullmatch(text)) is not None}
    groups: list[str | None] = [None, *sorted({" " if re.fullmatch(_BLANKS, mark) else mark for mark in seen})]
    choices = []
    for decimal in (notation.decimal, "," if notation.decimal == "." else "."):
        for thousands in groups:
            if decimal == thousands or (decimal, thousands) == (notation.decimal, notation.thousands):
                continue
            tried = Notation(decimal, thousands)
            if all(number_in(text, tried) is not None for text in texts):
                choices.append(_reading(texts[0], tried, notation))
    return choices


def _reading(text: str, tried: Notation, notation: Notation) -> Choice:
    options = {} if tried.decimal == notation.decimal else {"decimal": tried.decimal}
    options |= {} if tried.thousands in (None, notation.thousands) else {"thousands": tried.thousands}
    return Choice(f"read {text!r} as {number_in(text, tried):g}", options)


def as_missing(texts: Iterable[str], notation: Notation) -> dict[str, Any]:
    """The option that has these count as missing, beside those that do."""
    return {"missing_values": list(dict.fromkeys([*notation.missing_values, *texts]))}
