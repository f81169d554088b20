"""Small folders that are laid out like the public data sets."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.io
from enhancement_samples import small_system
from PIL import Image
from video_samples import ffmpeg, make_video, raw_frames

from supervegan_jax import evaluate
from supervegan_jax.protocols import ntire2021, paper, vid4
from supervegan_jax.weights import save_model

LOSSLESS = ("-c:v", "libx265", "-x265-params", "lossless=1:log-level=error")


def picture(path: Path, width: int, height: int, seed: int) -> None:
    """Writes smooth noise in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 4 + 1, width // 4 + 1, 3))
    image = Image.fromarray(coarse.astype(np.uint8))
    image.resize((width, height), Image.Resampling.BICUBIC).save(path)


def live_nflx(root: Path, contents: tuple[str, ...] = paper.CONTENTS) -> Path:
    """References as bare samples with their descriptions, which are there once a distortion."""
    root.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        video = make_video(root / "x.mkv", frames=5 + number % 2, size="64x48", fps="24")
        yuv = root / "contents_org_yuv" / f"{content}_ref.yuv"
        yuv.parent.mkdir(exist_ok=True)
        yuv.write_bytes(raw_frames(video))
        video.unlink()
        for kind in ("HuangBufferBasedAdaptor", "SimpleThroughputBasedAdaptor"):
            about = {"content_name": content, "reference_yuv_video": yuv.name}
            numbers = {"frame_rate": 24.0, "width": 64, "height": 48, "VMAF": np.ones(9)}
            mat = root / "Dataset_Information" / "Mat_Files" / f"{content}_{kind}_Trace_0.mat"
            mat.parent.mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(mat, about | numbers)
            distorted = root / "assets_mp4_individual" / f"{content}_{kind}_Trace_0.mp4"
            distorted.parent.mkdir(exist_ok=True)
            distorted.touch()
    return root


def tears_of_steel(root: Path, frames: int = 40) -> Path:
    """The film in BT.709, so that its samples are kept, and a list of two of its scenes."""
    root.mkdir()
    tags = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    output = ("-vf", tags, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")
    film = root / "tears_of_steel_1080p.mov"
    make_video(film, frames=frames, size="64x48", fps="24", output=output)
    (root / "scenes.csv").write_text("# mine\nname,start,end\nbridge,3,9\nchurch,1s,30\n")
    return root


def ntire(root: Path, names: tuple[str, ...] = ntire2021.NAMES, size: str = "176x168") -> Path:
    """The raw videos."""
    folder = root / ntire2021.RAW
    folder.mkdir(parents=True)
    for name, source in zip(names, ("testsrc2", "testsrc"), strict=True):
        make_video(folder / f"{name}.mkv", frames=6, size=size, source=source, output=LOSSLESS)
    return root


def vid4_pictures(root: Path, count: int = 6) -> Path:
    """The pictures of the four clips."""
    for seed, name in enumerate(vid4.CLIPS):
        for index in range(count):
            picture(root / vid4.TRUTH / name / f"{index:08d}.png", 64, 48, 100 * seed + index)
    return root


def aim(root: Path) -> Path:
    """Two "4K" videos, one of bare samples whose name tells what they are."""
    folder = root / "4K-ValidationSet"
    folder.mkdir(parents=True)
    make_video(folder / "Sintel-Dragons.mp4", frames=5, size="128x96", fps="24")
    source = make_video(root / "x.mkv", frames=5, size="192x96", fps=str(Fraction(30000, 1001)))
    samples = raw_frames(source)
    (folder / "Chimera-WindAndNature_192x96_2997fps_8bit_420.yuv").write_bytes(samples)
    source.unlink()
    return root


def decoded(path: Path, *trim: str) -> bytes:
    """The samples of a video, of `trim`'s frames alone."""
    filters = ["-vf", ":".join(["trim=" + trim[0], *trim[1:]])] if trim else []
    words = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    return ffmpeg("-i", f"file:{path}", *filters, *words)


TINY = {
    "tiny1": ("mfqe", {"scale": 1, "width": 4, "dense_layers": 1}),
    "tiny2": ("srvgg", {"scale": 2, "width": 4, "layers": 1}),
    "tiny4": ("srvgg", {"scale": 4, "width": 4, "layers": 1}),
}


def tiny_networks(folder: Path, *names: str) -> dict[str, str]:
    """Networks that compile in a moment, called after their scales."""
    for name in names:
        system, fields = TINY[name]
        model = small_system(system, **fields)
        save_model(folder / name, model.card["generator"], model.params, {})
    return {name: str(folder / name) for name in names}


def run_protocol(name: str, root: Path, workdir: Path, *more: str) -> dict:
    words = ["protocol", name, "--root", str(root), "--workdir", str(workdir), "--jobs", "2"]
    evaluate.main([*words, *more])
    return json.loads((workdir / f"{name}.json").read_text())


def scores_of(content: dict, **fields: str) -> list[dict]:
    return [r for r in content["results"] if all(r[k] == v for k, v in fields.items())]


def kept_input(content: dict, clip: str, condition: str) -> Path:
    wanted = (clip, condition)
    return Path(next(i["path"] for i in content["inputs"] if (i["clip"], i["condition"]) == wanted))


def kept_truth(content: dict, workdir: Path, clip: str) -> Path:
    return workdir / "references" / next(c["path"] for c in content["clips"] if c["name"] == clip)
