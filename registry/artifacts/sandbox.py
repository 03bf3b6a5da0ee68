"""Opening a model where it can do no harm: in a child process that is locked up first.

A probe answers whether a model opens and predicts. Trees are arrays of indices that scikit-learn
does not check, so an accepted file may still crash its reader; a quarantined pickle is opened
nowhere else. Where no wall can be built the answer is pending, and nothing is opened.
"""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artifacts.agreement import Agreement
from registry.artifacts.contents import Format
from registry.artifacts.errors import ArtifactError
from registry.artifacts.findings import printable
from registry.artifacts.limits import Limits
from registry.artifacts.locks import SandboxLimits, landlock_abi
from registry.artifacts.manifest import FileEntry, open_regular
from registry.artifacts.pickles import scan_compressed
from registry.artifacts.streams import Bounded
from registry.artifacts.syscalls import of_this_machine
from registry.artifacts.trusted import TRUSTED_TYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value = float | str | None
Rows = Sequence[Sequence[Value]] | Sequence[Mapping[str, Value]]
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from registry.artifacts.sandbox_child import main; main()"
)
_CHUNK = 1 << 16
_SIGNAL_BASE = 128
_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 0.01


class ProbeStatus(StrEnum):
    """How opening a model went; late is what ran out of time on the clock, not of computing time.

    On a machine under load that says nothing against a model. One that computes without end meets
    the limit of computing time, which waits do not count for, and is killed.
    """

    OPENED = "opened"
    REFUSED = "refused"
    FAILED = "failed"
    KILLED = "killed"
    LATE = "late"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether models can be opened in a sandbox on this machine.

    Attributes
    ----------
    is_available : bool
    reason : str
        Why not; empty where it is.
    landlock_abi : int
        Version of Landlock; 0 without.
    bubblewrap : str
        Path of bubblewrap; empty where it is not installed or does not work.
    """

    is_available: bool
    reason: str
    landlock_abi: int
    bubblewrap: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of a model in the sandbox.

    Attributes
    ----------
    status : ProbeStatus
    reason : str
        Why not opened; where it was, why it predicts no zeros, and else empty.
    locks : tuple of str
        What held while it was open.
    n_predictions : int
        Rows predicted.
    predictions : tuple
        The first of them, numbers or labels.
    seconds : float
        Time to open and predict, inside [s].
    agreement : Agreement or None
        Of a conversion: how far the predictions of both models are apart.
    """

    status: ProbeStatus
    reason: str = ""
    locks: tuple[str, ...] = ()
    n_predictions: int = 0
    predictions: tuple[Any, ...] = ()
    seconds: float = 0.0
    agreement: Agreement | None = None

    @property
    def is_opened(self) -> bool:
        """Whether the model opened, and predicted where it was asked to."""
        return self.status is ProbeStatus.OPENED

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"status": self.status.value}


@cache
def is_available() -> Availability:
    """Return whether this machine can lock a process up, and by what."""
    if not sys.platform.startswith("linux") or of_this_machine() is None:
        return Availability(False, "sandboxes need Linux on x86_64 or aarch64", 0, "")
    abi, bubblewrap = landlock_abi(), _working_bubblewrap()
    if not abi and not bubblewrap:
        reason = "this kernel has no Landlock, and bubblewrap is not installed or does not work"
        return Availability(False, reason, 0, "")
    return Availability(True, "", abi, bubblewrap)


def _working_bubblewrap() -> str:
    path = shutil.which("bwrap")
    if path is None:
        return ""
    command = [*_wrapped(path), sys.executable, "-I", "-S", "-c", "pass"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return path if done.returncode == 0 else ""


def _wrapped(bubblewrap: str) -> list[str]:
    """Return the command of an empty, read-only room with Python in it and no network."""
    command = [bubblewrap, "--die-with-parent", "--unshare-pid", "--unshare-net"]
    command += ["--unshare-ipc", "--unshare-uts", "--proc", "/proc", "--dev", "/dev"]
    if os.geteuid() == 0:
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user"]
    for folder in (Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), _ROOT / "registry"):
        for above in reversed(folder.parents[:-1]):  # nobody must be able to pass through
            command += ["--perms", "0755", "--dir", str(above)]
        command += ["--ro-bind", str(folder.resolve()), str(folder)]
    for link in (Path("/lib"), Path("/lib64"), Path("/bin")):
        if link.is_symlink():
            command += ["--symlink", str(link.readlink()), str(link)]
        elif link.is_dir():
            command += ["--ro-bind", str(link), str(link)]
    return command


