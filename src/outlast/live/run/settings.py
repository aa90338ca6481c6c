"""How a run goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RunSettings:
    """How a run goes.

    Args:
        rows: that are read at once, at most.
        commit: seconds after which what was read is written down, or ten times what writing takes where that is more;
            0: after each time that rows are read.
        canary_share: of the streams, that a canary answers.
        auto: whether candidates go on by themselves where the evidence is clear; else a person says so.
        block: positions of a stream that make a block of evidence; None: eight training contexts, or two horizons
            where that is more.
        warm: blocks for which the version before is kept ready after a promotion.
        watch: whether incidents are looked for.
        reset_harmful: whether a stream whose old state does worse than a young one goes on from the initial state.
        future: seconds that a row's time may be ahead of this machine's clock; None: any.
        resets, stream_column, allow_code: as for `outlast.deploy`.
    """

    rows: int = 8192
    commit: float = 1.0
    canary_share: float = 0.1
    auto: bool = False
    block: int | None = None
    warm: int = 50
    watch: bool = True
    reset_harmful: bool = False
    future: float | None = 86400.0
    resets: str = "none"
    stream_column: str | None = None
    allow_code: bool = False
