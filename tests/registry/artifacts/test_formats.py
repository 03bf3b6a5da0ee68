"""What a set of files is."""

import bz2
import io
import json
import pickle
import time
import zipfile

import numpy as np
import pytest
import yaml
from safetensors.numpy import save as save_tensors
from skl2onnx import to_onnx

from registry.artifacts.contents import Format
from registry.artifacts.errors import ArtifactError
from registry.artifacts.findings import CODES, Decision, Finding, decide
from registry.artifacts.formats import inspect_folder
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import FileEntry, Manifest
from tests.registry.artifacts.hostile import harmless_skops, joblib_bytes, zipped


@pytest.fixture(scope="session")
def onnx_bytes(pipeline, rows):
    """The pipeline as an ONNX graph."""
    options = {"zipmap": False}
    return to_onnx(pipeline, rows[:1].astype(np.float32), options=options).SerializeToString()


def mlflow_folder(model: bytes, name: str, serialization: str, **more) -> dict[str, bytes]:
    """Return the files that MLflow's client uploads for a scikit-learn model."""
    inputs = json.dumps([{"type": "double", "name": "x", "required": True}])
    document = {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": name,
                "predict_fn": "predict",
                "python_version": "3.11.7",
            },
            "sklearn": {
                "code": None,
                "pickled_model": name,
                "serialization_format": serialization,
                "sklearn_version": "1.9.1",
                **more,
            },
        },
        "mlflow_version": "3.18.0",
        "model_uuid": "m-0123",
        "run_id": "feed",
        "utc_time_created": "2026-01-05 12:00:00.000000",
        "signature": {"inputs": inputs, "outputs": None, "params": None},
    }
    return {
        "MLmodel": yaml.safe_dump(document).encode(),
        name: model,
        "conda.yaml": b"channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n",
        "python_env.yaml": b"python: 3.11.7\ndependencies:\n- -r requirements.txt\n",
        "requirements.txt": b"cloudpickle==3.1.3\nscikit-learn==1.9.1\n",
        "input_example.json": b'{"data": [[1.0]]}',
        "registered_model_meta": b"model_name: m\n",
    }


class TestAccepted:
    def test_are_skops_onnx_safetensors_and_parameters(
        self, folder_of, skops_bytes, onnx_bytes, rows
    ):
        expected = {
            Format.SKOPS: skops_bytes,
            Format.ONNX: onnx_bytes,
            Format.SAFETENSORS: save_tensors({"w": rows, "b": np.zeros(0, "f4")}),
            Format.PARAMETERS: b'{"lookback": 126}',
        }
        for model_format, content in expected.items():
            # the name says something else: only the bytes are asked
            verdict = inspect_folder(*folder_of({"model.pkl": content}, model_format.value))

            assert verdict.decision is Decision.ACCEPTED, verdict.summary
            assert verdict.format is model_format
            assert (verdict.model_path, verdict.findings) == ("model.pkl", ())

    @pytest.mark.parametrize(
        "raw", [b"a: 1\nb: [1, 2]\n", b"- 1\n- 2\n", b"[1, 2]", b'\xef\xbb\xbf{"a": NaN}']
    )
    def test_are_parameters_in_yaml_and_json(self, folder_of, raw):
        verdict = inspect_folder(*folder_of({"p": raw, "README.md": b"# Words: about it\n"}))

        assert verdict.decision is Decision.ACCEPTED, verdict.summary
        assert verdict.model_path == "p"

    def test_is_a_folder_of_mlflow(self, folder_of, skops_bytes):
        files = mlflow_folder(skops_bytes, "model.skops", "skops")

        verdict = inspect_folder(*folder_of(files))

        assert verdict.decision is Decision.ACCEPTED, verdict.summary
        assert (verdict.format, verdict.model_path) == (Format.SKOPS, "model.skops")
        model = verdict.mlmodel
        assert (model.serialization_format, model.model_uuid, model.run_id) == (
            "skops", "m-0123", "feed",
        )  # fmt: skip
        assert model.mlflow_version == "3.18.0"
        assert verdict.signature == {
            "inputs": [{"type": "double", "name": "x", "required": True}],
            "outputs": None,
            "params": None,
        }
        assert json.loads(json.dumps(verdict.to_json())) == verdict.to_json()

    def test_is_a_folder_of_mlflow_with_a_graph(self, folder_of, onnx_bytes):
        files = mlflow_folder(b"", "model.onnx", "")
        document = yaml.safe_load(files["MLmodel"])
        document["flavors"] = {
            "onnx": {
                "code": None, "data": "model.onnx", "onnx_version": "1.19.0",
                "onnx_session_options": {"intra_op_num_threads": 1},
                "providers": ["CUDAExecutionProvider", "CPUExecutionProvider"],
            },
            "python_function": {"data": "model.onnx", "loader_module": "mlflow.onnx"},
        }  # fmt: skip
        files |= {"model.onnx": onnx_bytes, "MLmodel": yaml.safe_dump(document).encode()}

        verdict = inspect_folder(*folder_of(files))

        assert verdict.decision is Decision.ACCEPTED, verdict.summary
        assert (verdict.format, verdict.model_path) == (Format.ONNX, "model.onnx")

    def test_is_a_folder_whose_author_trusts_what_the_registry_trusts(self, folder_of, skops_bytes):
        trusted = ["numpy.dtype", "sklearn.tree._tree.Tree"]
        files = mlflow_folder(skops_bytes, "model.skops", "skops", skops_trusted_types=trusted)

        assert inspect_folder(*folder_of(files)).decision is Decision.ACCEPTED

    def test_is_a_skops_file_of_a_desk_that_trusts_more(self, folder_of):
        import skops.io

        files = {"m": skops.io.dumps({"a": np.dtype("f8")})}

        strict = inspect_folder(*folder_of(files, "a"), trusted=())
        trusting = inspect_folder(*folder_of(files, "b"), trusted={"numpy.dtype"})

        assert [f.text for f in strict.findings] == ["numpy.dtype"]
        assert trusting.decision is Decision.ACCEPTED

    def test_is_never_a_type_that_runs_what_it_is_given(self, folder_of):
        from tests.registry.artifacts.hostile import KINDS

        files = KINDS["skops_of_eval"].make(folder_of({"x": b"1"}, "place")[0])

        verdict = inspect_folder(*folder_of(files), trusted={"builtins.eval", "functools.partial"})

        assert {f.text for f in verdict.findings} == {"builtins.eval", "functools.partial"}


