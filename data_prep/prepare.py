"""From videos to training records in one go: clips, their encodes, patches.

    python -m data_prep.prepare VIDEO_OR_FOLDER.. --out DIR --patches 25000 --holdout-tail 0.1

Run again after an interruption, it goes on where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data_prep import clips, write_records
from data_prep.clips import ClipOptions
from data_prep.degrade import degrade
from data_prep.record_options import RecordOptions, add_options, check_options, read_options
from supervegan_jax.command_line import Parser, run


def prepare(
    videos: Iterable[str | Path],
    out: str | Path,
    *,
    scale: int = 4,
    bitrates_kbps: Sequence[int] = (250,),
    codecs: Sequence[str] = ("h264",),
    patch_size: int = 96,
    patches: int = 25_000,
    frames: int = 5,
    truths: int = 1,
    peaks: bool = False,
    holdout_tail: str | float | None = None,
    holdout: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    records: str | Path | None = None,
    clip_options: ClipOptions | None = None,
) -> Path:
    """Cuts videos into clips, encodes these at low bitrates and writes training records.

    Args:
      videos: files, and folders that are searched through; see `clips.make_clips`.
      out: folder of clips and encodes, and of the records unless `records` is given.
      scale: r, 4, 2 or 1.
      bitrates_kbps: target bitrates of the inputs, in kbit/s.
      codecs: of the inputs.
      patch_size: p, side of the input patches in pixels.
      patches: records to write.
      frames: input frames of a record.
      truths: of which so many in the middle come with their ground truth.
      peaks: whether the input frames are the peak frames around one; see `RecordOptions`.
      holdout_tail: last part of every clip to hold out, see `holdout.divide`.
      holdout: patterns of ids or source names of clips to hold out whole.
      weights: pattern -> how often frames of those clips are drawn, 1 being the rule.
      seed: of the drawing.
      jobs: tasks at a time; None takes the number of cores.
      records: folder of the records; None is `out`/records.
      clip_options: how clips are cut; None are the defaults.

    Returns:
      The folder of the records.

    Raises:
      ValueError: bad videos or options, or other options than the folder was begun with.
      OSError: the folder cannot be written.
    """
    options = RecordOptions(
        scale=scale,
        bitrates_kbps=tuple(bitrates_kbps),
        codecs=tuple(codecs),
        patch_size=patch_size,
        patches=patches,
        frames=frames,
        truths=truths,
        peaks=peaks,
        holdout_tail=holdout_tail,
        holdout=tuple(holdout),
        weights=dict(weights or {}),
        seed=seed,
    )
    out = Path(out)
    check_options(options)
    ids = [clip.clip_id for clip in clips.make_clips(videos, out, clip_options, jobs=jobs)]
    # Before the encodes: what does not suit the clips should not be told after an hour.
    shares = write_records.share_out(out, options, ids)
    degrade(out, scale=scale, bitrates_kbps=bitrates_kbps, codecs=codecs, clips=ids, jobs=jobs)
    held_out = [share.clip.clip_id for share in shares if share.frames.held_out]
    if held_out:
        degrade(out, scale=1, bitrates_kbps=bitrates_kbps, clips=held_out, jobs=jobs)
    target = out / "records" if records is None else records
    return write_records.write_records(out, target, options, clips=ids, jobs=jobs)


def main() -> None:
    """The command."""
    parser = Parser("data_prep.prepare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", help="video files, or folders to search")
    parser.add_argument("--out", required=True, type=Path, help="folder to write to")
    parser.add_argument("--records", type=Path, help="folder of the records (default: OUT/records)")
    add_options(parser)
    clips.add_options(parser)
    parser.add_argument("--jobs", type=int, help="tasks at a time (default: the cores)")
    arguments = parser.parse_args()
    options = read_options(arguments)
    records = prepare(
        arguments.videos,
        arguments.out,
        **vars(options),
        jobs=arguments.jobs,
        records=arguments.records,
        clip_options=clips.read_options(arguments),
    )
    print(f"{options.patches} records in {records}")


if __name__ == "__main__":
    run(main)
