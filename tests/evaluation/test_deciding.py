"""What is undecided says what age costs at most, and what would decide it; done, that decides it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from outlast.data import Streams
from outlast.evaluation import EvalSettings, evaluate
from outlast.model import InputSpec
from outlast.reporting import summary
from outlast.reporting.kinds import headline, lead, next_steps
from outlast.reporting.words.language import speaking
from outlast.results import Command, Evaluation, from_json, to_json
from planted import Planted, coin_streams
from reporting import example_results as example

T = 8


class Moody(Planted):
    """From some age on it fares better or worse, as the second input says."""

    input_spec = InputSpec("features", 2)
    age = 256

    def forward(self, inputs: Any, state: Any) -> Any:
        logits, after = super().forward(inputs, state)
        old = (state.read[:, None] + torch.arange(inputs.shape[1]) >= self.age)[..., None]
        return torch.where(old, logits * (1 + inputs[..., 1:]), logits), after


def steady(age: torch.Tensor) -> torch.Tensor:
    return torch.full_like(age, 2.0)


def moody(streams: Streams, stretch: int, size: float, seed: int = 3) -> Streams:
    """Every `stretch` positions another mood."""
    count = len(streams.inputs)
    moods = np.random.default_rng(seed).uniform(-size, size, -(-count // stretch)).repeat(stretch)[:count]
    return replace(streams, inputs=np.stack([streams.inputs[:, 0], moods], 1).astype(np.float32))


RECORDING = moody(coin_streams(1, 16_000), 500, 0.15, seed=1)


def measured(data: Streams, **how: Any) -> Evaluation:
    return evaluate(Moody(steady), data, train_context=T, settings=EvalSettings(**how))


def test_a_smaller_age_that_is_expected_to_decide_decides() -> None:
    first = measured(RECORDING)
    verdict = first.verdict
    assert verdict is not None
    assert verdict.name == "undecided"
    assert verdict.knob is not None
    assert (verdict.knob.name, verdict.knob.verdict) == ("up_to", "robust")
    assert verdict.because[-1] == (
        f"asked about ages up to {int(verdict.knob.value)}, these data are expected to decide it"
    )
    assert "whatever age does, at ages " in verdict.because[-2]
    again = measured(RECORDING, up_to=int(verdict.knob.value))
    assert again.verdict is not None
    assert again.verdict.name == "robust"
    assert from_json(to_json(first)) == first


def test_cut_anew_the_same_rows_may_decide_at_the_same_age() -> None:
    """Segments that share what warms them up have more targets."""
    recording = moody(coin_streams(1, 16_000), 500, 0.15, seed=0)
    first = measured(recording).verdict
    assert first is not None
    assert first.knob is not None
    assert first.knob.name == "more"
    sparse = moody(coin_streams(1, 16_000), 100, 0.15, seed=0)
    first = measured(sparse).verdict
    assert first is not None
    assert first.knob is not None
    assert (first.name, first.knob.name, first.knob.value) == ("undecided", "up_to", first.oldest_age[1])
    again = measured(sparse, up_to=first.oldest_age[1]).verdict
    assert again is not None
    assert again.name == first.knob.verdict


def test_what_was_not_read_or_scored_is_named_before_other_data() -> None:
    few = measured(moody(coin_streams(200, 1024), 1024, 0.3), streams=8)
    assert few.verdict is not None
    assert few.verdict.name == "undecided"
    assert few.verdict.knob is not None
    whole = measured(moody(coin_streams(200, 1024), 1024, 0.3))
    assert whole.verdict is not None
    if few.verdict.knob.name == "all_streams":
        assert whole.verdict.name == few.verdict.knob.verdict
    sparse = measured(moody(coin_streams(9, 4096), 16, 0.5), targets=T)
    assert sparse.verdict is not None
    assert sparse.verdict.name == "undecided"
    assert sparse.verdict.knob is not None
    assert (sparse.verdict.knob.name, sparse.verdict.knob.value) == ("scored", 2048)


def test_more_data_are_asked_for_where_they_would_do() -> None:
    found = measured(moody(coin_streams(12, 1024), 1024, 0.9)).verdict
    assert found is not None
    assert found.name == "undecided"
    assert found.knob is not None
    assert found.streams_needed is not None
    assert found.knob.name == "more"
    assert found.knob.value == found.streams_needed / 12


def test_the_bound_and_what_decides_are_told_everywhere_in_both_languages() -> None:
    step = {"times": {"typical_step": 60.0, "gaps": 0, "equal_times": 0}}
    found = measured(replace(RECORDING, about=step))
    found = replace(found, command=Command(model="m", data="d.csv"))
    verdict = found.verdict
    assert verdict is not None
    assert verdict.knob is not None
    said = headline(found).replace("\u00a0", " ")
    assert said.endswith("%.")
    assert "Whatever age does, at ages " in said
    assert "(up to 8.5 h) it costs at most" in said  # 512 positions of a minute
    up_to = int(verdict.knob.value)
    code = f"outlast evaluate --model m --data d.csv --train-context 8 --up-to {up_to}"
    assert next_steps(found)[0].code == code
    told = " ".join(summary(found).split())
    assert "Whatever age does" in told
    assert code in told
    with speaking("ja"):
        assert "での悪化は最大でも" in headline(found)
        assert "決まる見込みです" in next_steps(found)[0].text
    asked = measured(RECORDING, up_to=512, targets=64)
    assert next_steps(replace(asked, command=found.command))[0].code is not None
    assert "--scored" in str(next_steps(replace(asked, command=found.command))[0].code)


def test_a_repair_that_was_not_made_says_the_bound_of_its_test_streams() -> None:
    unsure = example.evaluation(example.UNSURE, unsure=True)
    assert "Whatever age does, at ages 8,192 to 16,383 it costs at most 2.4\u00a0%." in lead(example.untouched(unsure))
    assert "Whatever age does" not in lead(example.untouched(example.evaluation(name="base")))


def test_commands_ask_about_ages_once() -> None:
    """A longer stretch is asked for instead of what was asked before, not beside it."""
    fine = example.evaluation(example.HEALTHY)
    asked = replace(fine, settings={**fine.settings, "up_to": "24h"})
    for told in (asked, example.untouched(asked)):
        codes = [step.code for step in next_steps(told) if step.code and "--up-to 96h" in step.code]
        assert codes
        assert all("--max-length" not in code for code in codes)
    failing = example.evaluation()
    codes = [step.code or "" for step in next_steps(replace(failing, settings={**failing.settings, "up_to": "24h"}))]
    assert sum("--up-to 24h" in code for code in codes) >= 2
