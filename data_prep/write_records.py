"""TFRecords from clips and their encodes: patches of input frames with their ground truth.

    python -m data_prep.write_records DATA --records RECORDS --scale 4 --patches 25000

The folder becomes a tensorflow-datasets data set: `tfds.builder_from_directory(RECORDS)`.
"""

import argparse
import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from data_prep import degrade, folder, holdout, patches
from data_prep.folder import Clip, ClipEncode
from data_prep.jobs import run_jobs
from supervegan_jax.command_line import run
from supervegan_jax.data import records as schema
from supervegan_jax.data.records import Window, encode_path
from supervegan_jax.video.encoder import CODECS

PEAK_FRAMES = 3  # of a record: the peak before, the frame with its ground truth, the peak after


@dataclasses.dataclass(frozen=True)
class RecordOptions:
    """What the records depend on beside the clips.

    Attributes:
      scale: r, 4, 2 or 1.
      bitrates_kbps: target bitrates of the inputs, in kbit/s.
      codecs: of the inputs; each patch comes from one codec and bitrate, drawn at random.
      patch_size: p, side of the input patches in pixels.
      patches: records to write.
      frames: input frames of a record.
      truths: of which so many in the middle come with their ground truth.
      peaks: the input frames are the peak frame before, the frame and the peak frame after, by
        their true quality, in place of frames in a row.
      holdout_tail: last part of every clip to hold out, see `holdout.divide`.
      holdout: patterns of ids or source names of clips to hold out whole.
      weights: pattern -> how often frames of those clips are drawn, 1 being the rule.
      seed: of the drawing.
    """

    scale: int = 4
    bitrates_kbps: tuple[int, ...] = (250,)
    codecs: tuple[str, ...] = ("h264",)
    patch_size: int = 96
    patches: int = 25_000
    frames: int = 5
    truths: int = 1
    peaks: bool = False
    holdout_tail: str | float | None = None
    holdout: tuple[str, ...] = ()
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0

    @property
    def window(self) -> Window:
        """The frames of a record."""
        return Window(self.frames, self.truths)


def write_records(
    data: str | Path,
    records: str | Path,
    options: RecordOptions,
    *,
    clips: Sequence[str] | None = None,
    jobs: int | None = None,
) -> Path:
    """Writes a data set of training patches; clips already written are kept.

    Args:
      data: folder of clips and encodes; held-out frames also need the plain H.264 encodes.
      records: the folder to write; may lie inside `data`.
      options: as in the run that began this folder.
      clips: ids to take; None is all.
      jobs: clips at a time, each in its own process; None takes the number of cores.

    Returns:
      `records`.

    Raises:
      ValueError: an option not accepted or not the one the folder was begun with, a clip smaller
        than a patch, an encode missing, or videos that do not belong together.
      OSError: the folder cannot be written.
    """
    data, records = Path(data), Path(records)
    check_options(options)
    chosen = [clip for clip in folder.read_clips(data) if clips is None or clip.clip_id in clips]
    holdout.check_patterns(chosen, options.holdout, "holdout")
    holdout.check_patterns(chosen, tuple(options.weights), "weight")
    divided = _divide(chosen, options)
    counts = holdout.apportion(
        options.patches, chosen, [d.firsts[1] - d.firsts[0] for d in divided], options.weights
    )
    encodes = [_inputs(data, clip, options) for clip in chosen]
    validation = [
        entry
        for clip, inputs, frames in zip(chosen, encodes, divided, strict=True)
        for entry in _validation(data, records, clip, inputs, frames)
    ]
    tasks = [
        patches.ClipTask(
            clip=clip,
            encodes=inputs,
            data=data,
            part=records / "parts" / clip.clip_id,
            scale=options.scale,
            patch_size=options.patch_size,
            seed=options.seed,
            window=options.window,
            count=count,
            firsts=frames.firsts,
            peaks_of=frames.train if options.peaks else None,
        )
        for clip, inputs, frames, count in zip(chosen, encodes, divided, counts, strict=True)
    ]
    with folder.locked(records):
        begun = dataclasses.asdict(options) | {"clips": [clip.clip_id for clip in chosen]}
        if not options.peaks:  # as in folders from before there were any
            del begun["peaks"]
        folder.begin(records / "options.json", begun)
        if not (records / schema.FILE_NAME).exists():
            busy = [task for task in tasks if task.count]
            run_jobs(patches.write_part, busy, jobs=jobs, title="records", in_processes=True)
            _assemble(records, busy, options)
            content = _preparation(data, records, tasks, divided, validation, options)
            folder.write_json(records / schema.FILE_NAME, content)
        shutil.rmtree(records / "parts", ignore_errors=True)
    return records


