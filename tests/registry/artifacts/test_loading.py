"""Opening verified models."""

import json
import time

import numpy as np
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from skl2onnx import to_onnx

from registry.artifacts.contents import Format
from registry.artifacts.errors import (
    ArtifactError,
    CannotPredictError,
    DigestMismatchError,
    MissingValuesError,
    NotAllowedError,
    TooSlowError,
    UnreadableError,
)
from registry.artifacts.loading import open_bytes, open_model
from registry.artifacts.onnx_files import is_onnx
from registry.artifacts.trusted import may_be_trusted, untrusted_types
from tests.registry.artifacts.hostile import KINDS, arithmetic, endless_onnx, loop_onnx, node


def opened(folder_of, content: bytes, model_format: Format, **settings):
    folder, manifest = folder_of({"m": content})
    return open_model(folder, manifest, model_path="m", model_format=model_format, **settings)


def identity(dtype, *, says="refuse"):
    """A graph that gives back its rows, for complete ones alone if it says so."""
    rows = [helper.make_tensor_value_info(name, dtype, [None, 2]) for name in "XY"]
    graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "g", rows[:1], rows[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
    helper.set_model_props(made, {"crowetrade.missing_values": says})
    return open_bytes(made.SerializeToString(), Format.ONNX)


# bodies that have nothing left to do, if onnxruntime may take out what is always the same
ENDLESS = {
    "hands on": endless_onnx,
    "asks a constant": lambda: loop_onnx(node("Identity", ["t"], ["d"]), goes_on="d"),
    "computes in vain": lambda: loop_onnx(node("Identity", ["v"], ["unused"])),
    "computes a constant": lambda: loop_onnx(
        node("Shape", ["i"], ["s"]), node("ReduceMax", ["s"], ["m"], keepdims=0),
        node("Equal", ["m", "m"], ["d"]), goes_on="d",
    ),
}  # fmt: skip


class TestOnnxModel:
    @pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
    def test_ends_a_loop_without_end_when_its_time_is_over(self, folder_of, make):
        model = opened(folder_of, make(), Format.ONNX, seconds=0.3)
        begin = time.monotonic()

        with pytest.raises(TooSlowError, match=r"within 0\.3 seconds"):
            model.predict([[1.0, 2.0]])

        assert time.monotonic() - begin < 10

    def test_has_the_same_answers_with_a_time_as_without(self, folder_of):
        content = arithmetic("Add", 1.0)
        limited, unlimited = (
            opened(folder_of, content, Format.ONNX, seconds=seconds) for seconds in (60, None)
        )

        assert limited.predict([[1.0, 2.0]]).tolist() == [[2.0, 3.0]]
        assert unlimited.predict([[1.0, 2.0]]).tolist() == [[2.0, 3.0]]

    def test_is_not_opened_where_onnxruntime_would_read_another_graph(self, folder_of):
        made = KINDS["ort_model_that_reads_as_onnx"].make(None)["model.onnx"]

        assert is_onnx(memoryview(made))
        with pytest.raises(UnreadableError, match="onnxruntime's own"):
            opened(folder_of, made, Format.ONNX)

    @pytest.mark.parametrize("says", ["refuse", ""])
    @pytest.mark.parametrize("rows", [np.array([[np.nan, 1.0]]), [[None, 1.0]], [[np.nan, 1]]])
    def test_refuses_gaps_where_the_graph_takes_whole_numbers(self, rows, says):
        model = identity(TensorProto.INT64, says=says)

        with pytest.raises(MissingValuesError, match=r"1 of 1 rows .* row 0 \(from 0\) first"):
            model.predict(rows)

    def test_refuses_what_no_whole_number_is(self):
        with pytest.raises(CannotPredictError, match="infinite"):
            identity(TensorProto.INT64, says="").predict([[1.0, np.inf]])

    def test_takes_whole_numbers(self):
        found = identity(TensorProto.INT64).predict([[1.0, 2], [3, 4]])

        assert found.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64])
    @pytest.mark.parametrize("says", ["refuse", ""])
    def test_refuses_a_mask(self, dtype, says):
        rows = np.ma.masked_array([[7.0, 1.0]], mask=[[True, False]])

        with pytest.raises(MissingValuesError, match="masked array"):
            identity(dtype, says=says).predict(rows)

    @pytest.mark.parametrize("gap", [np.nan, None])
    def test_refuses_gaps_where_the_graph_says_so_alone(self, gap):
        with pytest.raises(MissingValuesError, match="complete rows alone"):
            identity(TensorProto.FLOAT).predict([[1.0, 2.0], [gap, 1.0]])
        assert np.isnan(identity(TensorProto.FLOAT, says="").predict([[gap, 1.0]])[0, 0])


