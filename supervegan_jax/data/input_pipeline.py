"""Training batches from a TFRecord data set, with a position that is a pure function of the step.

The stream is: epoch after epoch, the shards in a random order, interleaved, shuffled in a buffer,
augmented, batched. Everything random comes from (seed, epoch) or (seed, position in the stream), so
a run resumed at step k sees exactly the batches an uninterrupted one would, and nothing of tf.data
needs a checkpoint. A batch may cross the border of two epochs: no record is ever dropped, and every
epoch shows each once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from supervegan_jax.data import augment
from supervegan_jax.data.records import Window, load_tensorflow, read_preparation

# The second word of every random seed: one stream for the order, one for the augmentation.
_ORDER, _AUGMENTATION = 0, 1
_BATCHES_AHEAD = 2
_OPEN_SHARDS = 512  # at most; systems allow a process 1,024 files


def record_batches(
    records_dir: str | Path,
    *,
    scale: int,
    patch_size: int,
    batch_size: int,
    seed: int,
    window: Window | None = None,
    first_step: int = 0,
    horizontal_flip: bool = True,
    vertical_flip: bool = False,
    time_reversal: bool = True,
    shuffle_buffer: int = 1024,
    num_threads: int = 4,
) -> Iterator[dict[str, np.ndarray]]:
    """Reads endless training batches, the first being that of `first_step`.

    Whole epochs before `first_step` cost nothing; what is passed over within its own epoch is read
    but neither parsed nor decoded.

    Args:
      records_dir: folder of records, a tfds data set beside its preparation.json.
      scale: r; must be the records' own.
      patch_size: p, side of the input patches; smaller than the records' means a random crop.
      batch_size: b.
      seed: of order and augmentation.
      window: the frames of an example, of the middle of the records' own; None is five of input
        and the ground truth of one.
      first_step: number of batches to pass over.
      horizontal_flip: whether columns may be reversed.
      vertical_flip: whether rows may be reversed.
      time_reversal: whether input windows may run backwards.
      shuffle_buffer: records kept in memory to draw from (a 96x96 record at scale 4 has 0.58 MB).
      num_threads: size of the pipeline's own thread pool; changes no batch.

    Yields:
      {"lr": uint8 [b, t, p, p, 3], "hr": uint8 [b, r*p, r*p, 3]}, or [b, k, r*p, r*p, 3] if k > 1
      frames have ground truth.

    Raises:
      ValueError: no finished records there, none at all, another scale, patches or windows
        larger than the records', a shard missing; while reading: a damaged or short shard, by its
        name.
    """
    for name, value in (("batch_size", batch_size), ("patch_size", patch_size)):
        if value < 1:
            raise ValueError(f"{name} is {value}, must be at least 1")
    load_tensorflow()
    preparation = read_preparation(records_dir)
    preparation.check(scale=scale, patch_size=patch_size)
    split, features = _open_split(preparation.directory)
    window = window or Window()
    inputs, truths = window.middle(preparation.window)

    def prepare(position: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        example = features.deserialize_example(serialized)
        hr = example["hr"]
        return _augmented(
            example["lr"][inputs],
            hr if len(hr.shape) == 3 else hr[truths] if window.truths > 1 else hr[truths.start],
            _fold_in(seed, _AUGMENTATION, position),
            patch_size=patch_size,
            scale=scale,
            horizontal_flip=horizontal_flip,
            vertical_flip=vertical_flip,
            time_reversal=time_reversal,
        )

    dataset = _positioned_records(
        split,
        seed=seed,
        first_record=first_step * batch_size,
        shuffle_buffer=shuffle_buffer,
    )
    dataset = dataset.map(prepare, num_parallel_calls=num_threads, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(_BATCHES_AHEAD)
    return _numpy_batches(dataset.with_options(_options(num_threads)), split)


def _augmented(
    lr: tf.Tensor,
    hr: tf.Tensor,
    seed: tf.Tensor,
    *,
    patch_size: int,
    scale: int,
    **allowed: bool,
) -> dict[str, tf.Tensor]:
    """A patch of an example, cut out and turned as the seed says."""
    integers = tf.random.stateless_uniform(
        [augment.RANDOM_INTEGERS], seed=seed, maxval=augment.RANDOM_LIMIT, dtype=tf.int32
    )
    frames, side = lr.shape[:2]
    before = hr.shape[:-3]
    choice = augment.choose(integers, height=side, width=side, patch_size=patch_size, **allowed)
    lr, hr = augment.augment(lr, hr, choice, patch_size=patch_size, scale=scale, reverse=reverse)
    return {
        "lr": tf.ensure_shape(lr, [frames, patch_size, patch_size, 3]),
        "hr": tf.ensure_shape(hr, [*before, scale * patch_size, scale * patch_size, 3]),
    }


def reverse(tensor: tf.Tensor, axes: Sequence[tf.Tensor | bool]) -> tf.Tensor:
    """`augment.reverse` for tensors; strides of -1 would be several times slower."""
    return tf.raw_ops.Reverse(tensor=tensor, dims=tf.stack(axes))


def _open_split(records_dir: Path) -> tuple[Any, Any]:
    """The split "train" of a data set and its features, once its files are known to be there."""
    if not (records_dir / "dataset_info.json").is_file():
        raise ValueError(f"no data set in {str(records_dir)!r}: it has no dataset_info.json")
    try:
        builder = tfds.builder_from_directory(str(records_dir))
    except Exception as error:  # tfds raises many kinds for a damaged schema
        raise ValueError(
            f"the data set in {str(records_dir)!r} cannot be read "
            f"({str(error).splitlines()[0]}); prepare the data again"
        ) from error
    split = builder.info.splits.get("train")
    if split is None or not split.num_examples:
        raise ValueError(f"the data set in {str(records_dir)!r} has no training records")
    missing = [str(path) for path in split.filepaths if not Path(path).is_file()]
    if missing:
        raise ValueError(
            f"the data set in {str(records_dir)!r} lacks {len(missing)} of its "
            f"{len(split.filepaths)} files, first {missing[0]!r}"
        )
    return split, builder.info.features


def _fold_in(seed: int, stream: int, index: tf.Tensor) -> tf.Tensor:
    """A seed for one index of one stream; both words matter, the first alone is `seed`'s."""
    return tf.random.fold_in(tf.constant([seed, stream], tf.int64), index)


