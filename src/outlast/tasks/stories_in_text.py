"""Stories hidden in text of yours, in the tokens of a model: the task ``stories`` at any training context."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outlast.data import Batch, Split, Streams
from outlast.data.text.tokenisers import Encoder
from outlast.errors import InputError
from outlast.evaluation.measure import CROSS_ENTROPY, Measure, logits_and_classes
from outlast.tasks.stories_data import FACTS, PLACES, Story, prose_drawn, tell
from outlast.tasks.task import Task
from outlast.tasks.weaving import Filler, Row, Sizes, edges_up_to, woven

# How often another place than the right one is the likeliest of a story's places.


def place_error(places: Sequence[int]) -> Measure:
    """The measure of answers that are among these.

    Whether any other word is likelier still is not asked, as where answers are chosen from a list: a model that learnt
    from prose alone thinks of other words first, and would else be wrong always.

    Args:
        places: their numbers in the vocabulary.
    """

    def wrong(outputs: Tensor, batch: Batch) -> Tensor:
        logits, targets = logits_and_classes(outputs, batch)
        among = torch.tensor(places, device=logits.device)
        return (among[logits[..., among].argmax(-1)] != targets).float()

    return Measure(
        "place_error",
        "error rate",
        wrong,
        relative=False,
        tolerance=0.01,
        margin=0.01,
        worst=1.0,
        smooth=CROSS_ENTROPY,
        constant=lambda targets, classes: torch.bincount(targets, minlength=classes).float(),
    )


_NEW, _END = "\n\nA new story.", "."
OTHER_PLACES = (
    "garden", "kitchen", "church", "market", "station", "bridge", "forest", "castle",
    "school", "office", "library", "hotel", "bank", "farm", "river", "island",
)  # fmt: skip
"""Called upon where a tokeniser cuts some of the stories' own places to pieces."""
EXAMPLES = 4
"""Answered stories before the question of a ``few_shot`` stream."""
PROSE_WEIGHT = 0.01
_TRIES = 100
"""Stories drawn for one place in a stream, of which the first that fits is taken."""


