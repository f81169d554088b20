"""One search: its study, its workers, its results."""

import multiprocessing
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

from supervegan_jax.command_line import keep_freed_memory
from supervegan_jax.search.proxy import Proxy
from supervegan_jax.search.results import Search, write_results
from supervegan_jax.search.sampler import ParetoES
from supervegan_jax.search.settings import Settings
from supervegan_jax.search.space import model_of, seeds_around, space_around
from supervegan_jax.search.trials import (
    FINISHED,
    Interrupted,
    begin_study,
    check_choice,
    count,
    open_study,
    work,
)
from supervegan_jax.training.workdir import locked

_END_SECONDS: Final = 30  # that workers have to queue their candidates again


def search(
    settings: Settings,
    workdir: Path,
    url: str,
    trials: int,
    workers: int,
    chosen: int | None = None,
) -> None:
    """Runs a search to so many finished trials, or goes on with it, and writes its results.

    Args:
      settings: what it is of.
      workdir: of its files.
      url: of the database of its trials.
      trials: completed and stopped ones, those of earlier runs and other workers included.
      workers: processes; one works in this one.
      chosen: number of the trial whose network is chosen; None chooses the best at equal cost.

    Raises:
      ValueError: bad settings, a study of another search, or a worker that failed.
      Interrupted: a signal arrived.
    """
    settings.check()
    config = settings.base_config()
    model = config.model.to_dict()
    space = space_around(model)
    with locked(workdir / "beginning", wait=True):
        study = open_study(url, space, None)
        check_choice(study, trials, chosen)
        Proxy(config, settings.steps, settings.frames, workdir).check()
        begin_study(study, settings.to_json(), seeds_around(model))
    ended = False
    try:
        if count(study, *FINISHED) < trials:
            if workers == 1:
                work_on(settings, workdir, url, trials)
            else:
                _spawn(workers, settings, workdir, url, trials)
        ended = True
    finally:
        # After an interruption the trial to choose may not have been tried yet.
        wanted = chosen if ended else None
        shown = Search(model, settings.config_path, settings.cost, workdir, wanted)
        print(write_results(shown, study.get_trials(deepcopy=False)), flush=True)


def work_on(settings: Settings, workdir: Path, url: str, trials: int) -> None:
    """Tries candidates in this process; the arguments are `search`'s."""
    # Here, because a worker's cores have to be chosen before JAX looks for them.
    import jax

    from supervegan_jax.search.cost import Stopwatch
    from supervegan_jax.search.cost import count as count_cost
    from supervegan_jax.search.objective import ShortTraining
    from supervegan_jax.training.parallel import share_cores

    config = settings.base_config()
    share_cores(config.data.batch_size, config.optimizer.accumulate)
    # Programs of networks that do not come again would fill the user's cache.
    jax.config.update("jax_enable_compilation_cache", False)
    model = config.model.to_dict()
    space = space_around(model)

    def acceptable(point: dict[str, int]) -> bool:
        macs, _ = count_cost(model_of(model, point))
        return macs <= settings.max_macs

    always: Any = lambda point: True  # noqa: E731
    wanted = acceptable if settings.max_macs else always
    sampler = ParetoES(space, settings.seed, settings.cost, wanted)
    study = open_study(url, space, sampler)
    stopwatch = Stopwatch(model, settings.timing_seconds, workdir / "timing")
    with locked(workdir / "beginning", wait=True):
        if "reference_ms" not in study.user_attrs:
            ms = stopwatch.reference_ms()
            study.set_user_attr("reference_ms", ms)
            print(f"the base network takes {ms:.1f} ms a frame", flush=True)
    proxy = Proxy(config, settings.steps, settings.frames, workdir)
    work(study, space, ShortTraining(settings, model, proxy, stopwatch), trials, workdir)


def _spawn(workers: int, *arguments: Any) -> None:
    """Runs `work_on` in processes of their own, each on its share of the cores."""
    context = multiprocessing.get_context("spawn")
    # Each would take three quarters of a GPU's memory, and a second one find none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 / workers:.2f}")
    cores = sorted(os.sched_getaffinity(0))
    processes = [
        context.Process(
            target=_work_as, args=(cores[i::workers] or cores[i % len(cores) :][:1], arguments)
        )
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
    finally:
        for process in processes:  # Ctrl-C has reached them too
            process.join(_END_SECONDS)
            process.terminate()
            process.join()
    failed = [process.exitcode for process in processes if process.exitcode]
    if failed:
        raise ValueError(f"{len(failed)} of {workers} workers ended with exit code {failed[0]}")


def _work_as(cores: list[int], arguments: tuple[Any, ...]) -> None:
    """A worker's process; its exit code is that of a command."""
    os.sched_setaffinity(0, cores)
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
    try:
        work_on(*arguments)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Interrupted as stop:
        sys.exit(stop.exit_code)


def _end_after(parent: Any) -> None:
    """Ends this process at once when its parent is gone; its candidate is taken up again."""
    parent.join()
    os._exit(1)
