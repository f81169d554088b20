"""From a configuration to the objects that train: the only reader of config fields beside main."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from supervegan_jax.config_check import check_config
from supervegan_jax.data.records import Window, truth_shape
from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from supervegan_jax.losses.perceptual import perceptual_loss
from supervegan_jax.models import build_generator
from supervegan_jax.models.discriminator import Discriminator, FeatureDiscriminator
from supervegan_jax.models.esrgan_discriminators import UNetDiscriminator, VggDiscriminator
from supervegan_jax.models.tecogan_discriminator import (
    TecoGanDiscriminator,
    ping_pong_flows,
    show_triplets,
)
from supervegan_jax.models.vgg import VGG
from supervegan_jax.pretrained.vgg_weights import load_vgg
from supervegan_jax.training.checkpoints import flatten, unflatten
from supervegan_jax.training.loop import Batches
from supervegan_jax.training.optimizers import halfway, make_optimizer, make_schedule
from supervegan_jax.training.phases import Phase, make_phases
from supervegan_jax.training.state import state_shapes
from supervegan_jax.training.step import train_step
from supervegan_jax.training.system import Features, Shown, System
from supervegan_jax.weights.load import load_model
from supervegan_jax.weights.model_file import parameter_shapes

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_phases(config: ConfigDict) -> tuple[Phase, ...]:
    """The training phases `config` describes.

    Raises:
      ValueError: a field is outside of its range; see also `make_phases`.
    """
    check_config(config)
    return make_phases(config.phase_names, config.phases.to_dict(), config.ablation)


def compute_dtype(config: ConfigDict) -> Any:
    """The dtype of features.

    Raises:
      ValueError: it is neither float32 nor bfloat16.
    """
    return _dtype("compute_dtype", config.compute_dtype)


def _dtype(field: str, name: str) -> Any:
    if name not in DTYPES:
        raise ValueError(f"{field} {name!r}; accepted are {', '.join(DTYPES)}")
    return DTYPES[name]


def build_model(config: ConfigDict) -> nn.Module:
    """The generator `config` describes."""
    return build_generator(**config.model.to_dict(), dtype=compute_dtype(config))


def build_system(config: ConfigDict, phases: tuple[Phase, ...]) -> System:
    """Networks, losses and optimizers."""
    dtype, optimizer = compute_dtype(config), config.optimizer
    # Where all is trained at once the rate still falls when it would in phases.
    planned = make_phases(config.phase_names, config.phases.to_dict())
    schedule = partial(
        make_schedule,
        phases,
        kind=optimizer.schedule,
        warmup_steps=optimizer.warmup_steps,
        drop_step=halfway(planned[-1]),
    )
    discriminator, shown = build_discriminator(config, dtype)
    side = config.model.scale * config.data.patch_size
    learning_rate = schedule(
        learning_rate=optimizer.learning_rate,
        final_learning_rate=optimizer.final_learning_rate,
    )
    fall = optimizer.final_learning_rate / optimizer.learning_rate
    return System(
        generator=build_model(config),
        discriminator=discriminator,
        features=cast(Features, build_pretrained(config).apply),
        shown=shown,
        adversarial=adversarial_loss(config.discriminator.loss),
        discriminator_crop=config.discriminator.crop_size or side,
        ping_pong=config.data.ping_pong,
        perceptual=partial(perceptual_loss, unit_length=config.perceptual.unit_length),
        perceptual_crop=config.perceptual.crop_size or side,
        optimizer=make_optimizer(optimizer.b1, optimizer.b2, optimizer.max_gradient_norm),
        schedule=learning_rate,
        discriminator_schedule=schedule(
            learning_rate=optimizer.discriminator_learning_rate,
            final_learning_rate=optimizer.discriminator_learning_rate * fall,
        ),
        ema_decay=optimizer.ema_decay,
        accumulate=optimizer.accumulate,
        seed=config.seed,
    )


def sees_whole_batches(config: ConfigDict) -> str:
    """The field, with its value, by which examples of one batch depend on each other; "" if none.

    Batch normalisation and means over all logits are of what one program sees: all of the batch
    under `jit`, a device's part of it under `pmap`.
    """
    fields = config.discriminator
    joint = {
        "model.name": config.model.name in ("duf", "mfqe"),
        "discriminator.input": fields.input == "triplets",
        "discriminator.kind": fields.input == "image" and fields.kind == "esrgan",
        "discriminator.loss": fields.input != "none" and fields.loss == "relativistic_average",
    }
    for field, depends in joint.items():
        if depends:
            section, name = field.split(".")
            return f"{field} {config[section][name]}"
    return ""


def build_discriminator(config: ConfigDict, dtype: Any) -> tuple[nn.Module | None, Shown]:
    """The discriminator, and what it is shown of images.

    Raises:
      ValueError: the config's `discriminator.input` is unknown, or it is to be shown a layer that
        `perceptual` does not compute.
    """
    fields = config.discriminator
    if fields.input == "none":
        return None, _images
    if fields.input == "features":
        computed = tuple(config.perceptual.layers)
        layers = tuple(fields.layers) or computed
        for layer in layers:
            if layer not in computed:
                raise ValueError(
                    f"discriminator.layers: {layer!r} is none of perceptual.layers, {computed}"
                )
        return FeatureDiscriminator(fields.width, dtype), partial(_features, layers)
    if fields.input == "triplets":
        return TecoGanDiscriminator(dtype=dtype), _triplets
    if fields.input != "image":
        raise ValueError(
            f"discriminator.input {fields.input!r}; accepted are image, features, triplets, none"
        )
    if fields.kind == "esrgan":
        return VggDiscriminator(width=fields.width, dtype=dtype), _images
    if fields.kind == "unet":
        return UNetDiscriminator(width=fields.width, dtype=dtype), _images
    if fields.kind != "supervegan":
        raise ValueError(
            f"discriminator.kind {fields.kind!r}; accepted are supervegan, esrgan, unet"
        )
    own = Discriminator(
        fields.width, fields.detail_input, fields.halvings, fields.patch_logits, dtype
    )
    return own, _images


def _images(features: Any, images: jax.Array, outputs: Mapping[str, jax.Array]) -> jax.Array:
    return images


def _features(
    layers: tuple[str, ...], features: Any, images: jax.Array, outputs: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
    computed = features(images)
    return {layer: computed[layer] for layer in layers}


def _triplets(features: Any, images: jax.Array, outputs: Mapping[str, jax.Array]) -> jax.Array:
    """Three frames in a row of clips that go forth and back, as TecoGAN's discriminator wants."""
    if "flows" not in outputs:
        raise ValueError("discriminator.input triplets takes a network with flows, such as tecogan")
    clips = images.reshape(*outputs["read"].shape[:2], *images.shape[1:])
    return show_triplets(outputs["read"], clips, ping_pong_flows(outputs["flows"]))


