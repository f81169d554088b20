"""Reads a folder of records back, counts and checks them, and draws a contact sheet.

python -m data_prep.check_records RECORDS --sheet sheet.png
"""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from supervegan_jax.command_line import Parser, run
from supervegan_jax.data import records as schema
from supervegan_jax.data.records import Preparation, read_preparation
from supervegan_jax.evaluation.results import check_outputs
from supervegan_jax.video.writer import temporary_name

_MARGIN = 4  # pixels between the pictures of a contact sheet


@dataclasses.dataclass(frozen=True)
class Summary:
    """What was found in a folder of records.

    Attributes:
      preparation: its preparation.json.
      count: records, each of which was read, its checksum and shapes included.
      shards: files.
      per_clip: records of each clip.
      psnr: of the bicubically enlarged centre frames against the ground truth, in dB: the mean
        over `psnr_count` records spread over the set, all three channels of every pixel.
      psnr_count: records measured.
    """

    preparation: Preparation
    count: int
    shards: int
    per_clip: dict[str, int]
    psnr: float
    psnr_count: int


def check_records(records: str | Path) -> Summary:
    """Reads every record through tensorflow-datasets.

    Raises:
      ValueError: no folder of records; a damaged, short or missing file, by its name; a record
        that does not fit preparation.json.
    """
    preparation = read_preparation(records)
    split = _open(preparation)
    step = max(1, split.num_examples // 64)
    per_clip: collections.Counter[str] = collections.Counter()
    quality = []
    bar = tqdm(total=split.num_examples, desc="check", disable=None, leave=False)
    with bar:
        for index, example in enumerate(_examples(preparation, split)):
            clip_id = example["clip_id"].decode()
            _check_place(preparation, example, clip_id)
            per_clip[clip_id] += 1
            if index % step == 0:
                enlarged, truth = _pair(preparation, example)
                error = np.square(enlarged.astype(float) - truth).mean()
                quality.append(10 * np.log10(255**2 / max(error, 1e-3)))
            bar.update()
    expected = {clip["clip_id"]: clip["patches"] for clip in preparation.clips if clip["patches"]}
    if per_clip != expected:
        raise ValueError(f"{records} holds {dict(per_clip)} records, its preparation {expected}")
    return Summary(
        preparation=preparation,
        count=per_clip.total(),
        shards=len(split.filepaths),
        per_clip=dict(per_clip),
        psnr=float(np.mean(quality)),
        psnr_count=len(quality),
    )


def draw_contact_sheet(
    records: str | Path, path: str | Path, *, count: int = 12, columns: int = 3
) -> None:
    """Writes a PNG of pairs: bicubically enlarged input frame left, ground truth right.

    Args:
      records: folder of records.
      path: the PNG to write.
      count: records, evenly spread over the set.
      columns: pairs in a row.

    Raises:
      ValueError: no folder of records, a damaged one, or no pair asked for.
    """
    if count < 1 or columns < 1:
        raise ValueError(f"count {count} and columns {columns} must be at least 1")
    preparation = read_preparation(records)
    split = _open(preparation)
    count = min(count, split.num_examples)
    wanted = {round(i) for i in np.linspace(0, split.num_examples - 1, count)}
    pairs = [
        _pair(preparation, example)
        for index, example in enumerate(_examples(preparation, split))
        if index in wanted
    ]
    side = preparation.patch_size * preparation.scale
    rows = -(-len(pairs) // columns)
    width, height = 2 * side + 2 * _MARGIN, side + _MARGIN
    sheet = Image.new("RGB", (columns * width + _MARGIN, rows * height + _MARGIN), "white")
    for index, (enlarged, truth) in enumerate(pairs):
        left = index % columns * width + _MARGIN
        top = index // columns * height + _MARGIN
        sheet.paste(Image.fromarray(enlarged), (left, top))
        sheet.paste(Image.fromarray(truth), (left + side + _MARGIN // 2, top))
    temporary = temporary_name(Path(path))
    try:
        sheet.save(temporary, "PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _pair(preparation: Preparation, example: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The first input frame with ground truth, enlarged, and that: uint8 [r*p, r*p, 3] each."""
    window, hr = preparation.window, example["hr"]
    enlarged = _enlarge(example["lr"][window.reach], preparation.scale)
    return enlarged, hr if window.truths == 1 else hr[0]


def _enlarge(frame: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic enlargement (Pillow's) of one uint8 frame [p, p, 3] by `scale`."""
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))


def _open(preparation: Preparation) -> Any:
    """The split "train", once its files and its schema are what they should be."""
    _, tfds = schema.load_tensorflow()
    directory = preparation.directory
    try:
        builder = tfds.builder_from_directory(str(directory))
        split = builder.info.splits["train"]
    except Exception as error:  # tfds raises many kinds for a damaged schema
        raise ValueError(f"the data set at {directory} cannot be opened: {error}") from None
    features, wanted = (
        builder.info.features,
        schema.features(preparation.scale, preparation.patch_size, preparation.window),
    )
    for name in ("lr", "hr"):
        if features[name].shape != wanted[name].shape:
            raise ValueError(
                f"{directory}: {name} is {list(features[name].shape)}, its preparation says "
                f"{list(wanted[name].shape)}"
            )
    if split.num_examples != preparation.patch_count:
        raise ValueError(
            f"{directory} has {split.num_examples} records, its preparation says "
            f"{preparation.patch_count}"
        )
    for path in split.filepaths:
        if not Path(path).is_file():
            raise ValueError(f"{path} is missing")
    return split


def _examples(preparation: Preparation, split: Any) -> Iterator[dict[str, Any]]:
    """Every record as NumPy arrays, file by file so that a damaged one can be named."""
    tf, tfds = schema.load_tensorflow()
    builder = tfds.builder_from_directory(str(preparation.directory))
    for index, (path, length) in enumerate(zip(split.filepaths, split.shard_lengths, strict=True)):
        one_file = tfds.core.ReadInstruction("train", from_=index, to=index + 1, unit="shard")
        found = 0
        try:
            for example in builder.as_dataset(split=one_file).as_numpy_iterator():
                yield example
                found += 1
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
            raise ValueError(f"record {found} of {path} is damaged") from None
        except tf.errors.FailedPreconditionError:
            raise ValueError(f"{path} has {found} records, must have {length}") from None
        if found != length:
            raise ValueError(f"{path} has {found} records, must have {length}")


def _check_place(preparation: Preparation, example: dict[str, Any], clip_id: str) -> None:
    clips = {clip["clip_id"]: clip for clip in preparation.clips}
    if clip_id not in clips:
        raise ValueError(f"a record names the clip {clip_id}, which was not prepared")
    clip = clips[clip_id]
    first, last = clip["train_frames"]
    # Every frame of the window, not its middle alone, must be one to train on.
    frames = preparation.window.inputs(int(example["frame"]), clip["frame_count"])
    if not first <= min(frames) <= max(frames) < last:
        raise ValueError(f"a record of {clip_id} shows frame {example['frame']}, held out")


def main() -> None:
    """The command."""
    parser = Parser("data_prep.check_records", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="contact sheet to draw")
    parser.add_argument("--count", type=int, default=12, help="pairs on the sheet")
    arguments = parser.parse_args()
    if arguments.count < 1:
        raise ValueError(f"--count {arguments.count}; at least 1 is accepted")
    if arguments.sheet is not None:
        check_outputs([arguments.sheet], [])
    summary = check_records(arguments.records)
    preparation = summary.preparation
    size = preparation.patch_size
    rates = ", ".join(map(str, preparation.bitrate_kbps))
    print(
        f"{summary.count} records in {summary.shards} file(s), all readable: scale "
        f"{preparation.scale}, input {preparation.frames}x{size}x{size}, codecs "
        f"{', '.join(preparation.codecs)}, {rates} kbit/s"
    )
    for clip in preparation.clips:
        rates = ", ".join(
            f"{e['codec']} {e['measured_kbps']:.0f}/{e['target_kbps']}" for e in clip["encodes"]
        )
        print(f"  {clip['clip_id']}: {clip['patches']} records; kbit/s measured/target: {rates}")
    print(
        f"held out: {sum(e['frame_count'] for e in preparation.validation)} frames in "
        f"{len(preparation.validation)} part(s)"
    )
    print(f"bicubic input: PSNR {summary.psnr:.2f} dB over {summary.psnr_count} records (RGB)")
    if arguments.sheet is not None:
        draw_contact_sheet(arguments.records, arguments.sheet, count=arguments.count)
        print(f"contact sheet: {arguments.sheet}")


if __name__ == "__main__":
    run(main)
