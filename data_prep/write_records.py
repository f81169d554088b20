"""TFRecords from clips and their encodes: patches of input frames with their ground truth.

    python -m data_prep.write_records DATA --records RECORDS --scale 4 --patches 25000

The folder becomes a tensorflow-datasets data set: `tfds.builder_from_directory(RECORDS)`.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_prep import folder, holdout, patches
from data_prep.folder import Clip, ClipEncode
from data_prep.jobs import run_jobs
from data_prep.record_options import (
    RecordOptions,
    add_options,
    check_options,
    read_options,
)
from supervegan_jax.command_line import Parser, run
from supervegan_jax.data import records as schema
from supervegan_jax.data.records import encode_path


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
    shares = share_out(data, options, clips)
    encodes = [_inputs(data, share.clip, options) for share in shares]
    validation = [
        entry
        for share, inputs in zip(shares, encodes, strict=True)
        for entry in _validation(data, records, share, inputs)
    ]
    tasks = [
        patches.ClipTask(
            clip=share.clip,
            encodes=inputs,
            data=data,
            part=records / "parts" / share.clip.clip_id,
            scale=options.scale,
            patch_size=options.patch_size,
            seed=options.seed,
            window=options.window,
            count=share.patches,
            firsts=share.frames.firsts,
            peaks_of=share.frames.train if options.peaks else None,
        )
        for share, inputs in zip(shares, encodes, strict=True)
    ]
    with folder.locked(records):
        begun = dataclasses.asdict(options) | {"clips": [s.clip.clip_id for s in shares]}
        if not options.peaks:  # as in folders from before there were any
            del begun["peaks"]
        results = ["parts/*/part.json", schema.FILE_NAME]
        folder.begin(records / "options.json", begun, results=results)
        if not (records / schema.FILE_NAME).exists():
            busy = [task for task in tasks if task.count]
            run_jobs(patches.write_part, busy, jobs=jobs, title="records", in_processes=True)
            _assemble(records, busy, options)
            content = _preparation(data, records, tasks, shares, validation, options)
            folder.write_json(records / schema.FILE_NAME, content)
        shutil.rmtree(records / "parts", ignore_errors=True)
    return records


@dataclasses.dataclass(frozen=True)
class Share:
    """What one clip gives: the division of its frames, and how many patches."""

    clip: Clip
    frames: holdout.Frames
    patches: int


def share_out(
    data: Path, options: RecordOptions, clips: Sequence[str] | None = None
) -> list[Share]:
    """What each clip gives, by id, and all checks of clips and options that need no encode.

    Args:
      data: folder of clips.
      options: of the records.
      clips: ids to take; None is all.

    Raises:
      ValueError: a pattern that matches no clip, a clip smaller than a patch, one that has, or
        leaves to train on, fewer frames than a record, held-out frames that another clip of the
        same source trains on, or no clip to train on.
    """
    chosen = folder.read_clips(data, clips)
    holdout.check_patterns(chosen, options.holdout, "holdout")
    holdout.check_patterns(chosen, tuple(options.weights), "weight")
    for clip in chosen:
        _check_size(clip, options)
    divided = [
        holdout.divide(clip, options.holdout_tail, options.holdout, options.window)
        for clip in chosen
    ]
    holdout.check_sources(chosen, divided)
    counts = holdout.apportion(
        options.patches, chosen, [d.firsts[1] - d.firsts[0] for d in divided], options.weights
    )
    return list(map(Share, chosen, divided, counts))


def _check_size(clip: Clip, options: RecordOptions) -> None:
    p, r = options.patch_size, options.scale
    if min(clip.width, clip.height) < p * r:
        raise ValueError(
            f"clip {clip.clip_id} is {clip.width}x{clip.height}, {clip.width // r}x"
            f"{clip.height // r} at scale {r}: smaller than a patch of {p}x{p}"
        )


def _inputs(data: Path, clip: Clip, options: RecordOptions) -> tuple[ClipEncode, ...]:
    """The encodes of one clip that patches are drawn from."""
    return tuple(
        _require(data, clip, codec, kbps, options.scale)
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
    data: Path, records: Path, share: Share, inputs: Sequence[ClipEncode]
) -> list[dict[str, Any]]:
    """One entry of preparation.json for each input of a clip with held-out frames."""
    clip, frames = share.clip, share.frames
    if not frames.held_out:
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
                "first_frame": frames.validation[0],
                "frame_count": frames.held_out,
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
    shares: Sequence[Share],
    validation: Sequence[dict[str, Any]],
    options: RecordOptions,
) -> dict[str, Any]:
    clips = [
        dataclasses.asdict(task.clip)
        | {
            "encodes": [dataclasses.asdict(encode) for encode in task.encodes],
            "train_frames": list(share.frames.train),
            "patches": share.patches,
        }
        for task, share in zip(tasks, shares, strict=True)
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


def main() -> None:
    """The command."""
    parser = Parser("data_prep.write_records", description=(__doc__ or "").splitlines()[0])
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
