"""What long work of several parts is told through."""

from __future__ import annotations

from collections.abc import Callable

WorkDone = Callable[[str, float, float | None], None]
"""(what is being done, share done of it, loss where there is one)"""
