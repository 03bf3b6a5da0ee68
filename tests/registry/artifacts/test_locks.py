"""What a locked process cannot do any more."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from registry.artifacts import syscalls
from registry.artifacts.locks import landlock_abi

ROOT = Path(__file__).resolve().parents[3]
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
PROGRAM = """
import ctypes, mmap, os, resource, signal, socket, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from registry.artifacts.locks import SandboxLimits, library_folders, lock_down
place, attempt, parent = Path(sys.argv[2]), sys.argv[3], os.getppid()
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
class Two(threading.Thread):
    def run(self): pass
opened = open(place / "readable", "rb")
writable = open(place / "open", "r+b")
limits = SandboxLimits(memory_bytes=1 << 30, cpu_seconds=5)
print(*lock_down(limits, library_folders()), sep=", ", flush=True)
for number, line in enumerate(attempt.split("\\n")):
    try:
        exec(line)
        print(number, "done", flush=True)
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        print(number, "stopped by", type(error).__name__, error, flush=True)
"""
STOPPED = {
    "reading a file": "open(place / 'readable').read()",
    "reading a file by its address": "open('/etc/passwd').read()",
    "reading another process": f"open(f'/proc/{os.getpid()}/environ', 'rb').read()",
    "writing a file": "open(place / 'new', 'w').write('x')",
    "writing an open file": "writable.write(b'x'); writable.flush(); os.fsync(writable.fileno())",
    "cutting a file": "os.truncate(place / 'readable', 0)",
    "removing a file": "os.unlink(place / 'readable')",
    "making a folder": "os.mkdir(place / 'folder')",
    "making a link": "os.symlink('/', place / 'link')",
    "renaming a file": "os.rename(place / 'readable', place / 'other')",
    "changing a mode": "os.chmod(place / 'readable', 0)",
    "changing an open mode": "os.fchmod(writable.fileno(), 0)",
    "changing a time": "os.utime(place / 'readable')",
    "changing an attribute": "os.setxattr(place / 'readable', 'user.x', b'x')",
    "starting a process": "os.fork()",
    "starting a program": "os.execv('/bin/true', ['true'])",
    "starting a program anew": "os.posix_spawn('/bin/true', ['true'], {})",
    "starting a thread": "Two().start()",
    "a socket": "socket.socket()",
    "a local socket": "socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "socket.socketpair()",
    "killing its parent": "os.kill(parent, signal.SIGTERM)",
    "killing a thread elsewhere": f"call({234}, parent, parent, signal.SIGTERM)",
    "limiting its parent": "resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))",
    "tracing its parent": f"call({101}, 16, parent, 0, 0)",
    "becoming root": "os.setuid(0)",
    "raising its limits": "resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))",
    "a file in memory": "os.memfd_create('x')",
    "a new namespace": f"call({272}, 0x10000000)",
    "mounting": f"call({165}, 0, 0, 0, 0, 0)",
    "io_uring": f"call({425}, 8, 0)",
    "bpf": f"call({321}, 0, 0, 0)",
    "keys": f"call({250}, 0, 0, 0)",
    "clone3": f"call({435}, 0, 0)",
    "a gigabyte": "mmap.mmap(-1, 1 << 30)",
}
X86_ONLY = {name for name, attempt in STOPPED.items() if "call(" in attempt}


def attempt_locked(attempt: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        for file in ("readable", "open"):
            (place / file).write_bytes(b"content")
            (place / file).chmod(0o666)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(ROOT), name, attempt],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert {path.name for path in place.iterdir()} == {"readable", "open"}
        assert (place / "readable").read_bytes() == (place / "open").read_bytes() == b"content"
    return done


@pytest.fixture(scope="module")
def outcomes():
    """What became of every attempt, all made by one locked process."""
    done = attempt_locked("\n".join(STOPPED.values()))
    assert "landlock" in done.stdout, done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()[1:]]
    return {int(number): outcome for number, _, outcome in lines}


@pytest.mark.skipif(not landlock_abi(), reason="this kernel has no Landlock")
class TestLockDown:
    @pytest.mark.parametrize("name", STOPPED)
    def test_stops(self, name, outcomes):
        if name in X86_ONLY and os.uname().machine != "x86_64":
            pytest.skip("the numbers of system calls are those of x86_64")

        assert outcomes[list(STOPPED).index(name)].startswith("stopped by")

    def test_leaves_a_process_that_can_compute(self):
        attempt = "assert opened.read() == b'content' and sum(range(9)) == 36; import decimal"

        done = attempt_locked(attempt if os.access(sys.base_prefix, os.X_OK) else "pass")

        assert "done" in done.stdout or "No module named" in done.stderr, done.stderr

    def test_ends_what_computes_too_long(self):
        done = attempt_locked("while True: pass")

        assert done.returncode < 0
        assert "done" not in done.stdout

    def test_refuses_a_process_of_two_threads(self):
        program = PROGRAM.replace(
            "opened =", "gate = threading.Event(); threading.Thread(target=gate.wait, daemon=True)"
            ".start()\nopened =",
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as name:
            for file in ("readable", "open"):
                (Path(name) / file).write_bytes(b"content")
            done = subprocess.run(
                [sys.executable, "-c", program, str(ROOT), name, "pass"],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        assert "2 threads, of which only one would be locked" in done.stderr
        assert done.stdout == ""


class TestSystemCalls:
    @pytest.mark.parametrize("machine", HEADERS)
    def test_have_the_numbers_of_the_kernel(self, machine):
        if not HEADERS[machine].is_file():
            pytest.skip("the kernel's headers are not installed")
        text = HEADERS[machine].read_text()
        known = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.MULTILINE))
        column = {"x86_64": 1, "aarch64": 2}[machine]

        rows = [row.split() for row in syscalls._DENIED.split(";")]

        for row in rows:
            if row[0] in known:
                assert row[column] == known[row[0]], row
            else:
                assert row[column] == "-" or int(row[column]) > 450, row
