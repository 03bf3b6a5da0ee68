"""Models that become ONNX in the sandbox: predictions are compared there, gaps included."""

import pickle

import numpy as np
import pytest
import skops.io

from registry.artifacts import sandbox
from registry.artifacts.agreement import outputs_of
from registry.artifacts.contents import Format
from registry.artifacts.convert import ONNX_TOLERANCE, _unsaid, convert
from registry.artifacts.errors import MissingValuesError
from registry.artifacts.formats import inspect_folder
from registry.artifacts.loading import open_bytes
from registry.artifacts.onnx_writing import write_onnx
from registry.artifacts.sandbox import ProbeStatus

pytestmark = pytest.mark.skipif(
    not sandbox.is_available().is_available,
    reason=sandbox.is_available().reason or "the sandbox is there",
)
CHANCE = np.random.default_rng(7)
X = CHANCE.normal(size=(300, 4))
SIDES = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)


GAPS = np.where(CHANCE.random(X.shape) < 0.2, np.nan, X)
RETURNS = 1e-3 * X[:, 0] + 1e-4 * X[:, 2]


def boosted():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=20).fit(X, SIDES)


class TestConvertToOnnx:
    @pytest.mark.parametrize(
        ("dump", "source"), [(pickle.dumps, Format.PICKLE), (skops.io.dumps, Format.SKOPS)]
    )
    def test_predicts_the_same_within_the_tolerance(self, folder_of, dump, source):
        folder, manifest = folder_of({"m": dump(boosted())})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=X[:50], source=source)

        assert made.is_equal, made.probe
        found = made.probe.agreement
        assert found.n_rows == 101  # each row once more with a value missing, and one of nothing
        assert 0.0 < found.max_rel_difference <= ONNX_TOLERANCE
        assert found.n_decisions_differing == 0
        assert made.tolerance == ONNX_TOLERANCE
        verdict = inspect_folder(*folder_of({"m": made.content}, "converted"))
        assert (verdict.decision, verdict.format) == ("accepted", Format.ONNX)
        graph = open_bytes(made.content, Format.ONNX)
        assert np.array_equal(graph.predict(X), boosted().predict(X))

    def test_refuses_a_model_whose_gaps_go_another_way(self, folder_of):
        from sklearn.ensemble import RandomForestClassifier

        gaps = np.where(CHANCE.random(X.shape) < 0.2, np.nan, X)
        forest = RandomForestClassifier(20, random_state=7).fit(gaps, SIDES)
        folder, manifest = folder_of({"m": pickle.dumps(forest)})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=X[:50])

        assert not made.is_equal
        assert made.content == b""
        assert made.probe.agreement.max_rel_difference > 0.1

    def test_tries_a_gap_in_every_column_however_few_the_rows(self, folder_of):
        from sklearn.ensemble import RandomForestClassifier

        wide = CHANCE.normal(size=(300, 8))
        sides = (wide[:, 7] > 0).astype(int)
        wide[(sides == 1) & (CHANCE.random(300) < 0.9), 7] = np.nan
        forest = RandomForestClassifier(20, random_state=7).fit(wide, sides)
        folder, manifest = folder_of({"m": pickle.dumps(forest)})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=-np.ones((1, 8)))

        assert not made.is_equal
        assert made.probe.agreement.n_rows == 10
        assert made.probe.agreement.max_rel_difference > 0.1

    def test_compares_no_gaps_where_the_model_takes_none(self, folder_of):
        from sklearn.linear_model import LinearRegression

        line = LinearRegression().fit(X, X[:, 0])
        folder, manifest = folder_of({"m": pickle.dumps(line)})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=X[:7])

        assert made.probe.agreement.n_rows == 7

    def test_names_a_step_that_onnx_has_not(self, folder_of):
        from sklearn.isotonic import IsotonicRegression

        folder, manifest = folder_of(
            {"m": skops.io.dumps(IsotonicRegression().fit(X[:, 0], SIDES))}
        )

        made = convert(
            folder, manifest.files[0], Format.ONNX, rows=X[:5, :1], source=Format.SKOPS,
            trusted=("numpy.dtype", "scipy.interpolate._interpolate.interp1d"),
        )  # fmt: skip

        assert made.probe.status is ProbeStatus.FAILED
        assert made.probe.reason == (
            "ONNX cannot express the step sklearn.isotonic.IsotonicRegression"
        )

    def test_makes_no_pickle_of_anything(self, folder_of):
        folder, manifest = folder_of({"m": b"x"})

        with pytest.raises(ValueError, match="that is onnx does not become skops"):
            convert(folder, manifest.files[0], Format.SKOPS, rows=X, source=Format.ONNX)


