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


@kind("unknown_format", "the tensors overlap or leave gaps")
def safetensors_that_overlap(canary):
    field = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": field, "b": field}).encode()
    return {"model.safetensors": struct.pack("<Q", len(header)) + header + bytes(8)}


@kind("empty", "not one byte")
def nothing_at_all(canary):
    return {"model.skops": b""}


@kind("unknown_format", "a program (ELF)")
def program(canary):
    return {"model.skops": b"\x7fELF" + bytes(60)}


@kind("unknown_format", "HDF5")
def hdf5(canary):
    return {"model.skops": b"\x89HDF\r\n\x1a\n" + bytes(60)}
