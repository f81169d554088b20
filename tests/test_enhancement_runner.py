"""The stream of frames: windows, order, memory, latency, errors, devices."""

import dataclasses
import gc
import queue
import threading
import time
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import (
    Enlarger,
    WindowDigits,
    plain,
    random_frames,
    small_model,
)

from supervegan_jax.enhancement import options as run_options
from supervegan_jax.enhancement.batches import gather
from supervegan_jax.enhancement.options import (
    RunOptions,
    context_start,
    latency_frames,
    read_ahead_frames,
    resolve,
)
from supervegan_jax.enhancement.runner import RunStats, enhance_frames
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame

ONE = (jax.devices()[0],)
DIGITS = FrameFormat(5, 1, subsampling="gray", full_range=True)
SMALL_444 = FrameFormat(24, 16, subsampling="444", full_range=True)


def one(**changes):
    """Options for one device and whole frames."""
    return RunOptions(devices=ONE, tile=1000, **changes)


def numbered(count, start=0):
    for index in range(start, count):
        yield VideoFrame(index, 10 * index, (np.full((1, 5), index, np.uint8),))


def windows_of(frames, first_index=0, **changes):
    out = enhance_frames(
        frames, DIGITS, plain(WindowDigits()), one(**changes), first_index=first_index
    )
    return {frame.index: (frame.pts, frame.planes[0][0, ::2].tolist()) for frame in out}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_window_repeats_the_ends_of_the_clip(count, batch_size):
    found = windows_of(numbered(count), batch_size=batch_size)
    expected = {
        i: (10 * i, [min(max(j, 0), count - 1) for j in range(i - 2, i + 3)]) for i in range(count)
    }
    assert found == expected
    assert list(found) == list(range(count))


@pytest.mark.parametrize("first_index", [1, 2, 4, 7, 12])
@pytest.mark.parametrize("start", ["all", "context", "two"])
def test_a_resumed_run_sees_the_frames_before(first_index, start):
    whole = windows_of(numbered(13), batch_size=4)
    begin = {
        "all": 0,
        "context": context_start(first_index, one(batch_size=4)),
        "two": max(0, first_index - 2),
    }[start]
    resumed = windows_of(numbered(13, begin), first_index, batch_size=4)
    assert resumed == {i: value for i, value in whole.items() if i >= first_index}


def test_batches_keep_their_place_when_resumed():
    whole = list(gather(numbered(13), DIGITS, 4, reach=2))
    resumed = list(gather(numbered(13, context_start(6, one(batch_size=4))), DIGITS, 4, 6, reach=2))
    assert [[f.index for f in b.frames] for b in resumed] == [[6, 7], [8, 9, 10, 11], [12]]
    for old, new in zip(whole[1:], resumed, strict=True):
        assert np.array_equal(old.planes[0], new.planes[0])


def test_frames_must_follow_one_another():
    frames = [*numbered(3), *numbered(6, 4)]
    with pytest.raises(ValueError, match="frame 4 follows frame 2"):
        windows_of(iter(frames))
    with pytest.raises(ValueError, match="begin at 3; enhancing from frame 4 on takes the 2"):
        windows_of(numbered(9, 3), 4)
    wrong = VideoFrame(0, 0, (np.zeros((2, 5), np.uint8),))
    with pytest.raises(ValueError, match="frame 0: planes"):
        windows_of(iter([wrong]))


def test_what_was_read_before_an_error_comes_out_before_it():
    def breaking():
        yield from numbered(6)
        raise OSError("the disk is gone")

    out = enhance_frames(breaking(), DIGITS, plain(WindowDigits()), one(batch_size=4))
    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        for frame in out:
            seen.append(frame.index)
    assert seen == list(range(6))


def test_leaving_early_stops_the_threads_and_closes_the_input():
    closed = threading.Event()

    def endless():
        try:
            index = 0
            while True:
                yield VideoFrame(index, index, (np.zeros((1, 5), np.uint8),))
                index += 1
        finally:
            closed.set()

    out = enhance_frames(endless(), DIGITS, plain(WindowDigits()), one())
    assert next(out).index == 0
    out.close()
    assert closed.wait(5)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("enhance-")]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_frame_goes_out_as_soon_as_the_stated_frames_are_in(batch_size):
    options = one(batch_size=batch_size)
    latency = latency_frames(options)
    assert latency == 2 + batch_size - 1
    given: queue.Queue = queue.Queue()
    out = enhance_frames(iter(given.get, None), DIGITS, plain(WindowDigits()), options)
    received: queue.Queue = queue.Queue()
    reader = threading.Thread(target=lambda: [received.put(f.index) for f in out], daemon=True)
    frames = list(numbered(20))
    for frame in frames[: latency + 1]:
        given.put(frame)
    reader.start()
    assert received.get(timeout=20) == 0
    if batch_size == 1:
        time.sleep(0.2)
        assert received.empty()
    for frame in frames[latency + 1 :]:
        given.put(frame)
        received_now = frame.index - latency
        while received.queue and received.queue[0] <= received_now:
            received.get()
    given.put(None)
    reader.join(20)
    assert not reader.is_alive()


