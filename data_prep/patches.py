"""The training records of one clip: drawn, cut out in one pass over the videos, written."""

import dataclasses
import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep import folder
from data_prep.folder import Clip, ClipEncode
from supervegan_jax.data import records
from supervegan_jax.data.records import Window, encode_path, truth_shape
from supervegan_jax.ops.peak_frames import choose_references, label_peak_quality_frames
from supervegan_jax.video.reader import read_frames

SHARD_BYTES = 128 * 2**20


@dataclasses.dataclass(frozen=True)
class ClipTask:
    """What the records of one clip depend on.

    Attributes:
      clip: the ground truth.
      encodes: the inputs; each patch is drawn from one of them.
      data: folder of clips and encodes.
      part: folder to make: shards and part.json.
      scale, patch_size: r and p.
      seed: of the drawing.
      window: the frames of a record.
      count: patches.
      firsts: first frame and one past the last that may be a window's first with ground truth.
      peaks_of: the input frames are the peak frames around one, among those from this first frame
        to before this last; None takes frames in a row.
    """

    clip: Clip
    encodes: tuple[ClipEncode, ...]
    data: Path
    part: Path
    scale: int
    patch_size: int
    seed: int
    window: Window
    count: int
    firsts: tuple[int, int]
    peaks_of: tuple[int, int] | None = None


def draw(task: ClipTask) -> np.ndarray:
    """Draws the patches of a clip, uniformly over its inputs, frames and positions.

    They depend on the seed and the clip's id alone, not on other clips; asking for fewer gives the
    first of the same.

    Returns:
      int64 [count, 4]: index of the encode, first frame with ground truth, y, x (input pixels).
    """
    digest = hashlib.sha256(f"{task.seed}/{task.clip.clip_id}".encode()).digest()
    uniform = np.random.default_rng(int.from_bytes(digest[:16], "big")).random((task.count, 4))
    first, last = task.firsts
    y_count = task.clip.height // task.scale - task.patch_size + 1
    x_count = task.clip.width // task.scale - task.patch_size + 1
    sizes = np.array([len(task.encodes), last - first, y_count, x_count])
    return np.floor(uniform * sizes).astype(np.int64) + np.array([0, first, 0, 0])


