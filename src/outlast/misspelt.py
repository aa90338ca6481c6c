"""Names that `outlast` does not have, and what was meant by them."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.errors import nearest

_READING = "outlast.open_streams(path), or outlast.Streams.from_table of a path or a frame"
_ELSEWHERE = {
    "from_csv": _READING,
    "from_dataframe": _READING,
    "from_pandas": _READING,
    "from_parquet": _READING,
    "load_csv": _READING,
    "load_data": _READING,
    "read_csv": _READING,
    "read_parquet": _READING,
    "read_table": _READING,
    "train": "outlast.fit",
    "predict": "outlast.deploy(model).read(rows)",
    "forecast": "outlast.deploy(model).read(rows)",
    "stream": "outlast.deploy(model).read(rows)",
    "load_model": "outlast.load",
    "save_model": "outlast.save",
    "wrap": "outlast.adapt",
    "report": "outlast.write_report",
}
"""What the same is called elsewhere, or on the command line."""


def told(name: str, public: Sequence[str], streams: type) -> str:
    """That there is no such name, and which one was meant, as far as that can be told.

    Args:
        public: the names that there are.
        streams: the class whose ways to read are looked for on the module too.
    """
    readers = [each for each in dir(streams) if each.startswith("from_")]
    meant = _ELSEWHERE.get(name)
    if meant is None and (near := nearest(name, [*public, *readers])):
        meant = f"outlast.Streams.{near}" if near in readers else f"outlast.{near}"
    return f"module 'outlast' has no attribute {name!r}" + (f"; did you mean {meant}?" if meant else "")
