"""The steerable pyramid of Simoncelli and Freeman, as matlabPyrTools' buildSFpyr computes it.

In float64 NumPy, like MATLAB: Ma's score takes statistics of it that a float32 transform changes.
"""

import math

import numpy as np

_TABLE_STEPS = 1024


def _raised_cosine() -> tuple[np.ndarray, np.ndarray]:
    """rcosFn(1, -1/2, [0 1]): places in octaves, and the transition from 0 to 1 there."""
    steps = 256
    x = np.pi * np.arange(-steps - 1, 2) / (2 * steps)
    y = np.cos(x) ** 2
    y[0], y[-1] = y[1], y[-2]
    return -0.5 + 2 / np.pi * (x + np.pi / 4), y


def _look_up(x: np.ndarray, table: np.ndarray, origin: float, step: float) -> np.ndarray:
    """pointOp: linear interpolation in a table of even steps, extended beyond both ends."""
    place = (x - origin) / step
    index = np.clip(np.floor(place).astype(int), 0, len(table) - 2)
    return table[index] + (table[index + 1] - table[index]) * (place - index)


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """log2 of the frequency (1 is Nyquist's) and its angle, zero frequency in the middle."""
    centre = [math.ceil((size + 0.5) / 2) for size in (height, width)]
    y, x = (
        (np.arange(1, size + 1) - middle) / (size / 2)
        for size, middle in zip((height, width), centre, strict=True)
    )
    angle = np.arctan2(y[:, None], x[None])
    radius = np.sqrt(x[None] ** 2 + y[:, None] ** 2)
    row, column = (middle - 1 for middle in centre)
    radius[row, column] = radius[row, column - 1]
    return np.log2(radius), angle


def _image(spectrum: np.ndarray) -> np.ndarray:
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).real


def _lower_half(size: int) -> slice:
    """The middle frequencies that a band of half the size keeps."""
    kept = math.ceil((size - 0.5) / 2)
    start = math.ceil((size + 0.5) / 2) - math.ceil((kept + 0.5) / 2)
    return slice(start, start + kept)


def steerable_pyramid(
    image: np.ndarray, scales: int, orientations: int
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Splits an image into its highest frequencies and oriented bands.

    Args:
      image: [h, w], float64.
      scales: how many octaves.
      orientations: bands an octave, even or odd.

    Returns:
      The high-pass residual [h, w], and for each scale its bands, [h', w'] each with h' = h at the
      first scale and about half of it at the next. The low-pass residual is not computed.
    """
    log_radius, angle = _grid(*image.shape)
    places, rising = _raised_cosine()
    high = np.sqrt(rising)
    low = np.sqrt(1.0 - rising)
    origin, step = places[0], places[1] - places[0]
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    residual = _image(spectrum * _look_up(log_radius, high, origin, step))
    spectrum = spectrum * _look_up(log_radius, low, origin, step)

    order = orientations - 1
    constant = 2 ** (2 * order) * math.factorial(order) ** 2
    constant /= orientations * math.factorial(2 * order)
    angles = np.pi * np.arange(-(2 * _TABLE_STEPS + 1), _TABLE_STEPS + 2) / _TABLE_STEPS
    lobe = math.sqrt(constant) * np.cos(angles) ** order
    bands = []
    for _ in range(scales):
        origin -= 1.0
        octave = spectrum * _look_up(log_radius, high, origin, step) * (-1j) ** order
        bands.append(
            [
                _image(
                    octave
                    * _look_up(
                        angle, lobe, angles[0] + np.pi * band / orientations, angles[1] - angles[0]
                    )
                )
                for band in range(orientations)
            ]
        )
        kept = tuple(_lower_half(size) for size in spectrum.shape)
        log_radius, angle, spectrum = log_radius[kept], angle[kept], spectrum[kept]
        spectrum = spectrum * _look_up(log_radius, low, origin, step)
    return residual, bands