def adversarial_loss(name: str) -> AdversarialLoss:
    """The adversarial loss of that name.

    Raises:
      ValueError: there is none.
    """
    if name not in ADVERSARIAL_LOSSES:
        accepted = ", ".join(ADVERSARIAL_LOSSES)
        raise ValueError(f"discriminator.loss {name!r}; accepted are {accepted}")
    return ADVERSARIAL_LOSSES[name]


def build_pretrained(config: ConfigDict) -> VGG:
    """The fixed network, which computes nothing beyond the deepest layer asked for."""
    fields = config.perceptual
    dtype = compute_dtype(config)
    if fields.compute_dtype:
        dtype = _dtype("perceptual.compute_dtype", fields.compute_dtype)
    return VGG(fields.network, tuple(fields.layers), dtype)


def load_frozen(config: ConfigDict, phases: tuple[Phase, ...]) -> dict[str, Any]:
    """Parameters of the pretrained network; {} if nothing needs it."""
    # A discriminator of features is made at the start, whether or not a phase will ask it.
    shown = config.discriminator.input == "features"
    if not shown and not any(dict(phase.weights).get("perceptual") for phase in phases):
        return {}
    variables = load_vgg(config.perceptual.network, config.perceptual.weights or None)
    network = build_pretrained(config)
    # Only the layers the slice has, so that no device holds the others.
    wanted = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    return _select(variables, wanted)


def load_initial(config: ConfigDict) -> dict[str, Any] | None:
    """The parameters `config.initial_weights` names; None without a name.

    Raises:
      ValueError: there is no such model, or it is another network than the config's.
    """
    if not config.initial_weights:
        return None
    params = flatten(load_model(config.initial_weights).params)
    try:
        return cast(dict[str, Any], unflatten(params, parameter_shapes(build_model(config))))
    except ValueError as error:
        raise ValueError(f"initial_weights {config.initial_weights!r}: {error}") from error


