"""A small prepared data set whose every pixel tells where it comes from, for several test files."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from supervegan_jax.video.writer import LosslessWriter

SCALE, WIDTH, HEIGHT = 2, 24, 16


def frame(clip: int, variant: int, index: int, scale: int) -> np.ndarray:
    """Every pixel says (10 * clip + variant, input row, 8 * frame + input column / 4)."""
    rows, columns = np.mgrid[: scale * HEIGHT, : scale * WIDTH] // scale
    value = np.broadcast_to(10 * clip + variant, rows.shape)
    return np.stack([value, rows, 8 * index + columns // 4], -1).astype(np.uint8)


def write_video(path: Path, clip: int, variant: int, frames: int, scale: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"width": scale * WIDTH, "height": scale * HEIGHT}
    # Stored as lossless RGB, so that pixels come back exactly.
    with LosslessWriter(path, fps=Fraction(25), pixel_format="rgb24", **size) as writer:
        for index in range(frames):
            writer.write(frame(clip, variant, index, scale))


def write_data(data: Path, lengths: dict[str, int]) -> list[dict]:
    """Writes clips and encodes: h264 at 100 and 200 kbit/s and vp9 at 100, variants 1 to 3 of each.

    Variant 0 is the ground truth, 4 and 5 are h264 at full size. Returns the clips' entries.
    """
    entries = []
    for number, (clip_id, frames) in enumerate(lengths.items(), start=1):
        clip = {"clip_id": clip_id, "frame_count": frames, "fps": "25/1"}
        clip |= {"source": f"{clip_id}.mp4", "width": SCALE * WIDTH, "height": SCALE * HEIGHT}
        write_video(data / "clips" / f"{clip_id}.mkv", number, 0, frames, SCALE)
        (data / "clips" / f"{clip_id}.json").write_text(json.dumps(clip))
        encodes = []
        for variant, (codec, kbps, scale) in enumerate(
            [
                ("h264", 100, SCALE),
                ("h264", 200, SCALE),
                ("vp9", 100, SCALE),
                ("h264", 100, 1),
                ("h264", 200, 1),
            ],
            start=1,
        ):
            path = data / "encodes" / clip_id / f"{codec}_{kbps}k_x{scale}.mkv"
            write_video(path, number, variant, frames, SCALE // scale)
            encode = {"clip_id": clip_id, "codec": codec, "scale": scale, "target_kbps": kbps}
            encodes.append(encode | {"measured_kbps": kbps + 0.5, "frame_count": frames})
            path.with_suffix(".json").write_text(json.dumps(encodes[-1]))
        entries.append(clip | {"encodes": encodes})
    return entries


def write_preparation(
    records: Path, entries: list[dict], held_out: dict[str, tuple[int, int]]
) -> None:
    """Writes preparation.json with the data in `records`/..; `held_out` is first and count."""
    records.mkdir()
    clips, validation = [], []
    for entry in entries:
        name, frames = entry["clip_id"], entry["frame_count"]
        first, count = held_out.get(name, (frames, 0))
        train = (0, first) if first > 0 else (count, frames)
        clips.append(entry | {"train_frames": train, "patches": 0})
        if count:
            validation.append(
                {
                    "clip_id": name,
                    "reference": f"../clips/{name}.mkv",
                    "input": f"../encodes/{name}/h264_200k_x{SCALE}.mkv",
                    "codec": f"../encodes/{name}/h264_200k_x1.mkv",
                    "first_frame": first,
                    "frame_count": count,
                    "fps": "25/1",
                    "target_kbps": 200,
                    "measured_kbps": 200.5,
                }
            )
    preparation = {"version": 1, "scale": SCALE, "patch_size": 8, "frames": 5, "seed": 0}
    preparation |= {"bitrate_kbps": [100, 200], "codecs": ["h264", "vp9"], "patch_count": 0}
    preparation |= {"data": "..", "clips": clips, "validation": validation}
    (records / "preparation.json").write_text(json.dumps(preparation))