class TestOpenModel:
    def test_predicts_what_the_estimator_predicts(self, folder_of, pipeline, skops_bytes, rows):
        model = opened(folder_of, skops_bytes, Format.SKOPS)

        np.testing.assert_array_equal(model.predict(rows), pipeline.predict(rows))
        assert model.format is Format.SKOPS
        assert model.n_bytes > len(skops_bytes)
        assert model.parameters == {}

    def test_runs_an_onnx_graph(self, folder_of, pipeline, rows):
        options = {"zipmap": False}
        graph = to_onnx(pipeline, rows[:1].astype(np.float32), options=options)

        model = opened(folder_of, graph.SerializeToString(), Format.ONNX)

        np.testing.assert_array_equal(model.predict(rows), pipeline.predict(rows))
        probabilities = list(model.outputs(rows).values())[1]
        np.testing.assert_allclose(probabilities, pipeline.predict_proba(rows), atol=1e-6)

    def test_maps_tensors_as_the_library_reads_them(self, folder_of, rows):
        tensors = {
            "w": rows, "f": rows.astype("f4"), "h": rows.astype("f2"), "i": np.arange(3),
            "b": np.array([True, False]), "empty": np.zeros((0, 3), "u1"), "scalar": np.array(2.0),
        }  # fmt: skip
        raw = save_tensors(tensors)

        model = opened(folder_of, raw, Format.SAFETENSORS)

        expected = load_tensors(raw)
        assert model.parameters.keys() == expected.keys()
        for name, tensor in model.parameters.items():
            np.testing.assert_array_equal(tensor, expected[name])
            assert tensor.dtype == expected[name].dtype
            assert not tensor.flags.writeable
        with pytest.raises(CannotPredictError):
            model.predict(rows)

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [(b'{"a": [1, 2]}', {"a": [1, 2]}), (b"[1, 2]", {"values": [1, 2]}),
         (b"a: 1\nday: 2026-01-05\n", {"a": 1, "day": "2026-01-05"})],
    )  # fmt: skip
    def test_reads_parameters(self, folder_of, raw, expected):
        assert opened(folder_of, raw, Format.PARAMETERS).parameters == expected

    @pytest.mark.parametrize("model_format", [Format.PICKLE, Format.TEXT, Format.UNKNOWN])
    def test_opens_nothing_else(self, folder_of, model_format):
        with pytest.raises(NotAllowedError):
            opened(folder_of, b"{}", model_format)

    @pytest.mark.parametrize(
        "model_format", [Format.SKOPS, Format.ONNX, Format.SAFETENSORS, Format.PARAMETERS]
    )
    def test_refuses_what_is_not_what_it_was_said_to_be(self, folder_of, model_format):
        with pytest.raises(UnreadableError):
            opened(folder_of, b"\x00{rubbish", model_format)

    def test_refuses_types_that_are_not_trusted(self, folder_of, skops_bytes):
        with pytest.raises(NotAllowedError, match=r"sklearn\.tree\._tree\.Tree"):
            opened(folder_of, skops_bytes, Format.SKOPS, trusted=["numpy.dtype"])

    def test_refuses_a_file_that_is_not_in_the_manifest(self, folder_of):
        folder, manifest = folder_of({"m": b"{}"})
        (folder / "other").write_bytes(b"{}")

        for path in ("other", "../m", "m/"):
            with pytest.raises(ArtifactError, match="has no file"):
                open_model(folder, manifest, model_path=path, model_format=Format.PARAMETERS)

    @pytest.mark.parametrize("model_format", [Format.SKOPS, Format.SAFETENSORS, Format.PARAMETERS])
    def test_opens_a_file_with_no_bit_changed(self, folder_of, model_format):
        import skops.io

        contents = {
            Format.SKOPS: skops.io.dumps({"a": 1}),
            Format.SAFETENSORS: save_tensors({"w": np.arange(3.0)}),
            Format.PARAMETERS: json.dumps({"a": [1, 2, 3]}).encode(),
        }
        raw = contents[model_format]
        folder, manifest = folder_of({"m": raw})
        for place in range(len(raw)):
            changed = bytearray(raw)
            changed[place] ^= 1 << place % 8
            (folder / "m").write_bytes(changed)

            with pytest.raises(DigestMismatchError):
                open_model(folder, manifest, model_path="m", model_format=model_format)

    @pytest.mark.parametrize(
        "change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda _: b""]
    )
    def test_opens_a_file_of_its_own_length(self, folder_of, change):
        raw = save_tensors({"w": np.arange(3.0)})
        folder, manifest = folder_of({"m": raw})
        (folder / "m").write_bytes(change(raw))

        with pytest.raises((DigestMismatchError, ValueError)):
            open_model(folder, manifest, model_path="m", model_format=Format.SAFETENSORS)


