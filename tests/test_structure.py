"""The doors between the rooms: what may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("ops", "losses", "metrics", "models")
# package -> the files that may import it
HOMES = {
    "tensorflow": ("supervegan_jax/data/", "data_prep/"),
    "tensorflow_datasets": ("supervegan_jax/data/", "data_prep/"),
    "orbax": ("supervegan_jax/training/checkpoints.py",),
    "imageio_ffmpeg": ("supervegan_jax/video/",),
    "optuna": ("supervegan_jax/search/",),
    "av": ("supervegan_jax/video_input/", "supervegan_jax/video_output/"),
    "starlette": ("supervegan_jax/study/server/",),
    "uvicorn": ("supervegan_jax/study/server/",),
    "subprocess": (
        "supervegan_jax/video/",
        "supervegan_jax/video_output/",
        "supervegan_jax/training/workdir.py",
    ),
}
# The rooms of video, each of which may use those before it, and a table that needs no JAX.
VIDEO = ("video", "video_input", "video_output")
CHROMA_SITES = "supervegan_jax.ops.chroma_sites"


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def sources() -> list[tuple[str, Path]]:
    files = [
        p
        for room in ("supervegan_jax", "configs", "data_prep")
        for p in (ROOT / room).rglob("*.py")
    ]
    return [(path.relative_to(ROOT).as_posix(), path) for path in files]


@pytest.mark.parametrize("package", HOMES)
def test_packages_stay_in_their_rooms(package):
    for name, path in sources():
        if any(module.split(".")[0] == package for module in imports(path)):
            assert name.startswith(HOMES[package]), f"{name} imports {package}"


def test_the_pure_rooms_import_only_one_another():
    forbidden = ("absl", "ml_collections", "configs", "tqdm")
    for name, path in sources():
        room = name.split("/")[1] if name.startswith("supervegan_jax/") else ""
        if room not in (*PURE, "training"):
            continue
        for module in imports(path):
            if room in PURE:
                assert module.split(".")[0] not in forbidden, f"{name} imports {module}"
            if module.startswith("supervegan_jax."):
                allowed = (*PURE, "training") if room == "training" else PURE
                assert module.split(".")[1] in allowed, f"{name} imports {module}"


def test_the_rooms_of_video_use_those_before_them_and_no_other():
    for name, path in sources():
        room = name.split("/")[1]
        if room in VIDEO:
            allowed = VIDEO[: VIDEO.index(room) + 1]
            for module in imports(path):
                if module.startswith("supervegan_jax.") and not module.startswith(CHROMA_SITES):
                    assert module.split(".")[1] in allowed, f"{name} imports {module}"


def test_pmap_only_in_parallel():
    for name, path in sources():
        if name != "supervegan_jax/training/parallel.py":
            assert "jax.pmap(" not in path.read_text(), name


def test_names_say_something():
    for name, _ in sources():
        assert Path(name).stem not in ("utils", "common", "helpers", "misc"), name


def test_serving_a_study_does_not_import_jax():
    code = (
        "import sys, supervegan_jax.study.server.serve, supervegan_jax.study.__main__; "
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_importing_the_package_and_its_core_does_not_import_tensorflow():
    code = (
        "import sys, supervegan_jax.build, supervegan_jax.main; print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
