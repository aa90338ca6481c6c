"""The age curve, the position curve and the resets against computations that are written out."""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.data import Streams
from outlast.evaluation import EvalSettings, Periods, evaluate, under
from outlast.evaluation.measure import SQUARED_ERROR
from outlast.evaluation.schedule import age_bands, draw_targets, schedule, target_region
from outlast.families import build
from outlast.model import InputSpec, Recurrent
from outlast.modules.resetting import with_reset
from outlast.randomness import hash_uniform
from outlast.results.curve import Curve, overlap_losses, reset_losses

ALL = EvalSettings(targets=10**6)


def gru(seed: int = 0, features: int = 2) -> Recurrent:
    """A small GRU with a state that matters and lasts."""
    model = build("gru", inputs=InputSpec("features", features), outputs=1, seed=seed, width=4, layers=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def gla(seed: int = 0) -> Recurrent:
    return build("gla", inputs=InputSpec("features", 2), outputs=1, seed=seed, width=4, layers=1, heads=1)


MODELS = {"gru": gru, "gla": gla}


def wavy(streams: int, length: int, *, seed: int = 0, holes: bool = False, uneven: int = 0, still: bool = False):
    """Features and values to predict.

    Args:
        holes: a third of the positions do not count.
        uneven: streams are up to this many positions longer than `length`.
        still: nothing changes along a stream, so that losses depend on the age of the state alone.
    """
    random = np.random.default_rng(seed)
    lengths = length + (np.arange(streams) * 7 % (uneven + 1) if uneven else np.zeros(streams, np.int64))
    total = int(lengths.sum())
    inputs = random.normal(0, 1, (total, 2)).astype(np.float32)
    targets = random.normal(0, 1, total).astype(np.float32)
    starts = np.cumsum(lengths) - lengths
    if still:
        inputs = inputs[np.repeat(starts, lengths)]
        targets = targets[np.repeat(starts, lengths)]
    weights = (random.random(total) < 2 / 3).astype(np.float32) if holes else None
    return Streams(inputs=inputs, starts=starts, lengths=lengths.astype(np.int64), targets=targets, weights=weights)


@torch.no_grad()
def losses_by_age(model: Recurrent, streams: Streams, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(streams, positions, ages) squared errors at every position from states of every age, NaN where there is none;
    and (streams, positions) weights. One reading from every position of every stream to its end."""
    count = len(streams)
    found = np.full((count, length, length), np.nan)
    for start in range(length):
        batch = streams.window(np.arange(count), np.full(count, start), length - start)
        outputs, _ = model(batch.inputs, model.initial_state(count))
        losses = SQUARED_ERROR.per_position(outputs, batch).double().numpy()
        for age in range(length - start):
            found[:, start + age, age] = losses[:, age]
    return found, streams.window(np.arange(count), np.zeros(count), length).weights.numpy()


@functools.cache
def written_out(name: str, train_context: int, length: int, holes: bool):
    """Model, streams, and their losses by age."""
    model, streams = MODELS[name](), wavy(9, length, holes=holes)
    return model, streams, *losses_by_age(model, streams, length)


def blocks_of(count: int, train_context: int, length: int, settings: EvalSettings) -> np.ndarray:
    """(streams, blocks) the first positions of the target blocks, drawn for each stream on its own."""
    possible = target_region(train_context, length) // train_context
    wanted = min(possible, max(1, round(settings.targets / train_context)))
    chosen = []
    for stream in range(count):
        keys = hash_uniform(settings.seed, "blocks", 0, stream * possible + np.arange(possible))
        chosen.append(np.sort(np.argsort(keys)[:wanted]) * train_context + length - possible * train_context)
    return np.array(chosen)


SHAPES = [
    ("gru", 16, 128, False, ALL),
    ("gru", 16, 150, True, ALL),
    ("gla", 16, 128, False, replace(ALL, chunk=24, memory_mib=0.05)),
    ("gru", 16, 128, False, EvalSettings(targets=32, seed=3)),
    ("gru", 7, 15, False, ALL),
    ("gru", 7, 64, True, EvalSettings(targets=14)),
    ("gru", 100, 201, False, ALL),
    ("gla", 160, 321, True, ALL),
]


@pytest.mark.parametrize(("name", "train_context", "length", "holes", "settings"), SHAPES)
def test_every_band_scores_the_same_targets_at_the_ages_it_says(name, train_context, length, holes, settings):
    """Each target has exactly one age in each band; from the training context on that is counted from where targets
    begin, below it from the beginning of the target's block. The oldest band is one plain pass."""
    model, streams, losses, weights = written_out(name, train_context, length, holes)
    result = evaluate(model, streams, train_context=train_context, settings=settings)
    assert [band.age for band in result.age_curve] == list(age_bands(train_context, length))
    assert result.short is not None
    first = length - target_region(train_context, length)
    blocks = blocks_of(9, train_context, length, settings)
    for band in result.age_curve:
        start, end = band.age
        for stream in range(9):
            targets = np.concatenate([np.arange(block, block + train_context) for block in blocks[stream]])
            if end == length:
                ages = targets
            elif end - start >= train_context:
                ages = start + (targets - first) % (end - start)
            else:
                ages = start + (targets - first) % train_context % (end - start)
            assert ages.min() >= start
            assert ages.max() < end
            expected = np.average(losses[stream, targets, ages], weights=weights[stream, targets])
            assert band.per_stream[stream] == pytest.approx(expected, rel=1e-5)
        assert band.loss == pytest.approx(np.mean(band.per_stream))
        assert band.excess == pytest.approx(band.loss - result.short.loss, abs=1e-9)


@pytest.mark.parametrize(("train_context", "length", "holes"), [(16, 150, True), (7, 64, True), (100, 201, False)])
def test_the_position_curve_is_one_plain_pass(train_context, length, holes):
    """Loss by position from the zero state, over all positions, in doubling bins."""
    model, streams = gru(), wavy(9, length, holes=holes)
    batch = streams.window(np.arange(9), np.zeros(9), length)
    with torch.no_grad():
        losses = SQUARED_ERROR.per_position(model(batch.inputs, model.initial_state(9))[0], batch)
    result = evaluate(model, streams, train_context=train_context, settings=replace(ALL, chunk=10))
    bins = result.position_curve
    assert [bins[0].start, *(each.end for each in bins)] == [0, *doublings(train_context, length)]
    for each in bins:
        inside = slice(each.start, each.end)
        expected = (losses * batch.weights)[:, inside].sum(1) / batch.weights[:, inside].sum(1)
        assert each.loss == pytest.approx(float(expected.mean()), rel=1e-5)
        assert each.low < each.loss < each.high
        assert each.n == 9


def doublings(first: int, length: int) -> list[int]:
    edges = list(itertools.takewhile(lambda edge: edge < length, (first * 2**k for k in range(40))))
    return [*edges, length]


def numbers(result) -> dict[str, object]:
    """Everything measured, without how long it took and how it was cut up."""
    record = json.loads(json.dumps({**vars(result)}, default=vars))
    for key in ("seconds", "settings"):
        record.pop(key)
    return record


def close(one, two, path: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            close(one[key], two[key], f"{path}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(two)
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            close(a, b, f"{path}.{number}")
    elif isinstance(one, float):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6), path
    else:
        assert one == two, path


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("chunk", "memory_mib"), [(7, 64), (16, 0.01), (1000, 0.2), (150, 0.03)])
def test_results_do_not_depend_on_how_the_reading_is_cut_up(name, chunk, memory_mib):
    """Neither the chunk nor the number of rows read together is part of what is measured."""
    model, streams = MODELS[name](), wavy(9, 150, holes=True)
    whole = evaluate(model, streams, train_context=16)
    cut = evaluate(model, streams, train_context=16, settings=EvalSettings(chunk=chunk, memory_mib=memory_mib))
    close(numbers(whole), numbers(cut))


def test_ends_only_keeps_the_numbers_of_the_bands_it_keeps():
    """A quick look at an intervention is about the same targets as the full curve."""
    model, streams = gru(), wavy(9, 700)
    full = evaluate(model, streams, train_context=16)
    ends = evaluate(model, streams, train_context=16, settings=EvalSettings(ends_only=True))
    kept = {band.age: band for band in full.age_curve}
    ages = [band.age for band in ends.age_curve]
    assert ages[-2:] == [(16, 32), full.oldest.age]
    assert len(ages) < len(kept)
    for band in ends.age_curve:
        same = kept[band.age]
        assert (band.per_stream, band.loss, band.excess) == (same.per_stream, same.loss, same.excess)
    assert ends.short == full.short


def phases(model: Recurrent, streams: Streams, every: int, overlap: bool, first: int, length: int) -> np.ndarray:
    """(streams,) the mean loss at positions [first, length) of the model as it is deployed with resets, averaged over
    where in their period the resets fall. Reading begins late enough for a whole period before the first target."""
    resetting = with_reset(model, every, overlap)
    count, found = len(streams), []
    for phase in range(every):
        begin = first - every - phase
        batch = streams.window(np.arange(count), np.full(count, begin), length - begin)
        with torch.no_grad():
            outputs, _ = resetting(batch.inputs, resetting.initial_state(count))
        losses = SQUARED_ERROR.per_position(outputs, batch)[:, first - begin :]
        found.append((losses * batch.weights[:, first - begin :]).sum(1) / batch.weights[:, first - begin :].sum(1))
    return torch.stack(found).double().mean(0).numpy()


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("every", [2, 8, 16, 32])
def test_resetting_meets_every_age_of_its_bands_equally_often(every, overlap):
    """The model that is deployed with resets, over all phases, has the mean loss over ages [0, P), or [P/2, P) with
    two copies, at the very same targets: what the resets are about."""
    model, streams, losses, weights = written_out("gru", 16, 150, True)
    ages = slice(every // 2, every) if overlap else slice(0, every)
    expected = (losses[:, 86:, ages].mean(-1) * weights[:, 86:]).sum(1) / weights[:, 86:].sum(1)
    np.testing.assert_allclose(phases(model, streams, every, overlap, 86, 150), expected, rtol=1e-5)


@pytest.mark.parametrize("every", [2, 4, 8, 16, 32, 64])
def test_resets_read_off_the_curve_are_what_resetting_gives(every):
    """Where a stream does not change along its way, losses depend on age alone, and both are equal by stream."""
    model, streams = gru(), wavy(9, 256, still=True)
    result = under(evaluate(model, streams, train_context=16, settings=ALL), Periods(every, every))
    for name, overlap in (("periodic_reset", False), ("overlapping_reset", True)):
        reset = result.resets[name]
        assert reset.every == every
        np.testing.assert_allclose(
            reset.per_stream, phases(model, streams, every, overlap, 128, 256), rtol=1e-5, atol=1e-7
        )
        assert reset.loss == pytest.approx(np.mean(reset.per_stream))


def test_resets_read_off_the_curve_are_close_on_changing_streams():
    """Elsewhere each target meets one age a band, not all of them: equal but for that sampling."""
    model, streams = gru(), wavy(24, 512)
    result = under(evaluate(model, streams, train_context=16, settings=ALL), Periods(16, 32))
    for name, every, overlap in (("periodic_reset", 16, False), ("overlapping_reset", 32, True)):
        deployed = phases(model, streams, every, overlap, 256, 512).mean()
        assert result.resets[name].loss == pytest.approx(deployed, rel=0.005)


def test_periods_that_were_not_measured_give_way_to_the_nearest():
    """And the result says which was taken."""
    result = evaluate(gru(), wavy(9, 128), train_context=16)
    assert {name: each.every for name, each in under(result, Periods(1000, 3)).resets.items()} == {
        "periodic_reset": 128,
        "overlapping_reset": 2,
    }


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 300), st.integers(0, 5000), st.booleans())
def test_bands_have_no_gap_up_to_the_training_context_and_no_overlap(train_context, more, ends_only):
    """And always allow both resets, a band within the training context and one past it."""
    length = 2 * train_context + more
    bands, region = age_bands(train_context, length, ends_only=ends_only), target_region(train_context, length)
    assert train_context <= region <= length // 2 < 2 * region
    assert bands[-1] == (length - region, length)
    assert bands[0] == (0, 1)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bands))
    within = [band for band in bands if band[1] <= train_context]
    assert sum(end - start for start, end in within) == train_context
    for start, end in bands[len(within) : -1]:
        assert end == 2 * start
    if length >= 3 * train_context:
        assert (train_context, 2 * train_context) in bands
    curve = Curve(bands, np.zeros((len(bands), 8)), train_context)
    assert bands[curve.just_past()][0] >= train_context
    for periods, losses in (reset_losses(curve), overlap_losses(curve)):
        assert len(periods) == len(losses) > 0


