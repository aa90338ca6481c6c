"""What each verb of `outlast live` does: read the options, call one function of the library, write and print."""

from __future__ import annotations

import sys

from outlast.cli import inputs, outputs
from outlast.cli.live_options import LiveProfileVerb
from outlast.cli.progress import Reporter
from outlast.cli.trial import tell, try_out
from outlast.durations import seconds_of
from outlast.errors import InputError
from outlast.live import make_profile
from outlast.live.profiles import RECORD
from outlast.model import Recurrent
from outlast.streams import Split


@outputs.alone
def run_live_profile(options: LiveProfileVerb) -> int:
    model = inputs.model(options.model, options)
    parts = inputs.split_of(options, model)
    tell(try_out(model, parts.test, None if options.measure is None else (options.measure,)))
    length = _positions(options.run_length, model, parts)
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


def _positions(typed: str, model: Recurrent, parts: Split) -> int:
    """A run length in positions of a stream."""
    if typed.isdecimal():
        return int(typed)
    seconds = seconds_of(typed, "--run-length")
    schema = model.schema or parts.test.schema
    if schema is None or not schema.step:
        raise InputError(
            f"--run-length {typed} for rows whose time is not known to be regular",
            "a number of positions",
            "for example --run-length 10080, or name the --time-column",
        )
    return max(1, round(seconds / schema.step))
