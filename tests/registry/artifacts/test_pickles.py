"""Pickles followed without unpickling."""

import contextlib
import io
import pickle
import pickletools

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from registry.artifacts.limits import Limits
from registry.artifacts.pickles import scan_compressed, scan_pickle
from registry.artifacts.streams import Bounded
from registry.artifacts.unpickling import unpickle
from tests.registry.artifacts.hostile import Call, joblib_bytes

ESTIMATORS = [
    LogisticRegression(),
    KNeighborsClassifier(),
    SVC(),
    RandomForestClassifier(5, random_state=np.random.RandomState(0)),
    HistGradientBoostingClassifier(max_iter=5),
    GradientBoostingRegressor(n_estimators=5, loss="huber"),
    CalibratedClassifierCV(LogisticRegression()),
    make_pipeline(
        ColumnTransformer(
            [("n", make_pipeline(SimpleImputer(), StandardScaler()), [0, 1]),
             ("c", OneHotEncoder(handle_unknown="ignore"), [2])]
        ),
        RandomForestClassifier(5),
    ),
]  # fmt: skip
TEXTS = [
    b"catboost\nnumpy\npandas\n", b"channels:\n- conda-forge\n", b"0.5", b"{}", b"import os\n",
    b"I am a text.\n", b"(c) 2026 somebody\n", b"p = 3", b"First\nSecond\nReadme\nb",
    b"I a\nI b\nR", b"].b.R", b"",
]  # fmt: skip
OPCODES = [ord(opcode.code) for opcode in pickletools.opcodes]
arrays = st.one_of(
    st.builds(np.zeros, st.integers(0, 40), dtype=st.sampled_from(["f8", "i4", "?", "c16", "U3"])),
    st.just(np.array(["x", None, 3.5], dtype=object)),
    st.just(np.array(["2020-01-01"], dtype="M8[D]")),
    st.just(np.zeros(3, dtype=[("a", "i4"), ("c", [("d", "i2")])])),
    st.just(np.asfortranarray(np.ones((3, 2)))),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | arrays,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def scan(raw: bytes):
    return scan_compressed(Bounded(io.BytesIO(raw)), "model.pkl", Limits())


class TestScanPickle:
    @pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
    def test_finds_nothing_against_an_estimator(self, estimator, rows):
        estimator.fit(np.abs(rows), rows[:, 0] > 0)

        for protocol in (2, 4, 5):
            assert scan(pickle.dumps(estimator, protocol)).findings == ()
        for compress in (0, ("zlib", 1), ("gzip", 1), ("bz2", 1), ("lzma", 1), ("xz", 1)):
            assert scan(joblib_bytes(estimator, compress=compress)).findings == ()

    @given(documents)
    @settings(deadline=None)
    def test_follows_joblib_to_its_end(self, document):
        found = scan(joblib_bytes(document))

        assert found.is_pickle
        assert not [f for f in found.findings if f.code != "nested_pickle"]

    @given(documents, st.integers(0, 5))
    @settings(deadline=None)
    def test_lists_what_unpickling_imports(self, document, protocol):
        raw = pickle.dumps(document, protocol)
        imported = set()

        class Listing(pickle.Unpickler):
            def find_class(self, module, name):
                imported.add(f"{module}.{name}")
                return super().find_class(module, name)

        Listing(io.BytesIO(raw)).load()

        assert set(scan(raw).globals) == imported

    @given(st.binary(max_size=200))
    def test_says_something_about_any_bytes(self, raw):
        found = scan_pickle(Bounded(io.BytesIO(raw)), "x", Limits())

        assert found.is_pickle in {True, False}

    @given(
        st.sampled_from([pickle.dumps(Call(divmod, 7, 2), n) for n in range(6)]),
        st.lists(st.tuples(st.integers(0, 60), st.sampled_from(OPCODES) | st.integers(0, 255),
                           st.booleans()), max_size=6),
    )  # fmt: skip
    @settings(max_examples=1000, deadline=None)
    def test_misses_no_call_however_the_bytes_are_changed(self, raw, changes):
        changed = bytearray(raw)
        for place, byte, is_inserted in changes:
            changed[place : place + (not is_inserted)] = bytes([byte])
        called = []

        class Recording(pickle.Unpickler):
            def find_class(self, module, name):
                return lambda *_: called.append((module, name))

        with contextlib.suppress(Exception):
            Recording(io.BytesIO(changed)).load()

        if called:
            assert scan_pickle(Bounded(io.BytesIO(changed)), "x", Limits()).findings

    @pytest.mark.parametrize("text", TEXTS)
    def test_does_not_take_texts_for_pickles(self, text):
        assert not scan(text).is_pickle

    def test_bounds_its_work(self):
        raw = pickle.dumps(list(range(1000)))

        found = scan_pickle(Bounded(io.BytesIO(raw)), "x", Limits(n_opcodes=100))

        assert [f.code for f in found.findings] == ["broken_pickle"]

    def test_does_not_allocate_what_a_length_promises(self):
        raw = b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x."

        assert [f.code for f in scan(raw).findings] == ["broken_pickle"]

    @pytest.mark.parametrize("flags", [1, 2, 63])
    def test_refuses_an_array_whose_type_hides_objects(self, flags):
        raw = joblib_bytes(np.arange(3.0))
        state = pickle.dumps((3, "<", None, None, None, -1, -1, 0), 4)[11:-2]
        assert b"K\x00t" in state
        changed = raw.replace(b"K\x00t\x94b", b"K" + bytes([flags]) + b"t\x94b", 1)
        assert changed != raw

        assert [f.code for f in scan(changed).findings] == ["broken_pickle"]


class TestUnpickle:
    @pytest.mark.parametrize("compress", [0, 3, ("xz", 1)])
    def test_reads_what_joblib_writes(self, pipeline, rows, compress):
        raw = joblib_bytes(pipeline, compress=compress)

        again = unpickle(raw, frozenset(scan(raw).globals), Limits())

        np.testing.assert_array_equal(again.predict(rows), pipeline.predict(rows))

    def test_reads_what_pickle_writes(self, pipeline, rows):
        raw = pickle.dumps(pipeline)

        again = unpickle(raw, frozenset(scan(raw).globals), Limits())

        np.testing.assert_array_equal(again.predict_proba(rows), pipeline.predict_proba(rows))

    @pytest.mark.parametrize("dump", [pickle.dumps, joblib_bytes])
    def test_refuses_a_name_that_is_not_listed_wherever_it_lies(self, dump):
        from registry.artifacts.errors import NotAllowedError

        objects = np.array([np.testing.assert_equal], dtype=object)
        raw = dump({"a": np.arange(3.0), "b": objects})

        with pytest.raises(NotAllowedError, match="assert_equal"):
            unpickle(raw, frozenset(scan(raw).globals), Limits())

    def test_takes_the_word_of_nobody_for_its_list(self, tmp_path):
        """A scan that saw nothing changes nothing: the list is asked again at each import."""
        from registry.artifacts.errors import NotAllowedError

        raw = joblib_bytes([np.arange(3.0), joblib.load])

        for names in (frozenset(), frozenset({"joblib.numpy_pickle.load"})):
            with pytest.raises(NotAllowedError):
                unpickle(raw, names | {"joblib.numpy_pickle.NumpyArrayWrapper"}, Limits())
