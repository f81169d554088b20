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
from supervegan_jax.data import clip_pairs, input_pipeline, memory
from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES
from supervegan_jax.models import PUBLISHED
from supervegan_jax.models.discriminator import Discriminator
from supervegan_jax.models.single_stage import as_parameters
from supervegan_jax.models.supervegan import VARIANTS
from supervegan_jax.training import loop

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


def unusual():
    """The tiny config with another value in every field that a system is built from."""
    config = load("tiny")
    config.seed = 5
    config.compute_dtype = "bfloat16"
    config.phases.stage_a.steps = 10
    config.perceptual.update(unit_length=True, crop_size=24)
    config.discriminator.update(
        loss="relativistic",
        width=6,
        halvings=3,
        detail_input=True,
        patch_logits=True,
        crop_size=40,
    )
    config.optimizer.update(
        learning_rate=4e-4,
        final_learning_rate=1e-4,
        discriminator_learning_rate=8e-3,
        warmup_steps=4,
        b1=0.5,
        b2=0.25,
        max_gradient_norm=0.3,
        ema_decay=0.7,
        accumulate=2,
    )
    config.data.update(
        ping_pong=True, horizontal_flip=False, vertical_flip=True, time_reversal=False, threads=3
    )
    return config


def test_fields_reach_the_system():
    config = unusual()
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    assert (system.seed, system.ema_decay, system.accumulate, system.ping_pong) == (5, 0.7, 2, True)
    assert (system.discriminator_crop, system.perceptual_crop) == (40, 24)
    assert system.adversarial is ADVERSARIAL_LOSSES["relativistic"]
    assert system.perceptual.keywords == {"unit_length": True}
    assert system.discriminator == Discriminator(6, True, 3, True, jnp.bfloat16)
    end = phases[-1].end  # 10 + 4 + 4 steps; the rate drops after 16 and rises over 4 each time
    for schedule, rate, last in (
        (system.schedule, 4e-4, 1e-4),
        (system.discriminator_schedule, 8e-3, 2e-3),
    ):
        rates = [float(schedule(jnp.int32(step))) for step in (0, 9, 10, 15, end - 1)]
        np.testing.assert_allclose(rates, [rate / 4, rate, rate / 4, rate / 2, last], rtol=1e-6)
    # Adam by hand: two gradients of length 5, scaled down to 0.3.
    first, second = (np.array([3.0, -4.0]) * 0.06, np.array([0.0, 5.0]) * 0.06)
    state = system.optimizer.init(jnp.zeros(2))
    for gradient in (first, second):
        direction, state = system.optimizer.update(jnp.asarray(gradient / 0.06), state)
    mean = (0.5 * 0.5 * first + 0.5 * second) / (1 - 0.5**2)
    square = (0.25 * 0.75 * first**2 + 0.75 * second**2) / (1 - 0.25**2)
    np.testing.assert_allclose(direction, mean / (np.sqrt(square) + 1e-8), rtol=1e-5)


def test_fields_reach_the_batches(monkeypatch):
    asked = {}
    monkeypatch.setattr(input_pipeline, "record_batches", lambda *a, **k: asked.update(k))
    monkeypatch.setattr(clip_pairs, "load_pairs", lambda *a, **k: asked.update(k) or ["pairs"])
    monkeypatch.setattr(memory, "memory_batches", lambda *a, **k: asked.update(k))
    expected = {"batch_size": 4, "patch_size": 16, "scale": 4, "seed": 5, "first_step": 9}
    expected |= {"horizontal_flip": False, "vertical_flip": True, "time_reversal": False}
    config = unusual()
    build.build_batches(config, None)(None, 9)
    assert asked.items() >= {**expected, "shuffle_buffer": 64, "num_threads": 3}.items()
    asked.clear()
    config.data.update(source="memory", clip_weights=("a*=0.5",), max_frames=7)
    build.build_batches(config, None)(None, 9)
    assert asked.items() >= {**expected, "max_frames": 7, "threads": 3}.items()
    assert asked["weights"] == {"a*": 0.5}


def test_fields_reach_the_loop(monkeypatch):
    asked = []
    monkeypatch.setattr(loop, "train", lambda *arguments, **named: asked.append((arguments, named)))
    monkeypatch.setattr(build, "build_batches", lambda *arguments: "batches")
    config = load("tiny")
    config.update(log_every=3, evaluate_every=5, checkpoint_every=7, keep_checkpoints=9)
    for evaluate in (None, "evaluate"):
        job.run_phases(config, "workdir", None, None, build.build_phases(config), evaluate, {})
    (*_, without), (*_, options) = (arguments for arguments, _ in asked)
    assert options == loop.LoopOptions(3, 5, 7, 9)
    assert without == loop.LoopOptions(3, 0, 7, 9)  # nothing is held out
    assert asked[0][1]["scale"] == 4