@pytest.mark.parametrize(
    ("length", "past"),
    [
        (2, [(1, 2)]),
        (3, [(1, 2), (2, 3)]),
        (32, [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32)]),
        (64, [(1, 2), (2, 4), (4, 8), (8, 16), (32, 64)]),
        (1024, [(1, 2), (2, 4), (4, 8), (8, 16), (32, 64), (128, 256), (512, 1024)]),
        (1500, [(1, 2), (2, 4), (4, 8), (8, 16), (32, 64), (128, 256), (988, 1500)]),
    ],
)
def test_bands_double_up_to_sixteen_training_contexts_and_then_go_on_fourfold(length, past):
    """So that every reset of up to 16 T can be read off the curve; lengths and bands in training contexts."""
    scaled = [(start * 7, end * 7) for start, end in past]
    bands = age_bands(7, 7 * length)
    assert list(bands[4:]) == scaled
    assert list(age_bands(7, 7 * length, ends_only=True)[4:]) == scaled[:1] + scaled[1:][-1:]
    periods, _ = reset_losses(Curve(bands, np.zeros((len(bands), 8)), 7))
    assert periods[-1] == (7 * length if length <= 32 else 7 * 16)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 60), st.integers(2, 200), st.integers(0, 2000), st.integers(0, 3))
