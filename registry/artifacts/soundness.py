"""Fitted arrays that compiled code may walk without looking at their bounds.

scikit-learn follows the nodes of its trees, and libsvm the counts of its support vectors, without
asking whether they stay inside their arrays: a file with one number changed reads memory of others
or kills the process, wherever it predicts. Nothing is executed to look at the numbers, so it is
done wherever a file is opened, before anybody gets the model.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from registry.artifacts.errors import UnreadableError

_LEAF = -1
_TREE = "sklearn.tree._tree.Tree"
_BOOSTED_TREE = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"


def require_sound(model: Any) -> None:
    """Look at every tree and every support vector machine that a model holds.

    Raises
    ------
    UnreadableError
        A node leads back or out of its tree, or asks for a feature that there is none of; the
        counts, coefficients or intercepts of a machine are not those of its support vectors.
    """
    for part, n_features in _parts(model):
        kind = f"{type(part).__module__}.{type(part).__name__}"
        if kind == _TREE:
            _require_sound_tree(part)
        elif kind == _BOOSTED_TREE:
            _require_sound_boosted_tree(part, n_features)
        elif hasattr(part, "_n_support") and hasattr(part, "support_"):
            _require_sound_machine(part)


def _require_sound_tree(tree: Any) -> None:
    left, right = tree.children_left, tree.children_right
    inner = ~((left == _LEAF) & (right == _LEAF))
    _require_sound_nodes(inner, left, right, tree.feature, tree.n_features)


def _require_sound_boosted_tree(tree: Any, n_features: int | None) -> None:
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    by_category = inner & (nodes["is_categorical"] != 0)
    n_sets = min(len(tree.binned_left_cat_bitsets), len(tree.raw_left_cat_bitsets))
    if np.any(nodes["bitset_idx"][by_category] >= n_sets):
        raise UnreadableError("a tree asks for a set of categories that there is none of")
    _require_sound_nodes(inner, nodes["left"], nodes["right"], nodes["feature_idx"], n_features)


def _require_sound_nodes(
    inner: Any, left: Any, right: Any, feature: Any, n_features: int | None
) -> None:
    number = np.arange(inner.size)
    for child in (left, right):
        if np.any(inner & ((child <= number) | (child >= inner.size))):
            raise UnreadableError("a node of a tree leads back or out of its tree")
    if n_features is None:
        raise UnreadableError("nothing says how many features a tree has")
    if np.any(inner & ((feature < 0) | (feature >= n_features))):
        raise UnreadableError("a node of a tree asks for a feature that there is none of")


def _require_sound_machine(machine: Any) -> None:
    """Compare what libsvm reads with the number of support vectors and classes.

    For k classes and n vectors it takes (k − 1)·n coefficients and k·(k − 1)/2 intercepts, without
    being told how many there are (`svm_model` in libsvm's `svm.h`). A regression is of k = 2.
    """
    fitted = vars(machine)
    counts, coefficients = np.asarray(fitted["_n_support"]), fitted["_dual_coef_"]
    vectors, n_vectors = machine.support_vectors_, machine.support_.size
    n_classes = counts.size
    n_pairs = n_classes * (n_classes - 1) // 2
    is_sound = (
        n_classes >= 2
        and "_impl" not in fitted  # it is the class that says which algorithm reads the numbers
        and coefficients.size == (n_classes - 1) * n_vectors
        and fitted["_intercept_"].size == n_pairs
        and all(fitted[name].size in (0, n_pairs) for name in ("_probA", "_probB"))
    )
    if "classes_" in fitted:
        is_sound = is_sound and bool(np.all(counts >= 0)) and int(counts.sum()) == n_vectors
        is_sound = is_sound and n_classes == len(machine.classes_)
    if machine.kernel == "precomputed":
        within = (machine.support_ >= 0) & (machine.support_ < machine.shape_fit_[0])
        is_sound = is_sound and bool(np.all(within))
    else:
        is_sound = is_sound and vectors.shape == (n_vectors, machine.n_features_in_)
    if not is_sound:
        raise UnreadableError("the numbers of a support vector machine are not of its vectors")
    for matrix in filter(sparse.issparse, (vectors, coefficients)):
        _require_sound_matrix(matrix)


def _require_sound_matrix(matrix: Any) -> None:
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise UnreadableError("a sparse matrix points out of itself") from error


def _parts(model: Any) -> Iterator[tuple[Any, int | None]]:
    """Yield every object in a model, with the features of what holds it."""
    waiting: list[tuple[Any, int | None]] = [(model, None)]
    seen: dict[int, Any] = {}  # kept, so that no address is given twice
    while waiting:
        one, n_features = waiting.pop()
        if id(one) in seen or isinstance(one, str | bytes | int | float | type(None)):
            continue
        seen[id(one)] = one
        yield one, n_features
        if isinstance(one, dict):
            inside = list(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            inside = list(one)
        elif isinstance(one, np.ndarray):
            inside = one.ravel().tolist() if one.dtype == object else []
        else:
            inside = list(getattr(one, "__dict__", {}).values())
            n_features = getattr(one, "n_features_in_", n_features)
        waiting.extend((part, n_features) for part in inside)