def forests():
    """Return what learned where missing values go, and one that saw none; with what they learn."""
    from sklearn import ensemble

    kinds = ("RandomForest", "ExtraTrees", "HistGradientBoosting")
    for kind, what in [(k, w) for k in kinds for w in ("Classifier", "Regressor")]:
        size = "max_iter" if kind.startswith("Hist") else "n_estimators"
        made = getattr(ensemble, f"{kind}{what}")(**{size: 21}, random_state=7)  # odd: no ties
        yield pytest.param(made, GAPS, id=f"{kind}{what}")
    yield pytest.param(ensemble.RandomForestRegressor(20, random_state=7), X, id="saw none")


class TestRefuseMissing:
    @pytest.mark.parametrize(("estimator", "rows"), list(forests()))
    def test_converts_for_complete_rows_alone(self, folder_of, estimator, rows):
        from sklearn.base import is_classifier

        estimator.fit(rows, SIDES if is_classifier(estimator) else RETURNS)
        folder, manifest = folder_of({"m": pickle.dumps(estimator)})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=X[:50], refuses_missing=True)

        assert made.is_equal, made.probe
        assert made.probe.agreement.n_rows == 50
        assert made.describe(Format.ONNX)["framework"]["missing_values"] == "refuse"
        graph = open_bytes(made.content, Format.ONNX)
        assert graph.refuses_missing
        expected = outputs_of(estimator, X)["predict"]
        np.testing.assert_allclose(graph.predict(X), expected, rtol=1e-4, atol=1e-9)
        with pytest.raises(MissingValuesError, match="for complete rows alone"):
            graph.predict(GAPS)

    def test_names_the_first_row_with_a_gap(self):
        graph = open_bytes(write_onnx(boosted(), 4, refuses_missing=True), Format.ONNX)
        rows = X[:5].copy()
        rows[[3, 4], [1, 2]] = np.nan

        with pytest.raises(MissingValuesError, match=r"^2 of 5 rows have missing values, row 3"):
            graph.outputs(rows)

    def test_lets_a_graph_that_was_compared_on_gaps_take_them(self):
        graph = open_bytes(write_onnx(boosted(), 4), Format.ONNX)

        assert not graph.refuses_missing
        assert np.array_equal(graph.predict(GAPS), boosted().predict(GAPS))

    def test_compares_the_given_rows_all_the_same(self, folder_of):
        from sklearn.preprocessing import StandardScaler

        folder, manifest = folder_of({"m": pickle.dumps(StandardScaler().fit(X))})

        made = convert(folder, manifest.files[0], Format.ONNX, rows=X, refuses_missing=True)

        assert made.content == b""
        assert "predicts nothing" in made.probe.reason

    def test_is_believed_of_no_file_that_does_not_say_so(self):
        silent, honest = (write_onnx(boosted(), 4, refuses_missing=one) for one in (False, True))

        assert _unsaid(silent, True) == "what came out does not say that it refuses missing values"
        assert _unsaid(honest, True) == _unsaid(silent, False) == ""

    def test_is_for_onnx_alone(self, folder_of):
        folder, manifest = folder_of({"m": b"x"})

        with pytest.raises(ValueError, match="becomes skops keeps what it does with gaps"):
            convert(folder, manifest.files[0], Format.SKOPS, rows=X, refuses_missing=True)
