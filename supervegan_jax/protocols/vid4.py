"""Vid4: calendar, city, foliage and walk, four times smaller by "BI" or "BD", nothing encoded."""

from fractions import Fraction
from pathlib import Path

from supervegan_jax.protocols import layout
from supervegan_jax.protocols.degradation import Smaller
from supervegan_jax.protocols.preset import Clip, Condition, Found, Preset
from supervegan_jax.protocols.tables import by_clip

# The pictures of each clip.
CLIPS = {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}
TRUTH = "GT"
# Pictures have no rate; nothing that is measured depends on it.
FPS = Fraction(25)
CONDITIONS = (
    Condition("BIx4", 4, Smaller("BIx4"), "BIx4: bicubic"),
    Condition("BDx4", 4, Smaller("BDx4", blur=1.6), "BDx4: Gaussian of 1.6 pixels"),
)


def find(root: Path, scenes: Path | None) -> Found:
    """Looks for the pictures of the four clips, and for their small versions if there are any."""
    layout.require_folder(root)
    clips, missing, notes = [], [], []
    given = [c.label for c in CONDITIONS if (root / c.label).is_dir()]
    for name, count in CLIPS.items():
        truth = layout.pictures_of(root / TRUTH / name)
        inputs = {label: layout.pictures_of(root / label / name) for label in given}
        if not truth:
            missing.append(f"{TRUTH}/{name}/*.png ({count} pictures)")
        for label, small in inputs.items():
            if len(small) != len(truth) or not small:
                missing.append(f"{label}/{name}/*.png ({len(truth) or count}; it has {len(small)})")
        if truth and len(truth) != count:
            notes.append(f"{name} has {len(truth)} pictures, the whole clip {count}")
        clips.append(Clip(name, truth, fps=FPS, inputs=inputs))
    return Found(tuple(clips), tuple(missing), tuple(notes))


PRESET = Preset(
    title="Vid4 (calendar, city, foliage, walk), 4x by BI and BD",
    source="Liu and Sun, On Bayesian Adaptive Video Super Resolution, TPAMI 2014; layout as in "
    "https://github.com/open-mmlab/mmagic (tools/dataset_converters/vid4)",
    licence="not found",
    layout=(
        "ROOT/GT/calendar/*.png .. city, foliage, walk",
        "ROOT/BIx4/calendar/*.png ..    downsampled by others, all four or none",
        "ROOT/BDx4/calendar/*.png ..    the same, blurred",
    ),
    find=find,
    conditions=CONDITIONS,
    metrics=("psnr_y", "ssim_y"),
    report=by_clip,
    models=("supervegan4_small",),
    as_stored=True,
    remarks=("DUF's convention is --crop-border 8 --skip-ends 2",),
)
