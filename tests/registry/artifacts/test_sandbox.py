"""Models opened in a locked child process."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save as save_tensors
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from registry.artifacts import sandbox
from registry.artifacts.contents import Format
from registry.artifacts.convert import convert
from registry.artifacts.formats import inspect_folder
from registry.artifacts.locks import SandboxLimits
from registry.artifacts.sandbox import Availability, ProbeStatus, is_available, probe
from tests.registry.artifacts.hostile import endless_onnx, joblib_bytes, onnx_bytes

pytestmark = pytest.mark.skipif(
    not is_available().is_available, reason=is_available().reason or "the sandbox is there"
)
ROOT = Path(__file__).resolve().parents[3]
ASKING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from registry.artifacts import sandbox
from registry.artifacts.contents import Format
from registry.artifacts.manifest import Manifest
sandbox._working_bubblewrap = lambda: ""
folder = Path(sys.argv[2])
sandbox.probe(folder, Manifest.of_folder(folder).files[0], Format.SKOPS)
"""


def probed(folder_of, content: bytes, model_format: Format, **settings):
    folder, manifest = folder_of({"m": content})
    return probe(folder, manifest.files[0], model_format, **settings)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def with_changed_tree(rows) -> object:
    """Return a model whose tree points outside its own arrays, which no type tells."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier().fit(rows, rows[:, 0] > 0)
    state = model.tree_.__getstate__()
    nodes = state["nodes"].copy()
    for child in ("left_child", "right_child"):
        nodes[child] = np.where(nodes[child] >= 0, 2**40, -1)
    model.tree_.__setstate__(state | {"nodes": nodes})
    return model


class Starts(list):
    """The children that were started, of which the first ones were stopped: the clock ends them."""

    n_held_up = 0

    def __init__(self):
        super().__init__()
        self._start = sandbox._start

    def start(self, *arguments):
        child = self._start(*arguments)
        self.append(child.pid)
        if len(self) <= self.n_held_up:
            os.killpg(child.pid, signal.SIGSTOP)
        return child


@pytest.fixture
def starts(monkeypatch):
    children = Starts()
    monkeypatch.setattr(sandbox, "_start", children.start)
    return children


class TestProbe:
    def test_predicts_with_a_skops_file(self, folder_of, skops_bytes, pipeline, rows):
        answer = probed(folder_of, skops_bytes, Format.SKOPS, rows=rows)

        assert answer.is_opened, answer
        assert answer.n_predictions == 40
        assert list(answer.predictions) == pipeline.predict(rows)[:16].tolist()
        assert {"no_new_privs", "rlimits", "seccomp"} <= set(answer.locks)
        assert 0 < answer.seconds < 30
        assert json.loads(json.dumps(answer.to_json()))["status"] == "opened"

    @pytest.mark.parametrize("dump", [pickle.dumps, joblib_bytes])
    def test_predicts_with_a_pickle_where_that_was_asked_for(self, folder_of, pipeline, rows, dump):
        raw = dump(pipeline)

        asked = probed(folder_of, raw, Format.PICKLE, rows=rows.tolist(), opens_pickles=True)
        not_asked = probed(folder_of, raw, Format.PICKLE, rows=rows.tolist())

        assert list(asked.predictions) == pipeline.predict(rows)[:16].tolist()
        assert not_asked.status is ProbeStatus.REFUSED

    def test_predicts_with_an_onnx_graph(self, folder_of, pipeline, rows):
        graph = to_onnx(pipeline, rows[:1].astype(np.float32)).SerializeToString()

        answer = probed(folder_of, graph, Format.ONNX, rows=rows[:3])

        assert list(answer.predictions) == pipeline.predict(rows[:3]).tolist()

    def test_does_not_wait_for_a_graph_that_never_ends(self, folder_of):
        limits = SandboxLimits(cpu_seconds=2)

        answer = probed(folder_of, endless_onnx(), Format.ONNX, limits=limits)

        assert answer.status is ProbeStatus.KILLED, answer

    @pytest.mark.parametrize(
        ("kind", "shape"),
        [("FLOAT", [None, 2]), ("DOUBLE", [1, 3]), ("STRING", ["n"]), ("BOOL", []),
         ("INT8", [2, "n", 4]), ("FLOAT16", None)],
    )  # fmt: skip
    def test_feeds_a_graph_with_zeros_of_its_shape(self, folder_of, kind, shape):
        dtype = getattr(TensorProto, kind)
        x, y = (helper.make_tensor_value_info(name, dtype, shape) for name in "XY")
        graph = helper.make_graph([helper.make_node("Identity", ["X"], ["Y"])], "g", [x], [y])
        opsets = [helper.make_opsetid("", 17)]
        content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()

        answer = probed(folder_of, content, Format.ONNX)

        assert (answer.status, answer.reason) == (ProbeStatus.OPENED, "")

    def test_notes_what_a_graph_does_with_zeros(self, folder_of):
        node = helper.make_node("Reshape", ["X", "s"], ["y"])
        impossible = helper.make_tensor("s", TensorProto.INT64, [2], [7, 7])

        answer = probed(folder_of, onnx_bytes([node], impossible), Format.ONNX)

        assert answer.is_opened
        assert "does not predict rows of zeros" in answer.reason

    @pytest.mark.parametrize(
        ("content", "model_format"),
        [(b'{"a": 1}', Format.PARAMETERS), (b"a: 1", Format.PARAMETERS),
         (save_tensors({"w": np.arange(3.0)}), Format.SAFETENSORS)],
    )  # fmt: skip
    def test_opens_parameters(self, folder_of, content, model_format):
        answer = probed(folder_of, content, model_format, rows=[[1.0]])

        assert answer.is_opened, answer
        assert answer.n_predictions == 0

    def test_takes_rows_with_names_and_words(self, folder_of):
        import pandas as pd
        import skops.io
        from sklearn.compose import make_column_transformer
        from sklearn.linear_model import LinearRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "x"]})
        encode = make_column_transformer((OneHotEncoder(), ["b"]), remainder="passthrough")
        fitted = make_pipeline(encode, LinearRegression()).fit(table, [1.0, 2.0, 3.0])

        answer = probed(
            folder_of, skops.io.dumps(fitted), Format.SKOPS, rows=table.to_dict("records")
        )

        assert answer.predictions == pytest.approx((1.0, 2.0, 3.0))

    def test_says_what_went_wrong(self, folder_of, skops_bytes, rows):
        answer = probed(folder_of, skops_bytes, Format.SKOPS, rows=rows[:, :2])

        assert answer.status is ProbeStatus.FAILED
        assert "2 features" in answer.reason

    def test_survives_a_model_that_crashes_its_reader(self, folder_of, rows):
        raw = pickle.dumps(with_changed_tree(rows))

        answer = probed(folder_of, raw, Format.PICKLE, rows=rows, opens_pickles=True)

        assert answer.status is ProbeStatus.KILLED
        assert "SIGSEGV" in answer.reason

    def test_predicts_zeros_where_no_rows_are_given(self, folder_of, rows):
        raw = pickle.dumps(with_changed_tree(rows))
        sound = pickle.dumps(make_pipeline(StandardScaler()).fit(rows))

        answer = probed(folder_of, raw, Format.PICKLE, opens_pickles=True)
        without_predict = probed(folder_of, sound, Format.PICKLE, opens_pickles=True)

        assert answer.status is ProbeStatus.KILLED
        assert "SIGSEGV" in answer.reason
        assert without_predict.is_opened

    def test_notes_that_a_model_predicts_no_zeros(self, folder_of):
        import skops.io
        from sklearn.preprocessing import OrdinalEncoder

        words = np.array([["a"], ["b"]], dtype=object)
        fitted = make_pipeline(OrdinalEncoder(), LinearRegression()).fit(words, [1.0, 2.0])

        answer = probed(folder_of, skops.io.dumps(fitted), Format.SKOPS)

        assert answer.is_opened
        assert "zeros" in answer.reason

    def test_refuses_that_model_in_a_format_that_opens_anywhere(self, folder_of, rows):
        import skops.io

        folder, manifest = folder_of({"m": skops.io.dumps(with_changed_tree(rows))}, "crash")

        # what no look at types can see
        assert inspect_folder(folder, manifest).decision == "accepted"
        answer = probe(folder, manifest.files[0], Format.SKOPS, rows=rows)

        assert answer.status is ProbeStatus.FAILED
        assert "out of its tree" in answer.reason

    def test_refuses_untrusted_types(self, folder_of, skops_bytes):
        answer = probed(folder_of, skops_bytes, Format.SKOPS, trusted=())

        assert answer.status is ProbeStatus.REFUSED
        assert "sklearn.tree._tree.Tree" in answer.reason

    def test_opens_no_other_bytes_than_registered(self, folder_of):
        folder, manifest = folder_of({"m": b'{"a": 1}'})
        (folder / "m").write_bytes(b'{"a": 2}')

        answer = probe(folder, manifest.files[0], Format.PARAMETERS)

        assert answer.status is ProbeStatus.FAILED
        assert "DigestMismatchError" in answer.reason

    def test_keeps_to_its_memory(self, folder_of):
        limits = SandboxLimits(memory_bytes=1 << 30)

        answer = probed(
            folder_of, save_tensors({"w": np.zeros(1 << 27)}), Format.SAFETENSORS, limits=limits
        )

        assert not answer.is_opened
        assert "MemoryError" in answer.reason or answer.status is ProbeStatus.KILLED

    def test_is_late_after_two_children_that_the_clock_ended(self, folder_of, skops_bytes, starts):
        limits = SandboxLimits(wall_seconds=0)

        answer = probed(folder_of, skops_bytes, Format.SKOPS, limits=limits)

        assert answer.status is ProbeStatus.LATE
        assert answer.reason == "it did not end within 0 seconds, nor another within 0"
        assert len(starts) == 2

    def test_opens_at_the_second_look_what_was_held_up_at_the_first(self, folder_of, starts):
        starts.n_held_up = 1
        limits = SandboxLimits(wall_seconds=8)

        answer = probed(folder_of, b"{}", Format.PARAMETERS, limits=limits)

        assert answer.is_opened, answer
        assert len(starts) == 2

    def test_takes_what_computes_without_end_for_no_late_one(self, folder_of, starts):
        limits = SandboxLimits(cpu_seconds=1, wall_seconds=60)

        answer = probed(folder_of, endless_onnx(), Format.ONNX, limits=limits)

        assert answer.status is ProbeStatus.KILLED
        assert answer.reason == "it used up its 1 seconds of computing time"
        assert len(starts) == 1

    def test_gives_the_second_look_twice_the_time(self, folder_of, starts):
        starts.n_held_up = 2

        answer = probed(folder_of, b"{}", Format.PARAMETERS, limits=SandboxLimits(wall_seconds=1))

        assert answer.reason == "it did not end within 1 seconds, nor another within 2"

    def test_takes_no_answer_without_end(self, folder_of, pipeline, rows):
        folder, manifest = folder_of({"m": pickle.dumps(pipeline)})
        limits = SandboxLimits(answer_bytes=1000, payload_bytes=1000)

        answer = convert(folder, manifest.files[0], Format.SKOPS, rows=rows, limits=limits)

        assert answer.probe.status is ProbeStatus.KILLED
        assert "more than 2000 bytes" in answer.probe.reason

    def test_is_pending_where_nothing_can_be_locked(self, folder_of, skops_bytes, monkeypatch):
        reason = "this kernel has no Landlock"
        monkeypatch.setattr(sandbox, "is_available", lambda: Availability(False, reason, 0, ""))
        monkeypatch.setattr(sandbox, "_start", None)

        answer = probed(folder_of, skops_bytes, Format.SKOPS)

        assert (answer.status, answer.reason) == (ProbeStatus.PENDING, reason)

    @pytest.mark.skipif(not is_available().landlock_abi, reason="this kernel has no Landlock")
    def test_works_without_bubblewrap(self, folder_of, skops_bytes, rows, monkeypatch):
        bare = Availability(True, "", is_available().landlock_abi, "")
        monkeypatch.setattr(sandbox, "is_available", lambda: bare)

        answer = probed(folder_of, skops_bytes, Format.SKOPS, rows=rows)

        assert answer.is_opened, answer

    @pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
    def test_works_inside_bubblewrap(self, folder_of, skops_bytes, rows):
        assert is_available().bubblewrap

        assert probed(folder_of, skops_bytes, Format.SKOPS, rows=rows).is_opened

    def test_leaves_no_process_and_no_file_open(self, folder_of):
        before = open_files()

        probed(folder_of, b"{}", Format.PARAMETERS)

        assert open_files() == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        assert resource.getrlimit(resource.RLIMIT_NPROC) != (0, 0)

    def test_ends_with_the_process_that_asked(self, folder_of, skops_bytes):
        folder, _ = folder_of({"m": skops_bytes})
        asking = subprocess.Popen(
            [sys.executable, "-c", ASKING, str(ROOT), str(folder)], start_new_session=True
        )
        child = ""
        while not child and asking.poll() is None:
            child = Path(f"/proc/{asking.pid}/task/{asking.pid}/children").read_text().strip()
        time.sleep(0.2)  # it is importing now

        asking.kill()
        asking.wait()

        assert child
        deadline = time.monotonic() + 10
        while is_alive(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_alive(child)


class TestConvertToSkops:
    @pytest.mark.parametrize("dump", [pickle.dumps, joblib_bytes])
    def test_predicts_the_same_bit_for_bit(self, folder_of, pipeline, rows, dump):
        folder, manifest = folder_of({"m": dump(pipeline)})

        conversion = convert(folder, manifest.files[0], Format.SKOPS, rows=rows)

        assert conversion.is_equal, conversion.probe
        assert conversion.probe.agreement.max_abs_difference == 0.0
        verdict = inspect_folder(*folder_of({"m": conversion.content}, "converted"))
        assert (verdict.decision, verdict.format) == ("accepted", Format.SKOPS)

    def test_says_which_types_are_not_trusted(self, folder_of, pipeline, rows):
        folder, manifest = folder_of({"m": pickle.dumps(pipeline)})

        conversion = convert(folder, manifest.files[0], Format.SKOPS, rows=rows, trusted=())

        assert not conversion.is_equal
        assert conversion.content == b""
        assert "sklearn.tree._tree.Tree" in conversion.probe.reason

    def test_opens_no_hostile_pickle(self, folder_of, tmp_path):
        from tests.registry.artifacts.hostile import pickled

        folder, manifest = folder_of({"m": pickled(tmp_path / "canary")})

        conversion = convert(folder, manifest.files[0], Format.SKOPS, rows=[[1.0]])

        assert conversion.probe.status is ProbeStatus.REFUSED
        assert "posix.system" in conversion.probe.reason
        assert not (tmp_path / "canary").exists()

    def test_needs_rows(self, folder_of):
        folder, manifest = folder_of({"m": b"x"})

        with pytest.raises(ValueError, match="there are none"):
            convert(folder, manifest.files[0], Format.SKOPS, rows=[])


class TestReadAnswer:
    AGREEMENT = {
        "n_rows": 5, "max_abs_difference": 0.0, "max_rel_difference": 0.0,
        "n_decisions_differing": 0,
    }  # fmt: skip

    def read(self, **more):
        line = json.dumps({"status": "opened"} | more).replace("Infinity", "1e999").encode()
        result, _ = sandbox._read_answer(line + b"\nfile", "", 0, SandboxLimits())
        return result

    def test_takes_what_can_be(self):
        far = self.AGREEMENT | {"max_abs_difference": float("inf"), "n_decisions_differing": None}

        for told in (self.AGREEMENT, far):
            assert asdict(self.read(agreement=told).agreement) == told

    @pytest.mark.parametrize(
        "more",
        [
            {"n_rows": float("inf")}, {"n_rows": 0}, {"n_rows": -5},
            {"max_abs_difference": float("nan")}, {"max_abs_difference": -1.0},
            {"max_rel_difference": -1.0}, {"n_decisions_differing": -1},
            {"n_decisions_differing": 6},
        ],
    )  # fmt: skip
    def test_refuses_an_agreement_that_cannot_be(self, more):
        result = self.read(agreement=self.AGREEMENT | more)

        assert (result.status, result.reason) == (ProbeStatus.FAILED, "its answer is none")

    def test_lets_no_model_say_that_it_is_late(self):
        assert self.read(status="late").status is ProbeStatus.FAILED

    @pytest.mark.parametrize("n_predictions", [float("inf"), -1])
    def test_refuses_a_count_that_cannot_be(self, n_predictions):
        assert self.read(n_predictions=n_predictions).status is ProbeStatus.FAILED
