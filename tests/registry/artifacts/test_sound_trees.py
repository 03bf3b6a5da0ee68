"""Trees of which the file tells other sizes than they have are never handed out."""

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree

from registry.artifacts.errors import UnreadableError
from registry.artifacts.soundness import require_sound
from registry.artifacts.trusted import TRUSTED_TYPES, open_skops

X = np.random.default_rng(1).normal(size=(300, 4))
Y = X[:, 0] * X[:, 1] + X[:, 2]
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
BOTH = np.column_stack([THREE, X[:, 2] > 0])
FITTED = {
    "pruned tree": DecisionTreeRegressor(ccp_alpha=0.01, random_state=1).fit(X, Y),
    "tree of two outputs": DecisionTreeClassifier(random_state=1).fit(X, BOTH),
    "forest of two outputs": RandomForestClassifier(3, random_state=1).fit(X, BOTH),
    "extra trees": ExtraTreesClassifier(3, random_state=1).fit(X, THREE),
    "bags of features": BaggingRegressor(max_features=2, random_state=1).fit(X, Y),
    "isolation": IsolationForest(n_estimators=3, max_features=2, random_state=1).fit(X),
    "adaptive": AdaBoostClassifier(n_estimators=3, random_state=1).fit(X, THREE),
    "boosted, three classes": GradientBoostingClassifier(n_estimators=3).fit(X, THREE),
    "boosted, two classes": GradientBoostingClassifier(n_estimators=3).fit(X, THREE > 0),
    "boosted from zero": GradientBoostingClassifier(n_estimators=3, init="zero").fit(X, THREE),
    "boosted, a quantile": GradientBoostingRegressor(n_estimators=3, loss="quantile").fit(X, Y),
    **{
        f"boosted from {type(init).__name__}": GradientBoostingRegressor(
            n_estimators=3, init=init, random_state=1
        ).fit(X, Y)
        for init in (
            LinearRegression(), Ridge(), Lasso(0.01), ElasticNet(0.01), HuberRegressor(),
            DecisionTreeRegressor(max_depth=2), RandomForestRegressor(2), ExtraTreesRegressor(2),
        )
    },
    **{
        f"boosted to {name} from {type(init).__name__}": GradientBoostingClassifier(
            n_estimators=3, init=init, random_state=1
        ).fit(X, labels)
        for name, labels in (("three", THREE), ("two", THREE > 0))
        for init in (
            LogisticRegression(), DecisionTreeClassifier(max_depth=2), RandomForestClassifier(2),
            ExtraTreesClassifier(2),
        )
    },
    "histograms, three classes": HistGradientBoostingClassifier(max_iter=3).fit(X, THREE),
}  # fmt: skip


def tree_with(n_features=4, **changes):
    """Return a tree whose file would say something else than is so."""
    grown = DecisionTreeRegressor(random_state=1).fit(X, Y)
    state = grown.tree_.__getstate__() | changes
    grown.tree_ = Tree(n_features, np.array([1]), 1)
    grown.tree_.__setstate__(state)
    return grown


def boosted():
    return GradientBoostingClassifier(n_estimators=3, random_state=1).fit(X, THREE)


class TestFittedTrees:
    @pytest.mark.parametrize("name", FITTED)
    def test_pass_and_predict_the_same(self, name):
        found = open_skops(skops.io.dumps(FITTED[name]), TRUSTED_TYPES)

        np.testing.assert_array_equal(found.predict(X), FITTED[name].predict(X))


class TestTrees:
    @pytest.mark.parametrize("n_nodes", [0, 1, -3])
    def test_need_all_their_nodes_counted(self, n_nodes):
        with pytest.raises(UnreadableError, match="count its nodes"):
            require_sound(tree_with(node_count=n_nodes))

    def test_are_no_deeper_than_they_say(self):
        with pytest.raises(UnreadableError, match="deeper"):
            require_sound(tree_with(max_depth=1))

    def test_have_one_parent_for_each_node(self):
        model = DecisionTreeRegressor(random_state=1).fit(X, Y)
        nodes = model.tree_.__getstate__()["nodes"].copy()
        nodes["right_child"][0] = nodes["left_child"][0]

        with pytest.raises(UnreadableError, match="two parents"):
            require_sound(tree_with(nodes=nodes))

    def test_have_the_features_of_the_estimator_that_checks_the_rows(self):
        with pytest.raises(UnreadableError, match="estimator's features"):
            require_sound(tree_with(n_features=9))

    @pytest.mark.parametrize("name", ["n_features_in_", "n_outputs_"])
    def test_are_not_held_by_an_estimator_that_checks_nothing(self, name):
        model = DecisionTreeRegressor(random_state=1).fit(X, Y)
        delattr(model, name)

        with pytest.raises(UnreadableError, match="estimator's features"):
            require_sound(make_pipeline(StandardScaler().fit(X), model))

    def test_are_held_by_nothing_else(self):
        model = DecisionTreeRegressor(random_state=1).fit(X, Y)

        with pytest.raises(UnreadableError, match="held by"):
            require_sound([model, model.tree_])

    def test_are_not_reached_past_a_method(self):
        model = DecisionTreeRegressor(random_state=1).fit(X, Y)
        vars(model)["_validate_X_predict"] = np.add

        with pytest.raises(UnreadableError, match="hides the method"):
            require_sound(model)