def test_targets_never_lie_in_the_warm_up(train_context, length, warm_up, seed):
    """What only warms the state up belongs to other segments, or to training."""
    length = warm_up + length * train_context
    bands = age_bands(train_context, length, warm_up)
    targets = draw_targets(9, train_context, length, 3 * train_context, seed, warm_up)
    assert targets.begin == bands[-1][0] >= warm_up
    assert targets.first.min() >= warm_up
    assert targets.first.max() + train_context <= length
    assert all(targets.windows(band)[1].min() >= 0 for band in bands[:-1])  # nor is anything read before the stream


def test_streams_of_unequal_length_are_read_up_to_a_common_one():
    """What at least three quarters of the streams have; the numbers are those of streams cut to it beforehand."""
    streams = wavy(12, 120, uneven=60)
    result = evaluate(gru(), streams, train_context=16)
    length = int(np.sort(streams.lengths)[::-1][8])
    assert result.data["length_used"] == length
    kept = streams.take(np.flatnonzero(streams.lengths >= length))
    cut = evaluate(gru(), replace(kept, lengths=np.full(len(kept), length)), train_context=16)
    assert result.oldest.n == len(kept) >= 9
    assert result.curve.losses.tolist() == cut.curve.losses.tolist()
    shorter = evaluate(gru(), streams, train_context=16, settings=EvalSettings(max_length=100))
    assert (shorter.data["length_used"], shorter.oldest.n) == (100, 12)


def test_the_model_is_only_read():
    """Parameters stay as they are, and no gradient is kept."""
    model = gru()
    before = [parameter.clone() for parameter in model.parameters()]
    evaluate(model, wavy(9, 64), train_context=16)
    assert all(map(torch.equal, before, model.parameters()))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_goes_up_to_exactly_the_whole(jobs):
    """A bar that stops at 80 % or jumps back is a bar nobody believes."""
    seen: list[float] = []
    settings = EvalSettings(targets=64, chunk=32, jobs=jobs)
    evaluate(gru(), wavy(9, 300), train_context=16, settings=settings, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 10
    assert seen[-1] == 1.0
    assert seen[-2] < 1.0


def test_rows_that_are_read_together_are_of_like_length_however_many_fit():
    """Behind its end a row is read for the others' sake: for a third of its own length, or of a whole step."""
    restarts = schedule(age_bands(64, 4096), draw_targets(8, 64, 4096, 512, 0), 4096)
    groups = restarts.groups(256, lambda positions: 10**6)
    for group in groups:
        lengths = restarts.length[group]
        assert (np.diff(lengths) <= 0).all()
        assert 4 * lengths[-1] >= 3 * min(256, lengths[0])
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(restarts.length)))
    assert len(groups) < 20
