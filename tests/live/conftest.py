"""The model whose fault and cure are known, with its data and its profile: of the tests of what was met at work."""

from __future__ import annotations

import pytest

from live.leaky import T, healthy
from live.met import at_work
from outlast.data import Split
from outlast.live import Profile, make_profile
from outlast.model import Recurrent


@pytest.fixture(scope="module")
def model() -> Recurrent:
    return at_work()


@pytest.fixture(scope="module")
def data() -> Split:
    return healthy()


@pytest.fixture(scope="module")
def profile(model: Recurrent, data: Split) -> Profile:
    return make_profile(model, data, train_context=T, run_length=3000, every=64)
