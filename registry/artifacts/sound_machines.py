"""Support vectors, neighbors and centers of which compiled code reads no more than there are."""

from typing import Any

import numpy as np
from scipy import sparse

from registry.artifacts.errors import UnreadableError

_CLASSIFIES = frozenset({"c_svc", "nu_svc"})
_KERNELS = frozenset({"linear", "poly", "rbf", "sigmoid", "precomputed"})
_OF_THE_CLASS = frozenset({"_impl", "_sparse_kernels"})  # which algorithm reads the numbers


def require_sound_machine(machine: Any) -> None:
    """Compare what libsvm reads with the number of support vectors and classes.

    For k classes and n vectors it takes (k - 1)n coefficients and k(k - 1)/2 intercepts, without
    being told how many there are (`svm_model` in libsvm's `svm.h`). A regression is of k = 2.
    Whether it is one, the class says: that is what libsvm goes by.

    Raises
    ------
    UnreadableError
        There are others, or the kernel is none of libsvm's own.
    """
    fitted = vars(machine)
    if "_n_support" not in fitted and "support_" not in fitted:
        return
    counts, coefficients = np.asarray(fitted["_n_support"]), fitted["_dual_coef_"]
    n_vectors, n_classes = fitted["support_"].size, counts.size
    n_pairs = n_classes * (n_classes - 1) // 2
    chances = {fitted[name].size for name in ("_probA", "_probB")}
    is_sound = (
        n_classes >= 2
        and _OF_THE_CLASS.isdisjoint(fitted)
        and coefficients.size == (n_classes - 1) * n_vectors
        and fitted["_intercept_"].size == n_pairs
        and chances <= ({n_pairs} if fitted.get("_effective_probability") else {0, n_pairs})
        and _is_of_its_classes(machine, counts, n_vectors)
        and _is_of_its_vectors(fitted, n_vectors)
    )
    if not is_sound:
        raise UnreadableError("the numbers of a support vector machine are not of its vectors")


def _is_of_its_classes(machine: Any, counts: Any, n_vectors: int) -> bool:
    if vars(type(machine))["_impl"] not in _CLASSIFIES:
        return bool(counts.size == 2)
    return (
        np.shape(vars(machine)["classes_"]) == (counts.size,)
        and bool(np.all(counts >= 0))
        and int(counts.sum()) == n_vectors
    )


def _is_of_its_vectors(fitted: dict[str, Any], n_vectors: int) -> bool:
    kernel, vectors, support = fitted["kernel"], fitted["support_vectors_"], fitted["support_"]
    if type(kernel) is not str or kernel not in _KERNELS:
        return False
    parts = (vectors, fitted["_dual_coef_"])
    if any(sparse.issparse(one) is not bool(fitted["_sparse"]) for one in parts):
        return False
    if kernel == "precomputed":  # the vectors are columns of what comes in
        within = (support >= 0) & (support < fitted["shape_fit_"][0])
        return not fitted["_sparse"] and bool(np.all(within))
    is_by_rows = not fitted["_sparse"] or all(one.format == "csr" for one in parts)
    return is_by_rows and vectors.shape == (n_vectors, fitted["n_features_in_"])


def require_sound_neighbors(estimator: Any) -> None:
    """Compare remembered rows with their labels, and with the rows that are asked about.

    Raises
    ------
    UnreadableError
        A label is none of the classes, or the rows have other features than the estimator.
    """
    fitted = vars(estimator)
    if "_fit_X" not in fitted:
        return
    rows = fitted["_fit_X"]
    is_sound = rows.ndim == 2 and rows.shape[1] == fitted.get("n_features_in_")
    if "_y" in fitted:
        labels = np.asarray(fitted["_y"])
        is_sound = is_sound and len(labels) == rows.shape[0]
        is_sound = is_sound and (fitted.get("n_neighbors") or 0) <= rows.shape[0]
        if "classes_" in fitted and labels.ndim == 1:
            within = (labels >= 0) & (labels < len(fitted["classes_"]))
            is_sound = is_sound and bool(np.all(within))
    if not is_sound:
        raise UnreadableError("the neighbors of a model are not of its features and classes")


def require_sound_centers(estimator: Any) -> None:
    """Compare the centers of clusters with the rows that are held against them.

    Raises
    ------
    UnreadableError
        They have other features than the estimator.
    """
    fitted = vars(estimator)
    centers = fitted.get("cluster_centers_")
    if centers is not None and (
        np.ndim(centers) != 2 or centers.shape[1] != fitted.get("n_features_in_")
    ):
        raise UnreadableError("the centers of clusters are not of the model's features")
