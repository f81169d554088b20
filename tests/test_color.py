"""Colour: against NumPy written from the standards, ffmpeg's swscale, and round trips."""

import math
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import Enlarger, plain

from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.runner import enhance_frames
from supervegan_jax.ops.chroma import downsample_chroma, upsample_chroma
from supervegan_jax.ops.chroma_sites import SITES
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes, to_float, to_uint8
from supervegan_jax.video import colour
from supervegan_jax.video.probe import Unseen, VideoInfo
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame


def smooth_planes(fmt, seed=0, low=0.25, high=0.75):
    """Planes of in-gamut colours that change slowly."""
    rng = np.random.default_rng(seed)
    top = (1 << fmt.bit_depth) - 1
    planes = []
    for height, width in fmt.plane_shapes:
        y, x = np.mgrid[0:height, 0:width] / max(fmt.plane_shapes[0])
        waves = sum(
            np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + rng.uniform(0, 6))
            for _ in range(3)
        )
        middle, span = (low + high) / 2, (high - low) / 2
        strength = 1.0 if not planes else 0.3
        planes.append(np.round(top * (middle + strength * span * waves / 3)).astype(fmt.dtype))
    return tuple(planes)


def numpy_rgb(planes, fmt):
    """ITU-R BT.601/709/2020 and H.273, pixel by pixel, chroma at its place."""
    k_r, k_b = {
        "bt709": (0.2126, 0.0722),
        "smpte170m": (0.299, 0.114),
        "bt470bg": (0.299, 0.114),
        "bt2020nc": (0.2627, 0.0593),
    }[fmt.matrix]
    scale = 2 ** (fmt.bit_depth - 8)
    height, width = planes[0].shape
    rgb = np.zeros((height, width, 3))
    across, down = SITES[fmt.chroma_location]

    def chroma(plane, y, x):
        v = y if plane.shape[0] == height else (y - down) / 2
        u = x if plane.shape[1] == width else (x - across) / 2
        value = 0.0
        for j in (math.floor(v), math.floor(v) + 1):
            for i in (math.floor(u), math.floor(u) + 1):
                weight = (1 - abs(v - j)) * (1 - abs(u - i))
                row = min(max(j, 0), plane.shape[0] - 1)
                column = min(max(i, 0), plane.shape[1] - 1)
                value += weight * float(plane[row, column])
        return value

    for y in range(height):
        for x in range(width):
            luma, cb, cr = float(planes[0][y, x]), chroma(planes[1], y, x), chroma(planes[2], y, x)
            if fmt.full_range:
                top = 2**fmt.bit_depth - 1
                luma, cb, cr = luma / top, (cb - 128 * scale) / top, (cr - 128 * scale) / top
            else:
                luma = (luma / scale - 16) / 219
                cb, cr = (cb / scale - 128) / 224, (cr / scale - 128) / 224
            red, blue = luma + 2 * (1 - k_r) * cr, luma + 2 * (1 - k_b) * cb
            green = (luma - k_r * red - k_b * blue) / (1 - k_r - k_b)
            rgb[y, x] = red, green, blue
    return rgb


@pytest.mark.parametrize(
    "fmt",
    [
        FrameFormat(8, 6, 8, "420", "bt709", False, "left"),
        FrameFormat(7, 5, 8, "420", "smpte170m", True, "center"),
        FrameFormat(8, 7, 10, "420", "bt2020nc", False, "topleft"),
        FrameFormat(7, 6, 12, "422", "bt470bg", False, "left"),
        FrameFormat(6, 5, 10, "444", "bt709", True, "left"),
        FrameFormat(7, 7, 8, "420", "bt709", False, "bottomleft"),
    ],
    ids=lambda fmt: f"{fmt.pixel_format}-{fmt.matrix}-{fmt.chroma_location}",
)
def test_rgb_is_what_the_standards_say(fmt):
    planes = smooth_planes(fmt)
    found = planes_to_rgb(tuple(jnp.asarray(p)[None] for p in planes), fmt)[0]
    np.testing.assert_allclose(found, numpy_rgb(planes, fmt), atol=2e-6)


