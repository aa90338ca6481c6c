"""Places by number, and random ones: every window of every stream is as likely as another, and a seed says which."""

from __future__ import annotations

import numpy as np
import pytest

from outlast.data.draws import draw_places, located, room_for
from outlast.errors import InputError

LENGTHS = np.array([3, 12, 8, 9])


def test_numbers_run_through_one_stream_after_the_other():
    room = room_for(LENGTHS, 8)
    assert room.tolist() == [0, 5, 1, 2]
    stream, position = located(room, np.arange(8))
    assert stream.tolist() == [1, 1, 1, 1, 1, 2, 3, 3]
    assert position.tolist() == [0, 1, 2, 3, 4, 0, 0, 1]


def test_every_window_is_drawn_about_as_often_as_another():
    stream, position = draw_places(LENGTHS, 8, 3, "test", np.arange(8000))
    _, counts = np.unique(np.stack([stream, position]), axis=1, return_counts=True)
    assert len(counts) == 8
    assert abs(counts - 1000).max() < 130  # four standard deviations


def test_a_place_depends_on_seed_purpose_step_and_row_alone():
    lengths, rows = np.array([10**6]), np.arange(50)
    drawn = draw_places(lengths, 8, 3, "test", rows)[1]
    assert np.array_equal(draw_places(lengths, 8, 3, "test", rows[20:])[1], drawn[20:])
    for other in (
        draw_places(lengths, 8, 4, "test", rows),
        draw_places(lengths, 8, 3, "else", rows),
        draw_places(lengths, 8, 3, "test", rows, step=1),
    ):
        assert (other[1] != drawn).all()


def test_ordered_places_are_the_same_places_as_they_lie():
    given, ordered = (draw_places(LENGTHS, 8, 3, "test", np.arange(40), ordered=each) for each in (False, True))
    order = np.lexsort(given[::-1])
    assert not np.array_equal(order, np.arange(40))
    assert np.array_equal(np.stack(given)[:, order], np.stack(ordered))


def test_streams_shorter_than_a_window_are_refused():
    with pytest.raises(InputError, match="training context of 13 and training streams of at most 12"):
        draw_places(LENGTHS, 13, 0, "test", np.arange(3))
