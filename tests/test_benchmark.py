"""Counting by hand, the limits' arithmetic, and the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import small_model
from jax import lax

from configs import duf16
from supervegan_jax import benchmark, build
from supervegan_jax.benchmarking import end_to_end, measure, table
from supervegan_jax.benchmarking.limits import Limits
from supervegan_jax.benchmarking.timing import in_turns
from supervegan_jax.benchmarking.training import time_step
from supervegan_jax.models import PUBLISHED
from supervegan_jax.ops.counting import count_bytes, count_macs


def shape(*sides):
    return jax.ShapeDtypeStruct(sides, jnp.float32)


def convolve(x, kernel, groups=1, stride=1):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(
    ("function", "arguments", "macs", "moved"),
    [
        # every output needs kernel height x kernel width x input features
        (
            convolve,
            (shape(2, 10, 12, 16), shape(3, 3, 16, 32)),
            2 * 10 * 12 * 32 * 9 * 16,
            4 * (2 * 10 * 12 * 16 + 9 * 16 * 32 + 2 * 10 * 12 * 32),
        ),
        (
            lambda x, k: convolve(x, k, stride=2),
            (shape(1, 10, 12, 16), shape(3, 3, 16, 8)),
            5 * 6 * 8 * 9 * 16,
            4 * (10 * 12 * 16 + 9 * 16 * 8 + 5 * 6 * 8),
        ),
        # a grouped kernel has the features of one group only
        (
            lambda x, k: convolve(x, k, groups=4),
            (shape(1, 6, 6, 16), shape(3, 3, 4, 8)),
            6 * 6 * 8 * 9 * 4,
            4 * (6 * 6 * 16 + 9 * 4 * 8 + 6 * 6 * 8),
        ),
        (
            lambda a, b: jnp.einsum("bik,bkj->bij", a, b),
            (shape(3, 5, 7), shape(3, 7, 11)),
            3 * 5 * 7 * 11,
            4 * (3 * 5 * 7 + 3 * 7 * 11 + 3 * 5 * 11),
        ),
        # a loop counts as often as it runs; what is called is counted where it is called
        (
            lambda a: lax.scan(lambda c, _: (jax.jit(jnp.matmul)(c, c), None), a, length=6)[0],
            (shape(5, 5),),
            6 * 5**3,
            6 * 4 * 3 * 25,
        ),
        (lambda x: jnp.tanh(x) + 2 * x, (shape(9, 9),), 0, 0),
    ],
)
def test_counted_by_hand(function, arguments, macs, moved):
    assert count_macs(function, *arguments) == macs
    assert count_bytes(function, *arguments) == moved


@pytest.mark.parametrize("stride", [1, 2])
def test_a_gradient_costs_twice_the_convolution(stride):
    def loss(x: jax.Array, k: jax.Array) -> jax.Array:
        return convolve(x, k, stride=stride).sum()

    arguments = shape(2, 10, 12, 16), shape(3, 3, 16, 8)
    macs = 2 * (10 // stride) * (12 // stride) * 8 * 9 * 16
    assert count_macs(loss, *arguments) == macs
    assert count_macs(jax.grad(loss, (0, 1)), *arguments) == 3 * macs


def test_a_limit_is_the_slower_of_the_two():
    limits = Limits(macs=100.0, bytes=10.0)
    assert limits.least_seconds(macs=200, moved=5) == 2.0
    assert limits.least_seconds(macs=200, moved=50) == 5.0


def test_functions_take_turns_and_the_first_call_of_each_is_not_counted():
    calls: list[str] = []
    times = in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 0.01)
    assert calls[:4] == ["a", "b", "a", "b"]
    assert calls.count("a") == calls.count("b")
    assert all(0 <= t < 0.01 for t in times)


@pytest.mark.slow
def test_the_command_counts(tmp_path, capsys):
    path = tmp_path / "counts.json"
    benchmark.main(["--count-only", "--json", str(path)])
    found = {record.pop("model"): record for record in json.loads(path.read_text())}
    # The published networks as layers say: docs and README have these figures.
    assert found["supervegan4"] == {"parameters": 6_203_772, "macs": 565_695_360_000}
    assert found["fast_supervegan2"] == {"parameters": 1_222_860, "macs": 100_985_011_200}
    assert found["supervegan4_small"] == {"parameters": 375_512, "macs": 12_535_372_800}
    assert set(PUBLISHED) < set(found)
    assert "565,695,360,000" in capsys.readouterr().out


def test_the_command_measures(tmp_path, capsys):
    path, plot = tmp_path / "records.json", tmp_path / "roofline.png"
    words = ["--models", "supervegan4_small", "--measure", "forward", "--seconds", "0.01"]
    files = ["--json", str(path), "--plot", str(plot)]
    benchmark.main([*words, "--output-size", "64x32", "--stage", "b", *files])
    (record,) = json.loads(path.read_text())
    assert (record["size"], record["output"], record["stage"]) == ("16x8", "64x32", "b")
    assert record["macs_per_pixel"] == pytest.approx(12_535_372_800 / (320 * 180))
    assert record["ms_per_frame"] > 0
    assert record["compile_seconds"] > 0
    least = min(record["limit_gmacs"], record["limit_gbytes"] * record["macs_per_byte"])
    assert record["fraction_of_limit"] == pytest.approx(record["gmacs_per_second"] / least)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "16x8" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tecogan", "mfqe2"])
def test_networks_that_read_no_windows_are_measured(name, tmp_path):
    path = tmp_path / "speed.json"
    words = ["--models", name, "--measure", "forward", "--seconds", "0.01", "--batch-size", "2"]
    benchmark.main([*words, "--output-size", "64x32", "--json", str(path)])
    (record,) = json.loads(path.read_text())
    assert record["batch_size"] == 2 and record["ms_per_frame"] > 0


def test_a_network_of_one_stage_is_measured_once(tmp_path):
    path = tmp_path / "records.json"
    words = ["--models", "fsrcnn", "--measure", "forward", "--seconds", "0.01"]
    benchmark.main([*words, "--output-size", "64x32", "--json", str(path), "--against-pytorch"])
    (record,) = json.loads(path.read_text())
    assert (record["model"], record["stage"]) == ("fsrcnn", "b")
    assert record["ms_per_frame"] > 0
    assert "pytorch_ratio" not in record  # it has no twin


@pytest.mark.parametrize("truths", [1, 2])
def test_a_step_is_timed_on_the_windows_of_its_network(truths):
    config = duf16.get_config()
    fields = {"kept_blocks": 0, "width": 4, "growth": 4, "head_width": 4, "filter_width": 4}
    config.model.update(fields)
    config.data.update({"batch_size": 4, "patch_size": 8, "truths": truths})
    config.parallel = "jit"
    phases = build.build_phases(config)
    assert time_step(config, phases, phases[-1], 0.01) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "0"], "--seconds 0; more than 0"),
        (["--batch-size", "0"], "--batch-size 0; at least 1 is accepted"),
        (["--output-size", "1280"], "--output-size 1280: WxH with multiples of 8"),
        (["--output-size", "1284x720"], "--output-size 1284x720"),
        (["--output-size", "0x720"], "--output-size 0x720"),
        (["--json", "no/such/folder.json"], "no/such/folder.json: there is no folder /"),
        (["--models", "nothing"], "no model 'nothing': accepted are fast_supervegan2, fast"),
        (["--models", "supervegan"], ", supervegan4_small, supervegan4, supervegan2, duf16,"),
        (["--config", "configs/tiny.py"], "--measure is not of --config, which prints alone"),
        (["--seconds", "nan"], "--seconds nan; more than 0"),
        (["--json", "tests"], "tests is a folder; the name of a file is needed"),
        (["--count-only", "--plot", "x.png"], "--plot needs times, and --count-only takes none"),
        (["--models", "fsrcnn", "--stage", "a"], "--stage a: fsrcnn has stage b alone"),
    ],
)
def test_wrong_flags_are_told(words, message):
    with pytest.raises(ValueError, match=message):
        benchmark.main([*words, "--measure", "forward"])


def test_what_would_measure_nothing_is_told():
    with pytest.raises(ValueError, match=r"no config file 'configs/nothing\.py'"):
        benchmark.main(["--config", "configs/nothing.py"])
    words = ["--models", "supervegan4_small", "--output-size", "64x32"]
    with pytest.raises(ValueError, match="--measure training is of --output-size 1280x720 alone"):
        benchmark.main([*words, "--measure", "training"])


def test_end_to_end_is_measured_as_asked_for(tmp_path, monkeypatch):
    seen = []

    def spied(job, messages):
        seen.append(job.options)
        raise KeyboardInterrupt

    monkeypatch.setattr(end_to_end, "enhance_video", spied)
    monkeypatch.setattr(measure, "make_input", lambda size, folder: tmp_path / "in.mkv")
    path = tmp_path / "speed.json"
    words = ["--models", "fsrcnn,supervegan4_small", "--stage", "b", "--dtype", "bfloat16"]
    words += ["--output-size", "64x32", "1280x720", "--batch-size", "2", "--seconds", "0.01"]
    with pytest.raises(KeyboardInterrupt):
        benchmark.main([*words, "--measure", "forward", "end-to-end", "--json", str(path)])
    assert (seen[0].dtype, seen[0].batch_size) == ("bfloat16", 2)
    (record,) = json.loads(path.read_text())  # what was measured before is kept
    assert record["output"] == "64x32"


def test_what_was_not_measured_is_a_dash():
    record = {"model": "m", "stage": "a", "size": "8x8", "parameters": 1, "macs_per_pixel": 2.0}
    assert table.line(record).split() == ["m", "a", "8x8", "1", "2", *["-"] * 8]
    assert len(table.header()) == len(table.line(record))


@pytest.mark.parametrize("scale", [4, 2])
@pytest.mark.parametrize("fields", [{}, {"detail_grid": 1, "input_taps": 1, "detail_floor": 9}])
def test_the_twin_in_pytorch_computes_the_same(scale, fields):
    torch = pytest.importorskip("torch")
    from benchmarks.pytorch_twin import Twin, training_functions

    blocks = {"trunk_blocks": 1, "residual_blocks": 1, "outer_blocks": 1, "inner_blocks": 1}
    model = small_model(scale, **blocks, **fields)
    rng = np.random.default_rng(0)
    windows = rng.random((2, 5, 12, 16, 3), np.float32)
    wanted = model.generator.apply({"params": model.params}, windows)
    twin = Twin(model.generator, model.params)
    with torch.no_grad():
        got = twin(torch.from_numpy(np.moveaxis(windows, -1, 2).copy()))
    for name, y in zip(("stage_a", "stage_b"), got, strict=True):
        np.testing.assert_allclose(np.moveaxis(y.numpy(), 1, -1), wanted[name], atol=1e-4)

    # The step that is timed has the loss that ours has.
    half, full = np.zeros(wanted["stage_a"].shape, "f4"), np.zeros(wanted["stage_b"].shape, "f4")
    step = training_functions(lambda: twin, windows, half, full)["eager"]
    loss = float(jnp.mean(wanted["stage_a"] ** 2) + jnp.mean(wanted["stage_b"] ** 2))
    assert step() == pytest.approx(loss, rel=1e-4)
    assert step() < loss
