"""What the verbs of `outlast live` do that need a model and its data: its profile, and a version from incidents."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from outlast.cli import inputs, outputs
from outlast.cli.live_options import LiveProfileVerb, LiveRetrainVerb
from outlast.cli.live_verbs import open_ledger
from outlast.cli.parsing import settings_of
from outlast.cli.progress import Reporter
from outlast.cli.saying import tell
from outlast.cli.trial import try_out
from outlast.durations import positions_of, seconds_of
from outlast.errors import InputError
from outlast.live import make_profile
from outlast.live.watch.profiles import RECORD, load_profile
from outlast.repairs import RepairSettings
from outlast.training import TrainSettings


@outputs.alone
def run_live_profile(options: LiveProfileVerb) -> int:
    model = inputs.model(options.model, options)
    parts = inputs.split_of(options, model)
    tell(try_out(model, parts.test, None if options.measure is None else (options.measure,)))
    outputs.taken(options, parts)
    schema = model.schema or parts.test.schema
    length = positions_of(options.run_length, None if schema is None else schema.step, "--run-length")
    with Reporter(quiet=options.quiet) as say:
        profile = make_profile(
            model,
            parts,
            train_context=options.train_context,
            run_length=length,
            streams=options.fleet,
            every=options.every,
            measures=options.measure,
            seed=options.seed,
            progress=lambda share: say("profile", share),
        )
    profile.save(options.out)
    print((options.out / RECORD).read_text(encoding="utf-8") if options.json else profile)
    print(f"\nprofile: {options.out}", file=sys.stderr if options.json else sys.stdout)
    return 0


def run_live_retrain(options: LiveRetrainVerb) -> int:
    with open_ledger(options) as ledger:
        from outlast.live.ledger import Status
        from outlast.live.ledger.candidates import at_work, place_of
        from outlast.live.retrain import Collecting, Training, retrain
        from outlast.live.retrain.checks import check_files
        from outlast.live.retrain.pipeline import record, told

        name = options.model
        if name is None:
            current = at_work(ledger)
            if current is None:
                raise InputError(
                    f"no --model, and a ledger at {ledger.shown} in which none is at work",
                    "the model at work",
                    "name it",
                )
            place = place_of(ledger, current)
            if current.files is not None:
                check_files(place, current.files)
            name = str(_model_in(place))
        profile = load_profile(options.profile)
        model = inputs.model(name, options)
        parts = inputs.split_of(options, model)
        tell(try_out(model, parts.test, options.measure))
        outputs.taken(options, parts)
        with Reporter(quiet=options.quiet) as say:
            found = retrain(
                ledger,
                parts,
                model=model,
                profile=profile,
                train_context=options.train_context,
                by=options.by,
                number=options.candidate,
                stage=options.stage,
                collecting=settings_of(
                    Collecting, options, harms=options.harm, quarantine=_seconds(options.quarantine)
                ),
                training=Training(
                    share=options.share,
                    expected_run=options.expected_run,
                    training=settings_of(TrainSettings, options),
                    measuring=inputs.measuring(options, options.seed),
                    repairing=settings_of(RepairSettings, options, doses=(1.0,), control=False, anyway=True),
                    objective=options.objective,
                    measures=options.measure,
                    guards={str(path): inputs.streams_of(options, path, model) for path in options.guard},
                ),
                allow_code=options.allow_code or not Path(name).is_dir(),
                progress=say,
            )
        print(json.dumps(record(ledger, found)) if options.json else told(ledger, found))
        return 1 if found.status == Status.REFUSED else 0


def _seconds(typed: str) -> float:
    return float(typed) if typed.isdecimal() else seconds_of(typed, "--quarantine")


def _model_in(folder: Path) -> Path:
    """The model in the folder of what is at work: itself, or a candidate's with its model inside."""
    return folder / "model" if (folder / "model").is_dir() else folder
