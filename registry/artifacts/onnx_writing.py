"""Writing scikit-learn models as ONNX graphs of one input of rows, in 32-bit floats."""

from __future__ import annotations

import re
from typing import Any

from registry.artifacts.errors import ArtifactError

OPSET = {"": 21, "ai.onnx.ml": 3}  # what every converter of skl2onnx knows how to write
# The file says it itself: what is known of bytes goes wherever they are copied to.
MISSING_VALUES, REFUSE = "crowetrade.missing_values", "refuse"
_KIND = re.compile(r"<class '([\w.]+)'>")


class NotExpressibleError(ArtifactError):
    """A step of a model has no counterpart in ONNX, or skl2onnx cannot write it."""


def write_onnx(estimator: Any, n_columns: int, *, refuses_missing: bool = False) -> bytes:
    """Return an estimator or pipeline as an ONNX file.

    Parameters
    ----------
    estimator : object
        Fitted on rows of numbers.
    n_columns : int
        Of these rows.
    refuses_missing : bool
        Whether the graph is for complete rows alone. No operator can refuse a row: it is written
        into the file's properties, under `MISSING_VALUES`, and whoever loads it has to look.

    Returns
    -------
    bytes
        A graph with the input `X`, float32 of shape (n_rows, n_columns). Its first output is what
        `predict` says, the second of a classifier what `predict_proba` or `decision_function`.

    Raises
    ------
    NotExpressibleError
        ONNX cannot express a step; the sentence names it.

    References
    ----------
    .. [1] skl2onnx, `to_onnx`; ONNX-ML operators, version 3.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    _write_histograms_plainly()
    asked = {
        "initial_types": [("X", FloatTensorType([None, n_columns]))],
        "name": "model",  # or it would be drawn at random, and with it the digest
        "target_opset": OPSET,
    }
    # Else the probabilities of a classifier are a list of mappings.
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
    try:
        graph = to_onnx(estimator, options=options, **asked)
    except Exception as error:  # converters raise what they like
        raise NotExpressibleError(_reason(error)) from error
    if refuses_missing:
        graph.metadata_props.add(key=MISSING_VALUES, value=REFUSE)
    return bytes(graph.SerializeToString())


def _reason(error: Exception) -> str:
    """Return what cannot be written, in words; skl2onnx tells a screen of advice beside it."""
    text = str(error)
    if type(error).__name__ in ("MissingShapeCalculator", "MissingConverter"):
        found = _KIND.search(text)
        return f"ONNX cannot express the step {found[1] if found else text[:200]}"
    first = text.partition(" You may raise an issue")[0].split(", you may raise an issue")[0]
    return (
        f"ONNX cannot express it: {first.splitlines()[0][:300] if first else type(error).__name__}"
    )


def _write_histograms_plainly() -> None:
    """Make converters of histogram boosting write plain numbers.

    They mix Python's and numpy's in one attribute, which onnx refuses.
    """
    import skl2onnx
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    of_classes = {
        "zipmap": [True, False, "columns"], "raw_scores": [True, False],
        "output_class_labels": [False, True], "nocl": [True, False],
    }  # fmt: skip
    kinds = ((HistGradientBoostingClassifier, of_classes), (HistGradientBoostingRegressor, None))
    for kind, options in kinds:
        alias = f"Sklearn{kind.__name__}"
        write = get_converter(alias)
        if getattr(write, "is_plain", False):
            continue
        skl2onnx.update_registered_converter(
            kind, alias, get_shape_calculator(alias), _plainly(write), overwrite=True,
            options=options,
        )  # fmt: skip


def _plainly(write: Any) -> Any:
    def converter(scope: Any, operator: Any, container: Any) -> None:
        write(scope, operator, _PlainNodes(container))

    converter.is_plain = True  # type: ignore[attr-defined]
    return converter


class _PlainNodes:
    """A container of nodes whose lists of whole numbers hold nothing but Python's own."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *positional: Any, **named: Any) -> None:
        """Write a node."""
        self._container.add_node(*positional, **{n: _plain(value) for n, value in named.items()})


def _plain(value: Any) -> Any:
    import numpy as np

    whole = (bool, int, np.integer, np.bool_)
    if isinstance(value, list) and value and all(isinstance(one, whole) for one in value):
        return [int(one) for one in value]
    return value
