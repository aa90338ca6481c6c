"""The forty modules of tests/modules: each has the outcome that was written down for it."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from modules.listed import MODULES, Listed
from outlast.adapters import adapt
from outlast.adapters.check import check
from outlast.errors import InputError
from outlast.randomness import generator


def printed_wrapper(message: str) -> str:
    """The code that a refusal prints, as it stands there."""
    return message[message.index("\nclass ") + 1 :]


def built_from(wrapper: str, listed: Listed) -> nn.Module:
    """What a person has who pasted the wrapper below the module's class."""
    place = dict(vars(listed.file))
    exec(wrapper, place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return place[wrapper.split()[1].partition("(")[0]]().eval()


def found(listed: Listed) -> str:
    """What becomes of the module: ``alone``; ``wrapper``, where the one that the refusal prints works; ``refused`` with
    the message; or ``wrong`` with what is."""
    module = listed.build()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model = adapt(module)
    except InputError as error:
        if listed.outcome != "wrapper":
            return f"refused: {error}"
        wrapper = printed_wrapper(str(error))
        assert len(wrapper.splitlines()) <= 5
        model, outcome = adapt(built_from(wrapper, listed)), "wrapper"
    except Exception as error:
        return f"wrong: {type(error).__name__}: {error}"
    else:
        outcome = "alone"
    if model.input_spec != listed.reads:
        return f"wrong: it reads {model.input_spec}"
    assert listed.whole is not None, listed.name
    inputs = listed.reads.random(3, 6, generator(0, "listed"))
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(3))
        wanted = listed.whole(listed.build(), inputs)
    if outputs.shape != wanted.shape or not torch.allclose(outputs, wanted, atol=1e-5):
        return f"wrong: other outputs than its own, {tuple(outputs.shape)} for {tuple(wanted.shape)}"
    failed = tuple(each.name for each in check(model).checks if each.passed is False)
    return outcome if failed == listed.broken else f"wrong: check says {failed}"


def test_there_are_forty_and_their_own_calls_run() -> None:
    assert len({listed.name for listed in MODULES}) == 40
    for listed in MODULES:
        if listed.whole is not None:
            inputs = listed.reads.random(3, 6, generator(0, "listed"))
            assert listed.whole(listed.build(), inputs).shape[:2] == (3, 6), listed.name


@pytest.mark.parametrize("listed", MODULES, ids=lambda listed: listed.name)
def test_outcome(listed: Listed) -> None:
    outcome = found(listed)
    assert outcome.partition(":")[0] == listed.outcome, outcome
    for word in listed.words:
        assert word in outcome
