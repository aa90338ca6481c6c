"""Prose and code in bytes: parts apart, labels by document, and counts of bytes between blind and perfect."""

from __future__ import annotations

import numpy as np
import pytest

from outlast import InputError
from outlast.tasks.cipher import NGrams
from outlast.tasks.prose import parts_by_number
from outlast.tasks.task import nats_of
from recipes.tasks import code, text
from recipes.tasks.documents import Documents, labelled_streams, long_streams, probabilities


def test_the_addresses_lie_between_the_counts_of_four_bytes_and_of_none():
    streams, known = text.text().test, text.TEXT.known
    assert known is not None
    assert nats_of(streams, known.reference) == pytest.approx(1.244, abs=0.005)
    assert nats_of(streams, known.blind) == pytest.approx(3.010, abs=0.005)


def test_code_is_known_far_better_from_four_bytes_than_from_none():
    """How much better depends on the Python whose library it is."""
    streams, known = code.code().test, code.CODE.known
    assert known is not None
    assert nats_of(streams, known.reference) < 0.6 * nats_of(streams, known.blind)


def test_test_addresses_are_of_all_periods_and_training_ends_before_1960():
    parts = parts_by_number()
    streams = text.text().test
    periods, documents = streams.labels["period"], streams.labels["document"]
    names = streams.about["label_names"]
    assert set(periods) == set(range(10))
    for number in np.unique(documents):
        year = parts["test"][number].year
        assert names["document"][number].startswith(str(year))
        (period,) = np.unique(periods[documents == number])
        low, high = map(int, names["period"][period].split(" to "))
        assert low <= year <= high
    learnt = text.text().train.inputs.tobytes()
    for part in ("validation", "test"):
        for each in parts[part]:
            assert each.text.encode()[2000:2400] not in learnt
    late = [each.text.encode()[2000:2400] for each in parts["train"] if each.year >= text.UNTIL]
    assert len(late) > 20
    assert not any(piece in learnt for piece in late)
    with_all = text.all_periods().inputs.tobytes()
    assert all(piece in with_all for piece in late)


def test_files_of_code_are_in_one_part_each():
    parts = code.files()
    assert len(set().union(*parts.values())) == sum(map(len, parts.values()))
    assert all(len(part) > 20 for part in parts.values())
    assert len(code.code().test) == 64


def test_labels_and_the_reference_are_of_the_byte_that_is_predicted():
    documents = Documents.of([b"a" * 9, b"b" * 300, b"c" * 89])
    counted = NGrams.of(documents.content, 1, 256)
    streams = labelled_streams(documents, 2, 199, counted, {"letter": (np.arange(3), ["a", "b", "c"])}, {})
    assert streams.about["label_names"]["letter"] == ["a", "b", "c"]
    batch = streams.window(np.array([0, 1]), np.array([0, 0]), 199)
    assert batch.targets is not None
    label, into = batch.extras["label.letter"], batch.extras["label.into"]
    for byte in b"abc":
        assert set(label[batch.targets == byte].tolist()) == {byte - ord("a")}
    assert into[0].tolist() == [0] * 199
    assert into[1, 60:120].tolist() == [0 if 201 + t + 1 - 10 < 256 else 1 for t in range(60, 109)] + [0] * 11
    expected = -np.log(probabilities(streams, counted)).reshape(2, 200)[:, :-1]
    np.testing.assert_allclose(batch.extras["reference.ngrams"], expected, rtol=1e-4)


def test_more_bytes_than_there_are_are_refused():
    documents = Documents.of([b"abc"])
    with pytest.raises(InputError, match="4 bytes"):
        long_streams(documents, 4, {})
    with pytest.raises(InputError, match="4 bytes"):
        labelled_streams(documents, 2, 2, NGrams.of(documents.content, 0, 256), {}, {})
    with pytest.raises(InputError, match="no documents"):
        Documents.of([])