def check_options(options: RecordOptions) -> None:
    """Raises `ValueError` for an option that is not accepted, before any work is done."""
    degrade.check_encoding(options.scale, options.bitrates_kbps, options.codecs)
    for name in ("patch_size", "patches"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} {getattr(options, name)}: must be at least 1")
    options.window.check()
    if options.peaks and options.window != Window(PEAK_FRAMES):
        found = f"{options.frames} and {options.truths}"
        raise ValueError(
            f"records of peak frames have 3 frames, 1 of them with ground truth; not {found}"
        )
    holdout.tail_frames(options.holdout_tail, 1, Fraction(1))


def _divide(clips: Sequence[Clip], options: RecordOptions) -> list[holdout.Frames]:
    return [
        holdout.divide(clip, options.holdout_tail, options.holdout, options.window)
        for clip in clips
    ]


def clips_with_holdout(data: Path, clips: Sequence[str], options: RecordOptions) -> list[str]:
    """The ids, among `clips`, of those with held-out frames."""
    chosen = [clip for clip in folder.read_clips(data) if clip.clip_id in clips]
    return [
        clip.clip_id
        for clip, frames in zip(chosen, _divide(chosen, options), strict=True)
        if frames.validation[0] < frames.validation[1]
    ]


def _inputs(data: Path, clip: Clip, options: RecordOptions) -> tuple[ClipEncode, ...]:
    """The encodes of one clip that patches are drawn from."""
    p, r = options.patch_size, options.scale
    if min(clip.width, clip.height) < p * r:
        raise ValueError(
            f"clip {clip.clip_id} is {clip.width}x{clip.height}, {clip.width // r}x"
            f"{clip.height // r} at scale {r}: smaller than a patch of {p}x{p}"
        )
    if clip.frame_count < options.frames:
        raise ValueError(
            f"clip {clip.clip_id} has {clip.frame_count} frames, fewer than {options.frames}"
        )
    return tuple(
        _require(data, clip, codec, kbps, r)
        for codec in dict.fromkeys(options.codecs)
        for kbps in dict.fromkeys(options.bitrates_kbps)
    )


def _require(data: Path, clip: Clip, codec: str, kbps: int, scale: int) -> ClipEncode:
    encode = folder.read_encode(data, clip.clip_id, codec, kbps, scale)
    if encode is None:
        raise ValueError(
            f"clip {clip.clip_id} has no {codec} encode of {kbps} kbit/s at scale {scale}; make it "
            f"with python -m data_prep.degrade {data} --scale {scale} --bitrate-kbps {kbps} "
            f"--codecs {codec}"
        )
    if encode.frame_count != clip.frame_count:
        raise ValueError(
            f"{encode_path(data, clip.clip_id, codec, kbps, scale)} has "
            f"{encode.frame_count} frames, the clip has {clip.frame_count}"
        )
    return encode


def _validation(
    data: Path,
    records: Path,
    clip: Clip,
    inputs: Sequence[ClipEncode],
    frames: holdout.Frames,
) -> list[dict[str, Any]]:
    """One entry of preparation.json for each input of a clip with held-out frames."""
    first, last = frames.validation
    if first == last:
        return []

    def relative(path: Path) -> str:
        return Path(os.path.relpath(path.resolve(), records.resolve())).as_posix()

    entries = []
    for e in inputs:
        plain = _require(data, clip, "h264", e.target_kbps, 1)
        paths = [
            encode_path(data, clip.clip_id, each.codec, each.target_kbps, each.scale)
            for each in (e, plain)
        ]
        entries.append(
            {
                "clip_id": clip.clip_id,
                "reference": relative(folder.clip_path(data, clip.clip_id)),
                "input": relative(paths[0]),
                "codec": relative(paths[1]),
                "first_frame": first,
                "frame_count": last - first,
                "fps": clip.fps,
                "target_kbps": e.target_kbps,
                "measured_kbps": e.measured_kbps,
                "codec_measured_kbps": plain.measured_kbps,
            }
        )
    return entries


