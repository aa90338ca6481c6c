"""Ids and what does not change, in modules as strangers write them: found, handed over rightly, or asked about."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contract_sizes import quick_check
from modules import identified
from modules.identified import IDENTIFIED, ONCE, StaticNumbers, TwoIds
from outlast.contract.check import check
from outlast.errors import InputError
from outlast.model import InputSpec
from outlast.modules import adapt
from outlast.randomness import generator

NAMES = ("load", "speed", "heat", "machine")
CHECKED = (identified.AddedEmbedding, identified.ConcatenatedOnce)
READS = InputSpec("features", 4, ids=((3, 3),), names=NAMES)


def built(kind: type[nn.Module]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return kind().eval()


def drawn(spec: InputSpec) -> Tensor:
    """(4, 6, F): ids that do not change along a row, all of them drawn."""
    inputs = spec.random(4, 6, generator(0, "identified"))
    for column, count in spec.ids:
        inputs[..., column] = (torch.arange(4) % count)[:, None]
    return inputs


TOLD_BY_DATA_ALONE = (identified.OneHot, identified.OptionalId)
"""Without data nothing says how many ids there are, or that there are any."""
ASKED = [(kind, given) for kind in IDENTIFIED for given in (READS, None) if given or kind not in TOLD_BY_DATA_ALONE]


@pytest.mark.parametrize(("kind", "given"), ASKED)
def test_a_module_with_ids_says_what_its_own_call_says(kind: type[nn.Module], given: InputSpec | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = adapt(built(kind), given)
    assert model.input_spec is not None
    assert (model.input_spec.size, model.input_spec.ids) == (4, ((3, 3),)), model.found
    assert model.input_spec.static == ((3,) if kind in ONCE else ())
    inputs = drawn(READS)
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(4))
        wanted = built(kind).own(inputs[..., :3], inputs[..., 3].long())
    torch.testing.assert_close(outputs, wanted)
    if given is not None and kind in CHECKED:
        assert [each.name for each in quick_check(model).checks if each.passed is False] == []


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in IDENTIFIED if kind not in CHECKED])
def test_the_others_keep_the_contract_too(kind: type[nn.Module]) -> None:
    assert [each.name for each in check(adapt(built(kind), READS)).checks if each.passed is False] == []


def test_arguments_get_the_columns_that_are_called_as_they_are() -> None:
    spec = InputSpec("features", 5, ids=((0, 3), (4, 2)), names=("machine", "a", "b", "c", "mode"))
    model, module, inputs = adapt(built(TwoIds), spec), built(TwoIds), drawn(spec)
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(4))
        wanted = module(inputs[..., 1:4], inputs[..., 4].long(), inputs[..., 0].long())
    torch.testing.assert_close(outputs, wanted)
    assert "mode" in str(model.found)


def test_numbers_that_do_not_change_are_given_once() -> None:
    spec = InputSpec("features", 5, static=(0, 4))
    model, inputs = adapt(built(StaticNumbers), spec), drawn(spec)
    with torch.no_grad():
        outputs, _ = model.eval()(inputs, model.initial_state(4))
        wanted = built(StaticNumbers)(inputs[..., 1:4], inputs[:, 0, [0, 4]])
    torch.testing.assert_close(outputs, wanted)
    assert [each.name for each in quick_check(model).checks if each.passed is False] == []


@pytest.mark.parametrize("kind", [identified.AddedEmbedding, identified.IdAsColumn, identified.Unnamed])
def test_more_ids_than_the_embedding_has_is_one_message(kind: type[nn.Module]) -> None:
    with pytest.raises(InputError, match=r"(?s)3 ids.*'machine'.*5") as error:
        adapt(built(kind), InputSpec("features", 4, ids=((3, 5),), names=NAMES))
    assert "index out of range" not in str(error.value)


def test_more_ids_than_a_one_hot_has_is_said() -> None:
    with pytest.raises(InputError, match=r"Class values must be smaller.*5 ids in column 3 \('machine'\)"):
        adapt(built(identified.OneHot), InputSpec("features", 4, ids=((3, 5),), names=NAMES))


@pytest.mark.parametrize("kind", [identified.AddedEmbedding, identified.ConcatenatedOnce, identified.Unnamed])
def test_an_argument_for_ids_and_no_category_is_asked_about(kind: type[nn.Module]) -> None:
    with pytest.raises(InputError, match=r"(?s)also needs `\w+`.*category="):
        adapt(built(kind), InputSpec("features", 3, names=NAMES[:3]))


def test_a_column_of_ids_in_another_place_is_one_message() -> None:
    spec = InputSpec("features", 4, ids=((0, 3),), names=("machine", "load", "speed", "heat"))
    with pytest.raises(InputError, match=r"(?s)column 3 \('heat'\).*embedding.*column 0 \('machine'\)"):
        adapt(built(identified.IdAsColumn), spec)


def test_an_optional_id_is_left_out_where_there_is_none() -> None:
    model = adapt(built(identified.OptionalId), InputSpec("features", 3))
    inputs = drawn(InputSpec("features", 3))
    with torch.no_grad():
        torch.testing.assert_close(model(inputs, model.initial_state(4))[0], built(identified.OptionalId)(inputs)[0])


def test_a_model_of_initial_state_and_forward_may_read_ids_too() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(3, 4)
            self.gru = nn.GRU(7, 8, batch_first=True)

        def initial_state(self, batch_size: int) -> tuple[Tensor]:
            return (torch.zeros(batch_size, 8),)

        def forward(self, x: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
            y, h = self.gru(torch.cat([x[..., :3], self.embed(x[..., 3].long())], -1), state[0][None])
            return y, (h[0],)

    assert adapt(built(Own)).input_spec == READS
    assert adapt(built(Own), READS).input_spec == READS
    with pytest.raises(InputError, match=r"3 ids for column 3 \('machine'\), which has 5 values"):
        adapt(built(Own), InputSpec("features", 4, ids=((3, 5),), names=NAMES))


def test_what_is_read_comes_back_from_json() -> None:
    assert InputSpec(**json.loads(json.dumps(READS.record()))) == READS
