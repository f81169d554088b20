"""NTIRE 2021, quality enhancement of compressed video, track 3: x265 at 200 kbit/s, no scaling."""

from pathlib import Path

from supervegan_jax.protocols import layout
from supervegan_jax.protocols.degradation import Prescribed
from supervegan_jax.protocols.preset import Clip, Condition, Found, Preset
from supervegan_jax.protocols.tables import gains
from supervegan_jax.video.encoder import Encoding

RAW, COMPRESSED = "test_raw_2", "test_fixed-rate_release"
NAMES = tuple(f"{number:03d}" for number in range(1, 11))
# The organizers' command but for the threads: with several, every run gives other bytes.
_ONE_THREAD = "log-level=error:frame-threads=1:pools=none:wpp=0"
ENCODING = Encoding(
    name="x265 200 kbit/s",
    encoder="libx265",
    passes=(
        ("-b:v", "200k", "-x265-params", f"{_ONE_THREAD}:pass=1"),
        ("-b:v", "200k", "-x265-params", f"{_ONE_THREAD}:pass=2"),
    ),
    target_kbps=200,
)
LABEL = "x265 200 kbit/s"


def find(root: Path, scenes: Path | None) -> Found:
    """Looks for the ten raw videos, and for the challenge's compressed ones if it has any."""
    layout.require_folder(root)
    raw = _by_stem(root / RAW)
    compressed = _by_stem(root / COMPRESSED)
    missing = [f"{RAW}/{name}.mkv" for name in NAMES if name not in raw]
    if compressed:
        missing += [f"{COMPRESSED}/{name}.mkv" for name in NAMES if name not in compressed]
    clips = [
        Clip(name, (raw[name],), inputs={LABEL: (compressed[name],)} if name in compressed else {})
        for name in NAMES
        if name in raw
    ]
    return Found(tuple(clips), tuple(missing))


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in layout.files_below(folder, (".mkv",))}


PRESET = Preset(
    title="NTIRE 2021, enhancement of compressed video, track 3 (x265 at 200 kbit/s, 1x)",
    source="https://github.com/RenYang-home/NTIRE21_VEnh; reports arXiv 2104.10781, 2104.10782",
    licence="the data set's page names none; its authors ask to be cited",
    layout=(
        f"ROOT/{RAW}/001.mkv .. 010.mkv                 the raw videos ({RAW}.zip)",
        f"ROOT/{COMPRESSED}/001.mkv ..    the challenge's inputs, all or none",
    ),
    find=find,
    conditions=(
        Condition(
            LABEL, 1, Prescribed(ENCODING), "x265, two passes at 200 kbit/s", plain="unprocessed"
        ),
    ),
    metrics=("psnr", "ms_ssim"),
    report=gains,
    as_stored=True,
    remarks=("the report's running times are not measured here; see supervegan_jax.benchmark",),
)
