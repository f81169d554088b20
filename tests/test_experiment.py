"""`experiment`: a small one from end to end, its budget, its plan and its cache."""

import json
import os
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from conftest import make_small_system
from ml_collections import ConfigDict
from video_samples import make_video

from configs import fsrcnn, no_prog, supervegan4_small
from configs import tiny as tiny_config
from configs.experiments import ablations_small
from configs.experiments import base as experiment_base
from data_prep.prepare import prepare
from supervegan_jax import build, experiment, job
from supervegan_jax.config_file import load_config
from supervegan_jax.data.records import read_preparation
from supervegan_jax.training.phases import make_phases
from supervegan_jax.training.state import create_state, state_shapes
from supervegan_jax.trials import plan
from supervegan_jax.trials.budget import fit_steps, macs_of_step, step_macs, total_macs
from supervegan_jax.trials.training import seconds_of_steps
from supervegan_jax.weights.load import load_model

CONFIGS = Path(__file__).parents[1] / "configs" / "experiments"
CONFIG = """
from ml_collections import ConfigDict
from configs import duf16, fsrcnn
from configs.experiments import base

def network(width):
    training = base.brief(fsrcnn.get_config())
    training.model.width, training.model.shrunk_width, training.model.mapping_layers = width, 4, 1
    training.data.batch_size, training.data.patch_size = 4, 16
    training.checkpoint_every, training.log_every = 4, 1
    return training

def get_config():
    c = base.get_config()
    c.results = "equal_compute"
    c.budget_tmacs = 1e-4
    c.trials = ConfigDict({"narrow": network(8), "wide": network(12)})
    c.counted = ConfigDict({"duf16": duf16.get_config()})
    c.input_kbps, c.reference_kbps, c.metrics, c.frame_step = (60, 250), (60, 250), ("psnr",), 5
    c.max_frames = 10
    return c
"""


# The budget ---------------------------------------------------------------------------------


def test_a_step_of_one_layer_costs_its_product_and_its_gradient():
    fields = {"steps": 1, "trains": ("stage_a",), "alpha": (0.0, 0.0), "weights": {"mse_a": 1.0}}
    phases = make_phases(("a",), {"a": fields})
    system = make_small_system(phases, discriminator=None)
    batch = {
        "lr": jax.ShapeDtypeStruct((2, 5, 8, 6, 3), jnp.uint8),
        "hr": jax.ShapeDtypeStruct((2, 32, 24, 3), jnp.uint8),
    }
    # A product of 3 by 3 at 2 x 8 x 6 places of the middle frame: the layer's own and its weights'
    # gradient; images need none. Stage B is such a layer at four times the places. This generator
    # always computes it, but the phase does not train it: it has no gradients.
    product = 2 * 8 * 6 * 3 * 3
    assert macs_of_step(system, phases[0], batch, {}, 4) == 2 * product + 4 * product


