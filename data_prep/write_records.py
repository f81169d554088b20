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
    chosen = folder.read_clips(data, clips)
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
        results = ["parts/*/part.json", schema.FILE_NAME]
        folder.begin(records / "options.json", begun, results=results)
        if not (records / schema.FILE_NAME).exists():
            busy = [task for task in tasks if task.count]
            run_jobs(patches.write_part, busy, jobs=jobs, title="records", in_processes=True)
            _assemble(records, busy, options)
            content = _preparation(data, records, tasks, divided, validation, options)
            folder.write_json(records / schema.FILE_NAME, content)
        shutil.rmtree(records / "parts", ignore_errors=True)
    return records


def _divide(clips: Sequence[Clip], options: RecordOptions) -> list[holdout.Frames]:
    return [
        holdout.divide(clip, options.holdout_tail, options.holdout, options.window)
        for clip in clips
    ]


def clips_with_holdout(data: Path, clips: Sequence[str], options: RecordOptions) -> list[str]:
    """The ids, among `clips`, of those with held-out frames."""
    chosen = folder.read_clips(data, clips)
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