def write_part(task: ClipTask) -> None:
    """Writes the records of one clip into `task.part`, in the order drawn; done is done.

    Raises:
      ValueError: the videos do not belong together (frames, sizes), or one is damaged.
      OSError: nothing can be written.
    """
    if (task.part / "part.json").exists():
        return
    working = task.part.with_name(f".{task.part.name}.{os.getpid()}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    folder.make_folder(working)
    try:
        _write(task, working)
        working.rename(task.part)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _write(task: ClipTask, working: Path) -> None:
    p, r = task.patch_size, task.scale
    drawn = draw(task)
    # Frames pass in their order, records are kept in the order drawn: both arrays lie on disk.
    shapes = {"lr": (task.window.frames, p, p, 3), "hr": truth_shape(task.window, r * p)}
    lr, hr = (
        np.lib.format.open_memmap(
            working / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(task.count, *shape)
        )
        for name, shape in shapes.items()
    )
    _cut_out(task, drawn, lr, hr)
    names, lengths, size = _write_shards(task, drawn, lr, hr, working)
    del lr, hr
    for name in ("lr.npy", "hr.npy"):
        (working / name).unlink()
    part = {"shards": names, "lengths": lengths, "bytes": size}
    folder.write_json(working / "part.json", part)


def _cut_out(task: ClipTask, drawn: np.ndarray, lr: np.ndarray, hr: np.ndarray) -> None:
    """Fills lr [n, t, p, p, 3] and hr [n, (k,) r*p, r*p, 3], reading every video once."""
    p, r, window = task.patch_size, task.scale, task.window
    hr = hr.reshape(task.count, window.truths, r * p, r * p, 3)
    # What each frame gives: (encode, frame) -> [(record, place in the window)].
    inputs: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    truths: dict[int, list[tuple[int, int]]] = defaultdict(list)
    peaks = None if task.peaks_of is None else _find_peaks(task, task.peaks_of)
    for record, (encode, first, _, _) in enumerate(drawn.tolist()):
        for place in range(window.truths):
            truths[first + place].append((record, place))
        read = window.inputs(first, task.clip.frame_count)
        if peaks is not None:
            read = [int(peaks[0, encode, first]), first, int(peaks[1, encode, first])]
        for place, frame in enumerate(read):
            inputs[encode, frame].append((record, place))
    for frame, (truth, *decoded) in enumerate(_read_together(task)):
        for record, place in truths[frame]:
            y, x = drawn[record, 2:] * r
            hr[record, place] = truth[y : y + r * p, x : x + r * p]
        for encode, image in enumerate(decoded):
            for record, place in inputs[encode, frame]:
                y, x = drawn[record, 2:]
                lr[record, place] = image[y : y + p, x : x + p]


def _find_peaks(task: ClipTask, frames: tuple[int, int]) -> np.ndarray:
    """The peak before and the peak after each frame of each input, int [2, inputs, frames].

    Quality is the PSNR of luma. Only frames from `frames[0]` to before `frames[1]` are looked at.
    """
    first, last = frames
    errors = np.empty((len(task.encodes), task.clip.frame_count))
    for index, (truth, *decoded) in enumerate(_read_together(task)):
        wanted = _luma(truth)
        errors[:, index] = [np.mean(np.square(_luma(image) - wanted)) for image in decoded]
    found = np.zeros((2, *errors.shape), np.int64)
    for encode, error in enumerate(errors[:, first:last]):
        # Of two perfect frames neither is better, whatever the logarithm of 0 is.
        psnr = -10 * np.log10(np.maximum(error, 1e-9))
        found[:, encode, first:last] = choose_references(label_peak_quality_frames(psnr))
    return found + first


def _luma(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3] -> float32 [h, w], by BT.709."""
    return np.asarray(image.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32))


def _read_together(task: ClipTask) -> Iterator[Sequence[np.ndarray]]:
    """Yields the ground truth and all inputs, frame by frame.

    Raises:
      ValueError: another number of frames or not exactly 1/r of the size.
    """
    clip, data = task.clip, task.data
    paths = [folder.clip_path(data, clip.clip_id)]
    for e in task.encodes:
        paths.append(encode_path(data, e.clip_id, e.codec, e.target_kbps, e.scale))
    videos = [read_frames(path) for path in paths]
    shapes = [(clip.height, clip.width, 3)]
    shapes += [(clip.height // task.scale, clip.width // task.scale, 3)] * len(task.encodes)
    for index in range(clip.frame_count + 1):
        frames = [next(video, None) for video in videos]
        present = []
        for frame, path, shape in zip(frames, paths, shapes, strict=True):
            if (frame is None) != (index == clip.frame_count):
                found = f"{index} frames" if frame is None else f"more than {index} frames"
                raise ValueError(f"{path} has {found}, the clip has {clip.frame_count}")
            if frame is not None and frame.shape != shape:
                raise ValueError(
                    f"{path} is {frame.shape[1]}x{frame.shape[0]}, must be {shape[1]}x{shape[0]}"
                )
            if frame is not None:
                present.append(frame)
        if present:
            yield present


def _write_shards(
    task: ClipTask, drawn: np.ndarray, lr: np.ndarray, hr: np.ndarray, working: Path
) -> tuple[list[str], list[int], int]:
    """Writes the records as tf.Examples of the schema.

    Returns:
      The shards' names, the number of records in each, and the bytes of all records.
    """
    tf, _ = records.load_tensorflow()
    features = records.features(task.scale, task.patch_size, task.window)
    length = max(1, SHARD_BYTES // (lr[0].nbytes + hr[0].nbytes))
    starts = range(0, task.count, length)
    names, size = [f"shard-{index:05d}.tfrecord" for index in range(len(starts))], 0
    for name, start in zip(names, starts, strict=True):
        with tf.io.TFRecordWriter(str(working / name)) as writer:
            for i in range(start, min(start + length, task.count)):
                place = dict(zip(("frame", "y", "x"), drawn[i, 1:].tolist(), strict=True))
                example = {"lr": lr[i], "hr": hr[i], "clip_id": task.clip.clip_id, **place}
                # The order of a tf.Example's features is random otherwise, from run to run.
                message = tf.train.Example.FromString(features.serialize_example(example))
                record = message.SerializeToString(deterministic=True)
                writer.write(record)
                size += len(record)
    return names, [min(length, task.count - start) for start in starts], size


def dataset_info(directory: Path, scale: int, patch_size: int, window: Window) -> Any:
    """The `tfds.core.DatasetInfo` of records in `directory`."""
    _, tfds = records.load_tensorflow()
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=records.DATASET_NAME,
        version="1.0.0",
        data_dir=os.fspath(directory),
        module_name="",
    )
    return tfds.core.DatasetInfo(
        builder=identity,
        features=records.features(scale, patch_size, window),
        description="Patches of low-bitrate video with their ground truth.",
    )