def _assemble(records: Path, tasks: Sequence[patches.ClipTask], options: RecordOptions) -> None:
    """Moves the parts' shards into one data set; killed half-way, it goes on where it was."""
    _, tfds = schema.load_tensorflow()
    parts = [(task.part, folder.read_json(task.part / "part.json")) for task in tasks]
    shards = [part / name for part, content in parts for name in content["shards"]]
    lengths = [length for _, content in parts for length in content["lengths"]]
    template = tfds.core.ShardedFileTemplate(
        data_dir=records,
        dataset_name=schema.DATASET_NAME,
        split="train",
        filetype_suffix="tfrecord",
    )
    for index, shard in enumerate(shards):
        target = template.sharded_filepath(shard_index=index, num_shards=len(shards))
        if shard.exists():
            shard.replace(target)
        elif not os.path.exists(target):
            raise ValueError(f"{shard} is missing; remove {records} and start again")
    split = tfds.core.SplitInfo(
        name="train",
        shard_lengths=lengths,
        num_bytes=sum(content["bytes"] for _, content in parts),
        filename_template=template,
    )
    info = patches.dataset_info(records, options.scale, options.patch_size, options.window)
    info.set_file_format("tfrecord")
    info.set_splits(tfds.core.SplitDict([split]))
    info.write_to_directory(records)


def _preparation(
    data: Path,
    records: Path,
    tasks: Sequence[patches.ClipTask],
    divided: Sequence[holdout.Frames],
    validation: Sequence[dict[str, Any]],
    options: RecordOptions,
) -> dict[str, Any]:
    clips = [
        dataclasses.asdict(task.clip)
        | {
            "encodes": [dataclasses.asdict(encode) for encode in task.encodes],
            "train_frames": list(frames.train),
            "patches": task.count,
        }
        for task, frames in zip(tasks, divided, strict=True)
    ]
    return {
        "version": schema.VERSION,
        "scale": options.scale,
        "patch_size": options.patch_size,
        "frames": options.frames,
        "truths": options.truths,
        "peaks": options.peaks,
        "bitrate_kbps": list(options.bitrates_kbps),
        "codecs": list(options.codecs),
        "seed": options.seed,
        "patch_count": options.patches,
        "data": Path(os.path.relpath(data.resolve(), records.resolve())).as_posix(),
        "clips": clips,
        "validation": list(validation),
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `RecordOptions` to a command."""
    default = RecordOptions()
    parser.add_argument("--scale", type=int, choices=degrade.SCALES, default=default.scale)
    parser.add_argument(
        "--bitrate-kbps",
        dest="bitrates",
        type=int,
        nargs="+",
        default=default.bitrates_kbps,
        metavar="KBPS",
    )
    parser.add_argument("--codecs", nargs="+", default=default.codecs, choices=list(CODECS))
    parser.add_argument("--patch-size", type=int, default=default.patch_size, help="input pixels")
    parser.add_argument("--patches", type=int, default=default.patches, help="records to write")
    parser.add_argument(
        "--frames",
        type=int,
        help=f"input frames of a record (default: {default.frames}, {PEAK_FRAMES} with --peaks)",
    )
    parser.add_argument(
        "--truths", type=int, default=default.truths, help="how many of them have ground truth"
    )
    parser.add_argument(
        "--peaks", action="store_true", help="they are a frame and the peak frames around it"
    )
    parser.add_argument(
        "--holdout-tail",
        metavar="PART",
        help="hold out the last part of every clip: 0.2 or 20%% of it, or 1.5s",
    )
    parser.add_argument(
        "--holdout", action="append", default=[], metavar="GLOB", help="hold out whole clips"
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="GLOB=W",
        help="draw frames of these clips W times as often",
    )
    parser.add_argument("--seed", type=int, default=default.seed)


def read_options(arguments: argparse.Namespace) -> RecordOptions:
    """The options that `add_options` added, as the user set them.

    Raises:
      ValueError: a weight that is no GLOB=W.
    """
    weights = {}
    for text in arguments.weight:
        pattern, equals, value = text.rpartition("=")
        try:
            weights[pattern] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--weight {text!r}: must look like GLOB=0.5")
    usual = PEAK_FRAMES if arguments.peaks else RecordOptions.frames
    return RecordOptions(
        scale=arguments.scale,
        bitrates_kbps=tuple(arguments.bitrates),
        codecs=tuple(arguments.codecs),
        patch_size=arguments.patch_size,
        patches=arguments.patches,
        frames=usual if arguments.frames is None else arguments.frames,
        truths=arguments.truths,
        peaks=arguments.peaks,
        holdout_tail=arguments.holdout_tail,
        holdout=tuple(arguments.holdout),
        weights=weights,
        seed=arguments.seed,
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        "data_prep.write_records", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("data", type=Path, help="folder with clips/ and encodes/")
    parser.add_argument("--records", required=True, type=Path, help="folder to write to")
    add_options(parser)
    parser.add_argument("--jobs", type=int, help="clips at a time (default: the cores)")
    arguments = parser.parse_args()
    options = read_options(arguments)
    write_records(arguments.data, arguments.records, options, jobs=arguments.jobs)
    print(f"{options.patches} records in {arguments.records}")


if __name__ == "__main__":
    run(main)
