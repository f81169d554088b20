"""An evolution strategy as a sampler of Optuna."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from supervegan_jax.search.front import candidates, pool
from supervegan_jax.search.space import Field, Point, draw, mutate

# Mutants drawn before one that was tried already is taken, or one that is not acceptable.
_DRAWS: Final = 200
_WIDEN_EVERY: Final = 10


def distributions(space: tuple[Field, ...]) -> dict[str, BaseDistribution]:
    """The search space as Optuna has it."""
    return {field.name: CategoricalDistribution(field.values) for field in space}


class ParetoES(BaseSampler):
    """A (1,1)-ES within a pool (paper, V-D): one parent of the Pareto front has one mutant.

    What is on the front is read from the study whenever a mutant is asked for, so any number of
    workers share it. A mutant depends on the seed, its trial's number and the trials finished.
    """

    def __init__(
        self,
        space: tuple[Field, ...],
        seed: int,
        cost: str = "ms",
        acceptable: Callable[[Point], bool] = lambda point: True,
    ):
        """Keeps what a mutant depends on.

        Args:
          space: what is searched.
          seed: not negative.
          cost: the third axis of the front, "ms" or "macs".
          acceptable: whether a network is worth a trial; asked of a few mutants.
        """
        self._space = space
        self._seed = seed
        self._cost = cost
        self._acceptable = acceptable

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All fields: they are mutated together."""
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A mutant that was not tried yet; of any trial's network while none has been finished."""
        rng = np.random.default_rng([self._seed, trial.number])
        trials = study.get_trials(deepcopy=False)
        points = [other.system_attrs.get("fixed_params", other.params) for other in trials]
        tried = [point for point in points if len(point) == len(self._space)]  # but for this one
        parents = [parent.point for parent in pool(candidates(trials), self._cost)] or tried
        for count in range(_DRAWS):
            if parents:
                child = parents[rng.integers(len(parents))]
                for _ in range(1 + count // _WIDEN_EVERY):
                    child = mutate(self._space, child, rng)
            else:
                child = draw(self._space, rng)
            if child not in tried and self._acceptable(child):
                break
        return child

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuses: a field outside the space is a mistake."""
        raise ValueError(f"field {param_name!r} is not searched")
