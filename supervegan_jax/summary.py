"""What a run ends with: a table, `summary.json` and one picture to look at."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from supervegan_jax.data.validation import ValidationClip, history, windows
from supervegan_jax.evaluation import results
from supervegan_jax.ops.color import to_float, to_uint8
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.training.evaluation import Evaluator, Scores, mean_scores

TITLES = {
    "input": "input",
    "bicubic": "input, bicubic",
    "h264": "H.264 720p, same bitrate",
    "stage_a": "stage A",
    "stage_b": "stage B",
    "output": "network",
    "reference": "ground truth",
}


def frame_pictures(
    evaluator: Evaluator, params: Any, clip: ValidationClip
) -> Iterator[dict[str, np.ndarray]]:
    """Every row's picture of each held-out frame, uint8 [h, w, 3] by name."""
    scale = clip.hr.shape[1] // clip.lr.shape[1]
    enhanced = evaluator.enhance(params, history(clip), windows(clip))
    for index, (window, made) in enumerate(zip(windows(clip), enhanced, strict=True)):
        centre = window[len(window) // 2]
        if scale == 1:  # what H.264 makes of that size is such an input
            pictures = {"input": centre}
        else:
            enlarged = upsample_bicubic(to_float(jnp.asarray(centre[None])), scale)
            pictures = {"bicubic": np.asarray(to_uint8(enlarged))[0]}
            if clip.codec is not None:
                pictures["h264"] = clip.codec[index]
        yield pictures | made | {"reference": clip.hr[index]}


def summarize(
    evaluator: Evaluator, params: Any, clips: list[ValidationClip], workdir: Path
) -> tuple[Scores, dict[str, Scores], list[str]]:
    """Scores every held-out frame of every row, and draws the middle frame of the first clip.

    Args:
      evaluator: enhances and scores.
      params: the generator's, averaged.
      clips: held-out frames.
      workdir: gets `side_by_side.png`.

    Returns:
      Mean {"psnr", "lpips"} for bicubic, h264, stage_a and stage_b (or input and output): over all
      frames, and for each clip by its name and its input's bitrate; and the lines of `left_out`.
    """
    params = jax.device_put(params)
    rows: list[Scores] = []
    of_clips: dict[str, Scores] = {}
    named: Counter[str] = Counter()
    for clip in clips:
        for index, pictures in enumerate(frame_pictures(evaluator, params, clip)):
            if clip is clips[0] and index == len(clip.hr) // 2:
                draw_side_by_side(pictures, workdir / "side_by_side.png")
            reference = pictures.pop("reference")
            rows.append({name: evaluator.score(x, reference) for name, x in pictures.items()})
        name = f"{clip.name} at {clip.measured_kbps:.0f} kbit/s"
        named[name] += 1
        unique = name if named[name] == 1 else f"{name} ({named[name]})"
        of_clips[unique] = mean_scores(rows[-len(clip.hr) :])
    return mean_scores(rows), of_clips, left_out(rows)


def left_out(rows: list[Scores]) -> list[str]:
    """What the means of `mean_scores` leave out, a line for each picture that has some."""
    frames = [str(index) for index in range(len(rows))]
    return [
        f"{TITLES[name]}: {remark}"
        for name in rows[0]
        for remark in results.Scores(
            tuple(rows[0][name]), frames, [{**row[name]} for row in rows]
        ).remarks()
    ]


def to_json(scores: Scores) -> dict[str, dict[str, float | str | None]]:
    """The scores as strict JSON can say them: what is infinite is "Infinity"."""
    return {
        name: {metric: results.json_value(value) for metric, value in row.items()}
        for name, row in scores.items()
    }


def format_table(rows: Scores) -> str:
    """The rows as text, one line each."""
    lines = [f"{'held-out frames':<28}{'PSNR (dB)':>10}{'LPIPS':>9}"]
    for name, row in rows.items():
        lines.append(f"{TITLES[name]:<28}{row['psnr']:>10.2f}{row['lpips']:>9.4f}")
    return "\n".join(lines)


def sharpest_square(image: np.ndarray, side: int) -> tuple[int, int]:
    """The (top, left) of the square with the most detail, on a grid of half its side."""
    luma = image.astype(np.float32).mean(axis=-1)
    detail = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    step = max(side // 2, 1)
    corners = [
        (top, left)
        for top in range(0, max(image.shape[0] - side, 0) + 1, step)
        for left in range(0, max(image.shape[1] - side, 0) + 1, step)
    ]
    return max(corners, key=lambda c: detail[c[0] : c[0] + side, c[1] : c[1] + side].mean())


def draw_side_by_side(pictures: dict[str, np.ndarray], path: Path, side: int = 320) -> None:
    """Draws the pictures in a row under their titles: the same square of each, at 150 %.

    Args:
      pictures: uint8 [h, w, 3] of one size by name; "reference" chooses the square.
      path: the PNG, written beside and renamed.
      side: of the square in pixels.
    """
    reference = pictures["reference"]
    side = min(side, *reference.shape[:2])
    top, left = sharpest_square(reference, side)
    shown, bar = side * 3 // 2, 28
    canvas = Image.new("RGB", (shown * len(pictures), shown + bar), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    for column, (name, picture) in enumerate(pictures.items()):
        crop = Image.fromarray(np.ascontiguousarray(picture[top : top + side, left : left + side]))
        canvas.paste(crop.resize((shown, shown), Image.Resampling.NEAREST), (column * shown, bar))
        draw.text((column * shown + 8, 4), TITLES[name], fill="black", font=font)
    beside = path.with_name(path.name + ".tmp")
    canvas.save(beside, format="PNG")
    os.replace(beside, path)
