"""The folder of results: what is missing is made again, what is damaged is named."""

import json
import math
import re

import pytest
from video_samples import make_video

from supervegan_jax.rate_distortion import tables
from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.rate_distortion.measure import make_encodes, plan_encode
from supervegan_jax.rate_distortion.references import make_reference
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video.ffmpeg import VideoError


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "work")


def make(workspace, source):
    """A clip and an encode of it."""
    reference = make_reference(workspace, source, None)
    planned = plan_encode(workspace, reference, "h264", 2, 100)
    return reference, make_encodes(workspace, [planned], 1)[0]


def test_a_removed_video_is_made_again(workspace, tmp_path):
    source = make_video(tmp_path / "a.mkv", frames=6, size="64x48")
    with workspace.locked():
        reference, encoded = made = make(workspace, source)
        before = [path.read_bytes() for path in (reference.path, encoded.path)]
        encoded.path.unlink()
        assert make(workspace, source) == made
        reference.path.unlink()
        encoded.path.unlink()
        assert make(workspace, source) == made
        assert [path.read_bytes() for path in (reference.path, encoded.path)] == before


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_cut_video_is_named_with_what_mends_it(workspace, tmp_path, share):
    source = make_video(tmp_path / "a.mkv", frames=6, size="64x48")
    with workspace.locked():
        reference, encoded = made = make(workspace, source)
    encoded.path.unlink()
    whole = reference.path.read_bytes()
    reference.path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=rf"; remove {reference.path}, and"), workspace.locked():
        make(workspace, source)
    reference.path.unlink()
    with workspace.locked():
        assert make(workspace, source) == made
    # Other errors about a sound video, and about videos of others, stay what they are.
    for about in (reference.path, source):
        source.write_bytes(b"")
        with pytest.raises(VideoError) as told, workspace.locked():
            raise VideoError(f"{about}: no room on the disk")
        assert str(told.value) == f"{about}: no room on the disk"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        *(("encodes", content) for content in ({}, [], {"measured_kbps": "84"})),
        *(("references", content) for content in ({}, {"width": 64}, 7)),
        *(
            ("scores", content)
            for content in ([1, 2], {}, {"scores": []}, {"scores": {"psnr": {}}})
        ),
        ("scores", {"scores": {"psnr": {"mean": "30", "frames": 3}}}),
        ("shown", {"file": "a.mp4"}),
    ],
)
def test_other_json_in_a_result_is_named(workspace, kind, content):
    with workspace.locked():
        path = workspace.root / kind / "k.json"
        path.write_text(json.dumps(content))
        workspace.video(kind, "k").touch()
        with pytest.raises(ValueError, match=r"k\.json is damaged \(.*\); remove it"):
            workspace.read(kind, "k")
        for sound in ({"scores": {}}, {"scores": {"psnr": {"mean": None, "frames": 0}}}):
            workspace.write("scores", "sound", sound)
            assert workspace.read("scores", "sound") == sound


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"measured_kbps": None}, "'measured_kbps' is missing or of another type"),
        ({"measured_kbps": -3.0}, "measured_kbps -3.0"),
        ({"bits_per_pixel": 0}, "bits_per_pixel 0"),
        ({"clip": 7}, "'clip' is missing or of another type"),
        ({"psnr": "abc"}, "psnr 'abc'"),
        ({"psnr": math.nan}, "psnr nan"),
        ({"more": 1.0}, "'more' is no metric"),
        ({"ssim": 0.9}, "its points are not all of the same metrics"),
        ({"left_out": 7}, "left_out 7"),
        ({"left_out": {"psnr": "7"}}, "left_out {'psnr': '7'}"),
        ([], "it holds no points"),
        ("points", "'points' is missing or of another type"),
        ([[]], "it is no JSON object"),
    ],
)
def test_other_json_in_a_finished_run_is_named(tmp_path, damage, said):
    points = [Point("a", "h264", "net", 4, kbps, 1.0 * kbps, 0.1, {"psnr": 3.0}) for kbps in (1, 2)]
    path = tmp_path / "rd.json"
    path.write_text(tables.to_json({}, points, [], [], []))
    assert tables.read_points(path) == points
    content = json.loads(path.read_text())
    if isinstance(damage, dict):
        content["points"][0] |= damage
    else:
        content["points"] = damage
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"rd.json is damaged: {re.escape(said)}$"):
        tables.read_points(path)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_workdir(tmp_path, place):
    (tmp_path / "file").touch()
    message = f"workdir {tmp_path / place}: a file is in the way"
    with pytest.raises(ValueError, match=message), Workspace(tmp_path / place).locked():
        pass
