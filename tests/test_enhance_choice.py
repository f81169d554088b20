"""The automatic choice of the network: its rule, and that the command says what it took."""

import subprocess

import imageio_ffmpeg
import pytest

from supervegan_jax import enhance
from supervegan_jax.enhancement.choice import ACCELERATED, NETWORKS, choose
from supervegan_jax.video_input.source import open_source
from supervegan_jax.weights import list_models


@pytest.mark.parametrize(
    ("width", "height", "kbps", "scale"),
    [
        (320, 180, 250, 4),
        (180, 320, 250, 4),
        (320, 180, 5000, 4),
        (426, 240, 250, 4),
        (640, 360, 250, 2),
        (640, 360, 20_000, 2),
        (360, 640, None, 2),
        (1280, 720, 250, 2),
        # Between: 270 lines give 540 or 1080, and 720 is nearer to 540 in proportion ...
        (480, 270, 250, 2),
        (480, 270, None, 2),
        # ... unless 0.25 bits a pixel say that there is detail for 1080.
        (480, 270, 972, 4),
    ],
)
def test_size_decides_and_bitrate_where_size_does_not(width, height, kbps, scale):
    choice = choose(width, height, 30.0, kbps)
    assert choice.model == NETWORKS[scale]
    assert f"{scale}x for {width}x{height}" in choice.reason
    larger, other = (f"{width * s}x{height * s}" for s in (scale, 6 - scale))
    rich = (width, kbps) == (480, 972)
    why = (
        f"as rich as this fills {larger}"
        if rich
        else f"{larger} is nearer to 720 lines than {other}"
    )
    assert why in choice.reason
    assert ("unknown bitrate" if kbps is None else f"{kbps} kbit/s") in choice.reason


@pytest.mark.parametrize(
    ("width", "height", "kbps", "best"),
    [
        (320, 180, 250, "fast_supervegan4"),
        (320, 180, 5000, "fast_supervegan4"),
        (640, 360, None, "fast_supervegan2"),
        (640, 360, 250, "fast_supervegan2"),
        # 0.11 bits a pixel, where the small one scores better
        (640, 360, 750, "supervegan2_small"),
    ],
)
def test_a_gpu_gets_the_best_and_a_cpu_is_told_of_it(width, height, kbps, best):
    better = choose(width, height, 30.0, kbps, accelerated=True)
    assert better.model == best
    told = choose(width, height, 30.0, kbps).reason.removeprefix(better.reason)
    small = best in NETWORKS.values()
    assert told == ("" if small else f"; {best} is better, and slow on a CPU")


def test_what_is_chosen_is_shipped_and_of_that_scale():
    shipped = list_models()
    for networks in (NETWORKS, ACCELERATED):
        assert sorted(networks) == [2, 4]
        for scale, name in networks.items():
            assert shipped[name]["generator"]["scale"] == scale


@pytest.mark.parametrize(("size", "model"), [("64x48", NETWORKS[4]), ("640x360", NETWORKS[2])])
def test_the_command_says_which_network_it_took_and_why(size, model, tmp_path, capsys):
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i"]
    command += [f"testsrc2=size={size}:rate=10:duration=0.6", "-c:v", "libx264", str(source)]
    subprocess.run(command, check=True)
    # A container's own overhead apart, the file is the video.
    kbps = source.stat().st_size * 8 / 0.6 / 1000
    measured = open_source(source).measure_kbps()
    assert measured is not None and 0.5 * kbps < measured < kbps
    enhance.main([str(source), str(output), "--dry-run"])
    assert f"chosen   {model}, " in capsys.readouterr().out
    if size == "64x48":
        enhance.main([str(source), str(output)])
        told = capsys.readouterr().err
        assert told.startswith(f"model: {model}, 4x for 64x48 at {measured:.0f} kbit/s")
    enhance.main([str(source), str(tmp_path / "o.mkv"), "--dry-run", "--model", model])
    assert "chosen" not in capsys.readouterr().out
