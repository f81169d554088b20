"""AIM 2024, efficient video super resolution for AV1-compressed content: 540p to 4K."""

import re
from fractions import Fraction
from pathlib import Path

from supervegan_jax.protocols import layout
from supervegan_jax.protocols.degradation import Prescribed
from supervegan_jax.protocols.preset import Clip, Condition, Found, Preset
from supervegan_jax.protocols.tables import by_condition
from supervegan_jax.video.encoder import Encoding

BITSTREAMS = "bitstreams"
QUALITIES = (31, 39, 47, 55, 63)
# The preset is ours: what could be read of the report does not tell it. One thread, so that the
# bytes are the same on every run.
_PRESET = "5"


def _encoding(crf: int) -> Encoding:
    arguments = ("-preset", _PRESET, "-crf", str(crf), "-svtav1-params", "lp=1")
    return Encoding(f"SVT-AV1 CRF {crf}", "libsvtav1", (arguments,), kernel="lanczos")


def _label(crf: int) -> str:
    return f"CRF {crf}"


def find(root: Path, scenes: Path | None) -> Found:
    """Looks for the 4K videos, and for the challenge's bitstreams of them if it has any."""
    layout.require_folder(root)
    videos = layout.files_below(root, (*layout.VIDEOS, ".yuv"))
    truths = [video for video in videos if BITSTREAMS not in video.relative_to(root).parts[:-1]]
    streams = {v.stem: v for v in videos if v not in truths}
    if not truths:
        return Found((), ("NAME.mp4 (.mkv, .y4m, .yuv): the 4K videos, anywhere in ROOT",))
    clips, missing = [], []
    for truth in truths:
        wanted = {_label(crf): f"{truth.stem}_4x_crf{crf}" for crf in QUALITIES}
        lacking = [name for name in wanted.values() if name not in streams]
        if streams:
            missing += [f"{BITSTREAMS}/{name}.mp4" for name in lacking]
        inputs = {} if lacking else {label: (streams[name],) for label, name in wanted.items()}
        fps, size = _told_by_name(truth) if truth.suffix.lower() == ".yuv" else (None, None)
        clips.append(Clip(truth.stem, (truth,), fps=fps, size=size, inputs=inputs))
    notes = (f"{len(clips)} videos; the challenge's own test had 19",) if len(clips) != 19 else ()
    return Found(tuple(clips), tuple(missing), notes)


def _told_by_name(path: Path) -> tuple[Fraction, tuple[int, int]]:
    """Rate and size out of ".._3840x2160_2997fps_..", as the challenge's files are called."""
    size = re.search(r"_(\d{2,5})x(\d{2,5})(?=_|$)", path.stem)
    rate = re.search(r"_(\d{2,4})fps(?=_|$)", path.stem)
    if size is None or rate is None:
        raise ValueError(
            f"{path}: bare samples; a name such as NAME_3840x2160_2997fps_8bit_420.yuv is needed"
        )
    # 2997 is 30 by 1.001; 24 and 120 are themselves.
    told = Fraction(rate[1]) if len(rate[1]) < 4 else Fraction(int(rate[1]), 100)
    fps = told if told.denominator == 1 else Fraction(round(told) * 1000, 1001)
    return fps, (int(size[1]), int(size[2]))


PRESET = Preset(
    title="AIM 2024, efficient video super resolution for AV1-compressed content (4x to 4K)",
    source="https://ai4streaming-workshop.github.io; report arXiv 2409.17256",
    licence="not found; the names seen are of films by Netflix and the Blender Foundation",
    layout=(
        "ROOT/**/NAME.mp4                           the 4K videos (.mkv, .y4m, or .yuv whose",
        "                                           name tells: NAME_3840x2160_2997fps_8bit_420)",
        "ROOT/**/bitstreams/NAME_4x_crf31.mp4 ..    the challenge's inputs (31 39 47 55 63), "
        "all or none",
    ),
    find=find,
    conditions=tuple(
        Condition(_label(crf), 4, Prescribed(_encoding(crf)), "SVT-AV1, Lanczos, 4x")
        for crf in QUALITIES
    ),
    metrics=("vmaf", "psnr_y", "ssim_y"),
    report=by_condition,
    models=("supervegan4_small",),
    as_stored=True,
    tells_speed=True,
    remarks=(
        "frames/s is of --benchmark JSON, by supervegan_jax.benchmark --stage b --measure forward "
        "--output-size 3840x2160 --json JSON",
        "the report compares with Lanczos, here the plain enlargement is bicubic",
    ),
)