def probe(
    folder: Path,
    entry: FileEntry,
    model_format: Format,
    *,
    rows: Rows | NDArray[Any] | None = None,
    opens_pickles: bool = False,
    trusted: Collection[str] = TRUSTED_TYPES,
    limits: SandboxLimits | None = None,
) -> Probe:
    """Open a model in the sandbox and predict once; a child that is late is followed by another.

    Parameters
    ----------
    folder, entry
        The file that the model is.
    model_format : Format
        What it is, as its `Verdict` said.
    rows : sequence of rows, optional
        Lists of values or mappings of column names to values; without, an estimator or a graph is
        asked to predict zeros, and if it cannot, that is noted and nothing more.
    opens_pickles : bool
        Open a quarantined pickle, of listed names alone.
    trusted : collection of str
        The registry's list of skops types.
    limits : SandboxLimits

    Raises
    ------
    ArtifactError
        The file is not there.
    """
    asked = {"task": "probe", "rows": rows, "opens_pickles": opens_pickles}
    limits = limits or SandboxLimits()
    first, _ = run(folder, entry, model_format, asked, trusted, limits)
    if first.status is not ProbeStatus.LATE:
        return first
    # Twice the time on the clock: on a busy machine what never ends gets to its computing time.
    longer = replace(limits, wall_seconds=2 * limits.wall_seconds)
    second, _ = run(folder, entry, model_format, asked, trusted, longer)
    if second.status is not ProbeStatus.LATE:
        return second
    return replace(second, reason=f"{first.reason}, nor another within {longer.wall_seconds}")


def run(
    folder: Path,
    entry: FileEntry,
    model_format: Format,
    asked: Mapping[str, Any],
    trusted: Collection[str],
    limits: SandboxLimits,
) -> tuple[Probe, bytes]:
    """Run one task on a file in the sandbox; return the answer and the bytes that follow it."""
    available = is_available()
    if not available.is_available:
        return Probe(ProbeStatus.PENDING, available.reason), b""
    names: tuple[str, ...] = ()
    if model_format is Format.PICKLE:
        names, refusal = _scan(folder, entry, is_asked_for=asked["opens_pickles"])
        if refusal:
            return Probe(ProbeStatus.REFUSED, refusal), b""
    with open_regular(folder / entry.path) as file:
        request = {
            **asked,
            "rows": _plain_rows(asked["rows"]),
            "format": model_format.value,
            "file": file.fileno(),
            "sha256": entry.sha256,
            "n_bytes": entry.n_bytes,
            "names": names,
            "trusted": sorted(trusted),
            "limits": asdict(limits),
            "needs_landlock": not available.bubblewrap,
        }
        return _ask(request, file.fileno(), available.bubblewrap, limits)


def _scan(folder: Path, entry: FileEntry, *, is_asked_for: bool) -> tuple[tuple[str, ...], str]:
    if not is_asked_for:
        return (), "a pickle is opened only where that was asked for"
    with open_regular(folder / entry.path) as file:
        try:
            scan = scan_compressed(Bounded(file), entry.path, Limits())
        except ArtifactError as error:
            return (), str(error)
    found = ", ".join(f"{finding.code}: {finding.text}" for finding in scan.findings)
    return scan.globals, found if scan.is_pickle else "this is no pickle"


def _plain_rows(rows: Any) -> list[Any] | None:
    if rows is None:
        return None
    if hasattr(rows, "tolist"):
        return list(rows.tolist())
    return [dict(row) if isinstance(row, Mapping) else list(row) for row in rows]


def _ask(
    request: Mapping[str, Any], file: int, bubblewrap: str, limits: SandboxLimits
) -> tuple[Probe, bytes]:
    letter = os.memfd_create("request")
    answer, answer_end = os.pipe()
    try:
        with os.fdopen(os.dup(letter), "wb") as writer:
            writer.write(json.dumps(request).encode())
        child = _start(bubblewrap, (file, letter, answer_end), (letter, answer_end))
        os.close(answer_end)
        answer_end = -1
        patience = 0.0
        try:
            raw, fault = _collect(answer, limits)
            patience = 0.0 if fault else _PATIENCE_SECONDS
        except TimeoutError as late:
            return Probe(ProbeStatus.LATE, str(late)), b""
        finally:
            code = _end(child, patience)
    finally:
        for descriptor in (letter, answer, answer_end):
            if descriptor >= 0:
                os.close(descriptor)
    return _read_answer(raw, fault, code, limits)