def test_known_colours():
    fmt = FrameFormat(2, 2)
    # BT.709's 75 % colour bars (SMPTE RP 219), 8-bit limited range: Y, Cb, Cr.
    bars = {(180, 128, 128): (0.75, 0.75, 0.75), (51, 109, 212): (0.75, 0, 0)}
    bars |= {(133, 63, 52): (0, 0.75, 0), (28, 212, 120): (0, 0, 0.75), (16, 128, 128): (0, 0, 0)}
    for codes, rgb in bars.items():
        shapes = fmt.plane_shapes
        planes = tuple(np.full((1, *s), c, np.uint8) for s, c in zip(shapes, codes, strict=True))
        np.testing.assert_allclose(
            planes_to_rgb(planes, fmt)[0, 0, 0], rgb, atol=0.006
        )  # codes are whole
        back = rgb_to_planes(jnp.broadcast_to(jnp.asarray(rgb), (1, 2, 2, 3)), fmt)
        assert tuple(int(plane[0, 0, 0]) for plane in back) == codes


def swscale(planes, fmt, filters, output_format):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", fmt.pixel_format, "-s", f"{fmt.width}x{fmt.height}", "-i", "-"]
    command += ["-vf", filters, "-f", "rawvideo", "-pix_fmt", output_format, "-"]
    data = b"".join(plane.tobytes() for plane in planes)
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8)


def as_probed(fmt):
    return VideoInfo(
        path=Path("a.mkv"),
        width=fmt.width,
        height=fmt.height,
        fps=Fraction(25),
        pixel_format=fmt.pixel_format,
        range="pc" if fmt.full_range else "tv",
        matrix=fmt.matrix,
        primaries="unknown",
        transfer="unknown",
        interlaced=False,
        unseen=Unseen(fmt.chroma_location),
    )


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("location", sorted(SITES))
@pytest.mark.parametrize("subsampling", ["420", "422"])
def test_rgb_is_swscales(matrix, full_range, location, subsampling):
    fmt = FrameFormat(64, 48, 8, subsampling, matrix, full_range, location)
    luma, *chroma = smooth_planes(fmt, 3, low=0.4, high=0.6)
    # Chroma that changes from sample to sample tells where it lies.
    grain = np.random.default_rng(3)
    planes = (luma, *(c + grain.integers(0, 20, c.shape, np.uint8) for c in chroma))
    reference = swscale(planes, fmt, colour.to_rgb(as_probed(fmt)), "rgb24")
    found = to_uint8(planes_to_rgb(tuple(jnp.asarray(p)[None] for p in planes), fmt))[0]
    difference = np.asarray(found).astype(float) - reference.reshape(48, 64, 3).astype(float)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.35


@pytest.mark.parametrize(("stored", "kept"), [("left", True), ("topleft", True), ("top", False)])
def test_stored_422_keeps_its_columns_where_they_lie(stored, kept):
    fmt = FrameFormat(64, 48, 8, "422", "bt709", False, stored)
    luma, *_ = smooth_planes(fmt)
    rows = np.random.default_rng(0).integers(60, 200, (2, 1, 32), np.uint8)  # alike in every line
    planes = (luma, *(np.broadcast_to(row, (48, 32)) for row in rows))
    made = swscale(planes, fmt, colour.to_yuv420p(as_probed(fmt), (64, 48), "bicubic"), "yuv420p")
    np.testing.assert_array_equal(made[: 64 * 48].reshape(48, 64), luma)
    chroma = made[64 * 48 :].reshape(2, 24, 32)
    assert (chroma == rows).all() == kept


