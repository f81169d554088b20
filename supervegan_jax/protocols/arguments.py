"""The flags of `evaluate protocol`, and what they ask for."""

import argparse
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names


def add_protocol(parser: Parser) -> None:
    """Adds the flags of `protocol`."""
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="of a preset")
    add("--list", action="store_true", help="show the presets, where their data are, and stop")
    add("--root", type=Path, metavar="DIR", help="the data set's folder")
    add("--check", action="store_true", help="say what is there and what is missing, and stop")
    add("--models", metavar="NAME,..", help='default: the preset\'s; "" is none')
    add("--scenes", type=Path, metavar="CSV", help="scene list in place of the shipped one")
    add("--workdir", type=Path, help="keeps all results; run again to go on")
    add("--make-inputs", action="store_true", help="do not use the data set's degraded versions")
    add("--max-frames", type=int, metavar="N", help="of a clip's beginning (default: all)")
    add("--frame-step", type=int, default=1, metavar="N", help="score every Nth frame")
    add("--crop-border", type=int, metavar="PIXELS", help="left out at each side")
    add("--skip-ends", type=int, metavar="N", help="frames left out at either end")
    add(
        "--benchmark", type=Path, metavar="JSON", help="of benchmark --json, for frames/s (aim2024)"
    )
    add("--jobs", type=int, help="encodes at a time (default: the cores)")
    parser.set_defaults(work=run_protocol)


def run_protocol(options: argparse.Namespace) -> None:
    """Runs a preset, or tells of them."""
    from supervegan_jax.protocols.catalogue import PRESETS, describe, find_preset
    from supervegan_jax.protocols.job import Options
    from supervegan_jax.protocols.job import run_protocol as run

    if options.list:
        print(describe())
        return
    if options.name is None or options.root is None:
        raise ValueError(f"NAME and --root are needed (--list); names: {', '.join(PRESETS)}")
    preset = find_preset(options.name)
    if options.scenes is not None and not preset.scenes:
        raise ValueError(f"--scenes {options.scenes}; {options.name} has no scene list")
    if options.benchmark is not None and not preset.tells_speed:
        raise ValueError(f"--benchmark {options.benchmark}; {options.name} reports no speed")
    if options.workdir is not None and _is_within(options.workdir, options.root):
        raise ValueError(f"--workdir {options.workdir} lies in --root, where videos are looked for")
    models = preset.models if options.models is None else read_names(options.models)
    wanted = Options(
        models=models,
        max_frames=options.max_frames,
        frame_step=options.frame_step,
        crop_border=options.crop_border,
        skip_ends=options.skip_ends,
        use_given=not options.make_inputs,
        jobs=options.jobs,
        benchmark=options.benchmark,
    )
    found = preset.find(options.root, options.scenes)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    for name in found.missing:
        print(f"missing: {name}", file=sys.stderr)
    if found.missing:
        raise ValueError(
            f"{options.root} lacks {len(found.missing)} of what {options.name} needs: "
            f"{'; '.join(found.missing)}"
        )
    if options.check:
        clips = ", ".join(clip.name for clip in found.clips)
        print(f"{options.name}: all there, {len(found.clips)} clips: {clips}")
        return
    if options.workdir is None:
        raise ValueError("--workdir is needed: the folder that keeps all results")
    print("\n\n".join(run(options.name, preset, found.clips, wanted, options.workdir)))


def _is_within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
