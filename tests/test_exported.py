"""Exported files: equal to `apply`, whole or not there, and run by enhance."""

import dataclasses
import hashlib
import json

import jax
import numpy as np
import pytest
from enhancement_samples import random_frames, small_model, small_system

from supervegan_jax import export
from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.runner import enhance_frames
from supervegan_jax.exported.files import FORMATS, card_path, write_export
from supervegan_jax.exported.network import difference, network_function
from supervegan_jax.models.single_stage import as_variables
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.weights import load_model
from supervegan_jax.weights.interpolation import interpolate, set_detail

ONE = {"devices": (jax.devices()[0],), "batch_size": 2}
# Between them a layer of every kind: with and without blocks, on both grids.
NETWORKS = {
    "4x": (4, {"trunk_blocks": 1, "outer_blocks": 1, "inner_blocks": 1}),
    "4x on the input's grid": (4, {"detail_grid": 1, "filter_kernel": 1, "input_taps": 1}),
    "2x": (2, {"filter_blocks": 1, "residual_blocks": 1, "inner_width": 12}),
    "2x on the input's grid": (2, {"detail_grid": 1, "filter_kernel": 1, "detail_floor": 9}),
}


def described(model, scale, fields):
    """The model with the card that its structure can be built from."""
    generator = {
        name: value
        for name, value in vars(model.generator).items()
        if name in type(model.generator).__dataclass_fields__
        and name not in ("parent", "name", "dtype")
    }
    card = {"version": 1, "name": "tiny", "generator": {"name": "supervegan", **generator}}
    return dataclasses.replace(model, card=card)


@pytest.fixture(scope="module")
def tiny():
    return described(small_model(2, detail_grid=1), 2, {})


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return {name: write_export(folder, tiny, name, "b")[0] for name in FORMATS}


# ONNX is written layer by layer; StableHLO comes from the same function whatever the layers are.
@pytest.mark.parametrize(
    ("name", "network"),
    [
        *(("onnx", network) for network in NETWORKS),
        ("stablehlo", "4x"),
        ("stablehlo", "2x on the input's grid"),
    ],
)
def test_a_file_computes_what_apply_does_at_any_size(name, network, tmp_path):
    scale, fields = NETWORKS[network]
    model = described(small_model(scale, **fields), scale, fields)
    path, largest = write_export(tmp_path, model, name, "b")
    assert largest <= 1e-4
    windows = np.random.default_rng(1).random((3, 5, 13, 22, 3), np.float32)
    wanted = model.generator.apply({"params": model.params}, windows)["stage_b"]
    got = load_model(str(path)).exported.call(windows)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_stage_a_alone_is_exported_enlarged(tiny, name, tmp_path):
    path, _ = write_export(tmp_path, tiny, name, "a")
    windows = np.random.default_rng(1).random((1, 5, 16, 20, 3), np.float32)
    wanted = upsample_bicubic(tiny.generator.apply({"params": tiny.params}, windows)["stage_a"])
    model = load_model(str(path))
    np.testing.assert_allclose(model.exported.call(windows), wanted, atol=1e-4)
    with pytest.raises(ValueError, match="exported for stage a at full strength; stage b"):
        list(enhance_frames([], FrameFormat(20, 16), model, RunOptions()))


@pytest.mark.parametrize("name", FORMATS)
def test_enhance_runs_it(tiny, exported, name):
    fmt = FrameFormat(28, 24)
    frames = list(random_frames(7, fmt))
    model = load_model(str(exported[name]))
    wanted = enhance_frames(frames, fmt, tiny, RunOptions(dtype="float32", **ONE))
    got = enhance_frames(frames, fmt, model, RunOptions(**ONE))
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.index == theirs.index
        for a, b in zip(ours.planes, theirs.planes, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
    for options, message in [
        (RunOptions(strength=0.5), "at full strength; stage b at strength 0.5"),
        (RunOptions(dtype="bfloat16"), "exported to compute in float32, not bfloat16"),
    ]:
        with pytest.raises(ValueError, match=message):
            list(enhance_frames(frames, fmt, model, options))
    with pytest.raises(ValueError, match="computes in float32"):
        load_model(str(exported[name]), "bfloat16")


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_told(exported, name, tmp_path):
    source = exported[name]
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"\.json is missing"):
        load_model(str(path))
    card = json.loads(card_path(source).read_text())
    card_path(path).write_text(json.dumps(card))
    with pytest.raises(ValueError, match="its card says"):
        load_model(str(path))
    path.write_bytes(b"rubbish")
    card["sha256"] = hashlib.sha256(b"rubbish").hexdigest()
    card_path(path).write_text(json.dumps(card))
    with pytest.raises(ValueError, match=rf"{path.name}: no (ONNX file|StableHLO)"):
        load_model(str(path))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_differs_is_not_written(tiny, name, tmp_path, monkeypatch):
    other = dataclasses.replace(tiny, params=jax.tree.map(lambda p: 1.01 * p, tiny.params))
    honest = FORMATS[name]
    wrong = dataclasses.replace(honest, write=lambda model, stage: honest.write(other, stage))
    monkeypatch.setitem(FORMATS, name, wrong)
    with pytest.raises(ValueError, match="the exported network differs by"):
        write_export(tmp_path, tiny, name, "b")
    assert list(tmp_path.iterdir()) == []


def test_another_shape_is_a_difference(tiny):
    function = network_function(tiny.generator, tiny.params, "b")
    assert difference(function, tiny.generator, tiny.params, "b") <= 1e-6
    with pytest.raises(ValueError, match=r"gives \(2, 33, 44, 3\), not \(2, 34, 44, 3\)"):
        difference(lambda x: function(x)[:, 1:], tiny.generator, tiny.params, "b")