class Words:
    """What stories are told in, each sentence encoded once.

    Args:
        encoder: of the text.

    Attributes:
        places: eight that are one token each, behind what stands before all of them, such as a mark of a space.
        tokens: these tokens.

    Raises:
        InputError: the encoder has no eight of them.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known: dict[str, np.ndarray] = {}
        coded = {place: self(f" {place}").tolist() for place in (*PLACES, *OTHER_PLACES)}
        before = min(coded.values(), key=len)[:-1]
        times = Counter(tuple(each) for each in coded.values())  # words that a tokeniser does not know look alike
        alone = {
            place: each[-1] for place, each in coded.items() if each and each[:-1] == before and times[tuple(each)] == 1
        }
        if len(alone) < len(PLACES):
            raise InputError(
                f"{'bytes' if encoder.name is None else encoder.name} for stories, whose answers are one token each",
                f"a tokeniser to which eight of these words are one token: {', '.join(coded)}",
                "name a model with a tokeniser of words or large parts of them",
            )
        self.places = tuple(alone)[: len(PLACES)]
        self.tokens = tuple(alone[place] for place in self.places)

    def __call__(self, text: str) -> np.ndarray:
        if text not in self._known:
            self._known[text] = self.encoder.encode([text])[0]
        return self._known[text]


@dataclass(frozen=True)
class Telling:
    """A story as it goes into a stream, with `prose` tokens of text between its sentences."""

    words: Words
    story: Story
    prose: int

    @property
    def size(self) -> int:
        story = self.story
        asked = [f" {each.text}" for each in story.questions] + [f" {each.answer}" for each in story.questions]
        sentences = [_NEW, *(f" {each}" for each in story.events), *asked, *[_END] * len(story.questions)]
        return self.prose + sum(len(self.words(each)) for each in sentences)

    def write(self, row: Row, filler: Filler, *, counts: bool = True) -> None:
        """Write it, its answers with what they need where they count."""
        row.write(self.words(_NEW))
        begun, left = [], self.prose
        for k, event in enumerate(self.story.events):
            begun.append(row.size)
            row.write(self.words(f" {event}"))
            share = left // (len(self.story.events) - k)
            row.write(filler.take(share))
            left -= share
        for question in self.story.questions:
            answer = self.words(f" {question.answer}")
            row.write(self.words(f" {question.text}"), answer[:-1])
            if counts:
                row.ask(answer[-1:], begun[question.first], question.kind)
            else:
                row.write(answer[-1:])
            row.write(self.words(_END))


def stories_in(
    text: Streams, words: Words, count: int, length: int, seed: int, longest: int, prose_weight: float = 0.0
) -> Streams:
    """Streams of stories one after another, with text between their sentences; the room that is left is text.

    Args:
        text: numbers of the same encoder as `words`.
        count, length: how many streams, how many positions.
        seed: of everything.
        longest: tokens of text in a story: half of the stories have none, in the others it is log-uniform up to that.
        prose_weight: of every token that is no answer.

    Returns:
        streams whose answers weigh 1, with the labels ``facts`` (how many the answer needs) and ``distance`` (positions
        since the first of them began, in bins).

    Raises:
        InputError: streams too short for a story.
    """

    def drawn(rng: np.random.Generator) -> Telling:
        story = tell(rng, words.places)
        return Telling(words, story, 0 if rng.random() < 0.5 else prose_drawn(longest, rng))

    def write(row: Row, filler: Filler, rng: np.random.Generator) -> None:
        telling = _fitting(drawn, row.room, rng)
        while telling.size <= row.left:
            telling.write(row, filler)
            telling = drawn(rng)

    return woven(
        write, text, count, length, seed, edges=edges_up_to(longest), prose_weight=prose_weight, **_told(longest)
    )


def few_shot_in(
    text: Streams, words: Words, count: int, length: int, seed: int, longest: int, examples: int = EXAMPLES
) -> Streams:
    """Streams that end with questions: text, `examples` answered stories without any, a story hidden in it.

    Only the last story's answers count; arguments and labels are those of `stories_in`.
    """

    def hidden(rng: np.random.Generator) -> Telling:
        return Telling(words, tell(rng, words.places), prose_drawn(longest, rng))

    def write(row: Row, filler: Filler, rng: np.random.Generator) -> None:
        shown = [Telling(words, tell(rng, words.places), 0) for _ in range(examples)]
        before = sum(each.size for each in shown)
        last = _fitting(hidden, row.room - before, rng)
        row.write(filler.take(row.left - before - last.size))
        for each in shown:
            each.write(row, filler, counts=False)
        last.write(row, filler)

    return woven(
        write, text, count, length, seed, edges=edges_up_to(longest), prose_weight=0.0,
        **_told(longest, examples=examples),
    )  # fmt: skip


def _fitting(drawn: Callable[[np.random.Generator], Telling], room: int, rng: np.random.Generator) -> Telling:
    """The first story drawn for which there is room."""
    telling = drawn(rng)
    for _ in range(_TRIES):
        if telling.size <= room:
            return telling
        telling = drawn(rng)
    raise InputError(
        f"{max(room, 0):,} positions for a story", f"room for one, such as {telling.size:,}", "choose a longer context"
    )


def _told(longest: int, **more: Any) -> dict[str, Any]:
    return {"kinds": ("facts", FACTS), "about": {"hidden": "stories", "longest": longest, **more}}


def stories_in_text(plain: Task, encoder: Callable[[], Encoder], sizes: Sizes) -> Task:
    """The task on the text of another one.

    Stories have up to a quarter of a training context of text in them where models are measured and in the training set
    ``windows``, up to `sizes.length` training contexts in long training streams, up to `sizes.farthest` in the
    controls ``hidden`` and ``few_shot``. The training set ``prose`` is the text alone.
    """
    window = plain.train_context
    words = functools.cache(lambda: Words(encoder()))

    def hidden(part: Streams, count: int, contexts: int, seed: int, longest: int, weight: float = 0.0) -> Streams:
        return stories_in(part, words(), count, contexts * window, seed, longest, weight)

    @functools.cache
    def streams() -> Split:
        text = plain.streams()
        return Split(
            hidden(text.train, sizes.train, sizes.train_length, 2, sizes.length * window, PROSE_WEIGHT),
            hidden(text.validation, sizes.validation, sizes.length, 3, window // 4),
            hidden(text.test, sizes.test, sizes.length, 4, window // 4),
            how=f"{text.how}, each part with stories of its own seed",
        )

    @functools.cache
    def windows() -> Streams:
        return hidden(plain.streams().train, sizes.windows, 1, 1, window // 4, PROSE_WEIGHT)

    @functools.cache
    def far() -> Streams:
        return hidden(plain.streams().test, sizes.far, 2 * sizes.farthest, 6, sizes.farthest * window)

    @functools.cache
    def few_shot() -> Streams:
        length = (sizes.farthest + 2) * window
        return few_shot_in(plain.streams().test, words(), sizes.far, length, 5, sizes.farthest * window)

    return replace(
        plain,
        name=f"stories in {plain.name}",
        streams=streams,
        training_sets={"windows": windows, "prose": lambda: plain.streams().train},
        base_from="windows",
        controls={"hidden": far, "few_shot": few_shot},
        measures=lambda base: (place_error(words().tokens), CROSS_ENTROPY),
    )