def _mixed(files: list[str], lengths: list[int], order: tf.Tensor) -> tf.data.Dataset:
    """The records of all files, drawn in proportion to their lengths.

    A shard holds one clip. So all of them last the epoch, and no stretch of it shows some only.
    """
    shard_of_each = np.repeat(np.arange(len(files), dtype=np.int64), lengths)
    return tf.data.Dataset.choose_from_datasets(
        [tf.data.TFRecordDataset(file) for file in files],
        tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(shard_of_each, order)
        ),
        stop_on_empty_dataset=False,
    )


def _positioned_records(
    split: Any, *, seed: int, first_record: int, shuffle_buffer: int
) -> tf.data.Dataset:
    """(position in the stream, serialized record) from `first_record` on, for ever."""
    count = split.num_examples
    files = [str(path) for path in split.filepaths]
    groups = -(-len(files) // _OPEN_SHARDS)
    first_epoch, within = divmod(first_record, count)

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        order = _fold_in(seed, _ORDER, epoch)
        records = _mixed(files[::groups], split.shard_lengths[::groups], order)
        for i in range(1, groups):
            part = _mixed(files[i::groups], split.shard_lengths[i::groups], order)
            records = records.concatenate(part)
        # A shard cut at a record's border reads without error; this notices.
        records = records.apply(tf.data.experimental.assert_cardinality(count))
        shuffle_seed = tf.random.stateless_uniform([], order, None, None, dtype=tf.int64)
        records = records.shuffle(
            min(shuffle_buffer, count), seed=shuffle_seed, reshuffle_each_iteration=False
        )
        return records.skip(tf.where(epoch == first_epoch, tf.cast(within, tf.int64), 0))

    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(epoch_records).enumerate(start=first_record)


def _options(num_threads: int) -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    return options


def _numpy_batches(dataset: tf.data.Dataset, split: Any) -> Iterator[dict[str, np.ndarray]]:
    # Named before the loop: a generator left open is closed after the interpreter drops `tf`.
    damage = (tf.errors.DataLossError, tf.errors.FailedPreconditionError)
    try:
        yield from dataset.as_numpy_iterator()
    except damage as error:
        raise ValueError(_damage(split, error)) from error


def _damage(split: Any, error: Exception) -> str:
    """What is wrong with the records: tf.data's message names no file, so each is read again."""
    for path, expected in zip(split.filepaths, split.shard_lengths, strict=True):
        found = 0
        try:
            for _ in tf.data.TFRecordDataset(str(path)):
                found += 1
        except tf.errors.DataLossError:
            return f"record {found} of {str(path)!r} is damaged; prepare the data again"
        if found != expected:
            return f"{str(path)!r} has {found} records, its dataset_info.json says {expected}"
    return f"the records cannot be read: {str(error).splitlines()[0]}"
