"""Trees whose nodes stay inside their arrays, and inside the rows that they are asked about."""

from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from registry.artifacts.errors import UnreadableError
from registry.artifacts.kinds import kind_of
from registry.artifacts.sound_guesses import n_columns_of_guess

TREE = "sklearn.tree._tree.Tree"
_HISTOGRAMS = "sklearn.ensemble._hist_gradient_boosting"
_LEAF = -1
_WORDS_OF_A_SET = 8  # 256 categories, a bit each


def require_sound_tree(tree: Any) -> None:
    """Look at the nodes of a tree that scikit-learn grew.

    The file says how many nodes there are: what it leaves out would be walked unseen.

    Raises
    ------
    UnreadableError
        Not all nodes are counted, one leads astray, or it is deeper than it says.
    """
    n_nodes = tree.node_count
    if n_nodes < 1 or n_nodes != tree.capacity or 0 in tree.value.shape:
        raise UnreadableError("a tree does not count its nodes")
    left, right = tree.children_left, tree.children_right
    inner = ~((left == _LEAF) & (right == _LEAF))
    _require_sound_nodes(inner, left, right, tree.feature, tree.n_features)
    if _depth_of(inner, left, right) > tree.max_depth:  # paths are written into arrays of it
        raise UnreadableError("a tree is deeper than it says")


def require_sound_holder(estimator: Any) -> None:
    """Compare a tree with the estimator that checks the rows for it.

    Raises
    ------
    UnreadableError
        They differ in features, outputs or classes, or the tree is something else.
    """
    fitted = vars(estimator)
    if "tree_" not in fitted:
        return
    tree = fitted["tree_"]
    if (
        kind_of(tree) != TREE
        or tree.n_features != fitted.get("n_features_in_")
        or tree.n_outputs != fitted.get("n_outputs_")
        or tree.max_n_classes != np.max(fitted.get("n_classes_", 1))
    ):
        raise UnreadableError("a tree is not of its estimator's features, outputs and classes")


def require_sound_boosting(model: Any) -> None:
    """Compare the trees of gradient boosting with the columns that they add up in.

    Raises
    ------
    UnreadableError
        There are more or fewer trees a stage than columns, or one is not of the model's features.
    """
    fitted = vars(model)
    if "estimators_" not in fitted:
        return
    trees = fitted["estimators_"]
    if not isinstance(trees, np.ndarray) or trees.ndim != 2 or 0 in trees.shape:
        raise UnreadableError("gradient boosting has no stages of trees")
    for one in trees.flat:
        if (
            kind_of(one) != "sklearn.tree._classes.DecisionTreeRegressor"
            or "tree_" not in vars(one)
            or vars(one).get("n_features_in_") != fitted.get("n_features_in_")
        ):
            raise UnreadableError("a tree of gradient boosting is not of its features")
    if trees.shape[1] != n_columns_of_guess(model):
        raise UnreadableError("gradient boosting has not a tree for each column it predicts")


def require_sound_histograms(model: Any) -> None:
    """Look at the trees of histogram gradient boosting.

    Raises
    ------
    UnreadableError
        As `require_sound_tree`; or they ask for a set of categories that there is none of, or
        something else stands between them and the rows.
    """
    fitted = vars(model)
    if "_predictors" not in fitted:
        return
    n_features, mapper = fitted["n_features_in_"], fitted["_bin_mapper"]
    by_category = np.asarray(vars(mapper)["is_categorical_"])
    if (
        kind_of(mapper) != f"{_HISTOGRAMS}.binning._BinMapper"
        or by_category.shape != (n_features,)
        or fitted.get("_in_fit")
        or not _keeps_columns(fitted["_preprocessor"])
    ):
        raise UnreadableError("a model of histograms is not of its features")
    for tree in chain.from_iterable(fitted["_predictors"]):
        _require_sound_boosted_tree(tree, n_features, by_category != 0)


def _keeps_columns(preprocessor: Any) -> bool:
    """Say whether rows reach the trees with all their columns.

    scikit-learn's own holds a partial, as no skops file does: `functools` is never trusted.
    """
    if preprocessor is None:
        return True
    steps = {name: step for name, step, _ in vars(preprocessor)["transformers_"]}
    return (
        kind_of(preprocessor) == "sklearn.compose._column_transformer.ColumnTransformer"
        and kind_of(steps.get("encoder")) == "sklearn.preprocessing._encoders.OrdinalEncoder"
        and isinstance(vars(steps["numerical"]).get("func"), partial)
    )


def _require_sound_boosted_tree(tree: Any, n_features: int, by_category: Any) -> None:
    if kind_of(tree) != f"{_HISTOGRAMS}.predictor.TreePredictor" or tree.nodes.ndim != 1:
        raise UnreadableError("a model of histograms holds what is no tree")
    nodes = tree.nodes
    if nodes.size == 0:
        raise UnreadableError("a tree has no nodes")
    inner = nodes["is_leaf"] == 0
    _require_sound_nodes(inner, nodes["left"], nodes["right"], nodes["feature_idx"], n_features)
    splits = inner & (nodes["is_categorical"] != 0)
    sets = (tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)
    if any(one.ndim != 2 or one.shape[1] != _WORDS_OF_A_SET for one in sets):
        raise UnreadableError("a tree has sets of categories of another size")
    if np.any(nodes["bitset_idx"][splits] >= min(len(one) for one in sets)):
        raise UnreadableError("a tree asks for a set of categories that there is none of")
    if not np.all(by_category[nodes["feature_idx"][splits]]):
        raise UnreadableError("a tree takes for categories what are numbers")


def _require_sound_nodes(inner: Any, left: Any, right: Any, feature: Any, n_features: int) -> None:
    number = np.arange(inner.size)
    for child in (left, right):
        if np.any(inner & ((child <= number) | (child >= inner.size))):
            raise UnreadableError("a node of a tree leads back or out of its tree")
    children = np.concatenate([left[inner], right[inner]])
    if (
        np.bincount(children, minlength=1).max() > 1
    ):  # all are numbers of nodes: counted, not sorted
        raise UnreadableError("a node of a tree has two parents")
    if np.any(inner & ((feature < 0) | (feature >= n_features))):
        raise UnreadableError("a node of a tree asks for a feature that there is none of")


def _depth_of(inner: Any, left: Any, right: Any) -> int:
    depth, level = 0, np.zeros(1, dtype=np.intp)
    while (level := level[inner[level]]).size:
        level = np.concatenate([left[level], right[level]])
        depth += 1
    return depth
