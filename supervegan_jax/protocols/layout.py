"""Finding a data set's files, and saying which of them are not there."""

from collections.abc import Sequence
from pathlib import Path

from supervegan_jax.evaluation.pairing import natural_order

VIDEOS = (".mkv", ".mp4", ".mov", ".y4m", ".webm", ".avi")
PICTURES = (".png", ".bmp", ".tif", ".tiff", ".jpg")


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of these kinds in a folder and in those within it, in natural order."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    shown = [p for p in found if not any(x.startswith(".") for x in p.relative_to(folder).parts)]
    return sorted(shown, key=lambda path: natural_order(str(path.relative_to(folder))))


def pictures_of(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder itself, in natural order; none if there is no such folder."""
    if not folder.is_dir():
        return ()
    found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file()]
    return tuple(sorted(found, key=lambda path: natural_order(path.name)))


def require_folder(root: Path) -> None:
    """Raises `ValueError` unless `root` is a folder."""
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; --root takes the folder of the data set")


def one_of(matches: Sequence[Path], what: str) -> Path:
    """The only match.

    Raises:
      ValueError: there are several.
    """
    if len(matches) > 1:
        names = ", ".join(map(str, matches))
        raise ValueError(f"{len(matches)} files may be {what}: {names}; keep one of them")
    return matches[0]
