"""Fitted arrays that compiled code may walk without looking at their bounds.

scikit-learn follows the nodes of its trees, and libsvm the counts of its support vectors, without
asking whether they stay inside their arrays: a file with one number changed reads memory of others
or kills the process, wherever it predicts. Nothing is executed to look at the numbers, so it is
done wherever a file is opened, before anybody gets the model. What a file says of itself is no
proof: each number is held against the arrays and the class that the compiled code will use.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import sparse

from registry.artifacts import sound_machines, sound_trees
from registry.artifacts.errors import UnreadableError
from registry.artifacts.kinds import kind_of, kinds_of

_TREE_HOLDER = "sklearn.tree._classes.BaseDecisionTree"
_HOLDERS: Mapping[str, Callable[[Any], None]] = {
    _TREE_HOLDER: sound_trees.require_sound_holder,
    "sklearn.ensemble._gb.BaseGradientBoosting": sound_trees.require_sound_boosting,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.BaseHistGradientBoosting": (
        sound_trees.require_sound_histograms
    ),
    "sklearn.svm._base.BaseLibSVM": sound_machines.require_sound_machine,
    "sklearn.neighbors._base.NeighborsBase": sound_machines.require_sound_neighbors,
    "sklearn.cluster._kmeans._BaseKMeans": sound_machines.require_sound_centers,
}
# What comes of a look at parts that are missing, or are something else altogether.
_ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def require_sound(model: Any) -> None:
    """Look at every part of a model whose numbers compiled code follows.

    Raises
    ------
    UnreadableError
        A node leads back or out of its tree, or asks for a feature that there is none of; arrays
        are not of the sizes that their holder says; a sparse matrix points out of itself; the
        counts, coefficients or intercepts of a machine are not those of its support vectors.
    """
    waiting: list[tuple[Any, Any]] = [(model, None)]
    seen: dict[int, Any] = {}  # kept, so that no address is given twice
    while waiting:
        one, holder = waiting.pop()
        if isinstance(one, str | bytes | int | float | type | type(None)):
            continue
        # Asked each time: a tree that is shared is looked at once, and may be held by many.
        if kind_of(one) == sound_trees.TREE and _TREE_HOLDER not in kinds_of(holder):
            raise UnreadableError("a tree is held by what is no tree of scikit-learn")
        if id(one) in seen:
            continue
        seen[id(one)] = one
        _require_sound_part(one)
        waiting.extend((part, one) for part in _inside(one))


def _require_sound_part(one: Any) -> None:
    if kind_of(one) == sound_trees.TREE:
        sound_trees.require_sound_tree(one)
    elif sparse.issparse(one):
        _require_sound_matrix(one)
    for name in getattr(one, "__dict__", ()):
        if callable(getattr(type(one), str(name), None)):
            raise UnreadableError(f"a value hides the method {name} of a {type(one).__name__}")
    for kind in kinds_of(one) & _HOLDERS.keys():
        try:
            _HOLDERS[kind](one)
        except _ODD as error:
            raise UnreadableError(f"a {type(one).__name__} of odd parts: {error!r}") from error


def _require_sound_matrix(matrix: Any) -> None:
    if matrix.format not in ("csr", "csc"):
        raise UnreadableError(f"a sparse matrix is {matrix.format}, neither csr nor csc")
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise UnreadableError("a sparse matrix points out of itself") from error


def _inside(one: Any) -> Iterator[Any]:
    if isinstance(one, dict):
        yield from one.values()
    elif isinstance(one, list | tuple | set | frozenset):
        yield from one
    elif isinstance(one, np.ndarray) and one.dtype == object:
        yield from one.ravel().tolist()
    yield from getattr(one, "__dict__", {}).values()
