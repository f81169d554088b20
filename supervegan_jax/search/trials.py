"""The study of a search: where its trials are kept, which is next, which are taken up again.

Optuna keeps them, in SQLite or any other database it knows. A running trial sends heartbeats;
one that stops is failed and queued again by whichever worker asks next.
"""

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from supervegan_jax.job import differences
from supervegan_jax.search.sampler import ParetoES
from supervegan_jax.search.space import Field, Point
from supervegan_jax.training.workdir import locked

NAME: Final = "supervegan_jax.search"
# A candidate that ends its process so often, by its memory for instance, is given up.
_RETRIES: Final = 2
_POLL_SECONDS: Final = 1.0
_BEGUN: Final = "begun"
FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
RUNNING: Final = (TrialState.RUNNING,)

# (the trial to write to, the candidate) -> PSNR, LPIPS, ms; raises `optuna.TrialPruned` to stop.
Objective = Callable[[Trial, Point], tuple[float, float, float]]


class Interrupted(Exception):
    """A worker has to end; its candidate is queued again.

    Attributes:
      exit_code: of its process.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def open_study(
    url: str, space: tuple[Field, ...], sampler: ParetoES | None, *, grace_seconds: int = 120
) -> Study:
    """The study at a database, made if it is not there: by one process at a time.

    Args:
      url: of the database, as SQLAlchemy has it.
      space: what is searched.
      sampler: None for one that is only read.
      grace_seconds: after the last heartbeat; then a trial is taken up again.

    Raises:
      ValueError: the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with _experimental():
            storage = RDBStorage(
                url,
                # SQLite's writers wait for one another.
                engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
                heartbeat_interval=max(1, grace_seconds // 4),
                grace_period=grace_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(_RETRIES),
            )
        return optuna.create_study(
            storage=storage,
            study_name=NAME,
            sampler=sampler,
            directions=["maximize", "minimize", "minimize"],
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]  # what follows is SQL and a link
        raise ValueError(f"the study cannot be opened: {reason}") from error


def begin_study(study: Study, settings: dict[str, Any], seeds: Sequence[Point]) -> None:
    """Writes what the search is of and queues its seeds, or checks that it is the same.

    Raises:
      ValueError: the study is of another search.
    """
    settings = json.loads(json.dumps(settings))  # lists for tuples, as it will be read
    known = study.user_attrs.get("settings")
    if known is not None:
        for name, (old, new) in differences(known, settings):
            raise ValueError(
                f"the study there was begun with {name} {old!r}, not {new!r}; take another "
                "--workdir"
            )
        return
    # An earlier run may have been killed while it queued them.
    for seed in seeds[len(study.get_trials(deepcopy=False)) :]:
        study.enqueue_trial(seed, user_attrs={"seed": True})
    study.set_user_attr("settings", settings)


def check_choice(study: Study, trials: int, chosen: int | None) -> None:
    """Refuses a trial to choose that there will not be.

    Args:
      study: where the trials are kept.
      trials: as in `work`.
      chosen: number of a trial; None is always accepted.

    Raises:
      ValueError: it is out of range, or was stopped or lost.
    """
    if chosen is None:
        return
    # What was lost is tried again under another number.
    lost = count(study, TrialState.FAIL)
    last = lost + max(trials, count(study, *FINISHED, *RUNNING)) - 1
    if not 0 <= chosen <= last:
        raise ValueError(f"--choose {chosen}; 0 to {last} is accepted")
    if chosen in _numbers(study, TrialState.PRUNED, TrialState.FAIL):
        raise ValueError(f"--choose {chosen}: that trial was not completed")


def work(
    study: Study, space: tuple[Field, ...], objective: Objective, trials: int, workdir: Path
) -> None:
    """Tries candidates until the study has `trials` that are finished.

    Any number of processes may do so at the same time.

    Args:
      study: where the trials are kept.
      space: what is searched.
      objective: trains and scores a candidate.
      trials: completed and stopped ones of the whole study.
      workdir: of the search; workers that share it ask for candidates one after the other.

    Raises:
      Interrupted: the objective was; its candidate is queued again.
    """
    while True:
        with contextlib.ExitStack() as asking:
            asking.enter_context(locked(workdir / "asking", wait=True))
            _take_up_again(study, space)
            finished, running = (count(study, *states) for states in (FINISHED, RUNNING))
            if finished >= trials:
                return
            if finished + running < trials:
                _try_one(study, _Task(space, objective, asking.close))
                continue
        time.sleep(_POLL_SECONDS)  # another worker's last trial may yet have to be taken up again


def count(study: Study, *states: TrialState) -> int:
    """How many trials are in one of the states."""
    return len(_numbers(study, *states))


def _numbers(study: Study, *states: TrialState) -> list[int]:
    return [trial.number for trial in study.get_trials(deepcopy=False, states=states)]


class _Task:
    """What Optuna calls with a trial: gives it its candidate, lets others ask, and works on it."""

    def __init__(
        self, space: tuple[Field, ...], objective: Objective, asked: Callable[[], None]
    ) -> None:
        self._space = space
        self._objective = objective
        self._asked = asked

        self.lost = ""

    def __call__(self, trial: Trial) -> tuple[float, float, float]:
        point = {
            field.name: int(trial.suggest_categorical(field.name, field.values))
            for field in self._space
        }
        trial.set_user_attr(_BEGUN, trial.number)
        self._asked()
        try:
            return self._objective(trial, point)
        except (KeyboardInterrupt, Interrupted):
            trial.study.enqueue_trial(point, user_attrs=trial.user_attrs)
            raise
        finally:
            if trial.number not in _numbers(trial.study, *RUNNING):
                self.lost = f"trial {trial.number} was silent for so long that it was queued again"


def _try_one(study: Study, task: _Task) -> None:
    try:
        study.optimize(task, n_trials=1)
    except Exception:  # Optuna has several for a trial that another process has ended
        if not task.lost:
            raise
        print(f"note: {task.lost}", flush=True)


def _take_up_again(study: Study, space: tuple[Field, ...]) -> None:
    """Queues what dead processes left; only whoever may ask for a trial calls this."""
    with _experimental():
        fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=RUNNING):
        # Its process died while it asked, perhaps before any heartbeat. An attribute of another
        # number comes from the trial that this one takes up again.
        if trial.user_attrs.get(_BEGUN) != trial.number:
            study.tell(trial.number, state=TrialState.FAIL)
            given = trial.system_attrs.get("fixed_params", trial.params)
            if len(given) == len(space):
                study.enqueue_trial(given, user_attrs=trial.user_attrs)


@contextlib.contextmanager
def _experimental() -> Any:
    """Optuna calls its heartbeats experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
