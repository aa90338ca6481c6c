"""What `bench.py` measured, as the figures of docs/performance.md."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.marks import table

Row = dict[str, Any]

TARGETS = (
    ("Mamba-1 against transformers' default", "train Mamba-1, 4 x 512", "transformers default", 80, 100),
    ("Mamba-1 against mambapy", "train Mamba-1, 4 x 512", "transformers with mambapy", 6.5, 8),
    ("Mamba-2, N = 64, against transformers", "train Mamba-2 N = 64, 4 x 512", "transformers, chunk 64", 2, 3),
    ("Mamba-2, N = 128, against transformers", "train Mamba-2 N = 128, 4 x 512", "transformers, chunk 64", 2, 3),
    *(
        (f"{name} from a directory of transformers against the family", f"train {name} from a directory", "the family",
         0.95, 1)
        for name in ("Mamba-1", "Mamba-2 N = 64")
    ),
    ("GLA's recurrence against chunked", "GLA's recurrence alone, 4 x 512 x 4 heads", "chunked torch (ours)", 3, 4),
    ("GLA against chunked", "train GLA, 4 x 512", "chunked torch (ours)", 1.15, 1.3),
    ("Mamba-1: share of the limit", "train Mamba-1, 4 x 512", "projections alone", 0.58, 0.75),
    ("Mamba-2: share of the limit", "train Mamba-2 N = 64, 4 x 512", "projections alone", 0.5, 0.75),
    ("GLA: share of the limit", "train GLA, 4 x 512", "projections alone", 0.55, 0.75),
    ("two threads against one, Mamba-1", "train mamba, 4 x 512", "one thread", 1.6, 1.8),
    ("two threads against one, Mamba-2", "train mamba2, 4 x 512", "one thread", 1.6, 1.8),
    ("two threads against one, GLA", "train gla, 4 x 512", "one thread", 1.6, 1.8),
    ("the same in bfloat16, Mamba-1", "train mamba, 4 x 512, bfloat16", "one thread", 1.6, 1.8),
    ("the same in bfloat16, Mamba-2", "train mamba2, 4 x 512, bfloat16", "one thread", 1.6, 1.8),
    ("the same in bfloat16, GLA", "train gla, 4 x 512, bfloat16", "one thread", 1.6, 1.8),
    *(
        (f"bfloat16 against float32{how}, {name}, width {width}", f"train {name}, width {width}, bfloat16", peer, *goal)
        for width, goals in ((128, ((1.6, 2.5), (1.8, 2.5), (1.5, 2.5))), (768, ((2.5, 5), (3.8, 5), (3, 5))))
        for name, goal in zip(("Mamba-1", "Mamba-2 N = 64", "GLA"), goals, strict=True)
        for how, peer in (("", "ours in float32"), (" with products by MKL", "ours in float32, products by MKL"))
    ),
    *(
        (f"bfloat16 against transformers in {their}, Mamba-2, width {width}",
         f"train Mamba-2 N = 64, width {width}, bfloat16", f"transformers in {their}, chunk 64", *goal)
        for width, their, goal in ((128, "float32", (3.5, 5)), (768, "float32", (6, 8)), (768, "bfloat16", (2, 3)))
    ),
    ("bfloat16 against mambapy, Mamba-1, width 128", "train Mamba-1, width 128, bfloat16", "transformers with mambapy",
     10, 15),
    *(
        (f"{name}, width 768: share of the limit in bfloat16", f"train {name}, width 768, bfloat16",
         "projections alone in bfloat16", 0.5, 0.7)
        for name in ("Mamba-1", "Mamba-2 N = 64", "GLA")
    ),
)  # fmt: skip
"""What, the row it is read from, at least, and the aim; ratios of minima."""


def sections(result: dict[str, Any]) -> list[str]:
    """The page's figures: targets, every row, rows with the default allocator, long streams, first calls."""
    own = [row for row in result["rows"] if row["allocator"] == "tuned"]
    plain = [row for row in result["rows"] if row["allocator"] != "tuned"]
    cold = table(
        ["family", "nothing compiled yet", "from the cache"],
        ([call["family"], f"{call['cold_s']:.1f} s", f"{call['cached_s']:.2f} s"] for call in result["first_calls"]),
    )
    long = table(
        ["family", "positions", "first half", "second half", "peak memory after each half"],
        (
            [each["family"], f"{each['positions']:,}", *(f"{seconds:.1f} s" for seconds in each["seconds"]),
             " / ".join(f"{mib:,} MiB" for mib in each["peak_mib"])]
            for each in result["long_streams"]
        ),
    )  # fmt: skip
    return [
        f"`make bench` took {result['seconds'] / 60:.1f} minutes. Ratios of minima, one thread unless said otherwise.",
        _targets(own),
        "### Every row",
        _rows(own),
        "### With the default allocator",
        _rows(plain),
        "### Streams of a million positions, read in pieces of 4,096",
        long,
        "### First forward and backward of a family in a new process",
        cold,
    ]


def _targets(rows: list[Row]) -> str:
    found = {(row["what"], row["peer"]): row["ratio"] for row in rows}
    lines = []
    for name, what, peer, least, aim in TARGETS:
        ratio = found.get((what, peer))
        met = "not measured" if ratio is None else "yes" if ratio >= least else "no"
        lines.append([name, "" if ratio is None else f"{ratio:.2f}", f"{least:g}", f"{aim:g}", met])
    return table(["", "reached", "at least", "aim", "met"], lines)


def _rows(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        threads = row["threads"] if isinstance(row["threads"], list) else [row["threads"]]
        what = row["what"] + ("" if threads == [1] else f" ({' and '.join(map(str, threads))} threads)")
        ours, theirs = (f"{row[key]:,.1f} ms" for key in ("ours_ms", "peer_ms"))
        lines.append([what, row["peer"], ours, theirs, f"{row['ratio']:.2f}"])
    return table(["what", "against", "ours", "theirs", "ratio"], lines)
