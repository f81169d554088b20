"""One JSON file that lists clips and models for all commands that need them.

    {"workdir": "runs/rd", "clips": ["a.mp4", "b.mp4"], "models": ["supervegan4_small"],
     "codecs": ["h264"], "input_kbps": [150, 250, 500], "reference_kbps": [150, 500, 2000],
     "metrics": ["psnr", "lpips", "rmse", "niqe"], "max_frames": 120, "frame_step": 5,
     "table": {"kbps": 250}, "plane": {"kbps": 250}, "report": {"output": "report.html"}}

The outer fields are those of `rd`, the objects hold the flags of the other commands. A flag of the
command line wins over the file.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from supervegan_jax.command_line import Parser

# The flags of each command that a file may set.
FLAGS: Final[dict[str, tuple[str, ...]]] = {
    "rd": (
        *("clips", "models", "codecs", "input_kbps", "reference_kbps", "metrics"),
        *("max_frames", "frame_step", "jobs", "ma_model", "no_plots"),
    ),
    "table": ("kbps", "codec", "metrics", "curves", "output"),
    "stages": ("kbps", "codec", "metrics", "output", "plot", "json"),
    "plane": ("kbps", "codec", "distortion", "perception", "plot", "json"),
    "training": ("trained", "codec", "metrics", "output", "plot", "json"),
    "crops": ("output", "curves", "zoom", "kbps", "codec", "crop", "crop_size"),
    "report": (
        *("output", "kbps", "codec", "crop", "crop_size", "trained", "benchmark"),
        "max_megabytes",
    ),
}
_WORKDIR: Final = "workdir"
_SWITCHES: Final = ("no_plots",)


def add_config(parser: Parser) -> None:
    """Adds --config, which `with_config` reads."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON with clips, models and flags"
    )


def with_config(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with those of its --config file before them.

    Raises:
      ValueError: the file is missing or damaged, or has a field that no command knows.
    """
    if not arguments or arguments[0] not in FLAGS:
        return list(arguments)
    command, *words = arguments
    finder = Parser(add_help=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(words)[0].config
    if path is None:
        return list(arguments)
    content = _read(path)
    fields = content if command == "rd" else content.get(command, {})
    flags: list[str] = []
    if _WORKDIR in content:
        flags += _flag(path, _WORKDIR, content[_WORKDIR])
    for name in FLAGS[command]:
        if name in fields:
            flags += _flag(path, name, fields[name])
    return [command, *flags, *words]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"no config {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a JSON object is needed")
    sections = [name for name in FLAGS if name != "rd"]
    _check(path, content, (_WORKDIR, *FLAGS["rd"], *sections))
    for section in sections:
        if not isinstance(content.get(section, {}), dict):
            raise ValueError(f"{path}: {section!r} has to be an object of flags")
        _check(path, content.get(section, {}), FLAGS[section])
    return content


def _check(path: Path, fields: dict[str, Any], accepted: Sequence[str]) -> None:
    for name in fields:
        if name not in accepted:
            raise ValueError(f"{path}: field {name!r}; accepted: {', '.join(accepted)}")


def _flag(path: Path, name: str, value: Any) -> list[str]:
    """One field as words of a command line."""
    flag = "--" + name.replace("_", "-")
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise ValueError(f"{path}: {name} is {value!r}; true and false are accepted")
        return [flag] * value
    if isinstance(value, dict):
        value = [f"{key}={one}" for key, one in value.items()]
    values = value if isinstance(value, list) else [value]
    plain = [isinstance(v, (str, int, float)) and not isinstance(v, bool) for v in values]
    if not values or not all(plain):
        raise ValueError(f"{path}: {name} is {value!r}; texts and numbers are accepted")
    texts = [str(one) for one in values]
    if name == "clips":
        return [flag, *texts]
    if name == "crop":
        return [f"{flag}={text}" for text in texts]
    return [f"{flag}={','.join(texts)}"]