class TestQuarantined:
    @pytest.mark.parametrize("compress", [None, 0, 3, ("gzip", 3), ("xz", 1), ("lzma", 1)])
    def test_are_pickles_whose_imports_are_listed(self, folder_of, pipeline, compress):
        raw = pickle.dumps(pipeline)
        if compress is not None:
            raw = joblib_bytes(pipeline, compress=compress)

        verdict = inspect_folder(*folder_of({"model.skops": raw}))

        assert verdict.decision is Decision.QUARANTINED, verdict.summary
        assert verdict.format is Format.PICKLE
        assert "sklearn.pipeline.Pipeline" in verdict.globals
        assert {finding.code for finding in verdict.findings} == {"pickle"}

    def test_is_a_folder_of_mlflow_1_with_a_pickle(self, folder_of, pipeline):
        function = {"data": "model.pkl", "env": "conda.yaml", "loader_module": "mlflow.sklearn"}
        flavors = {"python_function": function, "sklearn": {"pickled_model": "model.pkl"}}
        files = mlflow_folder(pickle.dumps(pipeline), "model.pkl", "pickle")
        files["MLmodel"] = yaml.safe_dump({"flavors": flavors}).encode()

        verdict = inspect_folder(*folder_of(files))

        assert verdict.decision is Decision.QUARANTINED, verdict.summary

    def test_is_a_folder_of_mlflow_with_a_pickle(self, folder_of, pipeline):
        files = mlflow_folder(pickle.dumps(pipeline), "model.pkl", "cloudpickle")

        verdict = inspect_folder(*folder_of(files))

        assert verdict.decision is Decision.QUARANTINED, verdict.summary
        assert verdict.mlmodel.serialization_format == "cloudpickle"


