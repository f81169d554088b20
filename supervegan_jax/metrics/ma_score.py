"""Ma's score: three regression forests on `ma_features`, and a line through their answers."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from supervegan_jax.metrics.ma_features import ma_features

_SOURCE = "model.mat of github.com/chaoma99/sr-metric"
_FIELDS = ("lDau", "rDau", "nodestatus", "upper", "avnode", "mbest")
_FEATURES = (18, 45, 75)
_TERMINAL = -1
# What scipy.io.loadmat and the look-ups in its result raise at a file of another kind.
_UNREADABLE = (MatReadError, NotImplementedError, ValueError, TypeError, KeyError, IndexError)


@dataclasses.dataclass(frozen=True)
class Forest:
    """Regression trees as randomforest-matlab (RF_Reg_C) stores them, all [nodes, trees].

    Attributes:
      left, right: the node to go to, counted from 1.
      status: -1 where a tree ends.
      threshold: greatest value that goes left.
      value: the answer of a node.
      feature: which feature a node asks for, counted from 1.
      correction: answer -> correction[0] + correction[1] * answer; empty for none.
    """

    left: np.ndarray
    right: np.ndarray
    status: np.ndarray
    threshold: np.ndarray
    value: np.ndarray
    feature: np.ndarray
    correction: np.ndarray

    def predict(self, features: np.ndarray) -> float:
        """The mean answer of all trees to one feature vector."""
        trees = np.arange(self.left.shape[1])
        node = np.zeros(len(trees), np.int64)
        for _ in range(len(self.left)):
            going = (self.status[node, trees] != _TERMINAL) & (self.left[node, trees] > 0)
            if not going.any():
                break
            asked = features[np.maximum(self.feature[node, trees] - 1, 0)]
            left = asked <= self.threshold[node, trees]
            following = np.where(left, self.left[node, trees], self.right[node, trees]) - 1
            node = np.where(going, following, node)
        answer = float(self.value[node, trees].mean())
        if self.correction.any():
            answer = float(self.correction[0] + self.correction[1] * answer)
        return answer


@dataclasses.dataclass(frozen=True)
class MaModel:
    """Ma's trained model: a forest for each kind of features, and the line's four weights."""

    forests: tuple[Forest, ...]
    linear: np.ndarray


def load_ma_model(path: str | os.PathLike[str] | None) -> MaModel:
    """Reads the authors' trained model, which does not come with this project.

    Args:
      path: model.mat of the authors' repository (github.com/chaoma99/sr-metric).

    Raises:
      ValueError: no path was given, there is no such file, or it is not that model.
    """
    if path is None:
        raise ValueError(f"the Perceptual Index needs Ma's model: give the path of {_SOURCE}")
    if not Path(path).is_file():
        raise ValueError(f"Ma's model: no file {path}; needed is {_SOURCE}")
    try:
        content: Any = scipy.io.loadmat(path)["model"].ravel()[0]
        cells = content["rf"].ravel()
        linear = np.asarray(content["linear"], np.float64).ravel()
        forests = tuple(
            _forest(cell.ravel()[0], size) for cell, size in zip(cells, _FEATURES, strict=True)
        )
    except (*_UNREADABLE, OSError) as error:
        raise ValueError(f"{path} is not Ma's model ({error}); needed is {_SOURCE}") from error
    if linear.shape != (4,):
        raise ValueError(f"{path} has {len(linear)} linear weights; needed is {_SOURCE}")
    return MaModel(forests, linear)


def _forest(fields: Any, features: int) -> Forest:
    left, right, status, threshold, value, feature = (np.asarray(fields[name]) for name in _FIELDS)
    if left.ndim != 2 or any(a.shape != left.shape for a in (right, status, threshold, value)):
        raise ValueError(f"its trees have the shapes {left.shape} and {right.shape}")
    # Rows that a tree does not use are 0 throughout.
    inner = (status != _TERMINAL) & ((left != 0) | (right != 0))
    for name, numbers, most in (("lDau", left, len(left)), ("rDau", right, len(left))):
        if inner.any() and not (numbers[inner].min() >= 1 and numbers[inner].max() <= most):
            raise ValueError(f"{name} points outside of its tree")
    if feature.max() > features:
        raise ValueError(f"a tree asks for feature {feature.max()} of {features}")
    has_correction = "coef" in (fields.dtype.names or ())
    correction = np.asarray(fields["coef"], np.float64).ravel() if has_correction else np.zeros(0)
    return Forest(
        left=left.astype(np.int64),
        right=right.astype(np.int64),
        status=status.astype(np.int64),
        threshold=threshold.astype(np.float64),
        value=value.astype(np.float64),
        feature=feature.astype(np.int64),
        correction=correction,
    )


def ma_score_of_codes(codes: np.ndarray, model: MaModel) -> float:
    """Ma's score of one picture; higher is better, about 0 to 10 (quality_predict.m).

    Args:
      codes: 8-bit luma, whole numbers in 0..255, [h, w].
      model: of `load_ma_model`.

    Raises:
      ValueError: as `ma_features`.
    """
    answers = [
        forest.predict(features)
        for forest, features in zip(
            model.forests, ma_features(codes.astype(np.float64)), strict=True
        )
    ]
    return float(model.linear @ np.array([1.0, *answers]))
