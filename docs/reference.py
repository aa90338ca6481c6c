"""Writes docs/api.md from the docstrings of the public names, and docs/glossary.md from the words of the reports.

`make api` runs it; `tests/test_pages.py` holds both pages to what it would write.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import outlast
from outlast import public
from outlast.reporting.kinds import TELLINGS
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import speaking

HERE = Path(__file__).parent
WIDTH = 110
SECTIONS = ("Args:", "Returns:", "Raises:")


def api() -> str:
    """The public names in alphabetical order, classes first, each with its signature and its docstring."""
    parts = [
        "# The public names",
        "Made from the docstrings by `make api`. `import outlast` loads them when the first is asked for. Axes: B "
        "rows, T positions, F features, K values, S streams, N positions of all streams.",
    ]
    things = {name: getattr(outlast, name) for name in public.__all__}
    for title, wanted in (("Classes", inspect.isclass), ("Functions", inspect.isfunction)):
        parts.append(f"## {title}")
        for name in sorted((name for name, thing in things.items() if wanted(thing)), key=str.lower):
            parts += of_class(name, things[name]) if inspect.isclass(things[name]) else of_function(name, things[name])
    rest = [name for name, thing in things.items() if not (inspect.isclass(thing) or inspect.isfunction(thing))]
    parts += ["## Tables", *(of_table(name, things[name]) for name in rest)]
    return "\n\n".join(parts) + "\n"


def of_class(name: str, thing: type) -> list[str]:
    """A class: how it is made, what it is, and its public methods and properties, inherited ones of outlast too."""
    parts = [f"### {name}"]
    if not issubclass(thing, Exception) and not inspect.isabstract(thing):
        parts.append(code(f"outlast.{name}", inspect.signature(thing), bound=True))
    parts.append(markdown(inspect.getdoc(thing) or ""))
    for each in thing.__mro__[1:]:
        if dataclasses.is_dataclass(each) and each.__doc__ and "Args:" in each.__doc__ and "Args:" not in parts[-1]:
            shared = markdown(inspect.cleandoc(each.__doc__)).partition("**Args**")[2]
            parts.append(f"**Args** (of `{each.__name__}`){shared}")
    for method, value in sorted(members(thing)):
        if isinstance(value, property):
            parts.append(f"**`.{method}`** {markdown(inspect.getdoc(value) or '')}")
        else:
            parts.append(code(f"{name}.{method}", inspect.signature(getattr(thing, method)), bound=True))
            parts.append(markdown(inspect.getdoc(getattr(thing, method)) or ""))
    return [part for part in parts if part]


def members(thing: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that outlast wrote, each once; neither fields nor what torch brings."""
    seen = set()
    for owner in thing.__mro__:
        if not owner.__module__.startswith("outlast."):
            continue
        for name, value in vars(owner).items():
            kinds = (property, classmethod, staticmethod)
            if name.startswith("_") or name in seen or not (inspect.isfunction(value) or isinstance(value, kinds)):
                continue
            seen.add(name)
            yield name, value


def of_function(name: str, thing: Callable[..., Any]) -> list[str]:
    return [f"### {name}", code(f"outlast.{name}", inspect.signature(thing)), markdown(inspect.getdoc(thing) or "")]


def of_table(name: str, thing: Mapping[str, Any]) -> str:
    """A registry: its names with their summaries."""
    rows = "\n".join(f"| `{key}` | {value.summary} |" for key, value in thing.items())
    return f"### {name}\n\n| name | |\n| --- | --- |\n{rows}"


def code(name: str, signature: inspect.Signature, *, bound: bool = False) -> str:
    """A signature as a block of Python, on several lines where one would be long.

    Args:
        bound: leave out the first parameter of a method, self.
    """
    parameters = [each for each in signature.parameters.values() if not (bound and each.name == "self")]
    words: list[str] = []
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and "*" not in words and not any(word.startswith("*") for word in words):
            words.append("*")
        words.append(parameter(each))
    gives = (
        ""
        if signature.return_annotation in (signature.empty, None, "None")
        else f" -> {said(signature.return_annotation)}"
    )
    line = f"{name}({', '.join(words)}){gives}"
    if len(line) > WIDTH:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){gives}"
    return f"```python\n{line}\n```"