def check_phases(config: ConfigDict, system: System, phases: tuple[Phase, ...]) -> None:
    """Traces the steps of the later phases, so that what is wrong there is told before the first.

    Raises:
      ValueError: a phase trains what the generator has not, or its step cannot be computed.
    """
    frozen = load_frozen(config, phases)
    state = state_shapes(system, scale=config.model.scale, frozen=frozen)
    for phase in phases:
        for group in phase.trains:
            if group not in state.params:
                raise ValueError(
                    f"phase {phase.name!r} trains {group!r}; the generator has "
                    f"{', '.join(sorted(state.params))}"
                )
        if dict(phase.weights).get("discriminator_layers") and not hasattr(
            system.discriminator, "judge"
        ):
            raise ValueError(
                f"phase {phase.name!r}: discriminator_layers are of discriminator.input triplets, "
                f"not {config.discriminator.input}"
            )
    shapes = batch_shapes(config).items()
    batch = {name: jax.ShapeDtypeStruct(shape, jnp.uint8) for name, shape in shapes}
    traced = {(phases[0].trains, phases[0].weights)}  # the first is compiled at once
    for phase in phases[1:]:
        if (phase.trains, phase.weights) in traced:
            continue
        traced.add((phase.trains, phase.weights))
        try:
            jax.eval_shape(partial(train_step, system=system, phase=phase), state, batch, frozen)
        except ValueError as error:
            raise ValueError(f"phase {phase.name!r}: {error}") from error


def _select(tree: Any, like: Any) -> Any:
    if not isinstance(like, dict):
        return tree
    return {name: _select(tree[name], value) for name, value in like.items()}


def training_window(config: ConfigDict) -> Window:
    """The frames of a training example: those the network reads for each that has a truth."""
    truths = config.data.truths
    generator: Any = build_model(config)
    return Window(generator.frames + truths - 1, truths)


def reads_peaks(config: ConfigDict) -> bool:
    """Whether the network reads the peak frames around a frame."""
    generator: Any = build_model(config)
    return bool(generator.reading == "peaks")


def batch_shapes(config: ConfigDict) -> dict[str, tuple[int, ...]]:
    """The shapes of a training batch's uint8 arrays."""
    data, window = config.data, training_window(config)
    return {
        "lr": (data.batch_size, window.frames, data.patch_size, data.patch_size, 3),
        "hr": (data.batch_size, *truth_shape(window, config.model.scale * data.patch_size)),
    }


def build_batches(config: ConfigDict, records: Path) -> Batches:
    """The training source: (phase, first step) -> endless batches.

    Raises:
      ValueError: the source is unknown, or the records do not fit the config.
    """
    data = config.data
    window = training_window(config)
    shared = {
        "window": window,
        "scale": config.model.scale,
        "patch_size": data.patch_size,
        "batch_size": data.batch_size,
        "seed": config.seed,
        "horizontal_flip": data.horizontal_flip,
        "vertical_flip": data.vertical_flip,
        "time_reversal": data.time_reversal,
    }
    if data.source == "records":
        for name in ("clip_weights", "max_frames"):
            if data[name]:
                raise ValueError(
                    f"data.{name} is of data.source memory; what records hold is decided when "
                    "they are written"
                )
        from supervegan_jax.data.input_pipeline import record_batches

        source = partial(
            record_batches,
            records,
            shuffle_buffer=data.shuffle_buffer,
            num_threads=data.threads,
            **shared,
        )
    elif data.source == "memory":
        if reads_peaks(config):
            raise ValueError("data.source memory knows no peak frames; records is accepted")
        from supervegan_jax.data.clip_pairs import load_pairs, read_weights
        from supervegan_jax.data.memory import memory_batches

        pairs = load_pairs(
            records,
            scale=config.model.scale,
            max_frames=data.max_frames or None,
            weights=read_weights("data.clip_weights", data.clip_weights),
            window=window,
            threads=data.threads,
        )
        source = partial(memory_batches, pairs, threads=data.threads, **shared)
    else:
        raise ValueError(f"data.source {data.source!r}; accepted are records, memory")

    def batches(phase: Phase, first_step: int) -> Iterator[dict[str, np.ndarray]]:
        return source(first_step=first_step)

    return batches
