"""Runs one function over many tasks, several at a time, with a progress bar."""

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tqdm import tqdm

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int | None,
    title: str,
    in_processes: bool = False,
) -> list[Result]:
    """Returns `[function(task) for task in tasks]`, in this order.

    Args:
      function: of a module's top level, if `in_processes`.
      tasks: its arguments.
      jobs: tasks at a time; None takes the number of cores.
      title: in front of the progress bar, which is shown on a terminal only.
      in_processes: give each job its own Python process (for work done in Python); otherwise a
        thread each, which is enough where ffmpeg does the work.

    Raises:
      ValueError: jobs is below 1.
      OSError: a process was killed from outside.
      Exception: the first that a task raised; tasks not yet begun are left out.
    """
    jobs = jobs if jobs is not None else (os.cpu_count() or 1)
    if jobs < 1:
        raise ValueError(f"jobs {jobs}: must be at least 1")
    jobs = min(jobs, len(tasks))
    bar = tqdm(total=len(tasks), desc=title, disable=None, leave=False)
    with bar:
        if jobs <= 1:
            results = []
            for task in tasks:
                results.append(function(task))
                bar.update()
            return results
        with _pool(jobs, in_processes) as pool:
            futures = [pool.submit(function, task) for task in tasks]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
                    bar.update()
            except BrokenProcessPool:
                raise OSError(f"{title}: a process was killed; out of memory?") from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    return [future.result() for future in futures]


def _pool(jobs: int, in_processes: bool) -> concurrent.futures.Executor:
    if not in_processes:
        return concurrent.futures.ThreadPoolExecutor(jobs)
    # A forked TensorFlow or JAX hangs; spawned processes start clean.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=_die_with_parent)


def _die_with_parent() -> None:
    """Ends this process when its parent is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