def test_the_frames_held_do_not_grow():
    alive: list = []
    most = 0
    pulled = 0

    def watched():
        nonlocal most, pulled
        for index in range(120):
            frame = VideoFrame(index, index, (np.zeros((1, 5), np.uint8),))
            alive.append(weakref.ref(frame))
            pulled = index
            yield frame
            del frame
            most = max(most, sum(ref() is not None for ref in alive))

    options = one(batch_size=4)
    bound = read_ahead_frames(options)
    for frame in enhance_frames(watched(), DIGITS, plain(WindowDigits()), options):
        assert pulled - frame.index <= bound
        time.sleep(0.002)
    gc.collect()
    assert 4 <= most <= bound + 4 + 2


def test_reading_goes_on_while_a_result_is_written():
    options = one(batch_size=2)
    pulled = 0

    def watched():
        nonlocal pulled
        for frame in numbered(40):
            pulled = frame.index
            yield frame

    out = enhance_frames(watched(), DIGITS, plain(WindowDigits()), options)
    assert next(out).index == 0
    time.sleep(0.5)
    assert 6 <= pulled <= read_ahead_frames(options)
    assert [frame.index for frame in out] == list(range(1, 40))


def run(model, fmt, options, count=6, stats=None):
    frames = enhance_frames(random_frames(count, fmt), fmt, model, options, stats=stats)
    return [frame.planes for frame in frames]


def worst(a, b):
    pairs = [
        (x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)
    ]
    return max(int(np.abs(x.astype(int) - y.astype(int)).max()) for x, y in pairs)


def test_the_frames_are_the_networks_own_windows():
    model, fmt = small_model(4), SMALL_444
    frames = list(random_frames(6, fmt))
    padded = [frames[0]] * 2 + frames + [frames[-1]] * 2
    stacked = tuple(jnp.stack([f.planes[k] for f in padded]) for k in range(3))
    rgb = planes_to_rgb(stacked, fmt)
    windows = jnp.stack([rgb[i : i + 5] for i in range(6)])
    expected = rgb_to_planes(
        jax.jit(model.generator.apply)({"params": model.params}, windows)["stage_b"], fmt
    )
    found = run(model, fmt, one(batch_size=4))
    for k in range(3):
        difference = np.stack([f[k] for f in found]).astype(int) - np.asarray(expected[k]).astype(
            int
        )
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < 1e-3


def test_strength_0_is_stage_a_and_strength_blends():
    model, fmt = small_model(4), SMALL_444
    stage_a = run(model, fmt, one(stage="a"))
    assert worst(run(model, fmt, one(strength=0.0)), stage_a) == 0
    full = run(model, fmt, one())
    half = run(model, fmt, one(strength=0.5))
    assert worst(full, stage_a) > 4
    inner = [
        (a, h, f)
        for fa, fh, ff in zip(stage_a, half, full, strict=True)
        for a, h, f in zip(fa, fh, ff, strict=True)
    ]
    for a, h, f in inner:
        # Clipped codes are left out: clipping does not blend.
        free = (a > 0) & (a < 255) & (f > 0) & (f < 255)
        assert np.abs(h.astype(float) - (a.astype(float) + f) / 2)[free].max() <= 1.01
    frames = jnp.stack([jnp.full((8, 8, 3), 0.1 * i) for i in range(6)])
    windows = jnp.stack([frames[0:5], frames[1:6]])
    y_a = model.generator.apply({"params": model.params}, windows, stage="a")["stage_a"]
    y = model.generator.apply({"params": model.params}, frames, "b", 0.0, method="enhance")
    np.testing.assert_allclose(y, upsample_bicubic(y_a), atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_devices_split_a_batch_without_changing_it(scale):
    model = small_model(scale)
    fmt = FrameFormat(21, 18)
    alone = run(model, fmt, one(batch_size=2), count=7)
    two = RunOptions(devices=tuple(jax.devices()[:2]), batch_size=4)
    assert worst(alone, run(model, fmt, two, count=7)) == 0
    with pytest.raises(ValueError, match="batch size 3 is not a multiple"):
        resolve(dataclasses.replace(two, batch_size=3))


class Unstable(Enlarger):
    """Loses frame 3 (told by its brightness) in bfloat16."""

    def enhance(self, frames, stage, strength, one_by_one):
        y = super().enhance(frames, stage, strength, one_by_one)
        mark = jnp.abs(y.mean(axis=(1, 2, 3), keepdims=True) - 3 / 255) < 0.4 / 255
        lost = mark if self.dtype == jnp.bfloat16 else jnp.zeros_like(mark)
        return jnp.where(lost, jnp.nan, y)


def test_a_frame_lost_in_half_precision_is_computed_again():
    fmt = FrameFormat(8, 8, subsampling="gray", full_range=True)
    frames = [VideoFrame(i, i, (np.full((8, 8), i, np.uint8),)) for i in range(9)]
    stats = RunStats()
    options = one(batch_size=4, dtype="bfloat16")
    out = list(enhance_frames(frames, fmt, plain(Unstable()), options, stats=stats))
    assert [frame.planes[0].max() for frame in out] == list(range(9))
    assert [frame.planes[0].min() for frame in out] == list(range(9))
    assert (stats.recomputed, stats.frames) == (1, 9)


class Hopeless(Enlarger):
    """No number ever."""

    def enhance(self, frames, stage, strength, one_by_one):
        return super().enhance(frames, stage, strength, one_by_one) * jnp.nan


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_network_without_numbers_is_an_error(dtype):
    options = one(dtype=dtype)
    frames = random_frames(3, SMALL_444)
    with pytest.raises(ValueError, match="not finite at frame 0"):
        list(enhance_frames(frames, SMALL_444, plain(Hopeless()), options))


def test_the_bicubic_enlargement_comes_along():
    options = one(compare=True)
    fmt = FrameFormat(17, 10)
    model = plain(Enlarger(kind="bicubic"))
    for frame in enhance_frames(random_frames(5, fmt), fmt, model, options):
        assert [plane.shape for plane in frame.bicubic] == [(40, 68), (20, 34), (20, 34)]
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, frame.bicubic, strict=True))


