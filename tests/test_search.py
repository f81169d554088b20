"""The architecture search without any training: space, sampler, front, files."""

import dataclasses
import importlib
import itertools
import json
import sys

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from PIL import Image

from configs import supervegan4_small, tiny
from supervegan_jax import build
from supervegan_jax.config_file import load_config
from supervegan_jax.experiments.pareto import pareto_front
from supervegan_jax.models import build_generator
from supervegan_jax.search import __main__ as command
from supervegan_jax.search import runner
from supervegan_jax.search import sampler as sampler_module
from supervegan_jax.search.front import candidates, choose, correlations, pearson, pool
from supervegan_jax.search.objective import hopeless
from supervegan_jax.search.proxy import proxy_config, rungs
from supervegan_jax.search.results import Search, write_results
from supervegan_jax.search.sampler import ParetoES
from supervegan_jax.search.space import (
    SEEDS,
    Field,
    model_of,
    mutate,
    point_of,
    seeds_around,
    space_around,
)
from supervegan_jax.search.trials import Interrupted, open_study
from supervegan_jax.weights.model_file import parameter_shapes

SPACE = (Field("width", (8, 16, 24, 32)), Field("blocks", (0, 1, 2)), Field("kernel", (1, 3)))
SMALL_4 = SEEDS[4][0]


def finished(point, psnr, lpips, ms, **known):
    """A completed trial, made up."""
    attributes = {"macs": 1000 * ms, "parameters": 7, **known}
    return create_trial(
        params=point,
        distributions={name: CategoricalDistribution((value,)) for name, value in point.items()},
        values=(psnr, lpips, ms),
        user_attrs=attributes,
    )


def in_space(point, psnr, lpips, ms, space=SPACE):
    return create_trial(
        params=point,
        distributions=sampler_module.distributions(space),
        values=(psnr, lpips, ms),
        user_attrs={"macs": ms, "parameters": 7},
    )


def made_study(sampler, *trials):
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
    study.add_trials(trials)
    return study


def ask(study, space=SPACE):
    trial = study.ask(sampler_module.distributions(space))
    study.tell(trial, state=TrialState.FAIL)
    return trial.params


@pytest.mark.parametrize("scale", [4, 2])
def test_seeds_lie_in_the_space_and_begin_with_the_shipped_network(scale):
    config = importlib.import_module(f"configs.supervegan{scale}_small").get_config()
    model = config.model.to_dict()
    assert point_of(model) == SEEDS[scale][0]
    assert seeds_around(model) == list(SEEDS[scale])
    space = space_around(model)
    for seed in SEEDS[scale]:
        assert set(seed) == {field.name for field in space}
        assert all(seed[field.name] in field.values for field in space)
        built = build_generator(**model_of(model, seed))
        assert point_of({**model, **vars_of(built)}) == seed
        parameter_shapes(built)


def vars_of(generator):
    return {f: getattr(generator, f) for f in generator.__dataclass_fields__ if f != "name"}


def test_the_base_network_is_a_seed_with_its_own_values():
    model = tiny.get_config().model.to_dict()
    base = seeds_around(model)[0]
    assert base["inner_width"] == 8  # its 0 stands for the detail's width
    values = {field.name: field.values for field in space_around(model)}
    assert all(base[name] in values[name] for name in values)
    assert model_of(model, base)["temporal_widths"] == (8, 8)
    with pytest.raises(ValueError, match="knows supervegan alone"):
        point_of({"name": "duf"})


def test_mutants_stay_in_the_space_and_differ():
    rng, changed = np.random.default_rng(0), []
    parent = {"width": 32, "blocks": 0, "kernel": 1}
    for _ in range(400):
        child = mutate(SPACE, parent, rng)
        assert all(child[field.name] in field.values for field in SPACE)
        changed.append([name for name in parent if child[name] != parent[name]])
        assert changed[-1]
    assert 1.4 < np.mean([len(names) for names in changed]) < 1.9  # 1 + 2 / 3
    assert set(itertools.chain(*changed)) == set(parent)


GOOD, CHEAP, BEATEN = (
    {"width": 32, "blocks": 2, "kernel": 3},
    {"width": 8, "blocks": 0, "kernel": 1},
    {"width": 24, "blocks": 2, "kernel": 3},
)


@pytest.fixture
def parents(monkeypatch):
    """What mutants are made of, as they are made."""
    mutated = []

    def spy(space, point, rng):
        mutated.append(point)
        return mutate(space, point, rng)

    monkeypatch.setattr(sampler_module, "mutate", spy)
    return mutated


