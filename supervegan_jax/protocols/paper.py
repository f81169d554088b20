"""The paper's own two tests: LIVE-NFLX-II and eight scenes of Tears of Steel (V-A, V-B)."""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import scipy.io
from scipy.io.matlab import MatReadError

from supervegan_jax.protocols import layout
from supervegan_jax.protocols.degradation import AtBitrate
from supervegan_jax.protocols.preset import Clip, Condition, Found, Preset
from supervegan_jax.protocols.scenes import read_scenes
from supervegan_jax.protocols.tables import by_clip
from supervegan_jax.video import probe

FULL_SIZE = "h264 at full size"
# Tables 2 to 5: 4x at 250 kbit/s and 2x at 750, each beside H.264 at full size.
CONDITIONS = (
    Condition("x4 at 250", 4, AtBitrate("h264", 250), "h264 at 250 kbit/s"),
    Condition("full size at 250", 1, AtBitrate("h264", 250), "h264 at 250 kbit/s", FULL_SIZE),
    Condition("x2 at 750", 2, AtBitrate("h264", 750), "h264 at 750 kbit/s"),
    Condition("full size at 750", 1, AtBitrate("h264", 750), "h264 at 750 kbit/s", FULL_SIZE),
)
METRICS = ("lpips", "psnr")
MODELS = ("supervegan4_small", "supervegan2_small")

CONTENTS = (
    *("AirShow", "AsianFusion", "Chimera1102347", "Chimera1102353", "CosmosLaundromat"),
    *("ElFuenteDance", "ElFuenteMask", "GTA", "MeridianConversation", "MeridianDriving"),
    *("Skateboarding", "Soccer", "Sparks", "TearsOfSteelRobot", "TearsOfSteelStatic"),
)
# The distorted versions are .mp4, so none of them is taken for a reference.
REFERENCES = (".yuv", ".y4m", ".mkv", ".mov")
_FIELDS = ("content_name", "reference_yuv_video", "frame_rate", "width", "height")

SCENES = Path(__file__).parent / "tears_of_steel_scenes.csv"
FILM_FPS = Fraction(24)
_FILM = re.compile(r"tears.?of.?steel", re.IGNORECASE)


def find_live_nflx(root: Path, scenes: Path | None) -> Found:
    """Looks for the references of the 15 contents."""
    layout.require_folder(root)
    videos = layout.files_below(root, REFERENCES)
    described = _read_descriptions(layout.files_below(root, (".mat",)))
    clips, missing = [], []
    for content in CONTENTS:
        about = described.get(content.lower(), {})
        named = [v for v in videos if v.name == about.get("reference_yuv_video")]
        matches = named or [v for v in videos if content.lower() in v.stem.lower()]
        if not matches:
            missing.append(f"{content}*.yuv (in contents_org_yuv_part_1.zip or _part_2.zip)")
            continue
        video = layout.one_of(matches, f"the reference of {content}")
        if video.suffix.lower() != ".yuv":
            clips.append(Clip(content, (video,)))
        elif not about:
            missing.append(f"a .mat of {content}, which tells size and rate of {video.name}")
        else:
            rate = Fraction(about["frame_rate"]).limit_denominator(1001)
            size = (int(about["width"]), int(about["height"]))
            clips.append(Clip(content, (video,), fps=rate, size=size))
    return Found(tuple(clips), tuple(missing))


def _read_descriptions(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """By content in lower case, the first description of it; there is one for each distortion."""
    found: dict[str, dict[str, Any]] = {}
    for path in files:
        if len(found) == len(CONTENTS):
            break
        try:
            fields = scipy.io.loadmat(path, variable_names=_FIELDS, squeeze_me=True)
            lacking = [name for name in _FIELDS if name not in fields]
            if lacking:
                raise ValueError(f"it lacks {', '.join(lacking)}")
            about: dict[str, Any] = {name: float(fields[name]) for name in _FIELDS[2:]}
        except (MatReadError, TypeError, ValueError, NotImplementedError, OSError) as error:
            raise ValueError(f"{path} is no description of a video: {error}") from error
        about["reference_yuv_video"] = str(fields["reference_yuv_video"])
        found.setdefault(str(fields["content_name"]).lower(), about)
    return found


def find_tears_of_steel(root: Path, scenes: Path | None) -> Found:
    """Looks for the film, as a video or as pictures, and cuts it by the scene list."""
    layout.require_folder(root)
    films = [p for p in layout.files_below(root, layout.VIDEOS) if _FILM.search(p.stem)]
    listed = scenes or SCENES
    notes = (f"scenes: {listed}",)
    if films:
        film = layout.one_of(films, "the film")
        info = probe.probe(film, count_frames=True)
        cuts = read_scenes(listed, info.fps)
        _check_within(listed, cuts, info.frame_count or 0)
        clips = [Clip(c.name, (film,), c.start, c.end - c.start) for c in cuts]
        return Found(tuple(clips), notes=notes)
    folders = {path.parent for path in layout.files_below(root, layout.PICTURES)}
    if not folders:
        what = "tears_of_steel_1080p.mov, another video tears*of*steel*, or the film's pictures"
        return Found((), (f"{what} in one folder",), notes)
    pictures = layout.pictures_of(layout.one_of(sorted(folders), "the folder of the pictures"))
    cuts = read_scenes(listed, FILM_FPS)
    _check_within(listed, cuts, len(pictures))
    clips = [Clip(c.name, pictures[c.start : c.end], fps=FILM_FPS) for c in cuts]
    return Found(tuple(clips), notes=notes)


def _check_within(listed: Path, cuts: Sequence[Any], frame_count: int) -> None:
    for scene in cuts:
        if scene.end > frame_count:
            raise ValueError(
                f"{listed}: {scene.name} ends at frame {scene.end}, the film has {frame_count}"
            )


LIVE_NFLX_II = Preset(
    title="LIVE-NFLX-II, 15 clips as the paper uses them (Tables 2 and 4)",
    source="http://live.ece.utexas.edu/research/LIVE_NFLX_II/live_nflx_plus.html; Bampis et al., "
    "Towards Perceptually Optimized End-to-end Adaptive Video Streaming, arXiv 1808.03898",
    licence="free for any purpose if the copyright notice is kept and LIVE is cited (its readme)",
    layout=(
        "ROOT/**/NAME*.yuv    the 15 references (contents_org_yuv_part_1.zip, _part_2.zip)",
        "ROOT/**/*.mat        their sizes and frame rates (DatasetInformation.zip)",
        "or NAME*.y4m, .mkv, .mov in place of a .yuv, which need no .mat",
    ),
    find=find_live_nflx,
    conditions=CONDITIONS,
    metrics=METRICS,
    report=by_clip,
    models=MODELS,
)
TEARS_OF_STEEL = Preset(
    title="Tears of Steel, 8 scenes as the paper uses them (Tables 3 and 5)",
    source="https://mango.blender.org; files at https://download.blender.org/demo/movies/ToS/ and "
    "https://media.xiph.org/tearsofsteel/",
    licence="CC BY 3.0, (c) Blender Foundation, mango.blender.org",
    layout=(
        "ROOT/**/tears_of_steel_1080p.mov    or any other video tears*of*steel*",
        "or ROOT/**/*.png                    the film's pictures, in one folder, 24 a second",
    ),
    find=find_tears_of_steel,
    conditions=CONDITIONS,
    metrics=METRICS,
    report=by_clip,
    models=MODELS,
    scenes=True,
    remarks=(
        "the shipped scene list is not the paper's Table 1; compare with its numbers only after "
        "putting those scenes into a list of your own (--scenes)",
    ),
)