def triangle(plane, axis, site):
    """Half as many samples along an axis, each where it lies: weights 1 - |distance| / 2."""
    offsets = np.arange(-1, 3)
    weights = np.maximum(0, 1 - np.abs(offsets - site) / 2) / 2
    count = plane.shape[axis] // 2
    places = np.clip(2 * np.arange(count)[:, None] + offsets, 0, plane.shape[axis] - 1)
    return np.tensordot(np.take(plane, places, axis), weights, (axis + 1, 0))


@pytest.mark.parametrize("tile", [1000, 28])
def test_results_come_in_the_samples_asked_for(tile):
    model, fmt = small_model(4), FrameFormat(32, 16)
    # Smaller weights, lest codes be clipped, finer ones elsewhere than coarser ones.
    model = dataclasses.replace(model, params=jax.tree.map(lambda leaf: leaf / 3, model.params))
    options = dataclasses.replace(one(compare=True, batch_size=2), tile=tile)

    def run_to(subsampling, bit_depth):
        out = FrameFormat(128, 64, bit_depth, subsampling)
        frames = random_frames(3, fmt)
        done = list(enhance_frames(frames, fmt, model, options, out=out))
        for frame in done:
            frame.check(out)
            VideoFrame(frame.index, frame.pts, frame.bicubic).check(out)
        return [[plane.astype(float) for plane in frame.planes + frame.bicubic] for frame in done]

    usual = list(enhance_frames(random_frames(3, fmt), fmt, model, options))
    for ours, fine, whole, gray in zip(
        usual, run_to("420", 10), run_to("444", 12), run_to("gray", 8), strict=True
    ):
        for number, plane in enumerate(ours.planes + ours.bicubic):
            # The finer samples are of the same picture, and not the coarser ones times four.
            assert np.abs(fine[number] / 4 - plane).max() <= 0.5 + 1 / 8
            assert (fine[number] % 4 != 0).mean() > 0.25
            # Chroma of 4:2:0 lies on even columns ("left") and between two rows.
            full = whole[number] / 16
            halved = full if number % 3 == 0 else triangle(triangle(full, 0, 0.5), 1, 0.0)
            assert np.abs(halved - plane).max() <= 0.5 + 1 / 16
        assert len(gray) == 2
        assert np.array_equal(gray[0], ours.planes[0])


def test_wrong_options_are_refused():
    for changes, message in [
        ({"stage": "c"}, "stage 'c'"),
        ({"strength": 1.5}, "strength 1.5; 0 to 1"),
        ({"strength": 0.5, "stage": "a"}, "strength 0.5 of stage 'a'; 0 and 1 are accepted"),
        ({"dtype": "float16"}, "dtype 'float16'; accepted are float32, bfloat16"),
        ({"batch_size": 0}, "batch_size 0; at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            RunOptions(**changes)


def test_the_cpu_computes_in_float32_unless_asked():
    assert resolve(RunOptions()).dtype == "float32"
    assert resolve(RunOptions(dtype="bfloat16")).dtype == "bfloat16"
    assert resolve(RunOptions()).batch_size == 4 * len(jax.local_devices())
    assert run_options.memory_budget(ONE[0]) > 1 << 28


@pytest.mark.parametrize(
    ("code", "failure", "message"),
    [
        ("RESOURCE_EXHAUSTED", ValueError, "memory is too small; take a smaller --tile"),
        ("INTERNAL", jax.errors.JaxRuntimeError, "INTERNAL: 5 bytes"),
    ],
)
def test_too_little_memory_is_told(monkeypatch, code, failure, message):
    def fail(engine, batch):
        raise jax.errors.JaxRuntimeError(f"{code}: 5 bytes")

    fmt = FrameFormat(8, 8)
    monkeypatch.setattr("supervegan_jax.enhancement.runner.Engine.submit", fail)
    with pytest.raises(failure, match=message):
        list(enhance_frames(random_frames(6, fmt), fmt, plain(Enlarger()), RunOptions(tile=9)))
