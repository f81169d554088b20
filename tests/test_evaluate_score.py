"""`evaluate score`: which pictures are compared, what is refused, what is written."""

import json
import math
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_samples import ffmpeg, make_video

from supervegan_jax import evaluate
from supervegan_jax.evaluation import results
from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.evaluation.pictures import read_picture
from supervegan_jax.evaluation.results import Scores
from supervegan_jax.evaluation.scoring import METRICS, Scorer, read_metrics

LOSSLESS = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")
PSNR = ScoreOptions(("psnr",))


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def save_deep_png(path: Path, pixels: np.ndarray) -> Path:
    """A PNG of 16-bit RGB, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def noise(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mkv", frames=8, size="64x48")


def convert(clip: Path, path: Path, *arguments: str) -> Path:
    ffmpeg("-i", f"file:{clip}", *(arguments or LOSSLESS), f"file:{path}")
    return path


def psnr_of_codes(x: np.ndarray, y: np.ndarray, peak: int = 255) -> float:
    mse = np.mean((x.astype(np.float64) - y.astype(np.float64)) ** 2)
    return 10 * math.log10(peak**2 / mse)


def test_a_known_difference_gives_the_known_score_everywhere(tmp_path, capsys):
    pixels = noise(0)
    reference = save(tmp_path / "a.png", pixels)
    distorted = save(tmp_path / "b.png", pixels + 10)
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv")}
    written = ["--json", str(files["json"]), "--csv", str(files["csv"])]
    evaluate.main(["score", str(reference), str(distorted), "--metrics", "psnr,ssim", *written])
    truth = 20 * math.log10(25.5)
    content = json.loads(files["json"].read_text())
    assert set(content) == {"mean", "frames"}
    assert list(content["mean"]) == ["psnr", "ssim"]
    assert [list(frame) for frame in content["frames"]] == [["name", "psnr", "ssim"]]
    assert content["frames"][0]["name"] == "a"
    assert content["mean"]["psnr"] == pytest.approx(truth, abs=1e-4)
    lines = files["csv"].read_text().splitlines()
    assert lines[0] == "name,psnr,ssim"
    assert float(lines[1].split(",")[1]) == pytest.approx(truth, abs=1e-4)
    assert lines[2].startswith("mean,")
    assert f"{truth:.2f}" in capsys.readouterr().out


def test_folders_are_paired_by_name_whatever_the_suffix(tmp_path):
    for name in ("reference", "distorted"):
        (tmp_path / name).mkdir()
    for seed in (2, 1):
        save(tmp_path / "reference" / f"{seed}.png", noise(seed))
        save(tmp_path / "distorted" / f"{seed}.bmp", noise(seed) + seed)
    scores = compare(tmp_path / "reference", tmp_path / "distorted", PSNR)
    assert scores.names == ["1", "2"]
    expected = [20 * math.log10(255 / seed) for seed in (1, 2)]
    assert [row["psnr"] for row in scores.rows] == pytest.approx(expected, abs=1e-3)
    assert scores.mean("psnr") == pytest.approx(np.mean(expected), abs=1e-3)
    (tmp_path / "distorted" / "2.bmp").unlink()
    with pytest.raises(ValueError, match=r"has no picture '2' to go with .*2\.png \(1 missing"):
        compare(tmp_path / "reference", tmp_path / "distorted", PSNR)
    save(tmp_path / "distorted" / "2.png", noise(2, height=12))
    with pytest.raises(ValueError, match=r"2\.png is 32x24, .*2\.png is 32x12"):
        compare(tmp_path / "reference", tmp_path / "distorted", PSNR)


def test_sixteen_bits_are_read_as_sixteen_bits(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 65535, (8, 9, 3)).astype(np.uint16)
    first = save_deep_png(tmp_path / "a.png", pixels)
    assert np.array_equal(read_picture(first) * 65535, pixels)
    second = save_deep_png(tmp_path / "b.png", pixels + 1)
    found = compare(first, second, PSNR).mean("psnr")
    # float32 holds such a difference to a few percent of it.
    assert found == pytest.approx(20 * math.log10(65535), abs=0.1)
    gray = save(tmp_path / "gray.png", pixels[..., 0])
    assert np.array_equal(read_picture(gray)[..., 2] * 65535, pixels[..., 0])


def test_pictures_are_read_as_they_are_meant(tmp_path):
    pixels = noise(4)
    opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    assert np.array_equal(read_picture(save(tmp_path / "a.png", opaque)) * 255, pixels)
    opaque[0, 0, 3] = 254
    with pytest.raises(ValueError, match="transparent in places"):
        read_picture(save(tmp_path / "b.png", opaque))
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=turned)
    assert np.array_equal(read_picture(tmp_path / "turned.png") * 255, np.rot90(pixels, -1))
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "c.jpg")
    with pytest.raises(ValueError, match="of the kind CMYK"):
        read_picture(tmp_path / "c.jpg")
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(ValueError, match="no readable picture"):
        read_picture(tmp_path / "d.png")


def test_the_border_is_left_out(tmp_path):
    pixels = noise(5)
    framed = pixels.copy()
    framed[:3], framed[-3:], framed[:, :3], framed[:, -3:] = 255, 255, 255, 255
    first, second = save(tmp_path / "a.png", pixels), save(tmp_path / "b.png", framed)
    assert compare(first, second, ScoreOptions(("psnr",), crop_border=3)).mean("psnr") == math.inf
    assert compare(first, second, ScoreOptions(("psnr",), crop_border=2)).mean("psnr") < 30
    with pytest.raises(ValueError, match="crop_border 12 of pictures of 32x24; accepted: 0 to 11"):
        compare(first, second, ScoreOptions(("psnr",), crop_border=12))


def test_every_frame_of_a_video_is_scored_against_its_own(clip, tmp_path):
    distorted = convert(clip, tmp_path / "d.mp4", "-c:v", "libx264", "-crf", "30")
    scores = compare(clip, distorted, PSNR)
    assert scores.names == [f"{index:06d}" for index in range(8)]

    def frames(path: Path) -> np.ndarray:
        filters = "scale=flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp"
        filters += ":in_h_chr_pos=0:in_v_chr_pos=128,format=rgb24"
        raw = ffmpeg("-i", f"file:{path}", "-vf", filters, "-f", "rawvideo", "-")
        return np.frombuffer(raw, np.uint8).reshape(8, 48, 64, 3)

    pairs = zip(frames(clip), frames(distorted), strict=True)
    expected = [psnr_of_codes(x, y) for x, y in pairs]
    # ffmpeg's conversion rounds in other places than ours.
    assert [row["psnr"] for row in scores.rows] == pytest.approx(expected, abs=0.05)


def test_identical_videos_are_said_to_be(clip, tmp_path, capsys):
    path = tmp_path / "scores.json"
    command = ["score", str(clip), str(clip), "--metrics", "psnr,ssim", "--json", str(path)]
    evaluate.main(command)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["mean"] == {"psnr": "Infinity", "ssim": pytest.approx(1)}
    assert float(content["frames"][0]["psnr"]) == math.inf
    assert "psnr is infinite in 8 of 8 frames" in capsys.readouterr().err


def test_other_matrix_and_range_are_converted_and_told(tmp_path):
    # Colours that RGB has, so that ffmpeg's way through clipped RGB changes none.
    pattern = ("-f", "lavfi", "-i", "gradients=size=64x48:rate=25:seed=1", "-pix_fmt", "yuv420p")
    ffmpeg(*pattern, "-frames:v", "3", *LOSSLESS, f"file:{tmp_path / 'clip.mkv'}")
    clip = tmp_path / "clip.mkv"
    filters = "scale=in_color_matrix=bt601:in_range=tv:out_color_matrix=bt709:out_range=pc"
    filters += ":flags=accurate_rnd+full_chroma_int,setparams=range=pc:colorspace=bt709"
    other = convert(clip, tmp_path / "full.mkv", "-vf", filters, *LOSSLESS)
    scores = compare(clip, other, PSNR)
    assert "smpte170m limited range" in scores.notes[0]
    assert "bt709 full range" in scores.notes[0]
    # Two roundings to 8 bits lie between; not converting would give about 25 dB.
    assert scores.mean("psnr") > 40


def test_times_are_compared_from_each_first_frame_on(clip, tmp_path):
    # Matroska keeps milliseconds, MP4 whole ticks; the shift is what a cut leaves.
    ntsc = make_video(tmp_path / "ntsc.mkv", frames=8, size="64x48", fps="30000/1001")
    other = convert(ntsc, tmp_path / "n.mp4", "-c", "copy", "-output_ts_offset", "2.5")
    scores = compare(ntsc, other, PSNR)
    assert scores.mean("psnr") == math.inf
    assert re.search(r"shown at 0\.000 s in .* at 2\.5.* s in .*: taken for", scores.notes[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-vf", "select=not(eq(n\\,3))"), r"frame 3 is shown at 0\.120 s .* and at 0\.160 s"),
        (("-vf", "settb=1/1000,setpts=PTS*1.2"), r"3 is shown at 0\.120 s .* and at 0\.144 s"),
        (("-frames:v", "6"), r"d\.mkv ends after 6 frames, .*clip\.mkv has more"),
        (("-vf", "scale=32:24"), r"clip\.mkv is 64x48, .*d\.mkv is 32x24"),
    ],
)
def test_videos_that_do_not_belong_together(clip, tmp_path, arguments, message):
    times = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    words = [*arguments, *times, *LOSSLESS]
    distorted = convert(clip, tmp_path / "d.mkv", *words)
    with pytest.raises(ValueError, match=message):
        compare(clip, distorted, PSNR)


def test_high_dynamic_range_is_not_compared_with_standard(clip, tmp_path):
    tags = "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"
    words = ("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=error")
    distorted = convert(clip, tmp_path / "hdr.mkv", "-vf", tags, *words)
    with pytest.raises(ValueError, match=r"standard dynamic range transfer and .*hdr\.mkv PQ"):
        compare(clip, distorted, PSNR)


def test_metrics_of_sequences_need_two_frames(clip, tmp_path):
    picture = save(tmp_path / "a.png", noise(6))
    with pytest.raises(ValueError, match=r"tof compares frames .*a\.png has only one"):
        compare(picture, picture, ScoreOptions(("tof",)))
    with pytest.raises(ValueError, match=r"a\.png is a picture, .*clip\.mkv is a video"):
        compare(picture, clip, PSNR)


def test_means_leave_out_what_is_no_number_and_say_so():
    rows = [{"psnr": math.inf, "niqe": math.nan}, {"psnr": 30.0, "niqe": 4.0}]
    scores = Scores(("psnr", "niqe"), ["a", "b"], [dict(row) for row in rows])
    assert (scores.mean("psnr"), scores.mean("niqe")) == (30.0, 4.0)
    assert scores.remarks() == [
        "psnr is infinite in 1 of 2 frames, whose pictures are identical; the mean is over the "
        "others",
        "niqe is undefined in 1 of 2 frames, first in a; the mean is over the others",
    ]
    content = json.loads(results.to_json(scores))
    assert content["frames"][0] == {"name": "a", "psnr": "Infinity", "niqe": None}
    assert results.to_csv(scores).splitlines()[1] == "a,inf,"
    nothing = Scores(("niqe",), ["a"], [{"niqe": math.nan}])
    assert json.loads(results.to_json(nothing))["mean"] == {"niqe": None}


def test_a_picture_of_one_colour(tmp_path):
    gray = np.full((200, 200, 3), 90, np.uint8)
    first, second = save(tmp_path / "a.png", gray), save(tmp_path / "b.png", gray + 1)
    scores = compare(first, second, ScoreOptions(("psnr", "ssim", "lpips", "niqe")))
    assert scores.mean("psnr") == pytest.approx(20 * math.log10(255), abs=1e-3)
    assert 0.999 < scores.mean("ssim") <= 1
    assert 0 <= scores.mean("lpips") < 0.01
    assert scores.mean("niqe") is None
    assert scores.remarks() == ["niqe is undefined in 1 of 1 frames, first in a"]


def test_a_nearly_black_frame_has_no_niqe_and_its_video_has(tmp_path):
    """One block of four is of more than one colour."""
    pictures = [noise(1, 200, 200), np.zeros((200, 200, 3), np.uint8)]
    pictures[1][:50, :50] = noise(2, 50, 50)
    for name, picture in zip(("1.png", "2.png"), pictures, strict=True):
        save(tmp_path / name, picture)
    scores = compare(tmp_path, tmp_path, ScoreOptions(("niqe",)))
    assert scores.mean("niqe") == scores.rows[0]["niqe"] > 0
    assert scores.remarks() == [
        "niqe is undefined in 1 of 2 frames, first in 2; the mean is over the others"
    ]


def test_outputs_are_refused_before_any_work(tmp_path):
    picture = save(tmp_path / "a.png", noise(7))
    for output, message in (
        (picture, "would be written over"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "x.json", "there is no folder"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.main(["score", str(picture), str(picture), "--json", str(output)])
    content = picture.read_bytes()
    assert (tmp_path / "a.png").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_names_of_metrics():
    assert read_metrics("psnr, ssim,psnr") == ("psnr", "ssim")
    with pytest.raises(ValueError, match="metric 'PSNR'; accepted: psnr, psnr_y"):
        read_metrics("PSNR")
    with pytest.raises(ValueError, match="no metric is named"):
        read_metrics(",")
    with pytest.raises(ValueError, match="crop_border -1"):
        Scorer(("psnr",), crop_border=-1)


def test_the_help_names_every_metric(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["score", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name in METRICS:
        assert f"{name}," in text or f"{name} (" in text


def test_the_command_fails_in_one_line(tmp_path):
    command = [sys.executable, "-m", "supervegan_jax.evaluate", "score", "no.mkv", "no.mkv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no such file: no.mkv\n")


def test_vmaf_of_pictures(tmp_path):
    save(tmp_path / "a.png", noise(6, 64, 48))
    save(tmp_path / "b.png", noise(6, 64, 48) // 2)
    same = compare(tmp_path / "a.png", tmp_path / "a.png", ScoreOptions(("vmaf", "psnr")))
    other = compare(tmp_path / "a.png", tmp_path / "b.png", ScoreOptions(("vmaf",)))
    assert 0 <= other.mean("vmaf") < same.mean("vmaf") <= 100


def test_pictures_of_a_folder_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("10", "2", "1", "1²2"):  # ² is a digit, and no decimal one
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir(exist_ok=True)
            save(tmp_path / folder / f"frame{name}.png", noise(5))
    names = compare(tmp_path / "a", tmp_path / "b", PSNR).names
    assert names == ["frame1", "frame1²2", "frame2", "frame10"]


def test_vmaf_comes_with_the_other_scores(tmp_path):
    # Not 25 frames a second: times must not be rounded to those.
    film = make_video(tmp_path / "film.mkv", frames=14, size="64x48", fps="24")
    distorted = convert(film, tmp_path / "d.mkv", "-c:v", "libx264", "-crf", "40")
    scores = compare(film, distorted, ScoreOptions(("vmaf", "psnr"), crop_border=4))
    assert len(scores.values("vmaf")) == 14
    assert 0 < scores.mean("vmaf") < compare(film, film, ScoreOptions(("vmaf",))).mean("vmaf")
    assert scores.notes == ["vmaf is measured on whole frames, no border left out"]