def parameter(each: inspect.Parameter) -> str:
    stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
    text = stars + each.name + ("" if each.annotation is each.empty else f": {said(each.annotation)}")
    if each.default is each.empty:
        return text
    default = "…" if "factory" in repr(each.default) else repr(each.default)
    return f"{text} = {default}"


def said(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:outlast|typing|pathlib)\.(?:\w+\.)*(?=[A-Z])", "", text)


def markdown(doc: str) -> str:
    """A docstring as Markdown: sections become lists, names in double backticks code."""
    parts: list[str] = []
    lines: list[str] = []
    heading = ""

    def close() -> None:
        body = textwrap.dedent("\n".join(lines)).strip("\n")
        if heading:
            items = re.split(r"\n(?=\S)", body)
            found = [
                re.sub(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*):", r"`\1`:", " ".join(map(str.strip, item.splitlines())))
                for item in items
            ]
            body = "\n".join(f"- {item}" for item in found) if heading != "Returns:" else " ".join(found)
            parts.append(f"**{heading.rstrip(':')}**\n\n{body}")
        elif body:
            parts.append(body)
        lines.clear()

    for line in doc.splitlines():
        if line in SECTIONS or (heading and line and not line.startswith(" ")):
            close()
            heading = line if line in SECTIONS else ""
            if heading:
                continue
        lines.append(line)
    close()
    return "\n\n".join(parts).replace("``", "`")


def glossary() -> str:
    """Every term that a report explains, and every name of a cause, a refusal and a point of the contract."""
    entries = {entry.term: entry for telling in TELLINGS.values() for entry in telling.glossary}
    terms = [
        f"| {term} | {entry.meaning} | {entry.term_ja}：{entry.meaning_ja} |" for term, entry in sorted(entries.items())
    ]
    with speaking("ja"):
        causes_ja, refusals_ja, checks_ja = labels.CAUSE_NAMES, labels.REFUSALS, labels.CHECKS
    causes = [
        f"| `{key}` | {name} | {labels.CAUSE_SENTENCES[key]} | {causes_ja[key]} |"
        for key, name in labels.CAUSE_NAMES.items()
    ]
    refusals = [
        f"| `{key}` | {name} | {labels.FAULTS.get(key, '')} | {refusals_ja[key]} |"
        for key, name in labels.REFUSALS.items()
    ]
    checks = [
        f"| `{key}` | {asks} | {labels.CHECK_COSTS[key]} | {checks_ja[key]} |" for key, asks in labels.CHECKS.items()
    ]
    return "\n".join(
        [
            "# Glossary",
            "",
            "The words of the reports, made from them by `make api`.",
            "",
            "| term | meaning | 日本語 |",
            "| --- | --- | --- |",
            *terms,
            "",
            "## Causes that a diagnosis can find",
            "",
            "| in result.json | in words | what is said of the model | 日本語 |",
            "| --- | --- | --- | --- |",
            *causes,
            "",
            "## Why a repair is refused",
            "",
            "| in result.json | in words | what is said of it | 日本語 |",
            "| --- | --- | --- | --- |",
            *refusals,
            "",
            "## Points of the contract",
            "",
            "| in result.json | what is asked | what it costs where it does not hold | 日本語 |",
            "| --- | --- | --- | --- |",
            *checks,
            "",
        ]
    )


PAGES: dict[str, Callable[[], str]] = {"api.md": api, "glossary.md": glossary}
"""What this script writes, by the name of the page."""


if __name__ == "__main__":
    for page, write in PAGES.items():
        (HERE / page).write_text(write(), encoding="utf-8")
