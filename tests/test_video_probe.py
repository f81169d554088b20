from fractions import Fraction

import pytest
from PIL import Image
from video_samples import ffmpeg, make_video

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import constant_rate, list_packets, probe


@pytest.mark.parametrize("fps", ["25", "30000/1001", "24000/1001", "60"])
@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_rate_size_and_count(tmp_path, fps, extension):
    path = make_video(tmp_path / f"a.{extension}", frames=7, size="66x34", fps=fps)
    info = probe(path, count_frames=True)
    assert (info.width, info.height, info.fps, info.frame_count) == (66, 34, Fraction(fps), 7)
    assert info.pixel_format == "yuv420p"
    assert not info.interlaced


def test_tags_are_told(tmp_path):
    tags = "setparams=range=pc:colorspace=smpte170m:color_primaries=bt709:color_trc=bt709"
    output = ("-vf", tags, "-c:v", "libx264", "-qp", "0")
    info = probe(make_video(tmp_path / "a.mkv", output=output))
    assert (info.range, info.matrix) == ("pc", "smpte170m")
    assert (info.primaries, info.transfer) == ("bt709", "bt709")
    assert probe(make_video(tmp_path / "b.mkv")).matrix == "unknown"


def test_rotation_turns_the_size(tmp_path):
    path = make_video(tmp_path / "a.mp4", size="64x32")
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(path), "-c", "copy", str(turned))
    info = probe(turned)
    assert (info.width, info.height) == (32, 64)


def test_packets_have_the_bytes_of_the_video_alone(tmp_path):
    # A raw H.264 stream has no container: its file is its packets.
    stream = make_video(tmp_path / "a.h264", frames=50, fps="20")
    container = tmp_path / "a.mkv"
    ffmpeg("-framerate", "20", "-i", str(stream), "-c", "copy", str(container))
    in_mkv = list_packets(container)
    assert in_mkv.count == list_packets(stream).count == 50
    assert list_packets(stream).size == stream.stat().st_size
    # Matroska keeps the parameter sets in its header, and lengths in place of start codes.
    assert in_mkv.size == pytest.approx(stream.stat().st_size, rel=0.01)
    assert in_mkv.fps == 20


def test_a_rate_that_the_times_belie_is_their_mean(tmp_path):
    path = make_video(tmp_path / "a.mkv", frames=25)  # at 25 frames per second
    assert constant_rate(path, Fraction(25200, 1001)) == Fraction(25200, 1001)  # 0.7 % off
    assert constant_rate(path, Fraction(50)) == 25


def test_sound_cover_art_and_pictures_are_no_video(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "cover.jpg")
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-i", str(tmp_path / "cover.jpg")),
        *("-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"),
        str(tmp_path / "song.m4a"),
    )
    with pytest.raises(VideoError, match="song"):
        probe(tmp_path / "song.m4a")
    with pytest.raises(VideoError, match="is not a video"):
        probe(tmp_path / "cover.jpg")


def test_the_second_stream_may_be_the_video(tmp_path):
    video = make_video(tmp_path / "a.mkv", frames=10)
    both = tmp_path / "both.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=1", "-i", str(video)),
        *("-map", "0", "-map", "1", "-c:v", "copy", str(both)),
    )
    assert probe(both, count_frames=True).frame_count == 10


def test_a_cut_off_file_is_an_error(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VideoError, match=r"a\.mp4"):
        probe(path)
