"""TecoGAN and MFQE 2.0 in the training loop: what they read, their losses, their scores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_system
from enhancement_samples import small_system
from video_samples import make_video

from data_prep import folder
from data_prep.check_records import check_records
from data_prep.clips import ClipOptions
from data_prep.prepare import prepare
from data_prep.record_options import RecordOptions, check_options
from supervegan_jax.data.input_pipeline import record_batches
from supervegan_jax.data.records import Window, encode_path, load_tensorflow, read_preparation
from supervegan_jax.data.validation import history, load_validation, windows
from supervegan_jax.losses.temporal_sequence import motion_compensation
from supervegan_jax.models.single_stage import GROUP, as_variables
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_luma, to_float
from supervegan_jax.ops.peak_frames import (
    choose_references,
    label_peak_quality_frames,
    label_peaks_by_size,
)
from supervegan_jax.training.evaluation import Evaluator
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import create_state
from supervegan_jax.training.step import train_step
from supervegan_jax.video.probe import list_packets
from supervegan_jax.video.reader import read_clip
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.video_input.source import open_source

P = 16


def phase(**weights: float) -> Phase:
    return Phase("train", 0, 40, (GROUP,), (1.0, 1.0), tuple(weights.items()))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Peak frames of a clip of 40 frames, the last 10 held out."""
    place = tmp_path_factory.mktemp("peaks")
    video = make_video(place / "a.mkv", frames=40, size="96x64")
    return prepare(
        [video],
        place / "data",
        scale=1,
        bitrates_kbps=(60,),
        codecs=("h265",),
        patch_size=P,
        patches=48,
        frames=3,
        peaks=True,
        holdout_tail=0.25,
        clip_options=ClipOptions(min_seconds=0.2),
        jobs=1,
    )


def luma(video: np.ndarray) -> np.ndarray:
    return video @ np.array([0.2126, 0.7152, 0.0722])


def test_records_hold_the_peaks_of_true_quality(records):
    preparation = read_preparation(records)
    assert (preparation.scale, preparation.peaks) == (1, True)
    assert preparation.window == Window(3, 1)
    (clip,) = preparation.clips
    data, name = records / preparation.data, clip["clip_id"]
    truth = read_clip(folder.clip_path(data, name))
    made = read_clip(encode_path(data, name, "h265", 60, 1))
    error = np.mean((luma(truth) - luma(made)) ** 2, axis=(1, 2))
    # What is held out takes no part: neither as a peak nor in the choice of peaks.
    peaks = label_peak_quality_frames(10 * np.log10(255**2 / error[:30]))
    before, after = choose_references(peaks)
    _, tfds = load_tensorflow()
    split = tfds.builder_from_directory(str(records)).as_dataset(split="train")
    seen = set()
    for record in split.as_numpy_iterator():
        y, x, frame = (int(record[name]) for name in ("y", "x", "frame"))
        there = np.s_[y : y + P, x : x + P]
        np.testing.assert_array_equal(record["hr"], truth[frame][there])
        wanted = made[[before[frame], frame, after[frame]]]
        np.testing.assert_array_equal(record["lr"], wanted[:, *there])
        seen.add((frame - before[frame], after[frame] - frame))
    assert len(seen) > 3  # not always the neighbours
    assert check_records(records).count == 48
    with pytest.raises(ValueError, match="have peak frames, the network reads frames in a row"):
        preparation.check(scale=1, peaks=False)
    with pytest.raises(ValueError, match=r"peak frames have 3 frames, 1 of them .* not 5 and 1"):
        check_options(RecordOptions(scale=1, peaks=True))


def test_held_out_frames_come_with_the_peaks_that_enhancing_finds(records):
    (clip,) = load_validation(records, 6, 3, "peaks")
    entry = read_preparation(records).validation[0]
    path = records / entry["input"]
    sizes = list_packets(path).sizes
    assert [f.coded_bytes for f in open_source(path).frames()] == list(sizes)
    whole = read_clip(path)
    before, after = choose_references(label_peaks_by_size(sizes))
    for index, window in enumerate(windows(clip), start=30):
        wanted = whole[[before[index], index, after[index]]]
        np.testing.assert_array_equal(window, wanted)
    assert index == 35


def test_the_luma_of_rgb_is_that_of_the_planes():
    rng = np.random.default_rng(0)
    planes = tuple(jnp.asarray(rng.integers(60, 180, (1, 4, 6), np.uint8)) for _ in range(3))
    rgb = planes_to_rgb(planes, FrameFormat(6, 4, subsampling="444"))
    wanted = (np.float32(planes[0]) - 16) / 219
    np.testing.assert_allclose(rgb_to_luma(rgb)[..., 0], wanted, atol=1e-6)


def test_motion_compensation_is_the_sum_of_both_errors():
    rng = np.random.default_rng(0)
    read, moved = rng.random((2, 3, 4, 4, 1)), rng.random((2, 2, 4, 4, 1))
    wanted = sum(np.mean((moved[:, i] - read[:, 1]) ** 2) for i in range(2))
    assert float(motion_compensation(moved, read)) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match=r"motion_compensation of shapes .* are needed"):
        motion_compensation(moved[:, :1], read)


