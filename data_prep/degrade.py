"""Low-bitrate inputs from clips: downsampled bilinearly, then encoded whole at a target bitrate.

python -m data_prep.degrade DATA --scale 4 --bitrate-kbps 250 --codecs h264 h265
python -m data_prep.degrade DATA --scale 1 --bitrate-kbps 250        the plain codec, for comparison
"""

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from data_prep import folder
from data_prep.folder import Clip, ClipEncode
from data_prep.jobs import run_jobs
from supervegan_jax.command_line import Parser, run
from supervegan_jax.data.records import encode_path
from supervegan_jax.video.encoder import CODECS, encode_at_bitrate

SCALES = (1, 2, 4)
TOLERANCE = 0.15  # of the target bitrate


def degrade(
    data: str | Path,
    *,
    scale: int,
    bitrates_kbps: Sequence[int],
    codecs: Sequence[str] = ("h264",),
    clips: Sequence[str] | None = None,
    jobs: int | None = None,
) -> list[ClipEncode]:
    """Encodes clips under DATA/encodes; what is there already is kept.

    Args:
      data: a folder that `clips.make_clips` filled.
      scale: width and height are divided by 4 or 2; 1 is the plain codec at full size.
      bitrates_kbps: targets in kbit/s.
      codecs: keys of `supervegan_jax.video.encoder.CODECS`.
      clips: ids to encode; None is all.
      jobs: encodes at a time; None takes the number of cores.

    Returns:
      The encodes of these clips. Those further than 15 % from their target are printed.

    Raises:
      ValueError: no clips, or an unknown scale, codec or clip.
      OSError: the folder cannot be written.
    """
    data = Path(data)
    check_encoding(scale, bitrates_kbps, codecs)
    chosen = folder.read_clips(data, clips)
    tasks = [
        (data, clip, codec, kbps, scale)
        for clip in chosen
        for codec in dict.fromkeys(codecs)
        for kbps in dict.fromkeys(bitrates_kbps)
    ]
    with folder.locked(data):
        for clip in chosen:
            folder.make_folder(data / "encodes" / clip.clip_id)
        encodes = run_jobs(_encode, tasks, jobs=jobs, title=f"encodes x{scale}")
    for encode in encodes:
        if encode.off_target:
            print(
                f"warning: {encode.clip_id} {encode.codec} x{scale}: {encode.measured_kbps:.0f} "
                f"kbit/s, {encode.measured_kbps / encode.target_kbps - 1:+.0%} of the target "
                f"{encode.target_kbps}"
            )
    return encodes


def check_encoding(scale: int, bitrates_kbps: Sequence[int], codecs: Sequence[str]) -> None:
    """Raises `ValueError` for a scale, bitrate or codec that is not accepted."""
    if scale not in SCALES:
        raise ValueError(f"scale {scale}: must be one of {', '.join(map(str, SCALES))}")
    for kbps in bitrates_kbps:
        if isinstance(kbps, bool) or not isinstance(kbps, int) or kbps < 1:
            raise ValueError(f"bitrate {kbps}: must be a whole number of kbit/s, at least 1")
    for codec in codecs:
        if codec not in CODECS:
            raise ValueError(f"codec {codec!r}: must be one of {', '.join(CODECS)}")
    if not bitrates_kbps or not codecs:
        raise ValueError("at least one bitrate and one codec are needed")


def _encode(task: tuple[Path, Clip, str, int, int]) -> ClipEncode:
    data, clip, codec, kbps, scale = task
    done = folder.read_encode(data, clip.clip_id, codec, kbps, scale)
    if done is not None:
        return done
    path = encode_path(data, clip.clip_id, codec, kbps, scale)
    result = encode_at_bitrate(
        folder.clip_path(data, clip.clip_id),
        path,
        codec=codec,
        bitrate_kbps=kbps,
        size=(clip.width // scale, clip.height // scale),
    )
    encode = ClipEncode(
        clip_id=clip.clip_id,
        codec=codec,
        scale=scale,
        target_kbps=kbps,
        measured_kbps=result.measured_kbps,
        off_target=abs(result.measured_kbps / kbps - 1) > TOLERANCE,
        frame_count=result.frame_count,
        width=result.width,
        height=result.height,
        command=result.command,
    )
    folder.write_json(path.with_suffix(".json"), dataclasses.asdict(encode))
    return encode


def main() -> None:
    """The command."""
    parser = Parser("data_prep.degrade", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with clips/")
    parser.add_argument("--scale", type=int, choices=SCALES, default=4)
    parser.add_argument(
        "--bitrate-kbps", dest="bitrates", type=int, nargs="+", default=[250], metavar="KBPS"
    )
    parser.add_argument("--codecs", nargs="+", default=["h264"], choices=list(CODECS))
    parser.add_argument("--clips", metavar="GLOB", default="*", help="ids of the clips to encode")
    parser.add_argument("--jobs", type=int, help="encodes at a time (default: the cores)")
    arguments = parser.parse_args()
    ids = [clip.clip_id for clip in folder.read_clips(arguments.data)]
    chosen = [clip_id for clip_id in ids if fnmatchcase(clip_id, arguments.clips)]
    if not chosen:
        raise ValueError(f"--clips {arguments.clips!r} matches no clip of {arguments.data}")
    encodes = degrade(
        arguments.data,
        scale=arguments.scale,
        bitrates_kbps=arguments.bitrates,
        codecs=arguments.codecs,
        clips=chosen,
        jobs=arguments.jobs,
    )
    for encode in encodes:
        print(
            f"{encode.clip_id} {encode.codec} x{encode.scale}: {encode.measured_kbps:.1f} kbit/s "
            f"(target {encode.target_kbps})"
        )


if __name__ == "__main__":
    run(main)
