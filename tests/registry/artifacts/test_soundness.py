"""Models with numbers that lead compiled code astray are never handed out."""

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import all_estimators

from registry.artifacts.errors import UnreadableError
from registry.artifacts.soundness import require_sound
from registry.artifacts.trusted import TRUSTED_TYPES, open_skops

X = np.random.default_rng(1).normal(size=(300, 4))
Y = X[:, 0] * X[:, 1] + X[:, 2]
MODELS = {
    "tree": DecisionTreeRegressor(random_state=1),
    "best first": DecisionTreeRegressor(random_state=1, max_leaf_nodes=30),
    "forest in a pipeline": make_pipeline(
        StandardScaler(), RandomForestRegressor(5, random_state=1)
    ),
    "boosted": GradientBoostingRegressor(n_estimators=5, random_state=1),
    "histograms": HistGradientBoostingRegressor(max_iter=5, random_state=1),
}  # fmt: skip


def spoiled(field, value):
    """Return the bytes of a tree of which one node was changed."""
    model = DecisionTreeRegressor(random_state=1).fit(X, Y)
    state = model.tree_.__getstate__()
    nodes = state["nodes"].copy()
    nodes[field][2] = value
    model.tree_.__setstate__(state | {"nodes": nodes})
    return skops.io.dumps(model)


class TestTrees:
    @pytest.mark.parametrize("name", MODELS)
    def test_lets_every_tree_pass_that_was_grown(self, name):
        data = X.copy()
        data[:, 3] = np.arange(300) % 7
        model = MODELS[name].fit(data, Y + data[:, 3] % 3)

        found = open_skops(skops.io.dumps(model), TRUSTED_TYPES)

        np.testing.assert_array_equal(found.predict(data), model.predict(data))

    @pytest.mark.parametrize(
        ("field", "value"),
        [("left_child", 10**9), ("left_child", 2), ("right_child", -5), ("right_child", 0),
         ("feature", 4), ("feature", -2), ("feature", 10**6)],
    )  # fmt: skip
    def test_refuses_a_node_that_leads_astray(self, field, value):
        with pytest.raises(UnreadableError, match="a node of a tree"):
            open_skops(spoiled(field, value), TRUSTED_TYPES)

    def test_knows_trees_that_split_by_category(self):
        data = X.copy()
        data[:, 3] = np.arange(300) % 7
        model = HistGradientBoostingRegressor(
            max_iter=5, random_state=1, categorical_features=[3]
        ).fit(data, Y + data[:, 3] % 3)
        trees = [one[0] for one in model._predictors]
        assert any(tree.nodes["is_categorical"].any() for tree in trees)

        require_sound(model)

        tree = next(tree for tree in trees if tree.nodes["is_categorical"].any())
        tree.nodes["bitset_idx"][tree.nodes["is_categorical"] != 0] = 10**6
        with pytest.raises(UnreadableError, match="set of categories"):
            require_sound(model)

    def test_refuses_it_in_the_trees_of_histograms(self):
        model = HistGradientBoostingRegressor(max_iter=2, random_state=1).fit(X, Y)
        nodes = model._predictors[0][0].nodes

        for field, value in (("left", 10**6), ("feature_idx", 4)):
            kept = nodes[field][0]
            nodes[field][0] = value
            with pytest.raises(UnreadableError, match="a node of a tree"):
                require_sound(model)
            nodes[field][0] = kept
        require_sound(model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
class TestEveryEstimator:
    @pytest.mark.parametrize("data", [np.abs(X[:60]), sparse.csr_matrix(np.abs(X[:60]))])
    def test_that_can_be_fitted_passes(self, data):
        classes, n_fitted = (X[:60, 0] > 0).astype(int) + (X[:60, 1] > 0), 0
        for _, kind in all_estimators():
            try:
                model = kind().fit(data, classes)
            except (
                AttributeError,
                TypeError,
                ValueError,
            ):  # of other estimators, or for other rows
                continue
            n_fitted += 1

            require_sound(model)
        assert n_fitted > 60


class TestSupportVectorMachines:
    THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)

    @pytest.mark.parametrize(
        ("model", "data"),
        [(SVC(), X), (SVC(probability=True), X), (NuSVC(nu=0.2), X), (SVR(), X),
         (OneClassSVM(), X), (SVC(kernel="precomputed"), X @ X.T)],
    )  # fmt: skip
    @pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
    def test_lets_every_machine_pass_that_was_fitted(self, model, data):
        model.fit(data, self.THREE)

        found = open_skops(skops.io.dumps(model), TRUSTED_TYPES)

        np.testing.assert_array_equal(found.predict(data), model.predict(data))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("_n_support", np.array([-(10**9), 10**9, 60], dtype=np.int32)),
            ("_n_support", np.array([10**6, 10**6, 10**6], dtype=np.int32)),
            ("_dual_coef_", np.zeros((1, 3))),
            ("_intercept_", np.zeros(1)),
            ("_probA", np.zeros(1)),
            ("support_vectors_", np.zeros((3, 4))),
        ],
    )
    def test_refuses_numbers_that_are_not_of_its_vectors(self, name, value):
        model = SVC().fit(X, self.THREE)
        setattr(model, name, value)

        with pytest.raises(UnreadableError, match="support vector machine"):
            open_skops(skops.io.dumps(model), TRUSTED_TYPES)

    def test_refuses_vectors_that_point_out_of_a_precomputed_kernel(self):
        model = SVC(kernel="precomputed").fit(X @ X.T, self.THREE)
        model.support_[0] = 10**6

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)

    @pytest.mark.parametrize("model", [SVC(), SVR(), OneClassSVM()])
    def test_takes_machines_of_sparse_rows(self, model):
        require_sound(model.fit(sparse.csr_matrix(X), self.THREE))

    def test_refuses_a_sparse_matrix_that_points_out_of_itself(self):
        model = SVC().fit(sparse.csr_matrix(X), self.THREE)
        model.support_vectors_.indices[0] = 10**6

        with pytest.raises(UnreadableError, match="sparse"):
            require_sound(model)

    def test_takes_a_machine_that_was_never_fitted(self):
        require_sound(SVC())
