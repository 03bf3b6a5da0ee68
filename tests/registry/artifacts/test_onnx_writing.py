"""scikit-learn models as ONNX graphs: they predict the same, and what is not written is named."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from registry.artifacts.contents import Format
from registry.artifacts.loading import open_bytes
from registry.artifacts.onnx_writing import NotExpressibleError, write_onnx

CHANCE = np.random.default_rng(7)
X = CHANCE.normal(size=(300, 4))
UNSEEN = CHANCE.normal(size=(200, 4))
SIDES = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
RETURNS = 1e-3 * X[:, 0] + 1e-4 * X[:, 2]


class TestWriteOnnx:
    @pytest.mark.parametrize(
        "estimator",
        [
            Ridge(), RandomForestRegressor(20, random_state=7),
            HistGradientBoostingRegressor(max_iter=20), make_pipeline(StandardScaler(), Ridge()),
        ],
        ids=lambda one: type(one).__name__,
    )  # fmt: skip
    def test_predicts_the_same_numbers(self, estimator):
        estimator.fit(X, RETURNS)

        graph = open_bytes(write_onnx(estimator, 4), Format.ONNX)

        expected = estimator.predict(UNSEEN)
        apart = np.abs(graph.predict(UNSEEN) - expected)
        assert apart.max() <= 1e-6 * np.abs(expected).max()

    @pytest.mark.parametrize(
        "estimator",
        [
            LogisticRegression(), HistGradientBoostingClassifier(max_iter=20),
            CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=5)),
            make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=20)),
        ],
        ids=lambda one: type(one).__name__,
    )  # fmt: skip
    @pytest.mark.parametrize("labels", [[0, 1], [-1, 1], ["down", "up"], [False, True]])
    def test_decides_the_same_with_the_same_probabilities(self, estimator, labels):
        estimator.fit(X, np.array(labels)[SIDES])

        graph = open_bytes(write_onnx(estimator, 4), Format.ONNX)

        decided, probabilities = graph.outputs(UNSEEN).values()
        assert np.array_equal(decided, estimator.predict(UNSEEN))
        np.testing.assert_allclose(probabilities, estimator.predict_proba(UNSEEN), atol=1e-6)

    @pytest.mark.parametrize("estimator", [LinearSVC(), RidgeClassifier(), IsolationForest()])
    def test_scores_the_same_where_there_are_no_probabilities(self, estimator):
        estimator.fit(X, SIDES)

        graph = open_bytes(write_onnx(estimator, 4), Format.ONNX)

        decided, scores = graph.outputs(UNSEEN).values()
        assert np.array_equal(np.ravel(decided), estimator.predict(UNSEEN))
        np.testing.assert_allclose(np.ravel(scores), estimator.decision_function(UNSEEN), atol=1e-5)

    def test_writes_the_same_bytes_twice(self):
        estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SIDES)

        assert write_onnx(estimator, 4) == write_onnx(estimator, 4)

    @pytest.mark.parametrize(
        ("estimator", "n_columns", "words"),
        [
            (IsotonicRegression(), 1, "the step sklearn.isotonic.IsotonicRegression$"),
            (make_pipeline(FunctionTransformer(np.tanh), Ridge()), 4, "FunctionTransformer is not"),
        ],
    )
    def test_names_the_step_that_it_cannot_write(self, estimator, n_columns, words):
        estimator.fit(X[:, :n_columns], RETURNS)

        with pytest.raises(NotExpressibleError, match=words):
            write_onnx(estimator, n_columns)
