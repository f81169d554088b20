import hashlib
import math
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.photographs import (
    MoveOptions,
    Path2D,
    film_photographs,
    plan_move,
    read_photograph,
    render,
)
from supervegan_jax.video.reader import read_clip

SMALL = MoveOptions(moves=2, seconds=0.2, fps=30, size=(64, 48))


def photograph(width=120, height=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def still(centre, zoom=1.0, angle=0.0):
    return Path2D(np.array([zoom]), np.array([centre], float), np.array([angle]))


def test_a_view_of_full_size_is_a_piece_of_the_photograph():
    whole = photograph()
    (frame,) = render(whole, still((50, 40)), (64, 48))
    np.testing.assert_array_equal(frame, whole[16:64, 18:82])


def test_a_view_of_half_size_is_the_mean_of_four():
    whole = photograph(140, 120)
    (frame,) = render(whole, still((70, 60), zoom=2), (64, 48))
    blocks = whole.reshape(60, 2, 70, 2, 3).mean(axis=(1, 3))
    assert abs(frame.astype(float) - blocks[6:54, 3:67]).max() <= 0.5


def test_a_turned_camera_turns_the_picture():
    whole = photograph(100, 100)
    (frame,) = render(whole, still((50, 50), angle=90), (48, 48))
    # What was to the right of the centre comes above it.
    turned = whole[26:74, 26:74].swapaxes(0, 1)
    assert min(abs(frame.astype(int) - t).max() for t in (turned[::-1], turned[:, ::-1])) <= 1


@pytest.mark.parametrize("size", [(300, 200), (64, 48), (70, 400)])
def test_the_camera_stays_within_the_photograph(size):
    options = MoveOptions(seconds=2, size=(64, 48))
    moving = set()
    for seed in range(60):
        path = plan_move(size, options, np.random.default_rng(seed))
        assert len(path.zoom) == len(path.centre) == len(path.angle) == 60
        assert path.zoom.min() >= 1
        assert path.zoom.max() <= min(size[0] / 64, size[1] / 48) * (1 + 1e-9)
        turn = np.radians(abs(path.angle))
        for axis, (along, across) in enumerate(((64, 48), (48, 64))):
            half = (along * np.cos(turn) + across * np.sin(turn)) / 2 * path.zoom
            inside = np.minimum(path.centre[:, axis], size[axis] - path.centre[:, axis])
            # Of a photograph as narrow as the video a turned corner leaves it; it is mirrored.
            assert (inside >= np.minimum(half, size[axis] / 2) - 1e-6).all()
        moving.add(bool(np.ptp(path.centre, axis=0).max() > 0.01))
    assert moving == ({True, False} if size != (64, 48) else {False})


def test_videos_are_written_once_and_are_the_same_again(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(photograph()).save(tmp_path / "in" / "roof.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    videos = film_photographs([tmp_path / "in"], tmp_path / "out", SMALL, jobs=1)
    digest = hashlib.sha256((tmp_path / "in" / "roof.png").read_bytes()).hexdigest()[:8]
    assert [video.name for video in videos] == [f"roof-{digest}-{move}.mkv" for move in (0, 1)]
    frames = np.stack(list(read_clip(videos[0])))
    assert frames.shape == (6, 48, 64, 3)
    content = videos[0].read_bytes()
    assert content != videos[1].read_bytes()
    videos[0].unlink()
    kept = videos[1].stat().st_mtime_ns
    film_photographs([tmp_path / "in"], tmp_path / "out", SMALL, jobs=1)
    assert videos[0].read_bytes() == content
    assert videos[1].stat().st_mtime_ns == kept
    # The same picture twice is one; another one of the same name is another.
    shutil.copy(tmp_path / "in" / "roof.png", tmp_path / "in" / "copy.png")
    (tmp_path / "other").mkdir()
    Image.fromarray(photograph(seed=1)).save(tmp_path / "other" / "roof.png")
    both = film_photographs([tmp_path / "in", tmp_path / "other"], tmp_path / "out", SMALL, jobs=1)
    assert len(set(both)) == len(both) == 4
    with pytest.raises(ValueError, match=r"was begun with fps 30, now it is 25"):
        film_photographs([tmp_path / "in"], tmp_path / "out", MoveOptions(2, 0.2, 25, (64, 48)))


def test_options_that_nothing_came_of_make_way_for_others(tmp_path):
    Image.fromarray(photograph()).save(tmp_path / "roof.png")
    with pytest.raises(ValueError, match="jobs 0: must be at least 1"):
        film_photographs([tmp_path / "roof.png"], tmp_path / "out", SMALL, jobs=0)
    other = replace(SMALL, seed=1)
    assert len(film_photographs([tmp_path / "roof.png"], tmp_path / "out", other, jobs=1)) == 2
    with pytest.raises(ValueError, match="was begun with seed 1, now it is 0"):
        film_photographs([tmp_path / "roof.png"], tmp_path / "out", SMALL)


def test_what_is_no_photograph_is_refused(tmp_path):
    small, text = tmp_path / "small.png", tmp_path / "text.png"
    Image.fromarray(photograph(63, 90)).save(small)
    text.write_text("no picture")
    cut = tmp_path / "cut.png"
    Image.fromarray(photograph()).save(cut)
    cut.write_bytes(cut.read_bytes()[:9000])
    for paths, message in [
        ([small], "small.png: 63x90 is smaller than the video's 64x48"),
        ([text], "text.png is no photograph"),
        ([tmp_path / "none.jpg"], "no such file or folder"),
        ([], "no photographs: none was named"),
        ([cut], "cut.png is no photograph that can be read"),
    ]:
        with pytest.raises(ValueError, match=message):
            film_photographs(paths, tmp_path / "out", SMALL)
    for wrong, message in [
        ({"moves": 0}, "moves 0: must be at least 1"),
        ({"seconds": math.nan}, "seconds nan: must be above 0, at most 3600"),
        ({"seconds": math.inf}, "seconds inf: must be above 0, at most 3600"),
        ({"seed": -1}, "seed -1: must be at least 0"),
        ({"size": (63, 48)}, "be even"),
    ]:
        with pytest.raises(ValueError, match=message):
            MoveOptions(**wrong)


@pytest.mark.parametrize("name", ["gray.png", "gray.tif", "gray.pgm"])
def test_gray_of_16_bits_is_scaled_to_8(tmp_path, name):
    codes = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(codes).save(tmp_path / name)
    expected = np.repeat(np.round(codes / 257)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(read_photograph(tmp_path / name), expected)
    # Of a photograph as large as the video the camera shows all, turned by a trifle.
    (video,) = film_photographs([tmp_path / name], tmp_path / "out", replace(SMALL, moves=1))
    assert max(abs(frame - expected).max() for frame in read_clip(video)) <= 2


def test_gray_of_12_bits_is_scaled_to_8(tmp_path):
    codes = np.linspace(0, 4095, 64 * 48).astype(np.uint16)
    packed = [codes[::2] >> 4, (codes[::2] & 15) << 4 | codes[1::2] >> 8, codes[1::2] & 255]
    rows = np.stack(packed, axis=-1).astype(np.uint8).reshape(48, 96)
    Image.fromarray(rows).save(tmp_path / "gray.tif")
    # Pillow writes no such file: ImageWidth becomes 64 and BitsPerSample 12.
    content = (tmp_path / "gray.tif").read_bytes()
    for tag, kind, before, after in ((256, 4, 96, 64), (258, 3, 8, 12)):
        entries = [struct.pack("<HHII", tag, kind, 1, value) for value in (before, after)]
        assert content.count(entries[0]) == 1
        content = content.replace(*entries)
    (tmp_path / "gray.tif").write_bytes(content)
    expected = np.round(codes.reshape(48, 64) * (255 / 4095))
    np.testing.assert_array_equal(read_photograph(tmp_path / "gray.tif")[..., 0], expected)


def test_samples_without_a_known_range_and_transparency_are_refused(tmp_path):
    codes = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    Image.fromarray(codes).save(tmp_path / "float.tif")
    Image.fromarray((codes * 1e6).astype(np.int32)).save(tmp_path / "int.tif")
    opaque = Image.fromarray(photograph()).convert("RGBA")
    opaque.save(tmp_path / "opaque.png")
    opaque.putalpha(200)
    opaque.save(tmp_path / "glass.png")
    for name, message in [
        ("float.tif", r"float\.tif is of Pillow's mode F; accepted are gray of 8 or 16 bits and"),
        ("int.tif", r"int\.tif is of Pillow's mode I; accepted are"),
        ("glass.png", r"glass\.png is transparent in places"),
    ]:
        with pytest.raises(ValueError, match=message):
            film_photographs([tmp_path / name], tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
    assert len(film_photographs([tmp_path / "opaque.png"], tmp_path / "out", SMALL)) == 2
