"""The modules of tests/modules/published.py: each has the outcome that was written down for it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contract_sizes import Ask, quick_check
from modules.listed import Listed
from modules.published import ForecastingDict, LastStep, Sequence, compiled, data_parallel
from modules.published_list import PUBLISHED
from modules.test_modules import found
from outlast.contract.check import check
from outlast.errors import InputError
from outlast.modules import adapt

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning"),  # what users still bring
    pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes self.lstm:UserWarning"),  # by torch.export
]

QUICK = (
    "NameClassifier",
    "ConvGRU",
    "MinGRU",
    "data_parallel",
    "exported_fixed",
    "scripted_last_step",
    "traced_loop",
    "TwoInputs",
)
"""The others take as long as forty modules do."""


def as_written(listed: Listed, ask: Ask) -> None:
    outcome = found(listed, ask)
    assert outcome.partition(":")[0] == listed.outcome, outcome
    for words in listed.words:
        assert re.search(words, outcome), outcome


@pytest.mark.parametrize(
    "listed", [each for each in PUBLISHED if each.name.partition(":")[2] in QUICK], ids=lambda each: each.name
)
def test_outcome(listed: Listed) -> None:
    as_written(listed, quick_check)


@pytest.mark.long
@pytest.mark.parametrize("listed", PUBLISHED, ids=lambda each: each.name)
def test_outcome_as_check_asks(listed: Listed) -> None:
    as_written(listed, check)


def test_what_wraps_a_module_is_taken_off() -> None:
    wrapped: tuple[Any, Any] = (data_parallel(), compiled())
    assert [type(adapt(each).module) for each in wrapped] == [Sequence, LastStep]


class Several(ForecastingDict):
    """Looks two keys up."""

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"prediction": self.fc(self.lstm(torch.cat([x["past"], x["known"]], -1))[0])}


def test_one_key_of_a_dictionary_is_read_in_pieces() -> None:
    module = ForecastingDict().eval()
    model, x = adapt(module), torch.randn(2, 9, 3)
    assert "as 'encoder_cont' of a dictionary" in str(model.found)
    first, state = model(x[:, :4], model.initial_state(2))
    found = torch.cat([first, model(x[:, 4:], state)[0]], 1)
    torch.testing.assert_close(found, module({"encoder_cont": x})["prediction"], rtol=0, atol=1e-6)
    with pytest.raises(InputError):
        adapt(Several())


class TwoLayers(nn.Module):
    """Its trace checks no shapes any more: torch's LSTM then reads beyond the end of a state that is too small."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(3, 8, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (h, c) = self.rnn(x, (h, c))
        return self.head(y), h, c


def test_a_trace_that_ends_the_process_is_refused_in_words() -> None:
    given = torch.randn(2, 5, 3), torch.zeros(2, 2, 8), torch.zeros(2, 2, 8)
    traced: Any = torch.jit.trace(TwoLayers().eval(), given, check_trace=False)
    with pytest.raises(InputError, match=r"(?s)TorchScript that ended the process .*before it is compiled"):
        adapt(traced)
    assert adapt(TwoLayers()).found  # as it was before