class TestGradientBoosting:
    def test_adds_up_in_as_many_columns_as_it_has_trees_a_stage(self):
        model = boosted()
        model.estimators_ = np.tile(model.estimators_, (1, 100))

        with pytest.raises(UnreadableError, match="each column"):
            open_skops(skops.io.dumps(model), TRUSTED_TYPES)

    @pytest.mark.parametrize(
        "changes",
        [{"n_classes_": 2}, {"n_outputs_": 2}, {"class_prior_": np.ones(1)},
         {"classes_": np.arange(2)}],
    )  # fmt: skip
    def test_begins_with_as_many_columns(self, changes):
        model = boosted()
        vars(model.init_).update(changes)

        with pytest.raises(UnreadableError, match="each column"):
            require_sound(model)

    def test_says_itself_how_many_there_are_if_it_begins_with_zero(self):
        model = GradientBoostingClassifier(n_estimators=2, init="zero").fit(X, THREE)
        model.n_trees_per_iteration_ = 1

        with pytest.raises(UnreadableError, match="each column"):
            require_sound(model)

    @pytest.mark.parametrize("init", [KNeighborsRegressor(), make_pipeline(Ridge())])
    def test_begins_with_no_estimator_of_unknown_width(self, init):
        model = GradientBoostingRegressor(n_estimators=2, init=init).fit(X, Y)

        with pytest.raises(UnreadableError, match="these alone: DecisionTreeRegressor, Dummy"):
            require_sound(model)

    @pytest.mark.parametrize(
        ("init", "changes"),
        [
            (Ridge(), {"coef_": np.ones((0, 4)), "intercept_": np.ones(0)}),
            (Ridge(), {"coef_": np.ones((1, 4))}),
            (Ridge(), {"intercept_": np.ones(2)}),
            (DecisionTreeRegressor(max_depth=2), {"n_outputs_": 0}),
            (RandomForestRegressor(2), {"n_outputs_": 2}),
        ],
    )
    def test_of_numbers_begins_with_one_column(self, init, changes):
        model = GradientBoostingRegressor(n_estimators=2, init=init).fit(X, Y)
        vars(model.init_).update(changes)

        with pytest.raises(UnreadableError, match=r"each column|its estimator's features"):
            require_sound(model)

    @pytest.mark.parametrize(
        ("init", "changes"),
        [
            (LogisticRegression(), {"classes_": np.arange(2)}),
            (LogisticRegression(), {"coef_": np.ones((2, 4))}),
            (LogisticRegression(), {"intercept_": np.ones(1)}),
            (RandomForestClassifier(2), {"n_classes_": 2, "classes_": np.arange(2)}),
            (RandomForestClassifier(2), {"classes_": np.arange(2)}),
        ],
    )
    def test_of_classes_begins_with_a_column_for_each(self, init, changes):
        model = GradientBoostingClassifier(n_estimators=2, init=init).fit(X, THREE)
        vars(model.init_).update(changes)

        with pytest.raises(UnreadableError, match="each column"):
            require_sound(model)

    def test_asks_a_classifier_for_what_it_begins_with_and_no_regressor(self):
        model = GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()).fit(X, THREE)
        model.init_ = Ridge().fit(X, Y)

        with pytest.raises(UnreadableError, match="is a Ridge"):
            require_sound(model)

    def test_asks_every_tree_for_the_same_features(self):
        model = boosted()
        model.estimators_[1, 1] = DecisionTreeRegressor().fit(np.tile(X, (1, 2)), Y)

        with pytest.raises(UnreadableError, match="not of its features"):
            require_sound(model)

    @pytest.mark.parametrize("tree", [None, StandardScaler(), DecisionTreeRegressor()])
    def test_holds_nothing_but_grown_trees(self, tree):
        model = boosted()
        model.estimators_[1, 1] = tree

        with pytest.raises(UnreadableError):
            require_sound(model)


class TestHistograms:
    @pytest.fixture
    def model(self):
        rows = X.copy()
        rows[:, 3] = np.arange(300) % 7
        return HistGradientBoostingRegressor(
            max_iter=3, random_state=1, categorical_features=[3]
        ).fit(rows, Y + rows[:, 3] % 3)

    def tree_of(self, model):
        trees = (one[0] for one in model._predictors)
        return next(tree for tree in trees if tree.nodes["is_categorical"].any())

    def test_pass_with_categories(self, model):
        require_sound(model)

    def test_have_nodes(self, model):
        tree = self.tree_of(model)
        tree.nodes = tree.nodes[:0]

        with pytest.raises(UnreadableError, match="no nodes"):
            require_sound(model)

    @pytest.mark.parametrize("name", ["raw_left_cat_bitsets", "binned_left_cat_bitsets"])
    def test_have_sets_of_all_categories(self, model, name):
        tree = self.tree_of(model)
        setattr(tree, name, np.ascontiguousarray(getattr(tree, name)[:, :1]))

        with pytest.raises(UnreadableError, match="another size"):
            require_sound(model)

    def test_split_by_category_what_is_one(self, model):
        model._bin_mapper.is_categorical_ = np.zeros(4, dtype=np.uint8)

        with pytest.raises(UnreadableError, match="numbers"):
            require_sound(model)

    def test_know_of_every_feature_whether_it_is(self, model):
        model._bin_mapper.is_categorical_ = model._bin_mapper.is_categorical_[:1]

        with pytest.raises(UnreadableError, match="not of its features"):
            require_sound(model)

    def test_have_nothing_before_them_that_drops_columns(self, model):
        model._preprocessor = StandardScaler().fit(X[:, :1])

        with pytest.raises(UnreadableError):
            require_sound(model)

    def test_are_not_in_the_middle_of_a_fit(self, model):
        model._in_fit = True

        with pytest.raises(UnreadableError, match="not of its features"):
            require_sound(model)
