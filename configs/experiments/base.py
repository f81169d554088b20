"""Every field of an experiment, with its unit; `supervegan_jax.trials` reads them.

A trial is a whole training config, so that any of its fields can be changed where it stands and by
--set trials.NAME.FIELD=VALUE.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """An experiment that trains nothing and measures nothing yet."""
    c = ConfigDict()
    # Which tables: equal_compute, ablations, training_bitrate, clean_input, codecs,
    # stages, plane, runtime.
    c.results = "codecs"
    c.trials = ConfigDict()  # name -> training config; each is trained with each seed
    c.seeds = (0,)  # in place of the configs' own
    # Training multiply-accumulates of each trial, forward and backward, in 1e12; the steps of all
    # phases are scaled to it, their proportion kept. 0 leaves the configs' own steps.
    c.budget_tmacs = 0.0
    # Records must have a trial's `prepare.bitrates_kbps`, also if only one folder fits otherwise.
    c.exact_bitrates = False
    c.counted = ConfigDict()  # name -> training config too heavy to train: what a budget would pay
    c.models = ()  # networks measured beside the trials: shipped names, workdirs or files

    # rate_distortion: what is measured.
    c.codecs = ("h264",)  # of h264, h265, vp8, vp9, av1; codecs takes all, others the first
    c.input_kbps = (250, 750)  # into the networks
    c.reference_kbps = (250, 750)  # of the codec at full size; at least two
    c.metrics = ("lpips", "psnr")
    c.max_frames = 0  # of each clip's beginning; 0 is all
    c.frame_step = 1  # every so manieth frame is scored
    c.kbps_4x = 250  # which of the input's bitrates tables are about, by scale
    c.kbps_2x = 750
    c.distortion, c.perception = "rmse", "niqe"  # of planes; pi needs the field below
    c.ma_model = ""  # model.mat of github.com/chaoma99/sr-metric

    c.seconds = 3.0  # runtime: of each measurement
    return c.lock()


def brief(config: ConfigDict) -> ConfigDict:
    """The config for a training of minutes: it scores nothing and saves itself every 100 steps."""
    config.evaluation_frames = 0
    config.evaluate_every = 0
    config.checkpoint_every = 100
    config.keep_checkpoints = 1
    config.data.threads = 1
    config.data.shuffle_buffer = 512
    return config
