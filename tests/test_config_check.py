"""Every number of a config that cannot be is refused before anything is written."""

import functools
import math
from dataclasses import replace

import pytest
from ml_collections import ConfigDict

from configs import base, tiny
from supervegan_jax import build
from supervegan_jax.config_check import check_config
from supervegan_jax.models.supervegan import SuperVegan


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("seed", -1, f"0 to below {2**31}"),
        ("seed", 2**31, f"0 to below {2**31}"),
        ("discriminator.width", 0, "1 or more"),
        ("discriminator.crop_size", -3, "0 or more"),
        ("optimizer.b1", 1.0, "0 to below 1"),
        ("optimizer.b2", 2.0, "0 to below 1"),
        ("optimizer.ema_decay", math.nan, "0 to below 1"),
        ("optimizer.max_gradient_norm", -1.0, "0 or more"),
        ("optimizer.max_gradient_norm", math.inf, "0 or more"),
        ("optimizer.warmup_steps", -5, "0 or more"),
        ("optimizer.accumulate", 0, "1 or more"),
        ("data.batch_size", 0, "1 or more"),
        ("data.truths", 0, "1 or more"),
        ("data.threads", 0, "1 or more"),
        ("data.shuffle_buffer", 0, "1 or more"),
        ("checkpoint_every", -1, "0 or more"),
        ("keep_checkpoints", 0, "1 or more"),
    ],
)
def test_numbers_outside_their_range(field, value, accepted):
    config = base.get_config()
    section, _, name = field.rpartition(".")
    (config[section] if section else config)[name] = value
    with pytest.raises(ValueError, match=f"^{field} is {value}; {accepted} is accepted$"):
        check_config(config)


def test_a_crop_is_no_larger_than_the_patches():
    config = base.get_config()
    config.perceptual.crop_size = 4 * 96
    check_config(config)
    config.perceptual.crop_size += 1
    with pytest.raises(ValueError, match=r"perceptual.crop_size is 385; .* has 384 pixels"):
        check_config(config)


@pytest.mark.parametrize("name", ["", "final_", "discriminator_"])
def test_learning_rates_are_positive(name):
    config = base.get_config()
    config.optimizer[f"{name}learning_rate"] = 0.0
    with pytest.raises(ValueError, match=f"^optimizer.{name}learning_rate is 0.0; more than 0 is"):
        check_config(config)


@pytest.mark.parametrize("field", ["data.videos", "data.clip_weights", "perceptual.layers"])
def test_numbers_are_no_texts(field):
    config = base.get_config()
    section, name = field.split(".")
    config[section][name] = (2024,)
    with pytest.raises(ValueError, match=rf"^{field} is \(2024,\); texts are accepted"):
        check_config(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trains": ()}, "phase 'blend' trains nothing"),
        ({"alpha": (0.0,)}, r"alpha of phase 'blend' is \(0.0,\); two numbers of 0 to 1"),
        ({"alpha": ("a", "b")}, r"alpha of phase 'blend' is \('a', 'b'\); two numbers"),
        ({"alpha": (0.0, 5.0)}, r"alpha of phase 'blend' is \(0.0, 5.0\)"),
        ({"steps": -1}, "phase 'blend' has -1 steps"),
    ],
)
def test_phases_that_cannot_be(fields, message):
    config = base.get_config()
    with config.ignore_type(), config.unlocked():
        config.phases.blend.update(fields)
    with pytest.raises(ValueError, match=message):
        build.build_phases(config)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_are_finite_and_not_negative(weight):
    config = base.get_config()
    config.phases.blend.weights.mse = weight
    with pytest.raises(ValueError, match=f"weight 'mse' of phase 'blend' is {weight}; 0 or more"):
        build.build_phases(config)


def test_blocks_are_counted_from_0():
    network = replace(SuperVegan(), trunk_blocks=-1)
    with pytest.raises(ValueError, match="trunk_blocks is -1; 0 or more"):
        build.parameter_shapes(network)


def check_phases(change) -> None:
    config = tiny.get_config()
    change(config)
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    build.check_phases(config, system, phases)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weights.flicker", 1.0, "phase 'full': flicker of clips of 1 frame"),
        ("trains", ("stage_b", "stageA"), "'full' trains 'stageA'; the generator has stage_a, st"),
    ],
)
def test_what_is_wrong_with_a_later_phase_is_told_first(field, value, message):
    def change(config):
        section, _, name = field.rpartition(".")
        phase = config.phases.full
        (phase[section] if section else phase)[name] = value

    with pytest.raises(ValueError, match=message):
        check_phases(change)


def test_an_adversarial_phase_needs_a_discriminator():
    def change(config):
        config.discriminator.input = "none"

    with pytest.raises(ValueError, match="'blend': a phase is adversarial, but there is no discr"):
        check_phases(change)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"discriminator.input": "triplets"}, "triplets takes a network with flows, such as tec"),
        (
            {"phases.full.weights.discriminator_layers": 1.0},
            "phase 'full': discriminator_layers are of discriminator.input triplets, not image",
        ),
        (
            {"perceptual.layers": ("conv5_3",), "perceptual.crop_size": 15},
            "squares of 15 pixels, which are too small for conv5_3",
        ),
        (
            {
                "discriminator.input": "features",
                "perceptual.layers": ("relu1_2", "relu3_1"),
                "discriminator.crop_size": 50,
            },
            "features of 12, 50 a side, which are no multiples of 12; show it squares of another",
        ),
    ],
)
def test_what_does_not_go_together_is_told_in_a_line(fields, message):
    def change(config):
        for field, value in fields.items():
            *sections, name = field.split(".")
            functools.reduce(ConfigDict.__getitem__, sections, config)[name] = value

    with pytest.raises(ValueError, match=message):
        check_phases(change)


def test_a_discriminator_of_a_fixed_size_takes_whole_patches():
    def change(config):
        config.data.patch_size = 32
        config.discriminator.kind = "esrgan"
        config.discriminator.crop_size = 0
        config.perceptual.crop_size = 0

    check_phases(change)  # the truth of 4x has the 128 pixels that it needs
    with pytest.raises(ValueError, match=r"\[b, 128, 128, 3\] is needed"):
        check_phases(lambda config: [change(config), config.data.update(patch_size=16)])


def test_a_term_of_a_stage_that_is_not_computed_is_named():
    def change(config):
        config.phases.blend.trains = ("stage_a",)

    with pytest.raises(ValueError, match=r"'blend': loss term '.*' looks at 'stage_b'; computed"):
        check_phases(change)