class TestRefused:
    def test_is_a_pickle_of_anything_else(self, folder_of):
        import decimal

        verdict = inspect_folder(*folder_of({"m": pickle.dumps(decimal.Decimal(1))}))

        assert verdict.decision is Decision.REFUSED
        assert "forbidden_global m: decimal.Decimal" in verdict.summary

    @pytest.mark.parametrize(
        ("files", "code"),
        [
            ({"README.md": b"words"}, "no_model"),
            ({"a.json": b"{}", "b.json": b"{}"}, "several_models"),
            ({"a.json": b'{"a": 1, "a": 2}'}, "json_invalid"),
            ({"a.json": b'{"a": 1'}, "json_invalid"),
            ({"a.toml": b"[1, 2"}, "json_invalid"),
            ({"a.json": b"[" * 10_000}, "json_invalid"),
            ({"a": b"\x93NUMPY\x01\x00\x10\x00{'descr': __imp"}, "unknown_format"),
            ({"a": b"\x00\x01\x02"}, "unknown_format"),
            ({"a": b"PK\x03\x04rubbish"}, "archive_broken"),
            ({"a": b"\x1f\x8brubbish"}, "unreadable_compression"),
            ({"a": bz2.compress(b"words")}, "unknown_format"),
            ({"a.json": b"{}", "b.py": b"x = 1"}, "model_code"),
            ({"MLmodel": b"flavors: 3\n", "a.json": b"{}"}, "mlmodel_invalid"),
            ({"MLmodel": b"a: [", "a.json": b"{}"}, "yaml_invalid"),
            ({"MLmodel": b"flavors: {}\nflavors: {}\n", "a.json": b"{}"}, "yaml_invalid"),
            ({"x/MLmodel": b"flavors: {}", "MLmodel": b"flavors: {}"}, "several_models"),
            ({"MLmodel": b"flavors: {sklearn: {pickled_model: m}}"}, "model_missing"),
            ({"MLmodel": b"flavors: {python_function: {python_model: m}}"}, "loader_module"),
        ],
    )  # fmt: skip
    def test_is_named(self, folder_of, files, code):
        verdict = inspect_folder(*folder_of(files))

        assert verdict.decision is Decision.REFUSED
        assert code in {finding.code for finding in verdict.findings}, verdict.summary

    def test_is_a_good_model_with_a_pickle_beside_it(self, folder_of):
        files = mlflow_folder(harmless_skops(), "model.skops", "skops")

        verdict = inspect_folder(*folder_of(files | {"cache": pickle.dumps({"a": 1})}))

        assert verdict.decision is Decision.REFUSED
        assert {finding.code for finding in verdict.findings} == {"pickle", "several_models"}

    def test_are_two_models(self, folder_of):
        files = {"a": harmless_skops(), "b": harmless_skops() + b""}

        verdict = inspect_folder(*folder_of(files))

        assert {finding.code for finding in verdict.findings} == {"several_models"}

    @pytest.mark.parametrize(
        ("limits", "code"),
        [
            (Limits(file_bytes=10), "file_size"),
            (Limits(total_bytes=10), "file_size"),
            (Limits(n_members=1), "archive_members"),
            (Limits(expanded_bytes=100), "archive_size"),
            (Limits(expansion_ratio=0.5, ratio_floor_bytes=0), "archive_ratio"),
        ],
    )
    def test_is_what_exceeds_a_limit(self, folder_of, skops_bytes, limits, code):
        verdict = inspect_folder(*folder_of({"m": skops_bytes}), limits=limits)

        assert code in {finding.code for finding in verdict.findings}

    @pytest.mark.parametrize(
        ("n_bytes", "code"), [(5 << 30, "unknown_format"), (9 << 30, "file_size")]
    )
    def test_is_a_disk_full_of_zeros_at_once(self, tmp_path, n_bytes, code):
        with (tmp_path / "model.skops").open("wb") as file:
            file.truncate(n_bytes)  # a hole: it takes no room
        entry = FileEntry("model.skops", "0" * 64, n_bytes)
        begin = time.monotonic()

        verdict = inspect_folder(tmp_path, Manifest([entry]))

        assert verdict.decision is Decision.REFUSED
        assert code in {finding.code for finding in verdict.findings}, verdict.summary
        assert time.monotonic() - begin < 10

    def test_is_a_bomb_in_a_sparse_matrix(self, folder_of):
        inner = zipped({"data.npy": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)

        verdict = inspect_folder(*folder_of({"m": zipped({"schema.json": b"{}", "1.npz": inner})}))

        assert [f.code for f in verdict.findings if f.path == "m!1.npz"] == ["archive_ratio"]

    def test_is_a_file_of_a_length_of_its_own(self, folder_of):
        folder, manifest = folder_of({"m": b"{}"})
        (folder / "m").write_bytes(b"{ }")

        with pytest.raises(ArtifactError):
            inspect_folder(folder, manifest)

    def test_is_an_encrypted_member(self, folder_of):
        raw = bytearray(zipped({"schema.json": b"{}"}))
        raw[raw.index(b"PK\x01\x02") + 8] |= 1

        verdict = inspect_folder(*folder_of({"m": bytes(raw)}))

        assert "archive_encrypted" in {finding.code for finding in verdict.findings}


class TestEveryByteOfASkopsFile:
    def test_may_be_changed_without_an_accident(self, folder_of):
        """A damaged file gets a verdict, never an error of another kind."""
        import skops.io

        raw = skops.io.dumps({"a": np.arange(2.0)})
        schema = zipfile.ZipFile(io.BytesIO(raw)).getinfo("schema.json").header_offset
        for place in range(schema, len(raw), 7):
            changed = bytearray(raw)
            changed[place] ^= 0x5A

            verdict = inspect_folder(*folder_of({"m": bytes(changed)}))

            assert verdict.decision in set(Decision)


class TestDecide:
    def test_takes_the_severest(self):
        pickle_found, other = Finding("pickle", "a", "x"), Finding("polyglot", "a", "x")

        assert decide([]) is Decision.ACCEPTED
        assert decide([pickle_found]) is Decision.QUARANTINED
        assert decide([pickle_found, other]) is Decision.REFUSED

    def test_knows_every_code(self):
        with pytest.raises(KeyError):
            Finding("a code that nobody knows", "a", "x")
        remarks = [code for code, decision in CODES.items() if decision == Decision.ACCEPTED]
        assert remarks == ["faulty_document", "foreign_package_source"]

    def test_keeps_texts_short(self):
        assert len(Finding("pickle", "a", "x" * 1000).text) == 400