def test_parents_are_of_the_front(parents):
    # The mutants are failed, so that the front stays what it is.
    trials = [
        in_space(GOOD, 30.0, 0.2, 10.0),
        in_space(CHEAP, 20.0, 0.5, 1.0),
        in_space(BEATEN, 29.0, 0.3, 10.0),
    ]
    for seed in range(12):
        ask(made_study(ParetoES(SPACE, seed), *trials))
    assert len(parents) < 15  # a mutant that was drawn again would be mutated anew
    assert GOOD in parents and CHEAP in parents and BEATEN not in parents


def test_the_same_seed_proposes_the_same():
    def proposals(seed):
        study = made_study(ParetoES(SPACE, seed), in_space(GOOD, 30.0, 0.2, 10.0))
        return [ask(study) for _ in range(6)]

    assert proposals(1) == proposals(1)
    assert proposals(1) != proposals(2)


def test_nothing_is_proposed_twice_nor_what_is_unacceptable():
    study = made_study(ParetoES(SPACE, 0), in_space(GOOD, 30.0, 0.2, 10.0))
    asked = [tuple(ask(study).items()) for _ in range(23)]
    assert len(set(asked)) == 23  # with the first, all 24 points
    assert tuple(GOOD.items()) not in asked
    fussy = ParetoES(SPACE, 0, acceptable=lambda point: point["width"] == 16)
    study = made_study(fussy, in_space(GOOD, 30.0, 0.2, 10.0))
    assert {ask(study)["width"] for _ in range(5)} == {16}


def test_without_anything_finished_the_seeds_are_parents(parents):
    assert set(ask(made_study(ParetoES(SPACE, 3)))) == {field.name for field in SPACE}
    assert parents == []  # there was not even a seed: any point
    study = made_study(ParetoES(SPACE, 3))
    study.enqueue_trial(CHEAP)
    study.ask(sampler_module.distributions(SPACE))  # and is running
    ask(study)
    assert parents[0] == CHEAP


def test_the_front_of_three_axes():
    values = [
        (1.0, 1.0, 1.0),
        (2.0, 1.0, 1.0),  # beats the first
        (1.0, 2.0, 0.0),
        (2.0, 1.0, 1.0),  # equal to the second: both stay
        (0.0, 2.0, 0.0),  # beaten by the third
        (0.0, 0.0, 5.0),
    ]
    assert pareto_front(values) == [False, True, True, True, False, True]


def test_the_pool_is_of_psnr_lpips_and_either_cost():
    found = candidates(
        [
            finished(GOOD, 30.0, 0.2, 10.0),
            finished(BEATEN, 30.0, 0.2, 9.0, macs=20_000),
            finished(CHEAP, 20.0, 0.5, 1.0),
            create_trial(state=TrialState.PRUNED),
        ]
    )
    assert [candidate.point for candidate in pool(found, "ms")] == [BEATEN, CHEAP]
    assert [candidate.point for candidate in pool(found, "macs")] == [GOOD, CHEAP]


def test_correlations_are_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20))
    assert pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert pearson([1, 1, 1], [1, 2, 3]) is None
    trials = [
        finished({"width": w, "kernel": 3}, 20 + w, 1 / w, 2.0 * w + (w == 16), number=w)
        for w in (8, 16, 24, 32)
    ]
    related = correlations(candidates(trials))
    assert related["kernel"] == {"psnr": None, "lpips": None, "ms": None}
    assert related["width"]["psnr"] == pytest.approx(1)
    widths = [8, 16, 24, 32]
    expected = np.corrcoef(widths, [1 / w for w in widths])[0, 1]
    assert related["width"]["lpips"] == pytest.approx(expected)
    assert correlations([]) == {}


def test_the_chosen_network_is_better_at_the_bases_cost():
    base, other, third = (dict(SMALL_4, width=w) for w in (32, 24, 40))

    def chosen(*trials):
        found = choose(candidates(trials), base, "ms")
        return found and found.point

    before = finished(base, 25.0, 0.30, 100.0)
    assert chosen() is None
    assert chosen(before) == base
    assert chosen(before, finished(other, 25.1, 0.29, 101.9)) == other
    assert chosen(before, finished(other, 25.1, 0.29, 103.0)) == base  # slower
    assert chosen(before, finished(other, 24.9, 0.20, 90.0)) == base  # less PSNR
    better = finished(other, 25.1, 0.29, 99.0)
    assert chosen(before, better, finished(third, 25.5, 0.28, 100.0)) == third
    assert chosen(better) == other  # the base did not complete


def test_hopeless_is_far_behind_in_both_and_no_cheaper():
    (front,) = candidates([finished(GOOD, 26.0, 0.2, 10.0, rungs={"50": (25.0, 0.30)})])

    def judged(psnr, lpips, ms=10.0, step=50):
        return hopeless([front], ms, "ms", step, psnr, lpips) is not None

    assert judged(24.6, 0.33)
    assert not judged(24.8, 0.33)
    assert not judged(24.6, 0.31)
    assert not judged(24.6, 0.33, ms=9.9)
    assert not judged(24.6, 0.33, step=100)


