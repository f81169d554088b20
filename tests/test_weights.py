"""Writing and reading networks."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import SMALL

from supervegan_jax import export
from supervegan_jax.models import build_generator, init_variables
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.training.checkpoints import Checkpoints
from supervegan_jax.weights import list_models, load_model, save_model
from supervegan_jax.weights.load import load_workdir
from supervegan_jax.weights.model_file import STORAGE_DTYPES

FIELDS = {"name": "supervegan", "scale": 4, **SMALL, "temporal_widths": [8, 8]}


@pytest.fixture(scope="module")
def params():
    generator = SuperVegan(**SMALL)
    return init_variables(generator, jax.random.key(1), jnp.zeros((1, 5, 16, 16, 3)))["params"]


@pytest.mark.parametrize("dtype", sorted(STORAGE_DTYPES))
def test_a_saved_model_comes_back(tmp_path, params, dtype):
    card = save_model(tmp_path / "tiny", FIELDS, params, {"licence": "CC0"}, dtype)
    model = load_model(str(tmp_path / "tiny"))
    assert model.card == card
    assert (model.scale, card["name"], card["licence"], card["dtype"]) == (4, "tiny", "CC0", dtype)
    assert card["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(params))
    expected = jax.tree.map(
        lambda leaf: np.asarray(leaf.astype(STORAGE_DTYPES[dtype]).astype(jnp.float32)), params
    )
    changes = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), params, expected)
    assert card["largest_rounding"] == pytest.approx(max(jax.tree.leaves(changes)))
    assert jax.tree.structure(model.params) == jax.tree.structure(expected)
    for ours, theirs in zip(jax.tree.leaves(model.params), jax.tree.leaves(expected), strict=True):
        assert ours.dtype == np.float32
        assert np.array_equal(ours, theirs)
    x = jax.random.uniform(jax.random.key(0), (1, 5, 8, 8, 3))
    built = build_generator(**{**FIELDS, "temporal_widths": (8, 8)})
    assert np.array_equal(
        model.generator.apply({"params": expected}, x)["stage_b"],
        built.apply({"params": expected}, x)["stage_b"],
    )


def test_the_same_model_is_the_same_file(tmp_path, params):
    cards = [save_model(tmp_path / name, FIELDS, params, {}) for name in ("a", "b")]
    assert cards[0]["sha256"] == cards[1]["sha256"]


def test_names_files_and_lists(tmp_path, params):
    save_model(tmp_path / "tiny", FIELDS, params, {"description": "made up"})
    assert list(list_models(tmp_path)) == ["tiny"]
    assert load_model("tiny", shipped=tmp_path).scale == 4
    assert load_model(str(tmp_path / "tiny" / "model.safetensors")).card["name"] == "tiny"
    half = load_model("tiny", "bfloat16", shipped=tmp_path)
    assert half.generator.dtype == jnp.bfloat16
    renamed = tmp_path / "other.safetensors"
    (tmp_path / "tiny" / "model.safetensors").rename(renamed)
    (tmp_path / "tiny" / "card.json").rename(tmp_path / "other.json")
    assert load_model(str(renamed)).card["description"] == "made up"


def test_a_training_workdir_gives_its_averaged_parameters(tmp_path, params):
    workdir = tmp_path / "run"
    workdir.mkdir()
    config = {"config": {"model": FIELDS, "compute_dtype": "float32"}, "git_revision": "abc"}
    (workdir / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="run has no checkpoint yet"):
        load_model(str(workdir))
    assert not (workdir / "checkpoints").exists()
    checkpoints = Checkpoints(workdir / "checkpoints")
    for step in (10, 20):
        state = {
            "params": params,
            "ema": jax.tree.map(lambda leaf, step=step: leaf + step, params),
            "step": jnp.int32(step),
        }
        checkpoints.save(state, step, {})
    checkpoints.close()
    model = load_model(str(workdir))
    assert (model.card["step"], model.card["git_revision"], model.card["name"]) == (
        20,
        "abc",
        "run",
    )
    for ours, theirs in zip(jax.tree.leaves(model.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs + 20, rtol=1e-6)

    export.main([str(workdir), str(tmp_path / "out"), "--dtype", "float32", "--step", "10"])
    exported = load_model(str(tmp_path / "out"))
    assert (exported.card["step"], exported.card["name"]) == (10, "out")
    leaves = zip(jax.tree.leaves(exported.params), jax.tree.leaves(params), strict=True)
    for ours, theirs in leaves:
        np.testing.assert_allclose(ours, theirs + 10, rtol=1e-6)
    with pytest.raises(ValueError, match=r"out/model\.safetensors exists already; --overwrite"):
        export.main([str(workdir), str(tmp_path / "out")])
    export.main([str(workdir), str(tmp_path / "out"), "--overwrite"])
    assert load_model(str(tmp_path / "out")).card["dtype"] == "float16"
    with pytest.raises(ValueError, match=r"folder with neither card\.json nor config\.json"):
        export.main([str(tmp_path), str(tmp_path / "out2")])

    zeros = jax.tree.map(jnp.zeros_like, params)
    save_model(tmp_path / "first", FIELDS, zeros, {}, "float32")
    between = ["--interpolate-from", str(tmp_path / "first"), "--alpha"]
    words = [str(workdir), str(tmp_path / "between"), "--dtype", "float32"]
    export.main([*words, *between, "0.25"])
    mixed = load_model(str(tmp_path / "between"))
    assert mixed.card["interpolation"] == {"first": "first", "alpha": 0.25}
    whole = load_model(str(workdir)).params
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y / 4, rtol=1e-6), mixed.params, whole)
    export.main([*words, *between, "0.25", "--interpolate-groups", "stage_a", "--overwrite"])
    part = load_model(str(tmp_path / "between"))
    assert part.card["interpolation"]["groups"] == ["stage_a"]
    shares = {"stage_a": 0.25, "stage_b": 1.0}
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6),
        part.params,
        {name: jax.tree.map(lambda x, s=s: x * s, whole[name]) for name, s in shares.items()},
    )
    for wrong, message in [
        ([*between, "1.5"], "alpha 1.5; 0 to 1 is accepted"),
        (["--interpolate-groups", "stage_a"], "--interpolate-groups needs --interpolate-from"),
        (
            [*between, "0.5", "--interpolate-groups", "stage_c"],
            "no parameters stage_c; accepted are stage_a, stage_b",
        ),
        ([*between, "0.5", "--interpolate-groups", ""], "no parameters ''; accepted are stage_a"),
        (between[:2], "--interpolate-from and --alpha are needed together"),
        (["--interpolate-from", "supervegan4_small", "--alpha", "0.5"], "not the same network"),
    ]:
        with pytest.raises(ValueError, match=message):
            export.main([*words, "--overwrite", *wrong])


def test_the_card_tells_what_was_trained_until_its_step(tmp_path, params):
    config = {"model": FIELDS, "optimizer": {"learning_rate": 1.0}}
    later = {**config, "optimizer": {"learning_rate": 2.0}}
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (10, 20):
        checkpoints.save({"ema": params}, step, {"config": config, "git_revision": "abc"})
    checkpoints.close()
    (tmp_path / "config.json").write_text(json.dumps({"config": later, "git_revision": "def"}))
    summary = {"step": 10, "rows": {"bicubic": {"psnr": 30.0}}, "input_kbps": 250}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    card = load_workdir(tmp_path, 10).card
    assert (card["training"]["config"], card["git_revision"]) == (config, "abc")
    assert card["training"]["scores"]["rows"] == summary["rows"]
    assert "scores" not in load_workdir(tmp_path).card["training"]
    del summary["step"]  # as earlier versions wrote it
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert load_workdir(tmp_path).card["training"]["scores"]["rows"] == summary["rows"]
    assert "scores" not in load_workdir(tmp_path, 10).card["training"]
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(ValueError, match=r"summary\.json is damaged"):
        load_workdir(tmp_path)
    with pytest.raises(ValueError, match="is a training run's folder; give another one"):
        export.main([str(tmp_path), str(tmp_path)])


def test_reading_leaves_a_run_that_goes_on_alone(tmp_path, params):
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps({"config": {"model": FIELDS}}))
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.save({"ema": params}, 1, {})
    checkpoints.close()
    unfinished = workdir / "checkpoints" / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    assert load_model(str(workdir)).card["step"] == 1
    assert unfinished.is_dir()


def test_wrong_models_are_named(tmp_path, params):
    save_model(tmp_path / "tiny", FIELDS, params, {})
    with pytest.raises(ValueError, match="no model 'small': shipped are tiny; a training workdir"):
        load_model("small", shipped=tmp_path)
    with pytest.raises(ValueError, match="no model 'small': none is shipped"):
        load_model("small", shipped=tmp_path / "empty")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"folder with neither card\.json nor config\.json"):
        load_model(str(tmp_path / "folder"))
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(
        ValueError, match=r"not a \.safetensors, \.stablehlo, \.onnx, \.pth, .* one"
    ):
        load_model(str(tmp_path / "model.txt"))
    card = tmp_path / "tiny" / "card.json"
    saved = json.loads(card.read_text())
    other = {**saved["generator"], "width": 16, "temporal_widths": [8, 16]}
    card.write_text(json.dumps({**saved, "generator": other}))
    with pytest.raises(ValueError, match=r"parameter 'stage_a/.*' has shape"):
        load_model("tiny", shipped=tmp_path)
    card.write_text(json.dumps({**saved, "generator": {**saved["generator"], "depth": 3}}))
    with pytest.raises(ValueError, match=r"model 'supervegan': .*depth"):
        load_model("tiny", shipped=tmp_path)
    card.write_text(json.dumps({**saved, "version": 9}))
    with pytest.raises(ValueError, match="version 9; this program reads 1"):
        load_model("tiny", shipped=tmp_path)
    card.write_text("{}")
    with pytest.raises(ValueError, match="no model card: it lacks generator, name"):
        load_model("tiny", shipped=tmp_path)
    card.unlink()
    with pytest.raises(ValueError, match=r"card\.json is missing"):
        load_model(str(tmp_path / "tiny" / "model.safetensors"))


def test_a_changed_file_is_noticed(tmp_path, params):
    save_model(tmp_path / "tiny", FIELDS, params, {})
    path = tmp_path / "tiny" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: SHA-256 is .*, its card says"):
        load_model("tiny", shipped=tmp_path)


def test_what_cannot_be_stored_is_refused(tmp_path, params):
    large = jax.tree.map(lambda leaf: leaf + 1e6, params)
    with pytest.raises(ValueError, match="has values that float16 cannot hold"):
        save_model(tmp_path / "x", FIELDS, large, {})
    with pytest.raises(ValueError, match="dtype 'int8'; accepted are float16, bfloat16, float32"):
        save_model(tmp_path / "x", FIELDS, params, {}, "int8")
    with pytest.raises(ValueError, match=r"parameter 'stage_a/.*' has shape"):
        save_model(tmp_path / "x", {**FIELDS, "input_width": 4}, params, {})
    assert not (tmp_path / "x").exists()
