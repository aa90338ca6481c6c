"""The table of docs/modules.md, from what `adapt` finds: `PYTHONPATH=tests python -m modules.page` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from modules.listed import MODULES, Listed
from modules.published_list import PUBLISHED
from outlast.errors import InputError
from outlast.modules import adapt
from outlast.modules.calls.module_adapter import HiddenModule

PAGE = Path(__file__).parents[2] / "docs" / "modules.md"
_BEGIN, _END = "<!-- made by tests/modules/page.py -->", "<!-- end -->"


def table() -> str:
    """A row for each listed module, in their order."""
    rows = [f"| {listed.kind} | {_taken(listed)} | {_state(listed)} |" for listed in MODULES]
    heads = (
        "| kind of module | what to do | where its state was found, and what it starts from |",
        "| --- | --- | --- |",
    )
    return "\n".join([*heads, *rows])


def _taken(listed: Listed) -> str:
    return {"alone": "nothing", "wrapper": "paste the class that is printed", "refused": "refused"}[listed.outcome]


def _state(listed: Listed) -> str:
    try:
        model = adapt(listed.build())
    except InputError as error:
        return error.given.partition(": ")[2].partition(", of which")[0]
    assert isinstance(model, HiddenModule)
    return f"{model.calling.carrier.told}, from {model.calling.start.told}"


def published() -> str:
    """How many of the published modules are read, and which are not."""
    refused = [listed.kind for listed in PUBLISHED if listed.outcome == "refused"]
    return (
        f"{len(PUBLISHED)} more stand in `tests/modules/published.py`, in the shapes in which others publish them: "
        f"{len(PUBLISHED) - len(refused)} are read. These {len(refused)} are refused in words:\n\n"
        + "\n".join(f"- {kind}" for kind in refused)
    )


def page() -> str:
    """The page with this table."""
    texts = iter((table(), published()))
    return re.sub(f"(?<={_BEGIN}\n).*?(?=\n{_END})", lambda _: next(texts), PAGE.read_text(), flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page())