class TestOpenBytes:
    def test_refuses_rows_that_are_no_numbers(self, pipeline, rows):
        graph = to_onnx(pipeline, rows[:1].astype(np.float32)).SerializeToString()

        with pytest.raises(ValueError, match="could not convert"):
            open_bytes(graph, Format.ONNX).predict([["a"] * 5])

    def test_refuses_a_transformer_that_shall_predict(self):
        import skops.io
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit([[1.0], [2.0]])

        with pytest.raises(CannotPredictError, match="StandardScaler"):
            open_bytes(skops.io.dumps(scaler), Format.SKOPS).predict([[1.0]])


class TestUntrustedTypes:
    def test_lists_what_skops_does_not_know(self, folder_of, skops_bytes):
        folder, _ = folder_of({"m": skops_bytes})

        assert untrusted_types(folder / "m") == ["sklearn.tree._tree.Tree"]

    @pytest.mark.parametrize("raw", [b"", b"PK", b"{}"])
    def test_refuses_what_is_no_skops_file(self, folder_of, raw):
        folder, _ = folder_of({"m": raw})

        with pytest.raises(UnreadableError):
            untrusted_types(folder / "m")


class TestMayBeTrusted:
    @pytest.mark.parametrize(
        ("name", "may"),
        [("sklearn.tree._tree.Tree", True), ("desk.models.Spread", False), ("builtins.eval", False),
         ("sklearn.calibration._CalibratedClassifier", True), ("numpy.dtype", True),
         ("scipy.sparse._csr.csr_matrix", True), ("numpy.f2py.crackfortran.myeval", False),
         ("numpy.testing._private.utils.runstring", False), ("timeit.timeit", False),
         ("numpy.testing.TestCase", False), ("scipy._lib.X", False), ("numpy.load", False),
         ("pandas.read_pickle", False), ("pandas.DataFrame", False), ("sklearn..Tree", False),
         ("sklearn.Tree\n", False), ("numpy", False), ("sklearn.utils._testing.Mocked", False),
         ("operator.methodcaller", False), ("functools.partial", False), ("os.system", False),
         ("importlib.import_module", False), ("eval", False), ("", False)],
    )  # fmt: skip
    def test_keeps_what_runs_things_off_every_list(self, name, may):
        assert may_be_trusted(name) is may
