"""What long work is told through while it goes on."""

from __future__ import annotations

from collections.abc import Callable

WorkDone = Callable[[str, float, float | None], None]
"""(what is being done, share done of it, loss where there is one)"""

StepDone = Callable[[int, int, float, float], None]
"""(optimiser steps done, of how many, mean loss of late, seconds left)"""

ShareDone = Callable[[float], None]
"""(share done)"""
