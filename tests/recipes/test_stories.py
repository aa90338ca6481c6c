"""Stories: the answers follow from what is told, one to three facts are needed, and they hide where the label says."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from outlast import InputError
from outlast.tasks.stories_data import (
    FIRST_PLACE,
    PEOPLE,
    PLACES,
    THINGS,
    few_shot,
    prose,
    simulated,
    stories,
    uniform,
    vocabulary,
)
from outlast.tasks.task import error_of, nats_of
from recipes.tasks.stories import PLACE_ERROR

GOES = re.compile(rf"({'|'.join(PEOPLE)}) (?:walks|hurries|returns) to the ({'|'.join(PLACES)}) \.")
HANDLES = re.compile(rf"({'|'.join(PEOPLE)}) (grabs|lifts|leaves|drops) the ({'|'.join(THINGS)}) \.")


@pytest.mark.parametrize(
    "streams", [stories("test", 16, 2000, 1, 512), few_shot("test", 8, 2000, 2, 512, 4)], ids=["stories", "few_shot"]
)
def test_the_reference_follows_every_story_and_the_blind_one_guesses(streams):
    assert nats_of(streams, simulated) == 0
    assert error_of(streams, simulated) == 0
    assert nats_of(streams, uniform) == pytest.approx(math.log(len(PLACES)))
    assert error_of(streams, uniform) == pytest.approx(1 - 1 / len(PLACES))


def test_answers_follow_from_the_story_read_as_text():
    """A reading of its own, by regular expressions: each thing's places one after another."""
    streams, words = stories("validation", 8, 3000, 3, 256), np.array(vocabulary())
    asked = 0
    for start in streams.starts:
        text = " ".join(words[streams.inputs[start : start + 3001]])
        answers = np.flatnonzero(streams.labels["facts"][start : start + 3001] >= 0) + start
        told = [story[: found.end()] for story in text.split("<story>") for found in re.finditer(r" \? \w+", story)]
        assert len(told) == len(answers)
        for story, at in zip(told, answers, strict=True):
            place: dict[str, str] = {}
            carrier: dict[str, str] = {}
            been: dict[str, list[str]] = {}
            for event in re.finditer(f"{GOES.pattern}|{HANDLES.pattern}", story):
                who, to, other, verb, thing = event.groups()
                if who:
                    place[who] = to
                    for carried in [each for each, by in carrier.items() if by == who]:
                        been[carried].append(to)
                elif verb in ("grabs", "lifts"):
                    carrier[thing] = other
                    been[thing] = been.get(thing, [place[other]])
                else:
                    del carrier[thing]
            before, _, after = story.rpartition(" ? ")
            answer = after.split()[0]
            last = ["where", *before.rpartition(" where ")[2].split()]
            assert streams.labels["facts"][at] == (0 if len(last) == 3 else 1 if last[1] == "is" else 2)
            if len(last) == 3:
                assert answer == place[last[2]]
            elif last[1] == "is":
                assert answer == been[last[3]][-1]
            else:
                assert been[last[3]][-1] == last[-1]
                assert answer == been[last[3]][-2]
            asked += 1
    assert asked > 200


def test_distances_are_those_of_the_first_fact():
    streams, words = stories("test", 8, 3000, 4, 1024), np.array(vocabulary())
    edges = [0, *(16 << k for k in range(9))]
    ones = np.flatnonzero(streams.labels["facts"] == 0)
    for at in ones:
        who, answer = streams.inputs[at - 1], streams.inputs[at + 1]
        back = at - 3
        while not (streams.inputs[back] == who and streams.inputs[back + 4] == answer):
            back -= 1
        assert words[streams.inputs[back + 2]] == "to"
        assert streams.labels["distance"][at] == np.searchsorted(edges, at - back, side="right") - 1
    assert {0, 1, 2} == set(streams.labels["facts"]) - {-1}
    assert streams.labels["distance"].max() >= 6


def test_every_place_is_the_answer_equally_often():
    streams = stories("train", 256, 2000, 5, 64)
    counts = np.unique(streams.inputs[1:][streams.labels["facts"][:-1] >= 0], return_counts=True)[1]
    assert len(counts) == len(PLACES)
    assert (np.abs(counts - counts.mean()) < 5 * counts.mean() ** 0.5).all()


def test_few_shot_streams_end_with_the_answer_after_their_examples():
    streams, words = few_shot("test", 8, 2000, 6, 512, 4), np.array(vocabulary())
    assert streams.weights is not None
    assert streams.weights.sum() == 3 * 8
    for start in streams.starts:
        text = " ".join(words[streams.inputs[start : start + 2001]])
        assert text.count("<story>") == 5
        assert re.search(r" \? \w+ \.$", text)
        assert (np.flatnonzero(streams.weights[start : start + 2001]) > 1970).all()
        assert streams.weights[start + 1998] == 1


def test_prose_has_neither_stories_nor_questions():
    streams, words = prose("train", 1000), np.array(vocabulary())
    assert not np.isin(words[np.unique(streams.inputs)], ["<story>", "?", *PEOPLE[:1]]).any()
    assert len(streams) > 500


def test_streams_too_short_for_a_story_are_refused():
    with pytest.raises(InputError, match="positions"):
        stories("test", 1, 20, 0, 10)
    with pytest.raises(InputError, match="room"):
        few_shot("test", 1, 500, 0, 200, 4)


def test_answers_are_chosen_among_the_places() -> None:
    """A model that thinks of other words first is judged by the place that it likes best."""
    streams = stories("test", 2, 1500, 6, 64)
    batch = streams.window(np.arange(2), np.zeros(2, np.int64), 1500)
    assert batch.targets is not None
    words = len(vocabulary())
    logits = torch.zeros(2, 1500, words)
    logits[..., -1] = 9.0
    right = logits.scatter(-1, batch.targets[..., None], 1.0)
    asked = batch.weights > 0
    assert asked.any()
    assert float(PLACE_ERROR.per_position(right, batch)[asked].mean()) == 0.0
    first = logits.clone()
    first[..., FIRST_PLACE] = 1.0
    missed = PLACE_ERROR.per_position(first, batch)[asked]
    assert torch.equal(missed, (batch.targets[asked] != FIRST_PLACE).float())
