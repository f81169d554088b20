"""How well coded sizes tell the peak frames: python benchmarks/peaks_by_size.py DATA.

DATA has clips and encodes of scale 1 (data_prep.clips, data_prep.degrade). For each codec and
bitrate: the share of frames that are peaks by their true PSNR of luma, of those taken for peaks by
their coded sizes (`ops.peak_frames`), how many of the latter are true, and by how many decibels the
peaks are better than the other frames, the true ones and those taken for them.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from data_prep import folder
from supervegan_jax.command_line import Parser, run
from supervegan_jax.ops.peak_frames import label_peak_quality_frames, label_peaks_by_size
from supervegan_jax.video.probe import list_packets
from supervegan_jax.video.reader import read_frames

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def frame_psnr(truth: Path, made: Path) -> np.ndarray:
    """The PSNR of each frame's luma, in dB."""
    pairs = zip(read_frames(truth), read_frames(made), strict=True)
    errors = [float(np.mean(np.square(x @ _LUMA - y @ _LUMA))) for x, y in pairs]
    return 10 * np.log10(255**2 / np.maximum(errors, 1e-9))


def _gain(psnr: np.ndarray, peaks: np.ndarray) -> float:
    return float(psnr[peaks].mean() - psnr[~peaks].mean())


def main() -> None:
    """Prints a line for each codec and bitrate."""
    parser = Parser(prog="peaks_by_size", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    found: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for clip in folder.read_clips(data):
        for path in sorted((data / "encodes" / clip.clip_id).glob("*_x1.mkv")):
            psnr = frame_psnr(folder.clip_path(data, clip.clip_id), path)
            taken = label_peaks_by_size(list_packets(path).sizes)
            found[path.stem].append((psnr, label_peak_quality_frames(psnr), taken))
    for name, clips in found.items():
        true = np.concatenate([peaks for _, peaks, _ in clips])
        taken = np.concatenate([peaks for *_, peaks in clips])
        gain = np.mean([_gain(psnr, peaks) for psnr, peaks, _ in clips])
        gain_taken = np.mean([_gain(psnr, peaks) for psnr, _, peaks in clips])
        print(
            f"{name}, {len(clips)} clips: {true.mean():.0%} are peaks, {taken.mean():.0%} are "
            f"taken for them, {true[taken].mean():.0%} of these rightly; better by {gain:.2f} and "
            f"{gain_taken:.2f} dB"
        )


if __name__ == "__main__":
    run(main)
