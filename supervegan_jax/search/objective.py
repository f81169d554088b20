"""What is done with a candidate: counted, timed, trained for a while, scored."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import optuna
from optuna.trial import Trial

from supervegan_jax.search.cost import Stopwatch, count
from supervegan_jax.search.front import Candidate, candidates, pool
from supervegan_jax.search.proxy import Proxy
from supervegan_jax.search.settings import Settings
from supervegan_jax.search.space import Point, model_of
from supervegan_jax.search.trials import Interrupted
from supervegan_jax.training.loop import NotFinite, Terminated

# How far behind a cheaper network of the front, at the same step and in both scores, is hopeless.
# Wide on purpose: what another seed alone would change has not been measured.
PSNR_BEHIND, LPIPS_BEHIND = 0.3, 0.02


def hopeless(
    front: Sequence[Candidate], cost: float, axis: str, step: int, psnr: float, lpips: float
) -> Candidate | None:
    """A network of the front that was far better at this step and costs no more, if there is one.

    Args:
      front: the pool.
      cost: of the candidate, in ms or MACs.
      axis: which, "ms" or "macs".
      step: of the candidate's training.
      psnr, lpips: the candidate's, at that step.
    """
    for other in front:
        if step in other.rungs and getattr(other, axis) <= cost:
            its_psnr, its_lpips = other.rungs[step]
            if its_psnr - psnr > PSNR_BEHIND and lpips - its_lpips > LPIPS_BEHIND:
                return other
    return None


@dataclasses.dataclass
class ShortTraining:
    """The objective of a search; see the module.

    Attributes:
      settings: of the search.
      model: the base network's configuration.
      proxy: trains.
      stopwatch: times.
    """

    settings: Settings
    model: dict[str, Any]
    proxy: Proxy
    stopwatch: Stopwatch

    def __call__(self, trial: Trial, point: Point) -> tuple[float, float, float]:
        """PSNR, LPIPS and ms of a candidate.

        Raises:
          optuna.TrialPruned: it is too costly, hopeless or diverges; "reason" says so.
          Interrupted: a signal arrived while it was trained.
        """
        begun = time.monotonic()
        try:
            psnr, lpips, ms = self._measure(trial, point)
        except optuna.TrialPruned as stop:
            trial.set_user_attr("reason", str(stop))
            self._finish(trial, point, str(stop), begun)
            raise
        except Terminated as error:
            raise Interrupted(str(error), error.exit_code) from error
        finally:
            jax.clear_caches()  # of a network that does not come again
        self._finish(trial, point, f"{psnr:.2f} dB, LPIPS {lpips:.3f}, {ms:.0f} ms", begun)
        return psnr, lpips, ms

    def _measure(self, trial: Trial, point: Point) -> tuple[float, float, float]:
        """Counts, times, trains and scores a candidate."""
        cost, ms = self._costs(trial, point)
        # Those passed before an interruption are not passed again.
        rungs = dict(trial.user_attrs.get("rungs", {}))

        def report(step: int, psnr: float, lpips: float) -> None:
            rungs[str(step)] = (psnr, lpips)
            trial.set_user_attr("rungs", rungs)
            if trial.user_attrs.get("seed"):
                return  # they are what others are compared with
            front = pool(candidates(trial.study.get_trials(deepcopy=False)), self.settings.cost)
            better = hopeless(front, cost, self.settings.cost, step, psnr, lpips)
            if better is not None:
                its_psnr, its_lpips = better.rungs[step]
                raise optuna.TrialPruned(
                    f"hopeless at step {step}: {psnr:.2f} dB, LPIPS {lpips:.3f}; trial "
                    f"{better.number} had {its_psnr:.2f}, {its_lpips:.3f} and costs no more"
                )

        try:
            psnr, lpips = self.proxy.train(point, report)
        except NotFinite as error:
            raise optuna.TrialPruned(f"diverged: {error}") from error
        return psnr, lpips, ms

    def _costs(self, trial: Trial, point: Point) -> tuple[float, float]:
        """The front's cost, and ms on the scale of the base network's; both within the limits."""
        model, limits = model_of(self.model, point), self.settings
        macs, parameters = count(model)
        trial.set_user_attr("macs", macs)
        trial.set_user_attr("parameters", parameters)
        if limits.max_macs and macs > limits.max_macs:
            raise optuna.TrialPruned(f"too costly: the limit is {limits.max_macs / 1e9:.2f} GMAC")
        ms = self.stopwatch.ratio(model) * trial.study.user_attrs["reference_ms"]
        trial.set_user_attr("measured_ms", ms)
        if limits.max_ms and ms > limits.max_ms:
            raise optuna.TrialPruned(f"too slow: {ms:.1f} ms, the limit is {limits.max_ms:.1f}")
        return {"ms": ms, "macs": float(macs)}[limits.cost], ms

    def _finish(self, trial: Trial, point: Point, result: str, begun: float) -> None:
        """Tells the result; nothing will go on from the candidate's checkpoints."""
        self.proxy.forget(point)
        seconds = time.monotonic() - begun
        trial.set_user_attr("seconds", round(seconds, 1))
        macs = trial.user_attrs["macs"] / 1e9
        print(f"trial {trial.number}: {result}; {macs:.1f} GMAC, {seconds:.0f} s", flush=True)