def test_the_shapes_of_a_state_are_those_of_its_arrays(phases, frozen):
    system = make_small_system(phases)
    made = create_state(system, scale=4, seed=0, frozen=frozen)
    told = state_shapes(system, scale=4, frozen=frozen)
    assert jax.tree.structure(made) == jax.tree.structure(told)
    for one, other in zip(jax.tree.leaves(made), jax.tree.leaves(told), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_a_step_of_fsrcnn_is_counted_layer_by_layer():
    config = fsrcnn.get_config()
    config.data.batch_size, config.data.patch_size = 2, 16
    places, width, shrunk, layers = 2 * 16 * 16, 56, 12, 4
    first = 25 * 3 * width
    inner = 2 * width * shrunk + layers * 9 * shrunk**2
    last = 81 * width * 3
    macs = step_macs(config)["train"]
    # Every layer costs its product, its weights' gradient and its input's, the first has no input
    # gradient; borders and what the deconvolution cuts off make the last one's count larger.
    least = places * (2 * first + 3 * inner + 3 * last)
    assert least <= macs < 1.9 * least
    assert total_macs(config, {"train": macs}) == 400_000 * macs


def test_steps_share_a_budget_in_their_proportion():
    config = tiny_config.get_config()
    for name, steps in (("stage_a", 100), ("blend", 50), ("full", 200)):
        config.phases[name].steps = steps
    macs = {"stage_a": 10, "blend": 20, "full": 40}  # 10,000 in all
    fit_steps(config, macs, 5_010)
    assert [config.phases[n].steps for n in config.phase_names] == [50, 25, 100]
    fit_steps(config, macs, 110)  # 20, 9 and 80 of it would be the shares
    assert [config.phases[n].steps for n in config.phase_names] == [1, 1, 2]
    config.phases.stage_a.steps = 0
    fit_steps(config, macs, 600)
    assert [config.phases[n].steps for n in config.phase_names] == [0, 6, 12]
    with pytest.raises(ValueError, match=r"5.9e-11 TMAC .* supervegan's phases; 6e-11 are"):
        fit_steps(config, macs, 59)


# Plans --------------------------------------------------------------------------------------


def test_a_field_is_set_by_its_name_and_kind():
    c = ablations_small.get_config()
    plan.set_field(c, "seeds=3,4")
    plan.set_field(c, "seeds=5")
    assert c.seeds == (5,)
    plan.set_field(c, "codecs=h264,vp9")
    assert c.codecs == ("h264", "vp9")
    plan.set_field(c, "results=codecs")
    plan.set_field(c, "budget_tmacs=2")
    plan.set_field(c, "trials.full_4x.optimizer.learning_rate=3e-4")
    assert (c.budget_tmacs, c.trials.full_4x.optimizer.learning_rate) == (2.0, 3e-4)
    for text in ("sedes=1", "seeds", "trials.none.data.batch_size=4", "trials.full_4x.no=1"):
        with pytest.raises(ValueError, match=r"FIELD=VALUE of the experiment's config"):
            plan.set_field(c, text)
    with pytest.raises(ValueError, match="frame_step is 32; a int is accepted"):
        plan.set_field(c, "frame_step=many")


def write_folder(folder: Path, scale: int, kbps: list[int], patch: int = 64, frames: int = 5):
    folder.mkdir()
    content = {"version": 1, "scale": scale, "patch_size": patch, "frames": frames, "seed": 0}
    content |= {"bitrate_kbps": kbps, "codecs": ["h264"], "patch_count": 0, "data": ".."}
    content |= {"clips": [], "validation": []}
    (folder / "preparation.json").write_text(json.dumps(content))
    return read_preparation(folder)


def test_a_network_reads_the_records_of_its_scale_size_and_bitrate(tmp_path):
    folders = [
        write_folder(tmp_path / "two", 2, [250]),
        write_folder(tmp_path / "four", 4, [250]),
        write_folder(tmp_path / "high", 4, [1000]),
        write_folder(tmp_path / "small", 4, [250], patch=24),
    ]
    config = supervegan4_small.get_config()
    config.prepare.bitrates_kbps = (1000,)
    found = plan.choose_records("net", config, folders, exact=False)
    assert found == tmp_path / "high"
    config.prepare.bitrates_kbps = (250,)
    assert plan.choose_records("net", config, folders, exact=False) == tmp_path / "four"
    config.prepare.bitrates_kbps = (500,)
    with pytest.raises(ValueError, match=r"net needs one folder .* of \[500\] kbit/s; 0 of"):
        plan.choose_records("net", config, folders, exact=False)
    # A single folder that fits is taken, unless it has to be of the bitrates.
    assert plan.choose_records("net", config, folders[:2], exact=False) == tmp_path / "four"
    with pytest.raises(ValueError, match="0 of --records fit"):
        plan.choose_records("net", config, folders[:2], exact=True)
    wide = supervegan4_small.get_config()
    wide.data.truths = 3
    with pytest.raises(ValueError, match="7 input frames, 3 of them with ground truth, are asked"):
        plan.choose_records("net", wide, folders[1:2], exact=False)


@pytest.mark.parametrize("name", sorted(p.stem for p in CONFIGS.glob("[!_]*.py")))
def test_every_experiment_changes_fields_and_builds_its_networks(name):
    path = CONFIGS / f"{name}.py"
    config = load_config(path)
    assert set(config) == set(experiment_base.get_config())
    for training in (*config.trials.values(), *config.counted.values()):
        assert build.build_phases(training)[-1].end > 0
        build.build_model(training)
        sizes = training.data.batch_size, training.optimizer.accumulate
        assert sizes[0] % (2 * sizes[1]) == 0  # for machines of two cores
    if name != "base":
        assert f"--config configs/experiments/{name}.py" in path.read_text()


def test_variants_differ_by_their_ablation_alone():
    trials = ablations_small.get_config().trials
    for scale in (4, 2):
        full = trials[f"full_{scale}x"].to_dict()
        assert full["model"]["scale"] == scale
        for name in ("no_prog", "no_mse_a"):
            other = trials[f"{name}_{scale}x"].to_dict()
            assert {k for k in full if full[k] != other[k]} == {"ablation"}
            assert other["ablation"] == name
    steps = [build.build_phases(trials[n])[-1].end for n in ("full_4x", "no_prog_4x")]
    assert steps[0] == steps[1]
    assert no_prog.get_config().ablation == "no_prog"


def test_the_time_of_steps_is_added_up_over_interruptions(tmp_path):
    lines = [
        {"step": 0, "compile_seconds": 9.0},
        {"step": 10, "steps_per_second": 5.0},
        {"step": 10, "psnr": 30.0},
        {"step": 14, "steps_per_second": 2.0},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert seconds_of_steps(path) == pytest.approx(10 / 5 + 4 / 2)


# From end to end ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Records of a test picture, the picture as a clip, and an experiment's config."""
    folder = tmp_path_factory.mktemp("experiment")
    video = make_video(folder / "picture.mkv", frames=30)
    records = prepare(
        [video], folder / "data", bitrates_kbps=(60,), patch_size=16, patches=24, jobs=1
    )
    (folder / "config.py").write_text(CONFIG)
    words = ["--config", folder / "config.py", "--records", records, "--clips", video]
    return folder, [str(word) for word in words]


@pytest.fixture
def trainings(monkeypatch):
    """The names of the networks' widths that were trained, in their order."""
    begun = []
    train = job.train

    def noted(config: ConfigDict, workdir: Path) -> None:
        begun.append(config.model.width)
        train(config, workdir)

    monkeypatch.setattr(job, "train", noted)
    return begun


def parameters(workdir: Path, name: str) -> str:
    return load_model(str(workdir / "models" / name)).digest()


@pytest.mark.slow
def test_an_experiment_killed_and_resumed_equals_one_in_one_piece(
    prepared, trainings, monkeypatch, capsys
):
    folder, words = prepared
    whole, cut = folder / "whole", folder / "cut"
    assert experiment.main([*words, "--workdir", str(whole)]) is None
    assert trainings == [8, 12]
    text = (whole / "results.md").read_text()
    assert text in capsys.readouterr().out
    assert "| duf16 | too heavy: 0 steps of the budget |" in text
    content = json.loads((whole / "results.json").read_text())
    steps = {cost["name"]: cost["steps"] for cost in content["costs"]}
    assert steps["narrow"] > steps["wide"] > 4  # the same budget
    for cost in content["costs"][:2]:
        assert 0.8 * 1e8 < cost["macs"] <= 1e8
    assert set(content["scores"]["picture"]) == {"codec", "bicubic", "narrow", "wide"}

    source = build.build_batches

    def killing(config: ConfigDict, records: Path):
        def batches(phase, first_step):
            for number, batch in enumerate(source(config, records)(phase, first_step)):
                if config.model.width == 12 and number == 3:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        return batches

    with monkeypatch.context() as patch:
        patch.setattr(build, "build_batches", killing)
        assert experiment.main([*words, "--workdir", str(cut)]) == 143
    assert not (cut / "results.md").exists()
    del trainings[:]
    assert experiment.main([*words, "--workdir", str(cut)]) is None
    assert trainings == [12]  # the other one was finished
    assert "going on from the checkpoint of step" in capsys.readouterr().out
    for name in ("narrow", "wide"):
        assert parameters(cut, name) == parameters(whole, name)


@pytest.mark.slow
def test_only_what_changed_is_trained_again(prepared, trainings, capsys):
    folder, words = prepared
    words = [*words, "--workdir", str(folder / "whole")]
    experiment.main(words)
    del trainings[:]
    experiment.main(words)
    assert trainings == []
    before = {name: parameters(folder / "whole", name) for name in ("narrow", "wide")}
    experiment.main([*words, "--set", "trials.wide.optimizer.learning_rate=2e-3"])
    assert trainings == [12]
    assert parameters(folder / "whole", "narrow") == before["narrow"]
    assert parameters(folder / "whole", "wide") != before["wide"]
    experiment.main([*words, "--only", "narrow"])
    assert trainings == [12]
    scores = json.loads((folder / "whole" / "results.json").read_text())["scores"]["picture"]
    assert set(scores) == {"codec", "bicubic", "narrow"}
    # What was trained before the change is still known.
    capsys.readouterr()
    experiment.main([*words, "--dry-run"])
    out = capsys.readouterr().out
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["trained", "trained"]
    assert "too heavy, counted only" in out
    experiment.main([*words[:-1], str(folder / "unmade"), "--dry-run"])
    assert not (folder / "unmade").exists()


def of_runtimes(workdir):
    words = ["--config", str(CONFIGS / "runtime.py"), "--workdir", str(workdir)]
    return [*words, "--set", "models=fsrcnn,supervegan4_small", "seconds=0.01"]


@pytest.mark.slow
def test_runtimes_are_measured_once_and_kept(tmp_path, capsys):
    words = of_runtimes(tmp_path)
    experiment.main(words)
    text = (tmp_path / "results.md").read_text()
    assert text in capsys.readouterr().out
    rows = [line.split(" | ") for line in text.splitlines()[4:]]
    assert [row[0] for row in rows] == ["| fsrcnn", "| supervegan4_small"]
    assert [row[2] for row in rows] == ["1.4", "12.5"]
    assert float(rows[1][3]) > 0 and float(rows[1][4]) > float(rows[0][4]) > 0
    experiment.main(words)
    assert (tmp_path / "results.md").read_text() == text
    assert (tmp_path / "runtime.png").exists()


def test_settings_that_cannot_be_measured_are_refused(tmp_path, capsys):
    words = of_runtimes(tmp_path)
    experiment.main([*words, "--dry-run"])
    assert "timed: fsrcnn, supervegan4_small; 0.01 s a stage" in capsys.readouterr().out
    ours = ["models=supervegan4_small"]
    for more, message in (
        (["--set", "models=fsrcn"], "no model 'fsrcn'"),
        (["--set", "seconds=0.0"], "seconds 0; more than 0"),
        (["--set", "models=()"], r"models \(\); at least one"),
        (["--set", "results=table", "--dry-run"], "results 'table'; accepted are equal_compute"),
        (["--set", "results=plane", "models=supervegan9"], "no model 'supervegan9'"),
        (["--set", "results=plane", *ours], "distortion 'rmse'; metrics are lpips, psnr"),
        (
            ["--set", "results=plane", "metrics=niqe,rmse", "distortion=niqe", *ours],
            "distortion and perception are both 'niqe'",
        ),
        (
            ["--set", "results=plane", "metrics=rmse,niqe", "kbps_4x=77", *ours],
            "kbps_4x 77; input_kbps are 250, 750",
        ),
        (["--dry-run", "--gmacs-per-second", "nan", "--set", "results=codecs"], "nan GMAC/s"),
    ):
        with pytest.raises(ValueError, match=message):
            experiment.main([*words, *more])
    words[1] = str(CONFIGS / "ablations_small.py")
    with pytest.raises(ValueError, match="trains nothing; trials are full_2x, full_4x"):
        experiment.main([*words, "results=runtime"])


def test_what_cannot_be_run_is_told_at_once(prepared, trainings, tmp_path):
    _, words = prepared
    words = [*words, "--workdir", str(tmp_path)]
    short = make_video(tmp_path / "short.mkv", frames=4)
    fields = ("-vf", "tinterlace=4", "-c:v", "libx264", "-x264opts", "tff=1")
    interlaced = make_video(tmp_path / "fields.mkv", frames=12, output=fields)
    for more, message in (
        (["--only", "wyde"], "--only 'wyde'; this experiment trains narrow, wide"),
        (["--set", "results=table"], "results 'table'; accepted are equal_compute, ablations"),
        (["--set", "results=clean_input"], "4x networks trained at: 2 at .* two bitrates are"),
        (["--set", "seeds=()"], r"seeds \(\); at least one"),
        (["--set", "seeds=1,1"], r"seeds \(1, 1\); at least one"),
        (["--set", "budget_tmacs=0"], "counted against a budget; budget_tmacs is 0"),
        (["--set", "budget_tmacs=-1"], "a budget of -1 TMAC"),
        (["--set", "metrics=sharpness"], "metric 'sharpness'; accepted"),
        (["--set", "reference_kbps=250"], "reference kbps 250; accepted: 2 or more"),
        (["--set", "kbps_4x=77"], "kbps_4x 77; input_kbps are 60, 250"),
        (["--records", str(tmp_path / "none")], "none is no folder of records"),
        (["--clips", str(tmp_path / "none.mp4")], "none.mp4"),
        (["--clips", str(short)], "short.mkv has 4 frames; at least 5"),
        (["--clips", str(interlaced)], "fields.mkv: its frames are interlaced"),
        (["--set", "metrics=psnr,pi"], "the Perceptual Index needs Ma's model"),
        (["--config", "configs/tiny.py"], "is no experiment; see configs/experiments/"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            experiment.main([*words, *more])
    assert trainings == []


def test_a_dry_run_refuses_what_the_run_does(prepared, tmp_path):
    _, words = prepared
    words = [*words, "--workdir", str(tmp_path), "--dry-run"]
    for more, message in (
        (["--set", "frame_step=0"], "frame_step 0; at least 1"),
        (["--set", "max_frames=-1"], "max_frames -1; at least 5"),
        (["--set", "codecs=h263"], "codec 'h263'; accepted"),
        (["--set", "metrics=psnr,pi", "ma_model=none.mat"], "Ma's model: no file none.mat"),
        (["--clips", str(tmp_path / "none.mp4")], "none.mp4"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            experiment.main([*words, *more])
