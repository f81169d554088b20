"""Training video from photographs: the camera pans, zooms and shakes over each of them.

    python -m data_prep.photographs PHOTOGRAPH_OR_FOLDER.. --out FOLDER

Photographs are sharper and richer in texture than most film that may be had. Each gives a few
lossless videos, on which the other commands of data_prep work as on any other video.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_prep import folder
from data_prep.clips import parse_size
from data_prep.jobs import run_jobs
from supervegan_jax.command_line import Parser, run
from supervegan_jax.video.writer import LosslessWriter

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")  # what Pillow turns into RGB rightly
_TIFF_BITS_PER_SAMPLE = 258  # 12 where Pillow says 16

# How often a move has none of a motion: real cameras stand still, too.
_NO_PAN, _NO_SHAKE, _NO_ZOOM = 0.25, 0.35, 0.5
_SHAKE_HERTZ = (0.4, 5.0)
_SHAKE_WAVES = 4


@dataclasses.dataclass(frozen=True)
class MoveOptions:
    """What the videos depend on.

    Attributes:
      moves: videos of each photograph.
      seconds: of each video, at most an hour.
      fps: frames per second.
      size: width and height, both even.
      seed: of the random paths.
    """

    moves: int = 2
    seconds: float = 4.0
    fps: int = 30
    size: tuple[int, int] = (1280, 720)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("moves", "fps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1")
        if not 0 < self.seconds <= 3600:  # so that NaN is refused, too
            raise ValueError(f"seconds {self.seconds:g}: must be above 0, at most 3600")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: must be at least 0")
        if min(self.size) < 2 or self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"size {self.size[0]}x{self.size[1]}: both must be even")

    @property
    def frame_count(self) -> int:
        """Frames of each video."""
        return max(1, round(self.seconds * self.fps))


@dataclasses.dataclass(frozen=True)
class Path2D:
    """Where the camera looks, frame by frame.

    Attributes:
      zoom: photograph pixels a video pixel, [frames], at least 1 so that nothing is enlarged.
      centre: (x, y) in the photograph's pixels, [frames, 2].
      angle: in degrees, [frames].
    """

    zoom: np.ndarray
    centre: np.ndarray
    angle: np.ndarray


def plan_move(
    photograph: tuple[int, int], options: MoveOptions, rng: np.random.Generator
) -> Path2D:
    """Draws a path whose view stays within the photograph.

    Args:
      photograph: its width and height in pixels.
      options: of the videos.
      rng: decides.

    Raises:
      ValueError: the photograph is smaller than the video.
    """
    whole, size = np.array(photograph, float), np.array(options.size, float)
    widest = float((whole / size).min())
    if widest < 1:
        raise ValueError(
            f"{photograph[0]}x{photograph[1]} is smaller than the video's "
            f"{options.size[0]}x{options.size[1]}"
        )
    count = options.frame_count
    time = np.arange(count) / options.fps
    ends = np.exp(rng.uniform(0.0, np.log(widest), 2))
    if rng.random() < _NO_ZOOM:
        ends[1] = ends[0]
    zoom = np.geomspace(ends[0], np.clip(ends[1], ends[0] / 1.2, ends[0] * 1.2), count)
    shake = np.stack([_shake(time, rng) for _ in range(2)], axis=-1)
    angle = 0.05 * _shake(time, rng)

    # The turned view's half extents, in photograph pixels.
    turn = np.radians(np.abs(angle))[:, None]
    half = (size * np.cos(turn) + size[::-1] * np.sin(turn)) / 2 * zoom[:, None]
    room = np.maximum(whole / 2 - half, 0)
    pan = np.exp(rng.uniform(np.log(0.1), np.log(8.0))) * (rng.random() >= _NO_PAN)
    direction = rng.uniform(0, 2 * np.pi)
    velocity = pan * zoom.mean() * np.array([np.cos(direction), np.sin(direction)])
    length = np.minimum(np.abs(velocity) * (count - 1), 2 * room.min(axis=0)) * np.sign(velocity)
    slack = room.min(axis=0) - np.abs(length) / 2
    middle = whole / 2 + rng.uniform(-1, 1, 2) * slack
    centre = middle + np.linspace(-0.5, 0.5, count)[:, None] * length + shake * zoom[:, None]
    return Path2D(zoom, np.clip(centre, whole / 2 - room, whole / 2 + room), angle)


def _shake(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand's unsteadiness in video pixels: some waves, slower ones larger."""
    strength = np.exp(rng.uniform(np.log(0.2), np.log(6.0))) * (rng.random() >= _NO_SHAKE)
    slowest, fastest = _SHAKE_HERTZ
    hertz = slowest * (fastest / slowest) ** rng.random(_SHAKE_WAVES)[:, None]
    phase = rng.uniform(0, 2 * np.pi, _SHAKE_WAVES)[:, None]
    waves = np.sin(2 * np.pi * hertz * time + phase) * slowest / hertz
    return strength * waves.sum(axis=0)


