"""What a rate-distortion run covers."""

import dataclasses
from pathlib import Path

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.video.encoder import CODECS

INPUT_KBPS = (150, 250, 500, 1000, 2000)
REFERENCE_KBPS = (75, 150, 250, 350, 500, 750, 1000, 1500, 2000, 4000)
# What all encoders of `CODECS` take (AV1's ends between this and the others' 2147483).
MOST_KBPS = 2_000_000
# Of a clip: what a network of five frames reads at once.
FEWEST_FRAMES = 5
# The plain codec at full size, which enhanced video is compared with, and the plain enlargement.
CODEC, BICUBIC = "codec", "bicubic"


@dataclasses.dataclass(frozen=True)
class Settings:
    """A run.

    Attributes:
      clips: videos.
      models: names, workdirs or files of networks.
      codecs: keys of `CODECS`.
      input_kbps: target bitrates of what is enlarged.
      reference_kbps: target bitrates of the plain codec at full size.
      metrics: keys of `METRICS`.
      max_frames: of each clip's beginning; None takes all.
      frame_step: every so manieth frame is scored, from the first on; VMAF always sees all.
      jobs: encodes at a time; None takes the number of cores.
      ma_model: the model file of Ma's score, for "pi".
    """

    clips: tuple[Path, ...]
    models: tuple[str, ...]
    codecs: tuple[str, ...] = ("h264",)
    input_kbps: tuple[int, ...] = INPUT_KBPS
    reference_kbps: tuple[int, ...] = REFERENCE_KBPS
    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips", "lpips_vgg", "vmaf")
    max_frames: int | None = None
    frame_step: int = 1
    jobs: int | None = None
    ma_model: Path | None = None

    def __post_init__(self) -> None:
        if not self.clips or not self.models:
            raise ValueError("at least one clip and one model are needed")
        for codec in self.codecs or ("",):
            if codec not in CODECS:
                raise ValueError(f"codec {codec!r}; accepted: {', '.join(CODECS)}")
        # An equivalent bitrate is read off the references' curve.
        for name, fewest in (("input_kbps", 1), ("reference_kbps", 2)):
            ladder = getattr(self, name)
            bad = [kbps for kbps in ladder if not 1 <= kbps <= MOST_KBPS]
            if bad or len(ladder) < fewest or len(set(ladder)) < len(ladder):
                given = ",".join(map(str, ladder)) or "nothing"
                raise ValueError(
                    f"{name.replace('_', ' ')} {given}; accepted: {fewest} or more different whole "
                    f"numbers of kbit/s, 1 to {MOST_KBPS}"
                )
        for name, least in (("max_frames", FEWEST_FRAMES), ("frame_step", 1), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} {value}; at least {least} is accepted")
        for metric in self.metrics:
            if METRICS[metric].needs == "sequence" and self.frame_step > 1:
                raise ValueError(
                    f"{metric} compares frames with those before; it needs --frame-step 1"
                )


def read_numbers(text: str) -> tuple[int, ...]:
    """The whole numbers of "150,250".

    Raises:
      ValueError: something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r}; whole numbers with commas between them are needed") from None