def test_the_floor_is_set_when_training_is_over(tmp_path):
    words = ["supervegan4_small", str(tmp_path / "floored"), "--detail-floor", "3"]
    export.main([*words, "--interpolate-from", "supervegan4_small", "--alpha", "0.5"])
    floored, plain = load_model(str(tmp_path / "floored")), load_model("supervegan4_small")
    assert floored.generator.detail_floor == 3.0 != plain.generator.detail_floor
    jax.tree.map(np.testing.assert_array_equal, floored.params, plain.params)
    with pytest.raises(ValueError, match="detail_floor is -1"):
        export.main([*words[:3], "-1", "--overwrite"])
    # What differs in the floor alone may be interpolated.
    between = ["--interpolate-from", str(tmp_path / "floored"), "--alpha", "0.5"]
    export.main(["supervegan4_small", str(tmp_path / "between"), *between])
    halfway = load_model(str(tmp_path / "between"))
    assert halfway.generator.detail_floor == plain.generator.detail_floor


def test_detail_is_made_stronger_when_training_is_over(tmp_path):
    words = ["supervegan4_small", str(tmp_path / "strong"), "--dtype", "float32"]
    export.main([*words, "--detail-gain", "1.5", "--detail-floor", "0.6"])
    strong, plain = load_model(str(tmp_path / "strong")), load_model("supervegan4_small")
    assert strong.card["detail_gain"] == 1.5 and plain.generator.detail_floor == 0.4
    trained = dataclasses.replace(plain, card={**plain.card, "training": {"scores": 1, "steps": 2}})
    assert set_detail(trained, floor=0.6).card["training"] == {"steps": 2}
    assert "scores" in plain.card and not {"scores", "limits"} & set(strong.card)
    frames = np.random.default_rng(0).random((5, 16, 16, 3), np.float32)

    def enhanced(model, stage):
        variables = {"params": model.params}
        return np.asarray(model.generator.apply(variables, frames, stage, method="enhance"))

    a, b = (enhanced(plain, stage) for stage in "ab")
    np.testing.assert_array_equal(enhanced(strong, "a"), a)
    np.testing.assert_allclose(enhanced(strong, "b"), a + 1.5 * (b - a), atol=1e-5)
    for wrong in ("0", "-1", "nan", "inf"):
        with pytest.raises(ValueError, match=f"detail gain {float(wrong)}; above 0 is accepted"):
            export.main([*words, "--overwrite", "--detail-gain", wrong])
    with pytest.raises(ValueError, match="model is exported already; give the network it was"):
        interpolate(dataclasses.replace(plain, exported=object(), card={"name": "model"}), plain, 1)
    with pytest.raises(ValueError, match="has no stage B, and so no detail"):
        set_detail(dataclasses.replace(plain, params={"train": {}}), 2.0)


@pytest.mark.parametrize(
    ("name", "fields", "least"),
    [("rlfn", {"width": 8, "blocks": 1}, 15), ("srvgg", {"width": 8, "layers": 1}, 1)],
)
def test_a_network_of_a_run_is_written_with_a_card_of_its_own(name, fields, least, tmp_path):
    model = small_system(name, **fields)
    assert "version" not in model.card  # as those of runs and of published files
    path, _ = write_export(tmp_path, model, "stablehlo", "b")
    read = load_model(str(path))
    assert (read.scale, read.card["least_side"]) == (4, least)
    windows = np.random.default_rng(1).random((2, 1, 15, 23, 3), np.float32)
    wanted = model.generator.apply(as_variables(model.params), windows)
    np.testing.assert_allclose(read.exported.call(windows), wanted, atol=1e-4)
    halfway = interpolate(model, dataclasses.replace(model, params=zeros(model.params)), 0.5)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y / 2), halfway.params, model.params)
    with pytest.raises(ValueError, match="no stage B, and so no detail to shrink"):
        set_detail(model, floor=1.0)


def zeros(params):
    return jax.tree.map(np.zeros_like, params)


def test_the_command_writes_what_is_asked_for(exported, tmp_path, capsys):
    words = ["supervegan4_small", str(tmp_path), "--format", "safetensors", "stablehlo", "onnx"]
    export.main(words)
    assert "differs by" in capsys.readouterr().out
    names = {"model.safetensors", "model.onnx", "model.stablehlo"}
    cards = {"card.json", "model.onnx.json", "model.stablehlo.json"}
    assert {path.name for path in tmp_path.iterdir()} == names | cards
    card = json.loads((tmp_path / "model.onnx.json").read_text())
    for field in ("generator", "colour", "training", "scores", "licence", "largest_difference"):
        assert card[field], field
    with pytest.raises(ValueError, match=r"model\.onnx exists already; --overwrite replaces it"):
        export.main([*words[:2], "--format", "onnx"])
    for name, of in (("model.safetensors", "safetensors"), ("model.onnx.json", "onnx")):
        alone = tmp_path / name.replace(".", "_")
        alone.mkdir()
        (alone / name).write_text("precious")
        with pytest.raises(ValueError, match=rf"{name} exists already"):
            export.main([words[0], str(alone), "--format", of])
        assert (alone / name).read_text() == "precious"
    with pytest.raises(ValueError, match="--stage a is of --format stablehlo and onnx"):
        export.main([words[0], str(tmp_path / "again"), "--stage", "a"])
    with pytest.raises(ValueError, match="is exported already"):
        export.main([str(exported["onnx"]), str(tmp_path / "again")])
    with pytest.raises(ValueError, match="--step 3: supervegan4_small is no training run"):
        export.main(["supervegan4_small", str(tmp_path / "again"), "--step", "3"])
    assert not (tmp_path / "again").exists()
