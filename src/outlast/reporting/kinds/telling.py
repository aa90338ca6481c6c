"""What it takes to tell results of one kind, and what is said of a result that nothing can be drawn of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from outlast.errors import InputError
from outlast.reporting.commands import Step
from outlast.reporting.elements import Article, Code, Element, Facts, Paragraph, Section
from outlast.reporting.words import glossary
from outlast.reporting.words.glossary import Entries
from outlast.reporting.words.labels import labels
from outlast.reporting.words.terms import model_name
from outlast.results import Result

# What it takes to tell results of one kind: in a report, in the terminal, and what to do next.

R = TypeVar("R", bound=Result)


def _nothing(result: Any) -> str:
    return ""


@dataclass(frozen=True)
class Telling(Generic[R]):
    """How results of one kind are told. A new kind is one file with one of these, and one entry in `TELLINGS`.

    Every text that these give is in the language that is spoken when they are asked (`language.tell`).

    Args:
        record: the kind of result.
        name: what the kind is called.
        model: what the result says about the model.
        badge: tone (bad, warn, good, open, plain) and word of the verdict.
        headline: what was found, in one sentence that someone who does not know the method can act on.
        figures: three to six figures that everything else is read against.
        sections: (result, key) -> figures and tables, in their order.
        terminal: paragraphs and tables of the terminal summary, at most `WIDTH` columns wide.
        next_steps: what to do next.
        facts: everything that says how the figures came about.
        lead: what qualifies the headline; empty where nothing does.
        measured_on: how what was measured on differs from what was asked for; empty where it does not.
        glossary: the terms to explain.
        page: (result, key) -> the article, where a kind does not take the usual one.
    """

    record: type[R]
    name: Callable[[], str]
    model: Callable[[R], dict[str, Any]]
    badge: Callable[[R], tuple[str, str]]
    headline: Callable[[R], str]
    figures: Callable[[R], list[tuple[str, str]]]
    sections: Callable[[R, str], list[Section]]
    terminal: Callable[[R], list[str]]
    next_steps: Callable[[R], list[Step]]
    facts: Callable[[R], list[tuple[str, str]]]
    lead: Callable[[R], str] = _nothing
    measured_on: Callable[[R], str] = _nothing
    glossary: Entries = glossary.USUAL
    page: Callable[[R, str], Article] | None = None

    def eyebrow(self, result: R) -> str:
        return f"{self.name()} · {model_name(self.model(result))}"

    def article(self, result: R, key: str) -> Article:
        """A result as an article; `key` tells it from others on the page."""
        if self.page is not None:
            return self.page(result, key)
        advice: list[Element] = []
        for step in self.next_steps(result):
            advice.append(Paragraph(step.text))
            if step.code:
                advice.append(Code(step.code))
        said = self.measured_on(result)
        sections = [
            *self.sections(result, key),
            Section(labels.NEXT, advice),
            Section(labels.METHOD, [*([Paragraph(said)] if said else []), Facts(self.facts(result))]),
        ]
        return Article(
            key,
            self.eyebrow(result),
            *self.badge(result),
            self.headline(result),
            self.lead(result),
            self.figures(result),
            [section for section in sections if section.elements],
        )


# Results that nothing can be drawn of, told as wrong input: a record can say what no measurement does in more ways
# than can be asked for one by one.


class CannotBeDrawn(InputError):
    """A record that holds what no measurement gives."""


@contextlib.contextmanager
def drawing(*results: Result) -> Iterator[None]:
    """Around drawing: what goes wrong on the way is said of the results.

    Raises:
        CannotBeDrawn: with what was raised.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        kinds = ", ".join(dict.fromkeys(each.kind for each in results))
        raise CannotBeDrawn(
            f"a result of kind {kinds}, of which no report can be drawn ({type(error).__name__}: {error})",
            "results as outlast wrote them",
            "measure again; where it is as outlast made it, it is a fault of outlast: report it with the result",
        ) from error
