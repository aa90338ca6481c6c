"""Pass keys and stories in text of somebody's: what is asked was told, where the labels say, in any tokens."""

from __future__ import annotations

import bisect
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.texts import byte_pairs, with_start
from outlast import checkpoints
from outlast.data import Streams
from outlast.data.text.tokenisers import Encoder, bytes_encoder, tokens_encoder
from outlast.errors import InputError
from outlast.families import build
from outlast.model import InputSpec
from outlast.tasks.kept_rows import rows_in
from outlast.tasks.passkey_in_text import passkeys_in
from outlast.tasks.recipe_files import read_recipe
from outlast.tasks.recipe_run import run_recipe, tasks_of, units_of
from outlast.tasks.recipes import Recipe
from outlast.tasks.stories_data import PLACES, tell
from outlast.tasks.stories_in_text import OTHER_PLACES, Words, few_shot_in, stories_in
from outlast.tasks.weaving import Filler

PROSE = "It rained on the fields all day, and nobody was there to see it but a crow upon a post. "
SAID = (
    "Agnes Bruno Celia Dmitri Edith Felix Greta Hugo walks hurries returns to the grabs lifts leaves drops lantern "
    "ladder kettle compass drum violin Where is was before? A new story. The pass key is. Remember it. What "
    + " ".join(PLACES)
    + " "
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text, and a tokeniser in which most words of stories are one token."""
    folder = tmp_path_factory.mktemp("hidden")
    byte_pairs(folder / "tokeniser", 700, (SAID + PROSE) * 3)
    (folder / "texts").mkdir()
    for number in range(24):
        (folder / "texts" / f"{number}.txt").write_text(f"Text {number}. " + PROSE * 30)
    return folder


@pytest.fixture(scope="module", params=["bytes", "tokens"])
def encoder(request: pytest.FixtureRequest, folder: Path) -> Encoder:
    return bytes_encoder() if request.param == "bytes" else tokens_encoder(folder / "tokeniser")


def text_in(folder: Path, encoder: Encoder) -> Streams:
    return Streams.from_text(folder / "texts", encoder.name)


def rows_of(streams: Streams) -> np.ndarray:
    return streams.inputs.reshape(len(streams), -1)


def decoded(encoder: Encoder, numbers: np.ndarray) -> str:
    return bytes(numbers).decode() if encoder.theirs is None else encoder.theirs.decode(numbers.tolist())


def inside(distance: int, bin_name: str) -> bool:
    low, _, high = bin_name.partition(" to ")
    return int(low.split()[0]) <= distance <= int(high or distance)


def test_filler_goes_on_to_the_end_of_a_stream_and_then_elsewhere() -> None:
    text = Streams.from_tokens(np.arange(120).reshape(3, 40))
    filler = Filler(text, np.cumsum(text.lengths), np.random.default_rng(0))
    taken = np.concatenate([filler.take(count) for count in (7, 0, 500, 1)]).astype(int)
    assert len(taken) == 508
    jumps = np.flatnonzero(np.diff(taken) != 1)
    assert len(jumps) >= 10
    assert set(taken[jumps] % 40) == {38}  # the last position with a target
    assert set(taken[jumps + 1] % 40) == {0}


@pytest.mark.parametrize("lengths", [[900], [30, 70, 800]], ids=["one recording", "documents"])
def test_every_place_of_a_text_is_read_as_often(lengths: list[int]) -> None:
    ends = np.cumsum([length + 1 for length in lengths])
    text = replace(
        Streams.from_tokens(np.arange(ends[-1])),
        starts=np.concatenate([[0], ends[:-1]]),
        lengths=np.array(lengths),
    )
    rng = np.random.default_rng(1)
    read = np.concatenate([Filler(text, np.cumsum(lengths), rng).take(500) for _ in range(2000)])
    tenths = np.histogram(read, bins=10, range=(0, ends[-1]))[0] / len(read)
    assert 0.09 < tenths.min() <= tenths.max() < 0.11


def test_every_key_that_is_asked_for_was_told_that_far_before(folder: Path, encoder: Encoder) -> None:
    streams = passkeys_in(text_in(folder, encoder), encoder, 6, 3000, 1, 1500, prose_weight=0.25)
    assert streams.weights is not None
    names = streams.about["label_names"]["distance"]
    keys = 0
    for row, weights, bins in zip(
        rows_of(streams), streams.weights.reshape(6, -1), streams.labels["distance"].reshape(6, -1), strict=True
    ):
        said = decoded(encoder, row)
        pairs = re.findall(r"The pass key is (\d{5})\. Remember it\..*?\? The pass key is (\d{5})\.", said, re.DOTALL)
        assert pairs
        assert all(told == asked for told, asked in pairs)
        assert said.count("Remember it.") == len(pairs)
        keys += len(pairs)
        # The positions that count have the answers' tokens as their targets, in order, and nothing else.
        counted = np.flatnonzero(weights == 1)
        assert "".join(decoded(encoder, row[counted + 1]).split()) == "".join(asked for _, asked in pairs)
        assert set(np.unique(weights)) == {0.25, 1.0}
        for answer in np.split(counted, np.flatnonzero(np.diff(counted) > 1) + 1):
            key, begins = row[answer + 1].tolist(), answer[0] + 1
            told = max(at for at in range(begins) if row[at : at + len(key)].tolist() == key and at + len(key) < begins)
            assert {inside(begins - told, names[number]) for number in bins[answer]} == {True}
        assert np.all(bins[weights != 1] == -1)
    assert keys > 12


def test_keys_are_the_same_from_the_same_seed_alone(folder: Path, encoder: Encoder) -> None:
    text = text_in(folder, encoder)
    first, again, other = (passkeys_in(text, encoder, 2, 1000, seed, 500).inputs for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_streams_too_short_for_a_key_are_refused(folder: Path, encoder: Encoder) -> None:
    with pytest.raises(InputError, match="choose a longer training context"):
        passkeys_in(text_in(folder, encoder), encoder, 2, 30, 1, 30)


def looked_up(said: str) -> list[tuple[str, str]]:
    """(right, given) of every question of a text with stories in it, by doing what its sentences say."""
    found = []
    for story in said.split("A new story.")[1:]:
        place: dict[str, str] = {}
        lies: dict[str, str] = {}
        lay: dict[str, str] = {}
        carrier: dict[str, str] = {}
        events = r"([A-Z]\w+) (?:(walks|hurries|returns) to the (\w+)|(grabs|lifts|leaves|drops) the (\w+))\."
        for who, goes, to, does, thing in re.findall(events, story):
            if goes:
                place[who] = to
                for each, by in carrier.items():
                    if by == who:
                        lay[each], lies[each] = lies.get(each, ""), to
            elif does in ("grabs", "lifts"):
                carrier[thing] = who
                lies.setdefault(thing, place[who])
            else:
                carrier.pop(thing, None)
        for who, thing, before, given in re.findall(
            r"Where (?:is ([A-Z]\w+)|is the (\w+)|was the (\w+) before the \w+)\? (\w+)\.", story
        ):
            found.append((place[who] if who else lies[thing] if thing else lay[before], given))
    return found


def test_tokenisers_that_do_not_tell_numbers_apart_are_refused(folder: Path, tmp_path: Path) -> None:
    words = tokens_encoder(with_start(tmp_path))
    with pytest.raises(InputError, match="several the same tokens"):
        passkeys_in(text_in(folder, bytes_encoder()), words, 2, 1000, 1, 500)


def test_stories_told_as_text_have_the_answers_that_follow_from_them() -> None:
    rng = np.random.default_rng(0)
    asked, first = 0, set()
    for _ in range(60):
        story = tell(rng)
        said = " ".join(["A new story.", *story.events, *(f"{each.text} {each.answer}." for each in story.questions)])
        found = looked_up(said)
        assert len(found) == len(story.questions)
        assert [right for right, _ in found] == [each.answer for each in story.questions]
        for each in story.questions:
            told = story.events[each.first]
            if each.kind == 0:  # the last place that the person went to
                assert told.endswith(f"to the {each.answer}.")
                assert not any(
                    told.split()[0] in later for later in story.events[each.first + 1 :] if " to the " in later
                )
            first.add(each.kind)
        asked += len(found)
    assert asked > 120
    assert first == {0, 1, 2}


def test_stories_in_text_ask_for_what_was_told(folder: Path) -> None:
    encoder = tokens_encoder(folder / "tokeniser")
    words = Words(encoder)
    streams = stories_in(text_in(folder, encoder), words, 4, 3000, 3, 800, prose_weight=0.125)
    assert streams.weights is not None
    names, far = streams.about["label_names"]["distance"], 0
    for row, weights, kinds, bins in zip(
        rows_of(streams),
        streams.weights.reshape(4, -1),
        streams.labels["facts"].reshape(4, -1),
        streams.labels["distance"].reshape(4, -1),
        strict=True,
    ):
        said = decoded(encoder, row)
        found = looked_up(said)
        assert found
        assert all(right == given for right, given in found)
        counted = np.flatnonzero(weights == 1)
        assert row[counted + 1].tolist() == [words.tokens[words.places.index(given)] for _, given in found]
        for at in counted[kinds[counted] == 0]:  # where a person is: from the last time that this one went anywhere
            before = decoded(encoder, row[: at + 1])
            who = before.rsplit("Where is ", 1)[1].removesuffix("?")
            last = max(each.start() for each in re.finditer(rf" {who} \w+ to the ", before))
            begins = bisect.bisect_left(range(at), last, key=lambda end: len(decoded(encoder, row[:end])))
            assert inside(at + 1 - begins, names[bins[at]])
        assert np.array_equal(np.flatnonzero(kinds >= 0), counted)
        far = max(far, int(bins.max()))
    assert far >= 3  # 256 positions and more


def test_only_the_last_of_few_shots_counts(folder: Path) -> None:
    encoder = tokens_encoder(folder / "tokeniser")
    streams = few_shot_in(text_in(folder, encoder), Words(encoder), 3, 3000, 4, 500, examples=2)
    assert streams.weights is not None
    for row, weights in zip(rows_of(streams), streams.weights.reshape(3, -1), strict=True):
        said = decoded(encoder, row)
        assert said.count("A new story.") == 3
        assert not said.startswith("\n\nA new story")  # text comes first
        last = said[said.rindex("A new story.") :]
        assert int((weights == 1).sum()) == last.count("Where ")
        assert set(np.unique(weights)) == {0.0, 1.0}
        assert all(right == given for right, given in looked_up(said))


def test_a_tokeniser_without_words_of_one_token_is_refused() -> None:
    with pytest.raises(InputError, match="eight of these words are one token"):
        Words(bytes_encoder())


def test_places_that_a_tokeniser_cuts_to_pieces_give_way_to_others(tmp_path: Path) -> None:
    others = [place for place in (*PLACES, *OTHER_PLACES) if place not in ("tavern", "quarry")]
    words = Words(tokens_encoder(byte_pairs(tmp_path, 600, " ".join(["the", *others]) * 3)))
    assert words.places == tuple(others[:8])
    assert [words(f" {place}").tolist() for place in words.places] == [[token] for token in words.tokens]
    assert all(each.answer in words.places for each in tell(np.random.default_rng(2), words.places).questions)


RECIPE = """
task = "passkey"
data = "texts"
train_context = 128
out = "out"
rows = "rows.jsonl"
jobs = 1
sizes = { windows = 40, train = 8, train_length = 12, validation = 16, test = 20, length = 8, far = 10, farthest = 8 }
measuring = { targets = 2048, ends_only = true }
repair = { steps = 3, batch_size = 4 }
method = { anyway = true, doses = [1.0], control = false }

[[models]]
checkpoint = "models/tiny"
seeds = [0]

[[repairs]]
intervention = "carry"
settings = { expected_run = 512 }

[[trained]]
name = "fitted noise, 3 steps"
intervention = "fitted_noise"
training_set = "windows"
"""


@pytest.fixture
def recipe(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Pass keys in text for a checkpoint with a tokeniser of its own."""
    monkeypatch.chdir(tmp_path)
    Path("texts").symlink_to(folder / "texts")
    size = tokens_encoder(folder / "tokeniser").size
    torch.manual_seed(0)
    tiny = build("gru", inputs=InputSpec("tokens", size), outputs=size, seed=0, width=4, layers=1)
    checkpoints.save(tiny, "models/tiny")
    for file in (folder / "tokeniser").iterdir():
        Path("models/tiny", file.name).write_bytes(file.read_bytes())
    Path("recipe.toml").write_text(RECIPE)
    return read_recipe("recipe.toml")  # pyright: ignore[reportReturnType]


def test_a_recipe_hides_a_task_in_text_for_a_checkpoint(recipe: Recipe) -> None:
    run_recipe(recipe)
    (row,) = rows_in(Path("rows.jsonl"))
    assert row["task"] == "passkey in texts"
    assert {"base", "fitted noise, 3 steps"} <= {*row["rows"], *row["trained"]}
    assert row["rows"]["base"]["controls"]["farther"]
    assert row["trained"]["fitted noise, 3 steps"]["controls"]["farther"]


def test_stories_of_a_recipe_have_their_training_sets_and_controls(recipe: Recipe) -> None:
    made = tasks_of(replace(recipe, task="stories", train_context=256))(recipe.models[0])
    parts = made.streams()
    assert parts.train.about["hidden"] == "stories"
    assert parts.train.about["tokenizer"] == "models/tiny"
    shapes = {
        "train": (8, 12 * 256),
        "validation": (16, 8 * 256),
        "test": (20, 8 * 256),
        "windows": (40, 256),
        "hidden": (10, 16 * 256),
        "few_shot": (10, 10 * 256),
    }
    found = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    found |= {"windows": made.training_set("windows")}
    found |= {name: control() for name, control in made.controls.items()}
    assert {name: (len(each), int(each.lengths[0])) for name, each in found.items()} == shapes
    for name, each in found.items():
        assert each.weights is not None
        others = set(np.unique(each.weights)) - {np.float16(1)}
        assert others == ({np.float16(0.01)} if name in ("train", "windows") else {np.float16(0)})
        assert (each.weights == 1).any()
    assert made.training_set("prose").weights is None


def test_seeds_of_a_model_share_what_is_made_for_it(recipe: Recipe) -> None:
    first, second = units_of(replace(recipe, models=[replace(recipe.models[0], seeds=[0, 1])]))
    assert first.task.streams() is second.task.streams()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sizes = { far = 0 }", "sizes: far"),
        ("sizes = { furthest = 3 }", "furthest"),
    ],
)
def test_sizes_that_are_none_are_refused(recipe: Recipe, change: str, said: str) -> None:
    text = re.sub("sizes = .*", change, RECIPE)
    Path("recipe.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_recipe("recipe.toml")


def test_sizes_without_a_task_in_text_are_refused(recipe: Recipe) -> None:
    Path("recipe.toml").write_text(RECIPE.replace('task = "passkey"', ""))
    with pytest.raises(InputError, match="sizes without a task and data"):
        read_recipe("recipe.toml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": "recall"}, "one that is hidden in text"),
        ({"data": {"path": "tokens.npy"}}, "not text"),
        ({"train_context": 16}, "choose a longer training context"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_no_task_is_hidden_in_is_refused_before_anything_runs(recipe: Recipe, change: dict, said: str) -> None:
    np.save("tokens.npy", np.random.default_rng(0).integers(0, 7, (40, 65)).astype(np.int32))
    with pytest.raises(InputError, match=said):
        run_recipe(replace(recipe, **change))
    assert not Path("out").exists()