def _start(
    bubblewrap: str, kept: tuple[int, ...], arguments: tuple[int, int]
) -> subprocess.Popen[bytes]:
    command = _wrapped(bubblewrap) if bubblewrap else []
    command += [sys.executable, "-I", "-B", "-c", _PROGRAM, str(_ROOT), *map(str, arguments)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=kept, start_new_session=True, cwd="/", env={"LANG": "C.UTF-8", **threads},
    )  # fmt: skip


def _collect(answer: int, limits: SandboxLimits) -> tuple[bytes, str]:
    """Read what the child says, up to a length and until a time: then `TimeoutError` is raised."""
    deadline = time.monotonic() + limits.wall_seconds
    most = limits.answer_bytes + limits.payload_bytes
    pieces: list[bytes] = []
    n_bytes = 0
    poll = select.poll()
    poll.register(answer, select.POLLIN | select.POLLHUP)
    while (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        piece = os.read(answer, _CHUNK)
        if not piece:
            return b"".join(pieces), ""
        pieces.append(piece)
        n_bytes += len(piece)
        if n_bytes > most:
            return b"", f"it answered with more than {most} bytes"
    raise TimeoutError(f"it did not end within {limits.wall_seconds} seconds")


def _end(child: subprocess.Popen[bytes], patience: float) -> int:
    """End the child with everything it may have started, and return how it ended.

    One that has said all it had to say is left some seconds to tell how: the machine may be busy.
    """
    deadline = time.monotonic() + patience
    # It is not waited for yet: until then its number cannot become another's.
    how = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, child.pid, how) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    os.killpg(child.pid, signal.SIGKILL)
    return child.wait()


def _read_answer(raw: bytes, fault: str, code: int, limits: SandboxLimits) -> tuple[Probe, bytes]:
    """Read an answer as what it is: the word of a process that may be hostile."""
    if fault:
        return Probe(ProbeStatus.KILLED, fault), b""
    line, _, payload = raw.partition(b"\n")
    if not line:
        return Probe(ProbeStatus.KILLED, _cause(code, limits)), b""
    if len(line) > limits.answer_bytes:
        return Probe(ProbeStatus.FAILED, "its answer is too long"), b""
    try:
        answer = json.loads(line)
        agreement = answer.get("agreement")
        result = Probe(
            status=_status(answer["status"]),
            reason=printable(str(answer.get("reason", ""))),
            locks=tuple(map(str, answer.get("locks", ()))),
            n_predictions=_count(answer.get("n_predictions", 0)),
            predictions=tuple(answer.get("predictions", ())),
            seconds=float(answer.get("seconds", 0.0)),
            agreement=None if agreement is None else _agreement(agreement),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Probe(ProbeStatus.FAILED, "its answer is none"), b""
    return result, payload


def _status(told: Any) -> ProbeStatus:
    status = ProbeStatus(told)
    if status is ProbeStatus.LATE:  # the clock is the asker's: a model must not call for patience
        raise ValueError("no answer says that it is late")
    return status


def _agreement(told: Mapping[str, Any]) -> Agreement:
    n_rows, n_differing = _count(told["n_rows"], least=1), told["n_decisions_differing"]
    return Agreement(
        n_rows, _difference(told["max_abs_difference"]), _difference(told["max_rel_difference"]),
        None if n_differing is None else _count(n_differing, most=n_rows),
    )  # fmt: skip


def _count(told: Any, *, least: int = 0, most: float = math.inf) -> int:
    """Return a count, or refuse what none can be."""
    count = int(told)
    if not least <= count <= most:
        raise ValueError(f"{count} is no count")
    return count


def _difference(told: Any) -> float:
    """Return how far something is apart, which may be infinitely far, but not less than nothing."""
    difference = float(told)
    if not difference >= 0.0:  # not a number is neither
        raise ValueError(f"{difference} is no difference")
    return difference


def _cause(code: int, limits: SandboxLimits) -> str:
    number = -code if code < 0 else code - _SIGNAL_BASE
    if number == signal.SIGXCPU:
        return f"it used up its {limits.cpu_seconds} seconds of computing time"
    if number in signal.valid_signals():
        return f"it was ended by {signal.Signals(number).name}"
    return f"it ended without an answer (exit status {code})"
