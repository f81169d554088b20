import importlib
import pkgutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

import configs
from configs import base
from supervegan_jax import build, job
from supervegan_jax.models import PUBLISHED
from supervegan_jax.models.single_stage import as_parameters
from supervegan_jax.models.supervegan import VARIANTS

NAMES = [m.name for m in pkgutil.iter_modules(configs.__path__) if not m.ispkg]


def load(name: str) -> ConfigDict:
    return importlib.import_module(f"configs.{name}").get_config()


def fields(config: ConfigDict, prefix: str = "") -> set[str]:
    names = set()
    for name, value in config.items():
        inner = isinstance(value, ConfigDict)
        names |= fields(value, f"{prefix}{name}.") if inner else {prefix + name}
    return names


def test_all_promised_configs_are_there():
    promised = {"base", "quickstart", "tiny", "no_prog", "no_mse_a", *VARIANTS}
    assert promised <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_configs_change_fields_and_never_add_any(name):
    config = load(name)
    published = base.get_config()
    # A network has the fields of its own class, and a phase its own name.
    for changed in ("model", "phases"):
        published[changed] = config[changed]
    assert fields(config) == fields(published)
    with pytest.raises(AttributeError, match="Did you mean"):
        config.sede = 1


@pytest.mark.parametrize("name", NAMES)
def test_configs_open_with_their_command(name):
    doc = importlib.import_module(f"configs.{name}").__doc__
    if name != "base":
        assert f"python -m supervegan_jax.main --config configs/{name}.py" in doc


@pytest.mark.parametrize("name", NAMES)
def test_configs_build(name):
    config = load(name)
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    size = config.data.patch_size
    channels = system.generator.channels
    lr = jnp.zeros((1, system.generator.frames, size, size, channels))
    variables = jax.eval_shape(system.generator.init, jax.random.key(0), lr)
    apply = partial(system.generator.apply, method="outputs")
    outputs = jax.eval_shape(apply, variables, lr)
    output = outputs["output"] if "output" in outputs else outputs["stage_b"]
    assert output.shape == (1, config.model.scale * size, config.model.scale * size, channels)
    assert set(as_parameters(system.generator, variables)) >= set(phases[-1].trains)
    if name in PUBLISHED:
        assert {field: config.model[field] for field in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_sees_whole_batches_is_not_split_by_pmap(name):
    config = load(name)
    joint = build.sees_whole_batches(config)
    assert bool(joint) == (config.parallel == "jit")
    assert bool(joint) == name.startswith(("duf", "esrgan", "mfqe2", "tecogan"))
    config.parallel = "jit"
    job.check_devices(config)
    config.parallel = "pmap"
    if joint:
        with pytest.raises(ValueError, match=f"^{joint} looks at a batch as a whole"):
            job.check_devices(config)


def test_the_papers_recipe():
    phases = build.build_phases(base.get_config())
    # 100, 100 and 200 epochs of 25,000 patches in batches of 16.
    assert [phase.steps for phase in phases] == [156_250, 156_250, 312_500]
    schedule = build.build_system(base.get_config(), phases).schedule
    half = phases[2].first_step + 156_250
    assert float(schedule(jnp.int32(half - 1))) == pytest.approx(1e-4)
    assert float(schedule(jnp.int32(half))) == pytest.approx(1e-5)


def test_ablations_by_config():
    (only,) = build.build_phases(load("no_prog"))
    schedule = build.build_system(load("no_prog"), (only,)).schedule
    half = 2 * 156_250 + 156_250  # as in phases
    assert [round(float(schedule(jnp.int32(step))), 7) for step in (half - 1, half)] == [1e-4, 1e-5]
    weights = [dict(phase.weights)["mse_a"] for phase in build.build_phases(load("no_mse_a"))]
    assert weights == [1.0, 0.0, 0.0]


def test_the_fixed_network_may_compute_in_another_dtype_than_the_generator():
    config = load("tiny")
    images = jnp.zeros((1, 32, 32, 3))

    def dtypes():
        system = build.build_system(config, build.build_phases(config))
        frozen = build.load_frozen(config, build.build_phases(config))
        features = jax.eval_shape(system.features, frozen, images)
        return system.generator.dtype, {leaf.dtype for leaf in features.values()}

    assert dtypes() == (jnp.float32, {jnp.dtype(jnp.float32)})
    config.perceptual.compute_dtype = "bfloat16"
    assert dtypes() == (jnp.float32, {jnp.dtype(jnp.bfloat16)})
    config.compute_dtype, config.perceptual.compute_dtype = "bfloat16", ""
    assert dtypes() == (jnp.bfloat16, {jnp.dtype(jnp.bfloat16)})


def test_wrong_values_are_refused():
    config = load("tiny")
    config.compute_dtype = "float64"
    with pytest.raises(ValueError, match="compute_dtype 'float64'; accepted are float32, bfloat16"):
        build.build_model(config)
    config = load("tiny")
    config.perceptual.compute_dtype = "float16"
    with pytest.raises(ValueError, match=r"perceptual\.compute_dtype 'float16'; accepted"):
        build.build_system(config, build.build_phases(config))
    config = load("tiny")
    config.data.source = "webdataset"
    with pytest.raises(ValueError, match="'webdataset'; accepted are records, memory"):
        build.build_batches(config, None)
    config = load("tiny")
    config.data.max_frames = 3
    with pytest.raises(ValueError, match=r"data\.max_frames is of data\.source memory; what reco"):
        build.build_batches(config, None)


def test_only_the_perceptual_slice_that_is_used_is_loaded():
    config = load("tiny")
    frozen = build.load_frozen(config, build.build_phases(config))
    assert set(frozen["params"]) == {"conv1_1"}
    config.phases.blend.weights.perceptual = 0.0
    config.phases.full.weights.perceptual = 0.0
    assert build.load_frozen(config, build.build_phases(config)) == {}
    config.discriminator.input = "features"
    assert set(build.load_frozen(config, build.build_phases(config))["params"]) == {"conv1_1"}
    config.discriminator.input = "sound"
    with pytest.raises(
        ValueError, match="input 'sound'; accepted are image, features, triplets, none"
    ):
        build.build_discriminator(config, np.float32)


def test_the_discriminator_is_shown_the_layers_it_names():
    config = load("supervegan4_small")
    features = {layer: np.full((1, 4, 4, 2), i) for i, layer in enumerate(config.perceptual.layers)}

    def shown():
        _, show = build.build_discriminator(config, np.float32)
        return show(lambda images: features, np.zeros((1, 4, 4, 3)), {})

    assert set(shown()) == {"relu1_2", "relu2_2", "relu3_1"}
    config.discriminator.layers = ("relu2_2",)
    only = shown()
    assert set(only) == {"relu2_2"}
    np.testing.assert_array_equal(only["relu2_2"], features["relu2_2"])
    config.discriminator.layers = ("relu4_3",)
    with pytest.raises(ValueError, match=r"'relu4_3' is none of perceptual\.layers"):
        build.build_discriminator(config, np.float32)
