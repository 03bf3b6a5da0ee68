"""Support vectors, neighbors and centers that are not what the model says are never handed out."""

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC, SVR

from registry.artifacts.errors import UnreadableError
from registry.artifacts.soundness import require_sound
from registry.artifacts.trusted import TRUSTED_TYPES, open_skops

X = np.random.default_rng(1).normal(size=(300, 4))
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SPARSE = sparse.csr_matrix(X)


class TestMachines:
    @pytest.mark.parametrize("model", [SVC(), SVR(), SVC(kernel="linear")])
    def test_of_sparse_rows_pass_and_predict_the_same(self, model):
        model.fit(SPARSE, THREE)

        found = open_skops(skops.io.dumps(model), {"scipy.sparse._csr.csr_matrix"})

        np.testing.assert_array_equal(found.predict(SPARSE), model.predict(SPARSE))

    def test_are_classifiers_by_their_class_alone(self):
        model = SVC().fit(X, THREE)
        model._n_support[:] = [10**9, 10**9, 10**9]
        del model.classes_

        with pytest.raises(UnreadableError):
            open_skops(skops.io.dumps(model), TRUSTED_TYPES)

    @pytest.mark.parametrize("kernel", [np.add, ["precomputed"], "other"])
    def test_have_a_kernel_of_libsvm(self, kernel):
        model = SVC(kernel="precomputed").fit(X @ X.T, THREE)
        model.kernel = kernel

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)

    def test_have_chances_for_all_pairs_if_they_use_them(self):
        model = SVC().fit(SPARSE, THREE)
        model._effective_probability = True

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)

    @pytest.mark.parametrize("name", ["_impl", "_sparse_kernels"])
    def test_leave_the_algorithm_to_their_class(self, name):
        model = SVC().fit(SPARSE, THREE)
        setattr(model, name, getattr(SVR, name))

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)

    @pytest.mark.parametrize("change", [sparse.csc_matrix, sparse.csr_matrix.toarray])
    def test_have_sparse_vectors_by_rows(self, change):
        model = SVC().fit(SPARSE, THREE)
        model.support_vectors_ = change(model.support_vectors_)

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)

    def test_of_precomputed_kernels_are_never_sparse(self):
        model = SVC().fit(SPARSE, THREE)
        model.kernel, model.shape_fit_ = "precomputed", (300, 300)

        with pytest.raises(UnreadableError, match="support vector machine"):
            require_sound(model)


class TestSparseMatrices:
    @pytest.mark.parametrize("kind", ["bsr", "coo", "dia"])
    def test_are_of_rows_or_columns(self, kind):
        model = TfidfTransformer().fit(np.abs(X))
        model.other = sparse.eye(4).asformat(kind)

        with pytest.raises(UnreadableError, match="sparse"):
            require_sound(model)

    @pytest.mark.parametrize("kind", ["csr", "csc"])
    def test_do_not_point_out_of_themselves_wherever_they_are(self, kind):
        matrix = sparse.eye(4).asformat(kind)
        require_sound({"weights": [matrix]})
        matrix.indices[0] = 10**6

        with pytest.raises(UnreadableError, match="sparse"):
            require_sound({"weights": [matrix]})


class TestNeighbors:
    @pytest.fixture
    def model(self):
        return KNeighborsClassifier(algorithm="brute").fit(X, THREE)

    @pytest.mark.parametrize("kind", [KNeighborsClassifier, KNeighborsRegressor])
    def test_pass_and_predict_the_same(self, kind):
        model = kind(algorithm="brute").fit(X, THREE)

        found = open_skops(skops.io.dumps(model), TRUSTED_TYPES)

        np.testing.assert_array_equal(found.predict(X), model.predict(X))

    @pytest.mark.parametrize(
        ("name", "value"),
        [("_y", np.full(300, 10**6)), ("_y", np.full(300, -1)), ("_y", THREE[:5]),
         ("_fit_X", X[:, :1]), ("n_features_in_", 9), ("n_neighbors", 301)],
    )  # fmt: skip
    def test_are_of_the_classes_and_features(self, model, name, value):
        setattr(model, name, value)

        with pytest.raises(UnreadableError, match="neighbors"):
            require_sound(model)


class TestCenters:
    def test_are_of_the_features(self):
        model = KMeans(2, n_init=1, random_state=1).fit(X)
        require_sound(model)
        model.cluster_centers_ = model.cluster_centers_[:, :1]

        with pytest.raises(UnreadableError, match="centers"):
            require_sound(model)
