import numpy as np
import pytest
from PIL import Image
from video_samples import make_video, measure_kbps

from data_prep.clips import embedded_clip
from supervegan_jax.video import colour
from supervegan_jax.video.encoder import CODECS, codec_arguments, encode_at_bitrate
from supervegan_jax.video.probe import list_packets, probe
from supervegan_jax.video.reader import read_clip, read_raw


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    tags = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    output = ("-vf", tags, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")
    return make_video(tmp_path_factory.mktemp("v") / "clip.mkv", frames=25, output=output)


def test_h264_is_encoded_as_the_paper_does():
    command = "-c:v libx264 -preset medium -threads 1 -b:v 250k -maxrate 250k -bufsize 150k -g 250"
    assert " ".join(codec_arguments("h264", 250, 25.0)) == command


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_frames_size_and_colours(tmp_path, clip, codec):
    encode = encode_at_bitrate(
        clip, tmp_path / "out.mkv", codec=codec, bitrate_kbps=400, size=(160, 90)
    )
    info = probe(encode.path, count_frames=True)
    assert (info.width, info.height, info.frame_count) == (160, 90, 25)
    assert (encode.width, encode.height, encode.frame_count) == (160, 90, 25)
    assert (info.range, info.pixel_format) == ("tv", "yuv420p")
    assert info.matrix == ("bt470bg" if codec == "vp8" else "bt709")
    assert encode.measured_kbps == pytest.approx(measure_kbps(encode.path, 25), abs=1e-3)
    # A wrong matrix or range moves some channel's mean by 3 or more.
    difference = read_clip(encode.path).mean((0, 1, 2)) - read_clip(clip).mean((0, 1, 2))
    assert np.abs(difference).max() < 1.5
    assert encode.command[0] == "ffmpeg"
    assert encode.command[-1] == "file:out.mkv"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_the_same_encode_has_the_same_bytes(tmp_path, clip, codec):
    for name in ("a.mkv", "b.mkv"):
        encode_at_bitrate(clip, tmp_path / name, codec=codec, bitrate_kbps=100, size=(160, 90))
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


@pytest.mark.slow  # 25 encodes of 132 frames, up to 1280x720
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("size", "kbps"), [((320, 180), 75), ((320, 180), 250), ((640, 360), 750), ((1280, 720), 2000)]
)
def test_real_video_meets_its_target(tmp_path, codec, size, kbps):
    clip = embedded_clip()
    encode = encode_at_bitrate(clip, tmp_path / "a.mkv", codec=codec, bitrate_kbps=kbps, size=size)
    assert encode.measured_kbps == pytest.approx(kbps, rel=0.15)


def test_h264_meets_250_kbps_on_real_video(tmp_path):
    encode = encode_at_bitrate(
        embedded_clip(), tmp_path / "a.mkv", codec="h264", bitrate_kbps=250, size=(320, 180)
    )
    assert encode.measured_kbps == pytest.approx(250, rel=0.15)
    packets = list_packets(encode.path)
    assert packets.size * 8 / (132 / 25) / 1000 == pytest.approx(encode.measured_kbps, abs=1e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_downsampling_is_the_triangle_filter(clip, scale):
    width, height = 320 // scale, 176 // scale
    filters = f"crop=320:176:0:0,{colour.to_yuv420p(probe(clip), (width, height), 'bilinear')}"
    size = width * height * 3 // 2
    frame = next(read_raw(clip, filters, "yuv420p", size))
    luma = np.frombuffer(frame[: width * height], np.uint8).reshape(height, width)
    full = next(read_raw(clip, "crop=320:176:0:0", "yuv420p", 320 * 176 * 3 // 2))
    full_luma = np.frombuffer(full[: 320 * 176], np.uint8).reshape(176, 320)
    # Pillow's BILINEAR is a triangle as wide as the ratio, written independently of ffmpeg.
    expected = Image.fromarray(full_luma).resize((width, height), Image.Resampling.BILINEAR)
    # At the border ffmpeg repeats the outermost pixel where Pillow leaves it out.
    error = (luma.astype(int) - np.asarray(expected))[1:-1, 1:-1]
    assert np.abs(error).max() <= 2
    assert np.abs(error).mean() < 0.3


@pytest.mark.parametrize("size", [(640, 360), (161, 90), (0, 0)])
def test_sizes_that_cannot_be(tmp_path, clip, size):
    with pytest.raises(ValueError, match="cannot encode 320x180 at"):
        encode_at_bitrate(clip, tmp_path / "a.mkv", codec="h264", bitrate_kbps=100, size=size)
    assert not list(tmp_path.iterdir())


def test_unknown_codec_and_rate():
    with pytest.raises(ValueError, match="codec 'mpeg2': must be one of h264, h265, vp8, vp9, av1"):
        codec_arguments("mpeg2", 250, 25.0)
    with pytest.raises(ValueError, match="bitrate_kbps 0"):
        codec_arguments("h264", 0, 25.0)
