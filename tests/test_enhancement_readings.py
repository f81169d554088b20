"""Networks that read sequences or peak frames: TecoGAN and MFQE 2.0 over the frames of a video."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import random_frames, small_system
from flax import linen as nn

from supervegan_jax.enhancement.options import RunOptions, context_start
from supervegan_jax.enhancement.readings import Peaks, Sequence, with_peaks
from supervegan_jax.enhancement.runner import RunStats, enhance_frames
from supervegan_jax.models.single_stage import as_variables
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes
from supervegan_jax.ops.peak_frames import choose_references, label_peaks_by_size, next_peak
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.weights.model_file import LoadedModel

NUMBERS = FrameFormat(1, 1, subsampling="gray")
# Decided by hand: frame 2 and 5 are larger than their neighbours; of 6 to 9 none is, so that of
# the second and third after 5 (7 and 8, as large) the third is; the last is a peak as well.
SIZES = [9, 2, 5, 3, 1, 7, 6, 5, 5, 4, 3]
PEAKS = [0, 2, 5, 8, 10]


@pytest.fixture(scope="module")
def tecogan() -> LoadedModel:
    return small_system("tecogan", blocks=1, width=4)


@pytest.fixture(scope="module")
def mfqe() -> LoadedModel:
    return small_system("mfqe", width=4, dense_layers=1)


def options(**changes: object) -> RunOptions:
    return RunOptions(**{"devices": (jax.devices()[0],), "batch_size": 4, **changes})


def numbered(sizes: list[int], first: int = 0) -> list[VideoFrame]:
    """Frames of one pixel that is their number."""
    return [
        VideoFrame(i, i, (np.full((1, 1), i, np.uint8),), coded_bytes=size)
        for i, size in enumerate(sizes)
    ][first:]


def read_by(batch) -> list[int]:
    return batch.planes[0][:, 0, 0].tolist()


def test_a_sequence_begins_with_its_first_frames_mirrored():
    batches = list(Sequence(5).gather(numbered([1] * 9), NUMBERS, 4))
    assert [read_by(batch) for batch in batches] == [
        [5, 4, 3, 2],
        [1, 0, 1, 2],
        [3, 4, 5, 6],
        [7, 8, 8, 8],
    ]
    out = [[frame.index for frame in batch.frames] for batch in batches]
    assert out == [[], [0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert [batch.first for batch in batches] == [0, 1, 0, 0]
    assert [batch.begins for batch in batches] == [True, False, False, False]


@pytest.mark.parametrize(("count", "order"), [(1, [0]), (2, [1, 0, 1]), (3, [2, 1, 0, 1, 2])])
def test_a_short_sequence_has_fewer_frames_to_mirror(count, order):
    batches = list(Sequence(5).gather(numbered([1] * count), NUMBERS, 1))
    assert [read_by(batch)[0] for batch in batches] == order


def test_a_sequence_that_goes_on_takes_the_same_batches():
    whole = list(Sequence(5).gather(numbered([1] * 9), NUMBERS, 4))
    again = list(Sequence(5).gather(numbered([1] * 9), NUMBERS, 4, 5))
    assert [read_by(batch) for batch in again] == [read_by(batch) for batch in whole]
    assert [f.index for batch in again for f in batch.frames] == [5, 6, 7, 8]
    with pytest.raises(ValueError, match="begin at 3"):
        list(Sequence(5).gather(numbered([1] * 9, 3), NUMBERS, 4, 5))


def test_what_was_read_of_a_broken_sequence_is_enhanced():
    def breaking():
        yield from numbered([1] * 3)
        raise OSError("gone")

    found = []
    with pytest.raises(OSError, match="gone"):
        found.extend(Sequence(5).gather(breaking(), NUMBERS, 2))
    assert [frame.index for batch in found for frame in batch.frames] == [0, 1, 2]


def test_peaks_by_coded_size_as_decided_by_hand():
    assert np.flatnonzero(label_peaks_by_size(SIZES)).tolist() == PEAKS
    assert label_peaks_by_size([5]).tolist() == [True]
    assert label_peaks_by_size([]).tolist() == []
    # Equal frames: every third, and the last.
    assert np.flatnonzero(label_peaks_by_size([7] * 9)).tolist() == [0, 3, 6, 8]
    assert next_peak([9, 2, 5], ended=False) is None
    assert next_peak([9, 2, 5], ended=True) == 2
    assert next_peak([9], ended=True) is None


def test_every_frame_stands_between_its_peaks():
    found = [tuple(f.index for f in triple) for triple in with_peaks(numbered(SIZES))]
    assert found == [
        *[(0, 0, 2), (0, 1, 2)],
        *[(0, 2, 5), (2, 3, 5), (2, 4, 5)],
        *[(2, 5, 8), (5, 6, 8), (5, 7, 8)],
        *[(5, 8, 10), (8, 9, 10), (8, 10, 10)],
    ]


@pytest.mark.parametrize("seed", range(5))
def test_peaks_found_on_the_way_are_those_of_the_whole(seed):
    sizes = np.random.default_rng(seed).integers(1, 5, 60).tolist()
    pulled = 0

    def watched():
        nonlocal pulled
        for frame in numbered(sizes):
            pulled += 1
            yield frame

    before, after = choose_references(label_peaks_by_size(sizes))
    for index, (left, frame, right) in enumerate(with_peaks(watched())):
        assert (left.index, frame.index, right.index) == (before[index], index, after[index])
        # No more than the next peak and what it is compared with was needed.
        assert pulled <= index + 1 + Peaks().ahead
    assert index == 59


def test_peaks_of_another_scene_are_not_taken():
    frames = numbered([9, 1, 1, 8, 1, 1, 8, 1])
    dark = [dataclasses.replace(f, planes=(f.planes[0] * 0,)) for f in frames[:5]]
    light = [dataclasses.replace(f, planes=(f.planes[0] * 0 + 200,)) for f in frames[5:]]
    found = [tuple(f.index for f in triple) for triple in with_peaks(dark + light)]
    assert found[:5] == [(0, 0, 3), (0, 1, 3), (0, 2, 3), (0, 3, 4), (3, 4, 4)]
    assert found[5:] == [(5, 5, 6), (5, 6, 7), (6, 7, 7)]


def test_batches_of_peak_frames_and_a_run_that_goes_on():
    whole = list(Peaks().gather(numbered(SIZES), NUMBERS, 4))
    assert read_by(whole[0]) == [0, 0, 2, 0, 1, 2, 0, 2, 5, 2, 3, 5]
    assert read_by(whole[2]) == [5, 8, 10, 8, 9, 10, 8, 10, 10, 8, 10, 10]
    again = list(Peaks().gather(numbered(SIZES), NUMBERS, 4, 6))
    assert [read_by(batch) for batch in again] == [read_by(batch) for batch in whole[1:]]
    assert [f.index for batch in again for f in batch.frames] == [6, 7, 8, 9, 10]
    assert again[0].first == 2
    with pytest.raises(ValueError, match=r"how many bytes .* give the compressed video"):
        list(Peaks().gather(numbered([0, 0]), NUMBERS, 4))


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("size", [(17, 22), (16, 8)])
def test_a_video_through_tecogan_is_its_sequence(tecogan, count, size):
    """Mirrored frames, the clip, frame after frame; whatever the batches."""
    fmt = FrameFormat(size[1], size[0], subsampling="444")
    frames = list(random_frames(count, fmt))
    made = list(enhance_frames(frames, fmt, tecogan, options()))
    planes = tuple(jnp.stack([f.planes[i] for f in frames]) for i in range(3))
    rgb = planes_to_rgb(planes, fmt)
    stream = jnp.concatenate([rgb[5:0:-1], rgb])
    variables = as_variables(tecogan.params)
    whole, _ = tecogan.generator.apply(variables, stream[None], method="sequence")
    wanted = rgb_to_planes(whole[0][-count:], fmt)
    assert [frame.index for frame in made] == list(range(count))
    for index, frame in enumerate(made):
        for got, plane in zip(frame.planes, wanted, strict=True):
            np.testing.assert_allclose(np.int64(got), plane[index], atol=1)
            assert np.mean(got != plane[index]) < 0.01


def test_a_resumed_run_through_tecogan_gives_the_same_bytes(tecogan):
    fmt = FrameFormat(16, 16)
    frames = list(random_frames(11, fmt))
    whole = list(enhance_frames(frames, fmt, tecogan, options()))
    assert context_start(6, options(reading=Sequence(5))) == 0
    resumed = list(enhance_frames(frames, fmt, tecogan, options(), first_index=6))
    assert [frame.index for frame in resumed] == [6, 7, 8, 9, 10]
    for one, other in zip(whole[6:], resumed, strict=True):
        assert all(map(np.array_equal, one.planes, other.planes))


def test_recurrent_networks_take_one_device_and_no_tiles(tecogan):
    fmt = FrameFormat(32, 32)
    frames = list(random_frames(1, fmt))
    with pytest.raises(ValueError, match=r"2 devices: .* one device is accepted"):
        list(enhance_frames(frames, fmt, tecogan, options(devices=tuple(jax.devices()[:2]))))
    with pytest.raises(ValueError, match="TecoGan cannot compute frames in tiles"):
        list(enhance_frames(frames, fmt, tecogan, options(tile=24)))
    # Without a word of devices it is the first of the four there are.
    assert len(list(enhance_frames(frames, fmt, tecogan, RunOptions()))) == 1


@pytest.mark.parametrize("fmt", [FrameFormat(18, 13), FrameFormat(16, 16, bit_depth=10)])
def test_a_video_through_mfqe_is_its_luma_between_peaks(mfqe, fmt):
    """The chroma stays as it is, to the bit."""
    frames = list(random_frames(len(SIZES), fmt))
    frames = [
        dataclasses.replace(frame, coded_bytes=size)
        for frame, size in zip(frames, SIZES, strict=True)
    ]
    made = list(enhance_frames(frames, fmt, mfqe, options()))
    unit = 2 ** (fmt.bit_depth - 8)
    luma = (np.stack([f.planes[0] for f in frames]) - 16.0 * unit) / (219 * unit)
    before, after = choose_references(np.isin(np.arange(len(SIZES)), PEAKS))
    for index, frame in enumerate(made):
        window = luma[[before[index], index, after[index]]].astype(np.float32)
        y = mfqe.generator.apply(as_variables(mfqe.params), window[None, ..., None])[0, ..., 0]
        wanted = np.clip(16 * unit + 219 * unit * np.asarray(y), 0, 256 * unit - 1)
        np.testing.assert_allclose(frame.planes[0], wanted, atol=0.51)
        for chroma in (1, 2):
            assert np.array_equal(frame.planes[chroma], frames[index].planes[chroma])
        assert frame.planes[0].dtype == fmt.dtype
    resumed = list(enhance_frames(frames, fmt, mfqe, options(), first_index=5))
    for one, other in zip(made[5:], resumed, strict=True):
        assert all(map(np.array_equal, one.planes, other.planes))


class Echo(nn.Module):
    """Half the frame and half what came out before; in bfloat16 it loses its state at a 3."""

    scale: int = 1
    dtype: object = jnp.float32

    frames = 1
    channels = 3
    stages = ("b",)
    reading = "sequence"
    warm_up = 1

    def first_state(self, count: int, height: int, width: int) -> jax.Array:
        return jnp.zeros((count, height, width, 3))

    def advance(self, x: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        made = []
        for frame in jnp.moveaxis(x, 1, 0):
            state = (frame + state) / 2
            if self.dtype == jnp.bfloat16:
                state = jnp.where(jnp.abs(frame - 30 / 255) < 1e-3, jnp.nan, state)
            made.append(state)
        return jnp.stack(made, axis=1), state


def test_a_state_that_was_lost_is_computed_again():
    fmt = FrameFormat(8, 8, subsampling="444", full_range=True)
    grey = [np.full((8, 8), 10 * i, np.uint8) for i in range(9)]
    neutral = np.full((8, 8), 128, np.uint8)
    frames = [VideoFrame(i, i, (y, neutral, neutral)) for i, y in enumerate(grey)]
    echo = LoadedModel(Echo(), {}, 1, {"name": "echo"})
    wanted, state = [], 5.0  # behind the mirrored frame, 10
    for i in range(9):
        state = (10 * i + state) / 2
        wanted.append(round(state))
    for dtype in ("float32", "bfloat16"):
        stats = RunStats()
        run = enhance_frames(frames, fmt, echo, options(dtype=dtype, in_flight=2), stats=stats)
        made = [int(frame.planes[0][0, 0]) for frame in run]
        np.testing.assert_allclose(made, wanted, atol=1)
        assert (stats.recomputed > 0) == (dtype == "bfloat16")
