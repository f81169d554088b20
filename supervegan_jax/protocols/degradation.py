"""What is done to a clip before networks see it: encoded, or made smaller alone."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from supervegan_jax.evaluation.pairing import frame_to_rgb
from supervegan_jax.ops.color import to_uint8
from supervegan_jax.ops.resize import downsample_bicubic, downsample_gaussian
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.video.encoder import Encoding, codec_arguments, encode, encode_at_bitrate
from supervegan_jax.video.writer import LosslessWriter
from supervegan_jax.video_input.source import open_source


class Degradation(Protocol):
    """What every kind of them offers."""

    @property
    def name(self) -> str:
        """How tables call it."""

    def identity(self, reference: Reference) -> dict[str, Any]:
        """JSON values that decide the result beside the clip and the scale."""

    def make(self, reference: Reference, path: Path, scale: int) -> dict[str, Any]:
        """Writes the degraded clip; returns JSON values worth knowing, with "measured_kbps"."""


def _smaller(reference: Reference, scale: int) -> tuple[int, int]:
    return reference.width // scale, reference.height // scale


@dataclasses.dataclass(frozen=True)
class AtBitrate:
    """One pass at a target bitrate, as the paper does it.

    Attributes:
      codec: a key of `encoder.CODECS`.
      kbps: the target.
    """

    codec: str
    kbps: int

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.codec

    def identity(self, reference: Reference) -> dict[str, Any]:
        """The encoder's arguments, as `rd` keeps them: its encodes are found again."""
        arguments = codec_arguments(self.codec, self.kbps, float(reference.fps))
        return {"arguments": arguments, "codec": self.codec}

    def make(self, reference: Reference, path: Path, scale: int) -> dict[str, Any]:
        """Encodes the clip."""
        size = _smaller(reference, scale)
        done = encode_at_bitrate(
            reference.path, path, codec=self.codec, bitrate_kbps=self.kbps, size=size
        )
        return {"measured_kbps": done.measured_kbps, "command": done.command}


@dataclasses.dataclass(frozen=True)
class Prescribed:
    """An encode with arguments of its own.

    Attributes:
      encoding: them.
    """

    encoding: Encoding

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.encoding.name

    def identity(self, reference: Reference) -> dict[str, Any]:
        """The encoder's arguments."""
        return dataclasses.asdict(self.encoding)

    def make(self, reference: Reference, path: Path, scale: int) -> dict[str, Any]:
        """Encodes the clip."""
        done = encode(reference.path, path, self.encoding, _smaller(reference, scale))
        return {"measured_kbps": done.measured_kbps, "command": done.command}


@dataclasses.dataclass(frozen=True)
class Smaller:
    """Downsampling of RGB alone, rounded to 8 bits.

    Attributes:
      name: how tables call it.
      blur: the standard deviation of a Gaussian in pixels; None is bicubic.
    """

    name: str
    blur: float | None = None

    def identity(self, reference: Reference) -> dict[str, Any]:
        """The kernel."""
        return {"downsampled": "bicubic" if self.blur is None else f"gaussian {self.blur}"}

    def make(self, reference: Reference, path: Path, scale: int) -> dict[str, Any]:
        """Writes the small frames without a loss."""
        width, height = _smaller(reference, scale)
        source = open_source(reference.path)
        size: dict[str, Any] = {"width": width, "height": height, "fps": reference.fps}
        with LosslessWriter(path, **size, pixel_format="rgb24") as writer:
            for frame in itertools.islice(source.frames(), reference.frame_count):
                small = self._shrink(frame_to_rgb(frame, source.format, 8), scale)
                writer.write(np.asarray(to_uint8(small)[0]))
        return {"measured_kbps": 0.0}

    def _shrink(self, picture: Any, scale: int) -> Any:
        if self.blur is None:
            return downsample_bicubic(jnp.asarray(picture), scale)
        return downsample_gaussian(jnp.asarray(picture), scale, self.blur)
