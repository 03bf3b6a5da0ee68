"""Models that become ONNX in the sandbox: predictions are compared there, gaps included."""

import pickle

import numpy as np
import pytest
import skops.io

from registry.artifacts import sandbox
from registry.artifacts.contents import Format
from registry.artifacts.convert import ONNX_TOLERANCE, convert
from registry.artifacts.formats import inspect_folder
from registry.artifacts.loading import open_bytes
from registry.artifacts.sandbox import ProbeStatus

pytestmark = pytest.mark.skipif(
    not sandbox.is_available().is_available,
    reason=sandbox.is_available().reason or "the sandbox is there",
)
CHANCE = np.random.default_rng(7)
X = CHANCE.normal(size=(300, 4))
SIDES = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)


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
