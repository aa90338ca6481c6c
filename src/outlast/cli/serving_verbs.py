"""Verbs that use a model: export it, write on with it, answer with it. As those of `verbs`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import torch

from outlast import checkpoints
from outlast.cli import models
from outlast.cli.options import ExportVerb, GenerateVerb, SaveVerb, StreamVerb
from outlast.cli.saying import tell
from outlast.durations import ahead_of
from outlast.errors import InputError
from outlast.model import Recurrent
from outlast.modules.factory import code_of
from outlast.modules.precision import runnable
from outlast.onnx import folder_of


def run_export(options: ExportVerb) -> int:
    from outlast.exporting import TOLERANCE, export  # each verb loads what it needs alone: a stream answers soon
    from outlast.modules.remedies import under

    if options.out.exists() and not options.replace:
        raise InputError(
            f"--out {options.out}, which is there already", "a new file", "choose another --out, or --replace"
        )
    model = models.model_on(options.model, "cpu", allow_code=options.allow_code)
    made = export(under(model, options.resets), options.out, train_context=options.train_context)
    print(f"{options.out}: {made.signature}")
    print(f"in onnxruntime as the model, to {TOLERANCE:g}, in pieces with the state carried")
    return 0


def run_save(options: SaveVerb) -> int:
    from outlast.cli import inputs
    from outlast.cli.trial import try_out
    from outlast.evaluation.misread import as_it_reads, scaling_notes

    if options.out.exists() and not options.replace:
        raise InputError(
            f"--out {options.out}, which is there already", "a new folder", "choose another --out, or --replace"
        )
    model, streams = inputs.model_and_streams(options, options.data)
    if streams.schema is None:
        raise InputError(f"--data {options.data}, which has no columns", "a table", "name a .csv or .parquet file")
    noted = try_out(model, streams, None)
    streams = as_it_reads(model, streams, options.train_context)
    schema = streams.schema
    assert schema is not None
    tell([*noted, *scaling_notes(streams.about)])
    provenance = {"verb": "save", "data": streams.describe()}
    checkpoints.save(model, options.out, provenance=provenance, schema=None if model.schema else schema)
    ahead, aims = ", ".join(map(str, schema.target.horizons)), ", ".join(schema.target.columns)
    print(f"{options.out}: reads {', '.join(schema.names)}; forecasts {aims}, {ahead} rows ahead")
    code = " --allow-code" if code_of(getattr(model, "blueprint", None) or {}) else ""
    print(f"Next: outlast stream --model {shlex.quote(str(options.out))}{code} < ROWS.jsonl")
    return 0


def run_generate(options: GenerateVerb) -> int:
    from outlast.cli import writing
    from outlast.generation import Place, generate, load_place, save_place
    from outlast.serving.texts import Vocabulary

    writing.check(options)
    model = models.model(options.model, options)
    model, cast = runnable(model, torch.zeros(1, 2, dtype=torch.int64))
    tell([cast] if cast else [])
    vocabulary = Vocabulary(
        str(options.tokenizer or folder_of(options.model)), model.input_spec, as_numbers=bool(options.tokens)
    )
    other = writing.other(options, model)
    text = writing.text_of(options, model)
    after = load_place(options.state, model) if options.state and options.state.exists() else None
    prompt = None if text else vocabulary.read(options.prompt, options.tokens, first=after is None)

    def write(one: Recurrent) -> tuple[torch.Tensor, Place]:
        begin = text.place(one) if text else after
        return generate(one, prompt, options.steps, after=begin, temperature=options.temperature, seed=options.seed)

    chosen, place = write(model)
    if options.state:
        save_place(place, options.state, model)
    written = {options.model: chosen[0]}
    if other is not None:
        written[options.against or ""] = write(other)[0][0]
    writing.say(options, vocabulary, text, written, place.position)
    return 0


def run_stream(options: StreamVerb) -> int:
    from outlast.serving import Deployed
    from outlast.serving.lines import answer

    model = models.model(options.model, options)
    found = folder_of(options.model)
    folder = found if Path(found).is_dir() else None
    deployed = Deployed(model, resets=options.resets, stream_column=options.stream, folder=folder)
    if options.state and options.state.exists():
        deployed.load_states(options.state)
    deployed.future = ahead_of(options.future, "--future")
    try:
        every, skip = options.state_every, options.bad_rows == "skip"
        done, left_out = answer(deployed, sys.stdin.fileno(), sys.stdout, options.state, every, skip=skip)
        if left_out:
            print(f"{left_out:,} of {done + left_out:,} lines were left out; each answer says why", file=sys.stderr)
    except BrokenPipeError:  # whoever read the forecasts has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
