"""Boosted trees as arrays: what scikit-learn grew, walked by numpy.

    node n: feature[n] ≤ threshold[n] ? left[n] : right[n]; a leaf is its own child, and adds value[n] to its tree's share of the logit

All rows walk all trees at once, `depth` steps of a few array operations each; scikit-learn itself is not imported to serve.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml_actors.kinds import Unusable

FILE: Final = "forest.npz"
NODES_MAX: Final = 1_000_000
_ARRAYS: Final = ("feature", "threshold", "left", "right", "value", "roots", "start", "depth")


class Forest:
    """`chances(rows)`. The arrays are indexed by node, but `roots` (by tree); `start` is the logit before any tree."""

    def __init__(self, arrays: dict[str, NDArray[Any]], features: int) -> None:
        nodes = len(arrays["feature"])
        if not 0 < nodes <= NODES_MAX or any(len(arrays[name]) != nodes for name in ("threshold", "left", "right", "value")):
            raise Unusable(f"a forest of {nodes} nodes, or of arrays of different lengths")
        if arrays["feature"].max() >= features or min(arrays[name].min() for name in ("feature", "left", "right", "roots")) < 0:
            raise Unusable(f"a forest that looks at features or nodes that there are not; there are {features} and {nodes}")
        if max(arrays[name].max() for name in ("left", "right", "roots")) >= nodes or int(arrays["depth"]) > 64:
            raise Unusable("a forest whose nodes lead out of it")
        self._arrays = arrays
        self._feature, self._threshold = arrays["feature"].astype(np.intp), arrays["threshold"].astype(np.float64)
        self._left, self._right = arrays["left"].astype(np.intp), arrays["right"].astype(np.intp)
        self._value, self._roots = arrays["value"].astype(np.float64), arrays["roots"].astype(np.intp)
        self._start, self._depth = float(arrays["start"]), int(arrays["depth"])

    def chances(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[row, feature] to float64[row]."""
        at = np.broadcast_to(self._roots, (len(rows), len(self._roots)))
        for _ in range(self._depth):
            looked = np.take_along_axis(rows, self._feature[at], axis=1)
            at = np.where(looked <= self._threshold[at], self._left[at], self._right[at])
        logit = self._start + self._value[at].sum(axis=1)
        chances: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logit, -30, 30)))
        return chances

    def save(self, folder: Path) -> None:
        np.savez_compressed(folder / FILE, allow_pickle=False, **self._arrays)

    @classmethod
    def load(cls, folder: Path, features: int) -> Forest:
        """Raises `Unusable`."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError) as error:
            raise Unusable(f"{folder / FILE}: {error}") from error
        return cls(arrays, features)

    @classmethod
    def grown(cls, fitted: Any, features: int) -> Forest:
        """From a fitted `HistGradientBoostingClassifier` of two classes, without categories or missing values. Reads `_predictors`, which
        scikit-learn does not promise to keep: a test compares the two, row by row."""
        nodes = [one.nodes for (one,) in fitted._predictors]
        begins = np.cumsum([0, *(len(tree) for tree in nodes)])[:-1]
        whole = np.concatenate(nodes)
        offset = np.repeat(begins, [len(tree) for tree in nodes])
        leaf = whole["is_leaf"].astype(bool)
        own = np.arange(len(whole))
        return cls(
            {
                "feature": np.where(leaf, 0, whole["feature_idx"]).astype(np.int16),
                "threshold": np.where(leaf, 0.0, whole["num_threshold"]).astype(np.float64),
                "left": np.where(leaf, own, whole["left"] + offset).astype(np.int32),
                "right": np.where(leaf, own, whole["right"] + offset).astype(np.int32),
                "value": np.where(leaf, whole["value"], 0.0).astype(np.float32),
                "roots": begins.astype(np.int32),
                "start": np.asarray(float(np.ravel(fitted._baseline_prediction)[0])),
                "depth": np.asarray(int(whole["depth"].max())),
            },
            features,
        )
