"""Columns of a ledger: every database takes what is given, and what is no longer what outlast wrote is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Double, Integer, String
from sqlalchemy.types import TypeDecorator


class Damaged(Exception):
    """A database holds what outlast does not write there."""


class _Checked(TypeDecorator[Any]):
    kinds: ClassVar[tuple[type, ...]]

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Of what comes out of the database."""
        plain = super().result_processor(dialect, coltype)

        def checked(value: Any) -> Any:
            if value is None:
                return None
            try:
                found = value if plain is None else plain(value)
            except (ValueError, TypeError) as error:
                raise Damaged(str(error)) from error
            if found is not None and not (isinstance(found, self.kinds) and self.fits(found)):
                raise Damaged(f"it holds {found!r}")
            return found

        return checked

    def fits(self, value: Any) -> bool:
        """Whether a value of the right kind may be there."""
        return True


class Text(_Checked):
    """Text.

    Args:
        length: that it may have.
        among: what it may be; None: anything.
    """

    impl, cache_ok, kinds = String, True, (str,)

    def __init__(self, length: int | None = None, among: Iterable[str] | None = None) -> None:
        super().__init__(length)
        self.length, self.among = length, None if among is None else frozenset(map(str, among))

    def fits(self, value: str) -> bool:
        return self.among is None or value in self.among


class Whole(_Checked):
    """A whole number."""

    impl, cache_ok, kinds = Integer, True, (int,)


class Number(_Checked):
    """A number."""

    impl, cache_ok, kinds = Double, True, (float, int)


class Moment(_Checked):
    """A time in UTC, without a zone."""

    impl, cache_ok, kinds = DateTime, True, (datetime,)


class Record(_Checked):
    """JSON with numbers that JSON does not have: NaN and infinities are kept as ``{"number": "nan"}``."""

    impl, cache_ok, kinds = JSON, True, (dict, list, str, int, float)

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return _as_json(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return _from_json(value)


_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return {"number": str(float(value))} if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"number"} and value["number"] in _NUMBERS:
            return _NUMBERS[value["number"]]
        return {key: _from_json(each) for key, each in value.items()}
    return [_from_json(each) for each in value] if isinstance(value, list) else value