@pytest.mark.parametrize("location", sorted(SITES))
@pytest.mark.parametrize("size", [(12, 16), (11, 17)])
def test_a_ramp_of_colour_stays_in_place(location, size):
    across, down = SITES[location]
    height, width = size
    rows, columns = -(-height // 2), -(-width // 2)
    y, x = np.mgrid[0:rows, 0:columns]
    chroma = 3.0 * (2 * x + across) + 5.0 * (2 * y + down)
    up = upsample_chroma(jnp.asarray(chroma)[None], height, width, "420", location)[0]
    y, x = np.mgrid[0:height, 0:width]
    np.testing.assert_allclose(up[2:-2, 2:-2], (3.0 * x + 5.0 * y)[2:-2, 2:-2], rtol=1e-6)
    down_again = downsample_chroma(jnp.asarray(3.0 * x + 5.0 * y)[None], "420", location)[0]
    np.testing.assert_allclose(down_again[1:-1, 1:-1], chroma[1:-1, 1:-1], rtol=1e-6)


def test_downsampling_is_a_triangle_filter():
    impulse = jnp.zeros((1, 1, 9)).at[0, 0, 4].set(1.0)
    left = downsample_chroma(impulse, "422", "left")[0, 0]
    np.testing.assert_allclose(left, [0, 0, 0.5, 0, 0])
    centre = downsample_chroma(impulse, "422", "center")[0, 0]
    np.testing.assert_allclose(centre, [0, 0.125, 0.375, 0, 0])
    flat = downsample_chroma(jnp.full((1, 7, 9), 0.3), "420", "topleft")
    np.testing.assert_allclose(flat, 0.3, rtol=1e-6)


@pytest.mark.parametrize("kind", ["nearest", "bicubic"])
@pytest.mark.parametrize("matrix", ["smpte170m", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("location", ["left"])
def test_enlarging_keeps_the_mean_colours(kind, matrix, full_range, location):
    fmt = FrameFormat(63, 48, 8, "420", matrix, full_range, location)
    frames = [VideoFrame(i, i, smooth_planes(fmt, i)) for i in range(2)]
    # Strongly coloured blocks as well, outside of what RGB can show.
    noisy = np.random.default_rng(4)
    blocks = [noisy.integers(16, 236, (s[0] // 4 + 1, s[1] // 4 + 1)) for s in fmt.plane_shapes]
    wild = tuple(
        np.kron(b, np.ones((4, 4)))[: s[0], : s[1]].astype(np.uint8)
        for b, s in zip(blocks, fmt.plane_shapes, strict=True)
    )
    frames.append(VideoFrame(2, 2, wild))
    options = RunOptions(devices=(jax.devices()[0],), tile=1000, batch_size=3)
    for scale in (2, 4):
        model = plain(Enlarger(scale=scale, kind=kind))
        for frame in enhance_frames(frames, fmt, model, options):
            for ours, theirs in zip(frame.planes, frames[frame.index].planes, strict=True):
                limit = 0.5 if frame.index < 2 else 1.5
                assert abs(ours.mean() - theirs.mean()) < limit


@pytest.mark.parametrize("bit_depth", [8, 10, 12])
@pytest.mark.parametrize("full_range", [False, True])
def test_full_chroma_survives_the_round_trip_exactly(bit_depth, full_range):
    fmt = FrameFormat(40, 30, bit_depth, "444", "bt2020nc", full_range)
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(0, 1 << bit_depth, (1, 30, 40)).astype(fmt.dtype) for _ in range(3))
    back = jax.jit(lambda p: rgb_to_planes(planes_to_rgb(p, fmt), fmt))(planes)
    for ours, theirs in zip(back, planes, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_gray_has_luma_alone():
    fmt = FrameFormat(4, 4, subsampling="gray")
    luma = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 13 + 16
    rgb = planes_to_rgb((luma,), fmt)
    assert rgb.shape == (1, 4, 4, 3)
    (back,) = rgb_to_planes(rgb, fmt)
    assert np.array_equal(back, luma)


def test_codes_are_clipped():
    fmt = FrameFormat(2, 2)
    y, _, _ = rgb_to_planes(jnp.full((1, 2, 2, 3), 9.0), fmt)
    assert (np.asarray(y) == 255).all()


def test_unknown_formats_are_refused():
    class Odd:
        bit_depth, subsampling, matrix = 8, "411", "bt709"
        full_range, chroma_location = False, "left"

    planes = tuple(np.zeros((1, 4, 4), np.uint8) for _ in range(3))
    with pytest.raises(ValueError, match="chroma subsampling '411'; accepted: 420, 422, 444"):
        planes_to_rgb(planes, Odd())
    with pytest.raises(ValueError, match="YCbCr matrix 'ycgco'; accepted: bt709"):
        planes_to_rgb(planes, FrameFormat(4, 4, matrix="ycgco"))
    with pytest.raises(ValueError, match="chroma location 'unknown'; accepted: left"):
        planes_to_rgb(planes, FrameFormat(4, 4, chroma_location="unknown"))
    with pytest.raises(ValueError, match="uint8 pixels, not float32"):
        to_float(jnp.zeros(3))
