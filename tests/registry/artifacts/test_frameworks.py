"""What files say they were made with."""

import json

import numpy as np
import sklearn
import skops
from onnx import TensorProto, helper
from safetensors.numpy import save as save_tensors

from registry.artifacts.contents import Format
from registry.artifacts.frameworks import framework_of
from tests.registry.artifacts.hostile import arithmetic, zipped


def said(folder_of, content: bytes, model_format: Format):
    folder, manifest = folder_of({"m": content})
    return framework_of(folder, manifest.files[0], model_format)


class TestFrameworkOf:
    def test_reads_the_versions_in_the_schema_of_skops(self, folder_of, skops_bytes):
        assert said(folder_of, skops_bytes, Format.SKOPS) == {
            "skops": skops.__version__, "protocol": "2", "scikit-learn": sklearn.__version__,
        }  # fmt: skip

    def test_names_every_version_that_estimators_were_fitted_with(self, folder_of):
        estimators = [{"_sklearn_version": {"content": f'"{one}"'}} for one in ("1.9.1", "1.2")]
        schema = {"content": estimators, "protocol": 2}

        found = said(folder_of, zipped({"schema.json": json.dumps(schema).encode()}), Format.SKOPS)

        assert found == {"protocol": "2", "scikit-learn": "1.2, 1.9.1"}

    def test_reads_who_wrote_a_graph_and_its_operators(self, folder_of):
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "XY")
        graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "g", [x], [y])
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
        made = helper.make_model(
            graph, opset_imports=opsets, ir_version=9, producer_name="py\0torch",
            producer_version="2.9",
        )  # fmt: skip

        assert said(folder_of, made.SerializeToString(), Format.ONNX) == {
            "ir_version": "9", "producer": "pytorch 2.9", "opsets": {"": 21, "ai.onnx.ml": 3},
        }  # fmt: skip
        assert "producer" not in said(folder_of, arithmetic("Add", 1.0), Format.ONNX)

    def test_reads_the_metadata_of_safetensors(self, folder_of):
        tensors = {"w": np.zeros(2, "f4")}
        content = save_tensors(tensors, metadata={"format": "pt", "library": "\0x" * 1000})

        found = said(folder_of, content, Format.SAFETENSORS)

        assert found["metadata"]["format"] == "pt"
        assert set(found["metadata"]["library"]) == {"x"}
        assert said(folder_of, save_tensors(tensors), Format.SAFETENSORS) == {}

    def test_finds_nothing_in_parameters(self, folder_of):
        assert said(folder_of, b'{"a": 1}', Format.PARAMETERS) == {}
