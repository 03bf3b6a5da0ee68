"""Locking the calling process up for good: what it may still read, and nothing it may change.

Landlock, an unprivileged user, no new privileges, resource limits and a filter of system calls,
by ctypes alone. Each holds without the others; together they are the last line, not the gate.

References
----------
.. [1] Linux, Documentation/userspace-api/landlock.rst. .. [2] seccomp(2), bpf(2), prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from registry.artifacts.errors import ArtifactError
from registry.artifacts.limits import MIB
from registry.artifacts.syscalls import SystemCalls, of_this_machine

NOBODY = 65534
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_ALL_TCP, _ALL_SCOPES = 0b11, 0b11
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_FILTER = 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_CLONE_THREAD, _X32 = 0x10000, 0x40000000


class LockError(ArtifactError):
    """A lock could not be put on; whatever was to be opened stays closed."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a probe may use.

    Attributes
    ----------
    memory_bytes : int
        Address space [bytes].
    cpu_seconds, wall_seconds : int
        Computing time inside the lock, and time in all [s].
    n_open_files : int
    answer_bytes, payload_bytes : int
        Length of the answer, and of a converted model after it [bytes].
    """

    memory_bytes: int = 2048 * MIB
    cpu_seconds: int = 30
    wall_seconds: int = 120
    n_open_files: int = 64
    answer_bytes: int = MIB
    payload_bytes: int = 1024 * MIB


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    # Every argument as wide as a register: a bare int would be passed as 32 bits.
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *wide))


@cache
def landlock_abi() -> int:
    """Return the version of Landlock that this kernel offers; 0 where it offers none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def library_folders() -> list[Path]:
    """Return the folders that Python reads its own code from, for imports inside the lock."""
    folders = {Path(sys.base_prefix) / "lib", Path(sys.prefix) / "lib"}
    folders |= {Path(path) for path in ("/lib", "/lib64", "/usr/lib", "/usr/lib64")}
    folders |= {Path(path) for path in ("/usr/share/zoneinfo", "/usr/local/lib")}
    return sorted(folder.resolve() for folder in folders if folder.is_dir())


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends.

    Raises
    ------
    LockError
        The kernel does not.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def lock_down(
    limits: SandboxLimits, readable: Iterable[Path] = (), *, needs_landlock: bool = True
) -> tuple[str, ...]:
    """Lock the calling process up; there is no way back.

    Call it in a process of one thread: Landlock binds the calling thread alone.

    Parameters
    ----------
    limits : SandboxLimits
    readable : iterable of Path
        Folders it may go on reading; files that are open stay open.
    needs_landlock : bool
        False where another wall (bubblewrap) stands around the process.

    Returns
    -------
    tuple of str
        The locks that hold.

    Raises
    ------
    LockError
        One of them could not be put on. The process may be half locked: end it.
    """
    calls = of_this_machine()
    if calls is None:
        raise LockError("the system calls of this kind of machine are not known here")
    n_threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - no Path per thread
    if n_threads != 1:
        raise LockError(f"{n_threads} threads, of which only one would be locked")
    held = ["no_new_privs"]
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)  # first: without it only root may do what follows
    abi = landlock_abi()
    if abi:
        _landlock(abi, readable)
        held.append(f"landlock {abi}")
    elif needs_landlock:
        raise LockError("this kernel offers no Landlock")
    held.append(f"uid {_become_nobody()}")
    die_with_parent()  # again: whoever becomes nobody forgets it
    _prctl(_PR_SET_DUMPABLE, 0)
    _limit(limits)
    held.append("rlimits")
    _filter(calls)
    return (*held, "seccomp")


def _prctl(option: int, value: int, pointer: object = 0) -> None:
    if _libc().prctl(option, ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise LockError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _landlock(abi: int, readable: Iterable[Path]) -> None:
    rights = (1 << 13) - 1  # everything version 1 knows of; later versions add one bit each
    rights |= (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)
    rights |= 1 << 15 if abi >= 5 else 0
    fields = [rights, *([_ALL_TCP] if abi >= 4 else []), *([_ALL_SCOPES] if abi >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        raise LockError(f"landlock: {os.strerror(ctypes.get_errno())}")
    for folder in readable:
        descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, descriptor)
        failed = _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        os.close(descriptor)
        if failed:
            raise LockError(f"landlock, {folder}: {os.strerror(ctypes.get_errno())}")
    if _syscall(_RESTRICT_SELF, ruleset, 0):
        raise LockError(f"landlock: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


def _become_nobody() -> int:
    """Give up root; another user stays who it is."""
    if os.geteuid() == 0 or os.getuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        except OSError as error:
            raise LockError(f"root cannot be given up: {error.strerror}") from error
    return os.getuid()


def _limit(limits: SandboxLimits) -> None:
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: limits.n_open_files,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in bounds.items():
        # Computing time ends by a signal of its own, and a second later by the one nobody catches.
        last = most + 1 if kind == resource.RLIMIT_CPU else most
        try:
            resource.setrlimit(kind, (most, last))
        except (ValueError, OSError) as error:
            raise LockError(f"resource limit {kind}: {error}") from error


def _filter(calls: SystemCalls) -> None:
    """Refuse system calls by seccomp; another architecture's numbers end the process."""
    program = _program(calls, os.getpid())
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    # struct sock_fprog: a length, padding, a pointer
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.create_string_buffer(header, len(header)))


def _program(calls: SystemCalls, pid: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: (code, jump if true, jump if false, operand)."""
    refuse = (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, calls.audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if calls.has_x32:
        program += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in calls.denied:
        program += [(_EQUAL, 0, 1, number), refuse]
    # clone3 hides its flags in memory: "no such call" makes the C library fall back to clone.
    program += [(_EQUAL, 0, 1, calls.clone3), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    guarded = (
        (calls.clone, _ANY_BIT, _CLONE_THREAD),
        (calls.tgkill, _EQUAL, pid),
        (calls.prlimit, _EQUAL, 0),
    )
    for number, test, operand in guarded:
        program += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        program += [(test, 1, 0, operand), refuse, (_LOAD, 0, 0, _NUMBER)]
    return [*program, (_RETURN, 0, 0, _ALLOW)]
