"""Writing on after an old state: the place is that of reading everything, and samples are of equal pasts and draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from outlast.data import Streams
from outlast.errors import InputError
from outlast.families import build
from outlast.generation import generate
from outlast.model import InputSpec, Recurrent
from outlast.serving.continuing import CHARACTERS, STREAMS, place_in, samples, tokens_of, writable
from outlast.serving.texts import Vocabulary

LENGTH = 700


def model(seed: int = 1, size: int = 256) -> Recurrent:
    return build("gla", inputs=InputSpec("tokens", size), outputs=size, width=8, layers=1, heads=2, seed=seed)


@pytest.fixture
def texts(tmp_path: Path) -> Streams:
    """Eleven documents; the second is of signs of three bytes."""
    for number in range(11):
        sign = "あ" if number == 1 else "a b"
        (tmp_path / f"{number:02}.txt").write_text(f"{number} " + sign * (LENGTH // 3 + 1))
    return Streams.from_text(tmp_path, documents="separate")


def vocabulary(lm: Recurrent) -> Vocabulary:
    return Vocabulary("", lm.input_spec, as_numbers=False)


def test_a_place_in_a_stream_is_where_a_prompt_of_all_before_ends(texts: Streams) -> None:
    """In pieces as at once; so what is written is the same."""
    lm = model()
    for age in (1, 2, 300, 600):
        place = place_in(lm, texts, 2, age)
        whole = tokens_of(texts, 2, 0, age)[None]
        assert place.position == age - 1
        assert torch.equal(place.unread, whole[:, -1:])
        written, end = generate(lm, None, 4, after=place)
        assert torch.equal(written, generate(lm, whole, 4)[0])
        assert end.position == age + 3


def test_the_last_token_of_a_stream_can_be_read(texts: Streams) -> None:
    longest = int(texts.lengths[0]) + 1
    assert len(tokens_of(texts, 0, 0, longest + 5)) == longest == len("0 " + "a b" * (LENGTH // 3 + 1))
    assert place_in(model(), texts, 0, longest).position == longest - 1
    for stream, age, words in ((0, longest + 1, "an age of"), (0, 0, "an age of 0"), (11, 3, "stream 11 of 11")):
        with pytest.raises(InputError, match=words):
            place_in(model(), texts, stream, age)
    with pytest.raises(InputError, match="vocabulary of 100"):
        place_in(model(size=100), texts, 0, 3)


def test_samples_have_equal_pasts_and_draws(texts: Streams) -> None:
    base, repaired = model(), model(2)
    train = {"train_context": 32, "max_length": None, "seed": 5}
    found = samples(base, repaired, texts, vocabulary(base), **train)
    assert [each.stream for each in found] == list(range(STREAMS))
    assert found[0].age < LENGTH
    assert found[0].age > LENGTH - 2 * CHARACTERS
    # No sign is cut in two, where a model could do nothing but finish it.
    assert set(found[1].true) == {"あ"}
    assert "\ufffd" not in found[1].read
    assert found[1].age in range(found[0].age - 2, found[0].age)
    text = bytes(tokens_of(texts, 0, 0, LENGTH).tolist()).decode()
    assert text[: found[0].age].endswith(found[0].read)
    assert text[found[0].age :].startswith(found[0].true[:50])
    assert found[0].base != found[0].repaired
    assert len(found[0].base) <= CHARACTERS
    assert [each.seed for each in found] == [5, 6, 7]
    assert samples(base, repaired, texts, vocabulary(base), **train) == found
    alike = samples(base, base, texts, vocabulary(base), **train)
    assert all(each.base == each.repaired for each in alike)


def test_what_cannot_be_written_as_text(texts: Streams) -> None:
    lm = model()
    assert writable(lm, texts, vocabulary(lm))
    numbers = Streams.from_tokens(np.zeros((8, 40), np.int32), vocabulary=256)
    assert not writable(lm, numbers, vocabulary(lm))
    assert not writable(model(size=300), texts, vocabulary(model(size=300)))
    assert not writable(lm, replace(texts, targets=np.zeros(len(texts.inputs), np.int64)), vocabulary(lm))
    features = build("gru", inputs=InputSpec("features", 3), outputs=1, width=4)
    arrays = Streams.from_arrays(np.zeros((8, 40, 3), np.float32))
    assert not writable(features, arrays, vocabulary(features))