def peak_batch(size: int = 4) -> dict[str, np.ndarray]:
    """A picture that moves by two pixels a frame, the middle one noisy."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(40, 200, (size, 8, 8, 3))
    wide = np.kron(coarse, np.ones((1, 4, 4, 1)))
    frames = np.stack([wide[:, 4 : 4 + P, i : i + P] for i in (2, 4, 6)], axis=1)
    noisy = frames.copy()
    noisy[:, 1] += rng.normal(0, 12, frames[:, 1].shape)
    clip = partial(np.clip, a_min=0, a_max=255)
    return {"lr": clip(noisy).astype(np.uint8), "hr": clip(frames[:, 1]).astype(np.uint8)}


def mfqe_state(weights: Phase):
    generator = small_system("mfqe", width=8, dense_layers=1).generator
    system = make_system((weights,), generator=generator, discriminator=None)
    return system, create_state(system, scale=1, seed=0)


@pytest.mark.slow
def test_the_losses_of_mfqe_and_their_gradients():
    weights = phase(motion_compensation=1.0, mse=0.01)
    system, state = mfqe_state(weights)
    data = peak_batch()
    step = jax.jit(partial(train_step, system=system, phase=weights))
    _, metrics = step(state, data, {})
    lr, hr = (rgb_to_luma(to_float(jnp.asarray(data[name]))) for name in ("lr", "hr"))

    def terms(network):
        (y, moved), _ = system.generator.apply(
            as_variables({GROUP: network}),
            lr,
            True,
            mutable=["batch_stats"],
            method="enhance_and_compensate",
        )
        errors = [jnp.mean((moved[:, i] - lr[:, 1]) ** 2) for i in range(2)]
        return errors[0] + errors[1], jnp.mean((y - hr) ** 2)

    @jax.jit
    def gradient_of(network, motion: float, quality: float):
        return jax.grad(lambda p: motion * terms(p)[0] + quality * terms(p)[1])(network)

    motion, quality = jax.jit(terms)(state.params[GROUP])
    assert float(metrics["motion_compensation"]) == pytest.approx(float(motion), rel=1e-4)
    assert float(metrics["mse"]) == pytest.approx(float(quality), rel=1e-4)
    gradient = gradient_of(state.params[GROUP], 1.0, 0.01)
    length = float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient))))
    assert float(metrics["gradient_norm"]) == pytest.approx(length, rel=1e-3)
    # The motion alone teaches the QE-subnet nothing, the picture both.
    motion = gradient_of(state.params[GROUP], 1.0, 0.0)
    assert not any(map(np.any, jax.tree.leaves(motion["quality_enhancement"])))
    picture = gradient_of(state.params[GROUP], 0.0, 1.0)
    for subnet in ("motion_compensation", "quality_enhancement"):
        assert any(map(np.any, jax.tree.leaves(picture[subnet])))


def fall(system, state, weights: Phase, data, steps: int = 20) -> tuple[float, float]:
    """The loss at the first and at the last of some steps on one batch."""
    step = jax.jit(partial(train_step, system=system, phase=weights))
    losses = []
    for _ in range(steps):
        state, metrics = step(state, data, {})
        losses.append(float(metrics["total"]))
    return losses[0], losses[-1]


@pytest.mark.slow
def test_mfqe_learns_in_both_phases():
    for motion, picture in ((1.0, 0.01), (0.01, 1.0)):
        weights = phase(motion_compensation=motion, mse=picture)
        first, last = fall(*mfqe_state(weights), weights, peak_batch())
        assert last < 0.8 * first


@pytest.mark.slow
def test_tecogan_learns():
    weights = phase(mse=4.0, warp=1.0, ping_pong=1.0)
    generator = small_system("tecogan", blocks=1, width=8).generator
    system = make_system((weights,), generator=generator, discriminator=None, ping_pong=True)
    state = create_state(system, scale=4, seed=0)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (1, 1, 8, 8, 3), np.uint8)
    hr = np.kron(coarse, np.ones((1, 3, 8, 8, 1), np.uint8))
    data = {"lr": np.ascontiguousarray(hr[:, :, ::4, ::4]), "hr": hr}
    first, last = fall(system, state, weights, data)
    assert last < 0.8 * first


def test_records_of_peaks_train_the_network(records):
    batch = next(
        iter(
            record_batches(
                records, scale=1, patch_size=P, batch_size=4, seed=0, window=Window(3, 1)
            )
        )
    )
    weights = phase(motion_compensation=0.01, mse=1.0)
    first, last = fall(*mfqe_state(weights), weights, batch)
    assert last < first


def test_scores_of_mfqe_are_of_its_luma_in_the_inputs_colours(records):
    model = small_system("mfqe", width=4, dense_layers=1)
    (clip,) = load_validation(records, 2, 3, "peaks")
    made = Evaluator(model.generator, {}).enhance(model.params, history(clip), windows(clip))
    for window, pictures in zip(windows(clip), made, strict=True):
        assert set(pictures) == {"output"}
        rgb = to_float(jnp.asarray(window[None]))
        y = model.generator.apply(as_variables(model.params), rgb_to_luma(rgb))
        wanted = rgb[0, 1] + (y - rgb_to_luma(rgb[:, 1]))[0]
        wanted = np.clip(255 * np.asarray(wanted), 0, 255)
        np.testing.assert_allclose(pictures["output"], wanted, atol=0.51)


def test_scores_of_tecogan_come_after_the_frames_before(records):
    model = small_system("tecogan", blocks=1, width=4)
    (clip,) = load_validation(records, 2, 1, "sequence")
    whole = read_clip(records / read_preparation(records).validation[0]["input"])
    np.testing.assert_array_equal(history(clip), whole[20:30])
    assert [window.shape[0] for window in windows(clip)] == [1, 1]
    made = list(Evaluator(model.generator, {}).enhance(model.params, history(clip), windows(clip)))
    frames = to_float(jnp.asarray(whole[None, 20:32]))
    sequence = model.generator.apply(as_variables(model.params), frames)[0, 10:]
    wanted = np.clip(255 * np.asarray(sequence), 0, 255)
    for pictures, picture in zip(made, wanted, strict=True):
        np.testing.assert_allclose(pictures["output"], picture, atol=0.51)
