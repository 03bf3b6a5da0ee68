"""How wide the first guess of gradient boosting is, which its trees are added to without a look.

The guess comes from another estimator, named by `init=`. Its width is told from its fitted arrays,
never by calling it, and only for classes of which that is known.

References
----------
.. [1] sklearn.ensemble._gb, `_init_raw_predictions`: regressors are asked for `predict`,
   classifiers for `predict_proba`, of which two classes leave one column.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from registry.artifacts.errors import UnreadableError
from registry.artifacts.kinds import kind_of

_CLASSIFIER = "sklearn.ensemble._gb.GradientBoostingClassifier"
_UNKNOWN = 0  # as wide as no trees are
_BINARY = 2


def n_columns_of_guess(model: Any) -> int:
    """Return how many columns the first guess has; 0 where its parts contradict each other.

    Raises
    ------
    UnreadableError
        It comes from an estimator of a class that nobody can tell the width of.
    """
    fitted = vars(model)
    first = fitted["init_"]
    if isinstance(first, str):
        return int(fitted["n_trees_per_iteration_"])
    is_classifier = kind_of(model) == _CLASSIFIER
    known = _OF_CLASSIFIERS if is_classifier else _OF_REGRESSORS
    width_of = known.get(kind_of(first))
    if width_of is None:
        kinds = ", ".join(sorted(name.rpartition(".")[2] for name in known))
        raise UnreadableError(
            f"the first guess of gradient boosting is a {type(first).__name__}, and its width is "
            f"known of these alone: {kinds}"
        )
    loss, width = fitted["_loss"], width_of(vars(first))
    if (
        type(loss).__module__ != "sklearn._loss.loss"
        or type(loss.link).__module__ != "sklearn._loss.link"
    ):
        return _UNKNOWN
    if not is_classifier or loss.is_multiclass:
        return width
    return 1 if width == _BINARY else _UNKNOWN


def _of_dummy_regressor(own: Mapping[str, Any]) -> int:
    return 1 if own["n_outputs_"] == 1 else _UNKNOWN


def _of_dummy_classifier(own: Mapping[str, Any]) -> int:
    n_classes = own["n_classes_"]
    shapes = {np.shape(own["class_prior_"]), np.shape(own["classes_"])}
    return int(n_classes) if own["n_outputs_"] == 1 and shapes == {(n_classes,)} else _UNKNOWN


def _of_line(own: Mapping[str, Any]) -> int:
    """Of `rows @ coef_ + intercept_` with a number a row."""
    is_one = np.shape(own["coef_"]) == (own["n_features_in_"],) and np.ndim(own["intercept_"]) == 0
    return 1 if is_one else _UNKNOWN


def _of_logistic_regression(own: Mapping[str, Any]) -> int:
    """Two classes share one row of coefficients."""
    n_classes = np.size(own["classes_"])
    n_rows = 1 if n_classes == _BINARY else n_classes
    is_whole = np.shape(own["coef_"]) == (n_rows, own["n_features_in_"])
    return n_classes if is_whole and np.shape(own["intercept_"]) == (n_rows,) else _UNKNOWN


def _of_trees(own: Mapping[str, Any]) -> int:
    return 1 if own["n_outputs_"] == 1 else _UNKNOWN


def _of_classifying_trees(own: Mapping[str, Any]) -> int:
    """Their probabilities are cut to, or added up in, as many columns as there are classes."""
    n_classes = own["n_classes_"]
    is_one = own["n_outputs_"] == 1 and np.shape(own["classes_"]) == (n_classes,)
    return int(n_classes) if is_one else _UNKNOWN


_Width = Callable[[Mapping[str, Any]], int]
_OF_REGRESSORS: Mapping[str, _Width] = {
    "sklearn.dummy.DummyRegressor": _of_dummy_regressor,
    "sklearn.linear_model._base.LinearRegression": _of_line,
    "sklearn.linear_model._ridge.Ridge": _of_line,
    "sklearn.linear_model._coordinate_descent.ElasticNet": _of_line,
    "sklearn.linear_model._coordinate_descent.Lasso": _of_line,
    "sklearn.linear_model._huber.HuberRegressor": _of_line,
    "sklearn.tree._classes.DecisionTreeRegressor": _of_trees,
    "sklearn.ensemble._forest.RandomForestRegressor": _of_trees,
    "sklearn.ensemble._forest.ExtraTreesRegressor": _of_trees,
}
_OF_CLASSIFIERS: Mapping[str, _Width] = {
    "sklearn.dummy.DummyClassifier": _of_dummy_classifier,
    "sklearn.linear_model._logistic.LogisticRegression": _of_logistic_regression,
    "sklearn.tree._classes.DecisionTreeClassifier": _of_classifying_trees,
    "sklearn.ensemble._forest.RandomForestClassifier": _of_classifying_trees,
    "sklearn.ensemble._forest.ExtraTreesClassifier": _of_classifying_trees,
}