QUALITY = Field("quality", tuple(range(9)))
WASTE = tuple(Field(name, tuple(range(5))) for name in ("u", "v", "w"))


def test_the_search_comes_near_a_known_front():
    """The front is one network of every quality, without waste; the seeds waste 6 of 12."""
    space = (QUALITY, *WASTE)

    def objective(trial):
        point = {f.name: trial.suggest_categorical(f.name, f.values) for f in space}
        trial.set_user_attr("macs", 1)
        trial.set_user_attr("parameters", 1)
        quality = float(point.pop("quality"))
        return quality, -quality, quality + sum(point.values())

    study = made_study(ParetoES(space, 0))
    for quality in (2, 5):
        study.enqueue_trial({"quality": quality, "u": 2, "v": 2, "w": 2})
    study.optimize(objective, n_trials=60)
    front = pool(candidates(study.trials), "ms")
    wasted = [candidate.ms - candidate.psnr for candidate in front]
    assert min(wasted) == 0
    assert np.mean(wasted) < 2
    assert max(candidate.psnr for candidate in front) >= 7


def test_a_short_training_has_all_phases_shortened_alike():
    base = supervegan4_small.get_config()  # 9,500, 1,500 and 2,000 steps
    config = proxy_config(base, dict(SMALL_4, width=40), 260)
    assert [config.phases[name].steps for name in config.phase_names] == [190, 30, 40]
    assert config.optimizer.warmup_steps == 4  # 200 of 13,000
    assert config.model.width == 40 and config.model.temporal_widths == (24, 40)
    assert rungs(build.build_phases(config)) == (95, 190)
    assert base.model.width == 32 and base.phases.stage_a.steps == 9_500
    with pytest.raises(ValueError, match="--steps 3 leaves the phase 'full' none"):
        proxy_config(base, SMALL_4, 3)


