"""Tiles: the receptive field is exact, the cuts cover the frame, and no seam is left."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import SMALL, Enlarger, plain, random_frames, randomized, small_model

from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.program import plan
from supervegan_jax.enhancement.receptive_field import ReceptiveField, receptive_field
from supervegan_jax.enhancement.runner import RunStats, enhance_frames
from supervegan_jax.enhancement.tiling import (
    choose_tile,
    cut_axis,
    estimate_memory,
    margin,
    plan_tiles,
)
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.video_input.frames import FrameFormat

ONE = (jax.devices()[0],)
CHEAP = {"input_taps": 1, "filter_kernel": 1, "detail_grid": 1, "inner_width": 12}


def measured_field(model, stage, size):
    """Which input columns the gradient of each middle output column reaches."""
    generator, scale = model.generator, model.scale
    frames = jax.random.uniform(jax.random.key(3), (5, 16, size, 3))

    def column(x, index):
        y = generator.apply({"params": model.params}, x, stage, method="enhance")
        return jnp.sum(jnp.sin(jnp.arange(3) + 3.0 * y[0, :, index]))

    gradient = jax.jit(jax.grad(column))
    before = after = 0
    middle = size // 2 // 4 * 4  # a cell's first pixel
    for index in range(4 * scale):
        reached = np.abs(gradient(frames, middle * scale + index)).sum(axis=(0, 1, 3)) > 0
        columns = np.flatnonzero(reached)
        home = middle + index // scale
        before, after = max(before, home - columns[0]), max(after, columns[-1] - home)
    return before, after


@pytest.mark.parametrize("scale", [4, 2])
@pytest.mark.parametrize(
    ("stage", "more"),
    [("a", {}), ("b", {}), ("b", {"detail_grid": 1}), ("b", {"detail_grid": 1, "detail_floor": 9})],
)
def test_the_receptive_field_is_what_the_gradient_reaches(scale, stage, more):
    fields = {**SMALL, "filter_blocks": 0, "residual_blocks": 1, "outer_blocks": 1, **more}
    model = randomized(SuperVegan(scale=scale, **fields))
    field = receptive_field(model.generator, stage)
    size = 4 * max(field.before, field.after) // 2 + 12
    assert measured_field(model, stage, size) == (field.before, field.after)


def test_the_published_networks_receptive_fields():
    # Stage A of 4x: 20 layers of 3x3 (1 + 2 + 8 + 4 + 4 + 1) and half an enlarged pixel.
    assert receptive_field(SuperVegan(), "a") == ReceptiveField(21, 21, 1)
    assert receptive_field(SuperVegan(), "b") == ReceptiveField(29, 28, 1)
    assert receptive_field(SuperVegan(scale=2), "a") == ReceptiveField(44, 43, 2)
    assert receptive_field(SuperVegan(scale=2), "b") == ReceptiveField(60, 57, 2)
    with pytest.raises(ValueError, match="Enlarger cannot compute frames in tiles"):
        receptive_field(Enlarger())


def test_cuts_cover_the_axis_and_keep_their_border():
    tilings = itertools.product(range(1, 60), (9, 10, 14, 23), (0, 1), (2, 4))
    for size, tile, steps, alignment in tilings:
        border = steps * alignment
        if tile < 2 * (border + alignment):
            continue
        length, cuts = cut_axis(size, tile, border, alignment)
        assert length <= tile or len(cuts) == 1
        assert cuts[0].first == 0 and cuts[-1].last == size
        for cut in cuts:
            assert cut.start % alignment == 0
            assert 0 <= cut.start <= cut.first < cut.last <= cut.start + length <= size
            assert cut.start == 0 or cut.first - cut.start >= border
            assert cut.start + length == size or cut.start + length - cut.last >= border
        for left, right in itertools.pairwise(cuts):
            assert left.last == right.first and left.last % 2 == 0


def test_too_small_a_tile_is_refused():
    with pytest.raises(ValueError, match=r"tile 40 is too small: .* 20 pixels .* at least 44"):
        plan_tiles(100, 100, 40, 20)


def enhanced(model, fmt, tile, stats, **changes):
    options = RunOptions(devices=ONE, batch_size=2, tile=tile, **changes)
    frames = enhance_frames(random_frames(4, fmt), fmt, model, options, stats=stats)
    return [frame.planes for frame in frames]


@pytest.mark.parametrize(
    ("scale", "fmt", "fields"),
    [
        (4, FrameFormat(75, 50), {}),
        (4, FrameFormat(61, 77, 10, "422", "bt2020nc", True, "topleft"), {}),
        (2, FrameFormat(101, 78), {}),
        (2, FrameFormat(131, 90), {**CHEAP, "detail_floor": 9}),
        (4, FrameFormat(75, 50), CHEAP),
    ],
)
def test_tiled_equals_whole_exactly(scale, fmt, fields):
    model = small_model(scale, **fields)
    border, _ = margin(model.generator, "b")
    tile = 2 * border + 14
    stats = RunStats()
    whole = enhanced(model, fmt, 1000, stats)
    assert stats.tiles == 1
    tiled = enhanced(model, fmt, tile, stats, compare=True)
    assert stats.tiles >= 4
    for a, b in zip(whole, tiled, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_less_margin_would_show():
    model = small_model(4)
    field = receptive_field(model.generator, "b")
    frames = jax.random.uniform(jax.random.key(0), (5, 16, 96, 3))
    run = jax.jit(lambda x: model.generator.apply({"params": model.params}, x, method="enhance"))
    whole, part = np.asarray(run(frames)), np.asarray(run(frames[:, :, :64]))
    difference = np.abs(whole[:, :, :256] - part).max(axis=(0, 1, 3))
    kept = 4 * (64 - field.after)
    # The order of sums may follow the width: 0 on some processors, rounding on others.
    assert difference[:kept].max() < 1e-5
    assert difference[kept : kept + 4].min() > 1e-4


def test_large_frames_are_cut_to_fit_the_memory(monkeypatch):
    model = small_model(4)
    fmt = FrameFormat(1920, 1080)
    options = RunOptions(devices=ONE, batch_size=4, dtype="float32")
    whole = estimate_memory(model.generator, "b", 1080, 1920, 4)
    monkeypatch.setattr("supervegan_jax.enhancement.program.memory_budget", lambda d: whole)
    assert plan(model, fmt, options).count == 1
    monkeypatch.setattr("supervegan_jax.enhancement.program.memory_budget", lambda d: whole // 5)
    tiling = plan(model, fmt, options)
    assert tiling.count > 1
    need = estimate_memory(model.generator, "b", tiling.height, tiling.width, 4)
    assert whole // 10 < need <= whole // 5
    with pytest.raises(ValueError, match="take a smaller --batch-size"):
        choose_tile(model.generator, "b", (1080, 1920), 4, 4, 1 << 20)


@pytest.mark.parametrize(("scale", "stage"), [(4, "a"), (4, "b"), (2, "b")])
def test_the_memory_estimate_is_near_what_the_compiler_takes(scale, stage):
    model = randomized(SuperVegan(scale=scale, **{**SMALL, "detail_width": 16}))
    frames = jnp.zeros((6, 64, 96, 3))
    run = jax.jit(lambda p, x: model.generator.apply({"params": p}, x, stage, method="enhance"))
    taken = run.lower(model.params, frames).compile().memory_analysis().temp_size_in_bytes
    estimate = estimate_memory(model.generator, stage, 64, 96, 2)
    assert 0.7 * taken < estimate < 2.5 * taken


def test_a_network_without_parameters_is_enhanced_whole():
    fmt = FrameFormat(16, 16)
    assert len(enhanced(plain(Enlarger()), fmt, 16, RunStats())) == 4
