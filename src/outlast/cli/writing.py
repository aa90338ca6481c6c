"""What `outlast generate` reads before it writes, and how what several models write is printed; samples of a repair."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from outlast.cli import inputs
from outlast.cli.options import CompareVerb, GenerateVerb, RepairVerb
from outlast.data import Split, Streams, open_streams
from outlast.errors import InputError, raised
from outlast.generation import Place
from outlast.model import Recurrent
from outlast.modules.precision import runnable
from outlast.reporting.tables import shown
from outlast.results import Sample
from outlast.serving.continuing import AGE, CHARACTERS, place_in, samples, tokens_of, writable
from outlast.serving.texts import Vocabulary

_WIDTH = 100


@dataclass(frozen=True)
class Past:
    """Where in a stream a model begins to write, and how many tokens it writes."""

    streams: Streams
    stream: int
    age: int
    steps: int

    def place(self, model: Recurrent) -> Place:
        return place_in(model, self.streams, self.stream, self.age)

    @property
    def before(self) -> Tensor:
        """The last tokens (N) that are read."""
        return tokens_of(self.streams, self.stream, self.age - CHARACTERS, self.age)

    @property
    def true(self) -> Tensor:
        """The tokens (N) with which the stream goes on; none where it ends there."""
        return tokens_of(self.streams, self.stream, self.age, self.age + self.steps)


def check(options: GenerateVerb) -> None:
    """Raise InputError where two options contradict each other, before a model is loaded."""
    given = {
        "--prompt": bool(options.prompt),
        "--tokens": bool(options.tokens),
        f"--state {options.state}, which exists": bool(options.state and options.state.exists()),
    }
    taken = [name for name, is_given in given.items() if is_given]
    if options.data is not None and taken:
        raise InputError(f"--data and {' and '.join(taken)}", "one way to begin", "leave the others out")
    alone = [f"--{name}" for name in ("age", "stream") if getattr(options, name) is not None]
    if options.data is None and alone:
        raise InputError(f"{' and '.join(alone)} without --data", "data that are read first", "name the data")
    if options.against == options.model:
        raise InputError(f"--against {options.against}, the model itself", "another model", "leave --against out")
    if options.against is not None and options.state is not None:
        raise InputError("--against and --state", "one of them: a state belongs to one model", "leave --state out")


def other(options: GenerateVerb, model: Recurrent) -> Recurrent | None:
    """The model to write beside this one.

    Raises:
        InputError: it does not read the same tokens.
    """
    if options.against is None:
        return None
    found = inputs.model(options.against, options)
    found, _ = runnable(found, torch.zeros(1, 2, dtype=torch.int64))
    if found.input_spec != model.input_spec:
        raise InputError(
            f"--against {options.against}, which reads {found.input_spec}, for a model that reads {model.input_spec}",
            "two models of the same tokens",
            "name a model and its repair",
        )
    return found


def text_of(options: GenerateVerb, model: Recurrent) -> Past | None:
    """What --data, --stream and --age say is read first.

    Raises:
        InputError: a model of features, or text for a model that has no tokeniser and does not read bytes.
    """
    if options.data is None:
        return None
    streams = open_streams(options.data, **inputs.text_options(options, options.data, model))
    stream = options.stream or 0
    age = options.age
    if age is None:
        inside = 0 <= stream < len(streams)
        age = min(AGE, int(streams.lengths[stream]) + streams.shift) if inside else AGE
    return Past(streams, stream, age, options.steps)


def say(
    options: GenerateVerb, vocabulary: Vocabulary, past: Past | None, written: Mapping[str, Tensor], position: int
) -> None:
    """Print what was written: alone as it is, several beside each other, or all as JSON."""
    texts = {name: vocabulary.written(tokens.cpu()) for name, tokens in written.items()}
    first, *others = texts
    before, true = ("", "") if past is None else (vocabulary.written(past.before), vocabulary.written(past.true))
    if options.json:
        record: dict[str, object] = {
            "tokens": written[first].tolist(),
            "text": texts[first],
            "position": position,
        }
        if past is not None:
            record |= {"read": before, "true": true}
        if others:
            record["against"] = {"model": others[0], "tokens": written[others[0]].tolist(), "text": texts[others[0]]}
        print(json.dumps(record))
    elif not others:
        print(texts[first])
    else:
        columns = {**({"as the text goes on": true} if true else {}), **texts}
        table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
        for name in columns:
            table.add_column(Text(name), ratio=1, overflow="fold")
        table.add_row(*(Text(shown(text)) for text in columns.values()))
        console = Console(file=sys.stdout, width=_WIDTH, color_system=None, highlight=False)
        if past is not None:
            console.print(Text(f"after {past.age:,} positions of stream {past.stream}, which end:\n{shown(before)}\n"))
        console.print(table)


@dataclass(frozen=True)
class Sampler:
    """Writes samples of a repair; `vocabulary` is None where the data are no text, or none that can be written."""

    options: RepairVerb | CompareVerb
    streams: Streams
    vocabulary: Vocabulary | None

    def samples(self, base: Recurrent, repaired: Recurrent) -> list[Sample]:
        """What both write on, or nothing; what goes wrong here is told, and does not cost the training its result."""
        if self.vocabulary is None:
            return []
        try:
            return samples(
                base,
                repaired,
                self.streams,
                self.vocabulary,
                train_context=self.options.train_context,
                max_length=self.options.max_length,
                up_to=self.options.up_to,
                seed=self.options.seed,
            )
        except Exception as error:  # a model's or a tokeniser's own code, after hours of training
            print(f"no continuations in the report: {raised(error)}", file=sys.stderr)
            return []


def sampler(options: RepairVerb | CompareVerb, model: Recurrent, parts: Split) -> Sampler:
    """Before the training: whether there will be samples, and how they are written."""
    try:
        vocabulary = Vocabulary(str(options.tokenizer or options.model), model.input_spec, as_numbers=False)
    except InputError as error:  # not asked for, so it is no reason to stop
        print(f"no continuations in the report: {error.given}", file=sys.stderr)
        return Sampler(options, parts.test, None)
    return Sampler(options, parts.test, vocabulary if writable(model, parts.test, vocabulary) else None)