def write(tmp_path, config_file):
    """A search's files: a base, one better, one worse, one stopped."""
    model = load_config(config_file).model.to_dict()
    base = point_of(model)
    better = dict(base, width=24, detail_grid=2)
    search = Search(model, config_file.resolve(), "ms", tmp_path)
    trials = [
        finished(base, 25.0, 0.30, 100.0, seed=True),
        finished(better, 25.2, 0.28, 90.0),
        finished(dict(base, width=48), 24.0, 0.40, 150.0),
        create_trial(state=TrialState.PRUNED, user_attrs={"reason": "too slow: 900.0 ms"}),
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    return write_results(search, trials), model, better


SHIPPED = "configs/supervegan4_small.py"


def test_the_files_of_a_search(tmp_path, request):
    text, _, better = write(tmp_path, request.config.rootpath / SHIPPED)
    (entry,) = json.loads((tmp_path / "front.json").read_text())
    assert set(entry) == {"params", "psnr", "lpips", "ms", "macs", "config"}
    assert (entry["params"], entry["psnr"], entry["lpips"]) == (7, 25.2, 0.28)
    assert (entry["ms"], entry["macs"]) == (90.0, 90_000)
    assert point_of(entry["config"]) == better
    built = build_generator(**entry["config"])
    assert (built.width, built.detail_grid, built.scale) == (24, 2, 4)
    trials = json.loads((tmp_path / "trials.json").read_text())
    assert [trial["state"] for trial in trials] == ["complete"] * 3 + ["pruned"]
    assert trials[3]["reason"] == "too slow: 900.0 ms"
    assert trials[1]["psnr"] == 25.2 and trials[1]["point"] == better
    assert np.asarray(Image.open(tmp_path / "front.png")).shape[2] == 4
    assert "3 candidates completed, 1 stopped or too costly" in text
    assert "width=24 detail_grid=2" in text
    assert [t["front"] for t in trials] == [False, True, False, False]
    assert [t["seed"] for t in trials] == [True, False, False, False]
    table = text.split("\n\n")[1].splitlines()[1:]
    assert [line.split()[1] for line in table] == ["front", "seed", "other"]
    width = pearson([32, 24, 48], [25.0, 25.2, 24.0])
    assert f"{width:+.2f}" in text
    related = json.loads((tmp_path / "correlations.json").read_text())
    assert set(related) == set(SMALL_4)
    assert related["width"]["psnr"] == pytest.approx(width)
    assert related["inner_width"] == {"psnr": None, "lpips": None, "ms": None}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_chosen_config_trains_the_very_network(elsewhere, tmp_path, request):
    source = request.config.rootpath / SHIPPED
    if elsewhere:  # outside the package configs
        (tmp_path / "mine's.py").write_text(source.read_text())
        source = tmp_path / "mine's.py"
    _, model, better = write(tmp_path, source)
    config = load_config(tmp_path / "chosen.py")
    assert point_of(config.model.to_dict()) == better
    expected = parameter_shapes(build_generator(**model_of(model, better)))
    assert parameter_shapes(build.build_model(config)) == expected
    base = supervegan4_small.get_config()
    assert config.phases == base.phases and config.optimizer == base.optimizer
    assert "\n    c.model.width = 24\n" in (tmp_path / "chosen.py").read_text()


def test_any_completed_trial_may_be_chosen(tmp_path):
    model = supervegan4_small.get_config().model.to_dict()
    search = Search(model, tmp_path / "x.py", "ms", tmp_path, trial=0)
    other = dict(SMALL_4, width=24)
    trials = [finished(other, 20.0, 0.5, 900.0), finished(SMALL_4, 25.0, 0.3, 100.0)]
    for number, trial in enumerate(trials):
        trial.number = number
    assert "chosen: trial 0" in write_results(search, trials)
    assert "    c.model.width = 24\n" in (tmp_path / "chosen.py").read_text()
    with pytest.raises(ValueError, match="--choose 2: no trial of that number"):
        write_results(dataclasses.replace(search, trial=2), trials)


def test_a_search_without_anything_finished_says_so(tmp_path):
    model = supervegan4_small.get_config().model.to_dict()
    text = write_results(Search(model, tmp_path / "x.py", "ms", tmp_path), [])
    assert text.endswith("there is no front yet")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trials", "0"], "--trials 0; at least 1"),
        (["--workers", "0"], "--workers 0; at least 1"),
        (["--batch-size", "0"], "--batch-size 0; at least 1"),
        (["--patch-size", "0"], "--patch-size 0; at least 1"),
        (["--choose", "-1"], "--choose -1; 0 to 0 is accepted"),
        (["--choose", "1"], "--choose 1; 0 to 0 is accepted"),
        (["--config", "none.py"], "no config file 'none.py'"),
        (["--cost", "price"], "--cost 'price'; accepted are ms, macs"),
        (["--max-ms", "-1"], "--max-ms -1.0; 0 or more"),
        (["--steps", "0"], "--steps 0; more than 0"),
        (["--config", "configs/srvgg.py"], "knows supervegan alone"),
        ([], "is no folder of records: it has no preparation.json"),
        (["--storage", "sqlite:////none/x.db"], "cannot be opened"),
        (["--storage", "nothing"], "cannot be opened"),
    ],
)
def test_wrong_flags_are_told(flags, message, tmp_path):
    words = ["--trials", "1", "--workdir", str(tmp_path / "w"), "--records", str(tmp_path)]
    with pytest.raises(ValueError, match=message):
        command.main([*words, *flags])


def test_an_interrupted_search_shows_what_it_has(monkeypatch, tmp_path, capsys):
    model = supervegan4_small.get_config().model.to_dict()

    def work_on(settings, workdir, url, trials):
        study = open_study(url, space_around(model), None)
        study.add_trial(in_space(point_of(model), 30.0, 0.2, 5.0, space_around(model)))
        raise Interrupted("stopped by SIGTERM", 143)

    monkeypatch.setattr(runner.Proxy, "check", lambda self: None)
    monkeypatch.setattr(runner, "work_on", work_on)
    words = ["--config", "configs/supervegan4_small.py", "--records", str(tmp_path)]
    words += ["--trials", "5", "--choose", "3", "--workdir", str(tmp_path)]
    assert command.main(words) == 143
    said = capsys.readouterr()
    assert "1 candidates completed" in said.out
    assert "stopped by SIGTERM; the same command goes on from there" in said.err


def test_a_config_without_data_is_told(tmp_path):
    with pytest.raises(ValueError, match="the config names no data"):
        command.main(["--trials", "1", "--workdir", str(tmp_path)])


def test_a_config_that_starts_from_weights_is_told(tmp_path):
    config = tmp_path / "warm.py"
    config.write_text(
        "from configs import tiny\n\n\ndef get_config():\n    c = tiny.get_config()\n"
        "    c.initial_weights = 'supervegan4_small'\n    return c\n"
    )
    words = ["--records", str(tmp_path), "--config", str(config)]
    with pytest.raises(ValueError, match="initial_weights 'supervegan4_small'; candidates start"):
        command.main(["--trials", "1", "--workdir", str(tmp_path / "w"), *words])


def test_without_optuna_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"pip install 'supervegan_jax\[search\]'"):
        command.main(["--trials", "1", "--workdir", str(tmp_path)])
