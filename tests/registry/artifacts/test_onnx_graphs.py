"""Signatures of ONNX graphs, against graphs that the onnx package writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from registry.artifacts.contents import Format
from registry.artifacts.errors import UnreadableError
from registry.artifacts.loading import open_bytes
from registry.artifacts.onnx_graphs import (
    is_for_complete_rows,
    opsets_of,
    property_of,
    signature_of,
)


def model(inputs, outputs, initializers=()):
    graph = helper.make_graph([], "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets)
    return memoryview(made.SerializeToString())


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


class TestSignatureOf:
    def test_reads_tensors_of_open_and_fixed_sizes(self):
        found = signature_of(
            model(
                [value("X", TensorProto.DOUBLE, [None, 3])],
                [value("label", TensorProto.STRING, ["n"]), value("one", TensorProto.BOOL, [])],
            )
        )

        assert found["inputs"] == [
            {"name": "X", "type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}
        ]
        assert [one["tensor-spec"] for one in found["outputs"]] == [
            {"dtype": "str", "shape": [-1]}, {"dtype": "bool", "shape": []},
        ]  # fmt: skip

    def test_says_any_of_what_is_no_tensor(self):
        sequence = helper.make_tensor_sequence_value_info("maps", TensorProto.FLOAT, None)

        assert signature_of(model([], [sequence]))["outputs"] == [{"name": "maps", "type": "any"}]

    def test_leaves_out_inputs_that_have_a_value(self):
        weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
        inputs = [value("X", TensorProto.FLOAT, [2]), value("w", TensorProto.FLOAT, [1])]

        found = signature_of(model(inputs, [], [weights]))

        assert [one["name"] for one in found["inputs"]] == ["X"]

    def test_drops_signs_that_no_database_keeps(self):
        hostile = value("a\x00b\x1b", TensorProto.FLOAT, [1])

        assert signature_of(model([hostile], []))["inputs"][0]["name"] == "ab"

    @given(st.binary(max_size=200))
    def test_refuses_other_bytes_or_reads_them(self, raw):
        try:
            found = signature_of(memoryview(raw))
        except UnreadableError:
            return
        assert set(found) == {"inputs", "outputs"}

    def test_refuses_a_message_that_is_cut(self):
        whole = model([value("X", TensorProto.FLOAT, [2])], [])

        with pytest.raises(UnreadableError):
            signature_of(whole[:-3])


class TestOpsetsOf:
    def test_reads_each_domain(self):
        assert opsets_of(model([], [])) == {"": 21, "ai.onnx.ml": 3}


KEY = "crowetrade.missing_values"


def with_properties(*pairs):
    """A graph that onnxruntime opens, and what the onnx package writes of it."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["Y"])], "g",
        [value("X", TensorProto.FLOAT, [None, 2])], [value("Y", TensorProto.FLOAT, [None, 2])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    for key, text in pairs:
        made.metadata_props.add(key=key, value=text)
    return made.SerializeToString()


SAID = {
    "plain": [(KEY, "refuse")],
    "nothing": [],
    "said, then taken back": [(KEY, "refuse"), (KEY, "")],
    "said at last": [(KEY, ""), (KEY, "refuse")],
    "a key with a zero-width space": [(KEY + "\u200b", "refuse")],
    "a value with a control character": [(KEY, "ref\x01use")],
    "a value that goes on": [(KEY, "refuse" + " " * 300)],
    "after a thousand others": [*((f"k{i}", "v") for i in range(1000)), (KEY, "refuse")],
}


class TestPropertyOf:
    @pytest.mark.parametrize("pairs", SAID.values(), ids=SAID)
    def test_is_what_onnxruntime_reads(self, pairs):
        import onnxruntime

        raw = with_properties(*pairs)
        session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])

        said = session.get_modelmeta().custom_metadata_map.get(KEY)

        assert property_of(memoryview(raw), KEY) == (None if said is None else said.encode())

    def test_is_none_of_a_model_without(self):
        assert property_of(model([], []), KEY) is None

    @given(st.binary(max_size=200))
    def test_refuses_other_bytes_or_reads_them(self, raw):
        try:
            found = property_of(memoryview(raw), KEY)
        except UnreadableError:
            return
        assert found is None or found in raw


class TestIsForCompleteRows:
    @pytest.mark.parametrize("pairs", SAID.values(), ids=SAID)
    def test_is_what_the_loader_does(self, pairs):
        raw = with_properties(*pairs)

        opened = open_bytes(raw, Format.ONNX)

        assert is_for_complete_rows(memoryview(raw)) == opened.refuses_missing
        assert opened.refuses_missing == (dict(pairs).get(KEY) == "refuse")