def render(photograph: np.ndarray, path: Path2D, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames of a path.

    Args:
      photograph: uint8 [h, w, 3], RGB.
      path: where the camera looks.
      size: width and height of the frames.

    Yields:
      uint8 [size[1], size[0], 3].
    """
    # Most of the reduction is done once, by area; the rest with the motion, bicubically.
    once = max(1.0, float(path.zoom.min()))
    height, width = photograph.shape[:2]
    reduced_size = round(width / once), round(height / once)
    reduced = cv2.resize(photograph, reduced_size, interpolation=cv2.INTER_AREA)
    ratio = np.array(reduced_size) / (width, height)
    for zoom, centre, angle in zip(path.zoom, path.centre, path.angle, strict=True):
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turned = np.array([[cosine, -sine], [sine, cosine]]) * zoom * ratio[:, None]
        # From a video pixel's centre to the reduced photograph's; pixel 0 has its centre at 0.5.
        shift = centre * ratio - turned @ (np.array(size) / 2 - 0.5) - 0.5
        yield cv2.warpAffine(
            reduced,
            np.column_stack([turned, shift]),
            size,
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )


def film_photographs(
    photographs: Sequence[str | Path],
    out: str | Path,
    options: MoveOptions | None = None,
    *,
    jobs: int | None = None,
) -> list[Path]:
    """Writes `options.moves` videos of each photograph to OUT; what is there already is kept.

    Args:
      photographs: files, and folders that are searched through.
      out: the folder to write to.
      options: as in the run that began this folder; None are the defaults.
      jobs: videos at a time; None takes the number of cores.

    Returns:
      The videos, `NAME-HASH-MOVE.mkv`, the hash of the photograph's file.

    Raises:
      ValueError: not a photograph or an empty name, or one smaller than the video.
      OSError: the folder cannot be written.
    """
    options, out = options or MoveOptions(), Path(out)
    files = _find(folder.named_paths(photographs))
    for file in files.values():
        height, width = read_photograph(file).shape[:2]
        try:
            plan_move((width, height), options, np.random.default_rng(0))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    with folder.locked(out):
        begun = dataclasses.asdict(options)
        folder.begin(out / "photographs.options.json", begun, results=["*.mkv"])
        tasks = [
            (file, digest, move, out, options)
            for digest, file in files.items()
            for move in range(options.moves)
        ]
        return run_jobs(_film, tasks, jobs=jobs, title="photographs")


def _find(paths: Sequence[Path]) -> dict[str, Path]:
    """The photographs by SHA-256, each once."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*")) if file.is_file()]
            known = Image.registered_extensions()
            files += [file for file in inside if file.suffix.lower() in known]
        elif path.exists():
            files.append(path)
        else:
            raise ValueError(f"no such file or folder: {path}")
    if not files:
        raise ValueError("no photographs: " + (", ".join(map(str, paths)) or "none was named"))
    found: dict[str, Path] = {}
    for path in files:
        with open(path, "rb") as file:
            found.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), path)
    return found


def read_photograph(path: Path) -> np.ndarray:
    """Reads a photograph and turns it as the camera was held; colour profiles are not applied.

    Returns:
      uint8 [h, w, 3], RGB.

    Raises:
      ValueError: no photograph, a damaged or transparent one, or samples of another kind.
    """
    try:
        with Image.open(path) as image:
            bits = max(getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, (16,)))
            # Pillow reads a PGM of more than 8 bits as integers up to 65535.
            deep = image.mode.startswith("I;16") or (image.format, image.mode) == ("PPM", "I")
            photograph = ImageOps.exif_transpose(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise ValueError(f"{path} is no photograph that can be read ({error})") from None
    if deep:
        # Pillow's own conversion cuts off what is above 255.
        codes, top = np.asarray(photograph).astype(np.uint32), 2**bits - 1
        photograph = Image.fromarray(((255 * codes + top // 2) // top).astype(np.uint8))
    elif photograph.mode not in _MODES:
        raise ValueError(
            f"{path} is of Pillow's mode {photograph.mode}; accepted are gray of 8 or 16 bits and "
            f"{', '.join(_MODES)}"
        )
    if photograph.has_transparency_data:
        photograph = photograph.convert("RGBA")
        if photograph.getchannel("A").getextrema() != (255, 255):
            raise ValueError(f"{path} is transparent in places; put it on a background first")
    return np.asarray(photograph.convert("RGB"))


def _film(task: tuple[Path, str, int, Path, MoveOptions]) -> Path:
    photograph, digest, move, out, options = task
    video = out / f"{photograph.stem}-{digest[:8]}-{move}.mkv"
    if video.exists():
        return video
    image = read_photograph(photograph)
    rng = np.random.default_rng([options.seed, move, int(digest, 16)])
    path = plan_move((image.shape[1], image.shape[0]), options, rng)
    width, height = options.size
    with LosslessWriter(
        video, width=width, height=height, fps=Fraction(options.fps), pixel_format="rgb24"
    ) as writer:
        for frame in render(image, path, options.size):
            writer.write(frame)
    return video


def main() -> None:
    """The command."""
    default = MoveOptions()
    parser = Parser("data_prep.photographs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photographs", nargs="+", help="picture files, or folders to search")
    parser.add_argument("--out", required=True, type=Path, help="folder to write to")
    parser.add_argument("--moves", type=int, default=default.moves, help="videos of each")
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--fps", type=int, default=default.fps)
    parser.add_argument("--size", type=parse_size, default=default.size, metavar="1280x720")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--jobs", type=int, help="videos at a time (default: the cores)")
    arguments = parser.parse_args()
    names = [field.name for field in dataclasses.fields(MoveOptions)]
    options = MoveOptions(**{name: getattr(arguments, name) for name in names})
    videos = film_photographs(arguments.photographs, arguments.out, options, jobs=arguments.jobs)
    print(f"{len(videos)} videos of {options.seconds:g} s in {arguments.out}")


if __name__ == "__main__":
    run(main)
