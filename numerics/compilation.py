"""Configure numba once, before the first kernel, and offer its decorator.

numba keeps compiled kernels on disk but looks only at the file a kernel is written in: after an
edit of a function in another file that the kernel calls, it would run the old machine code. The
folder of the cache therefore carries a hash of all our pure sources, of the versions that generate
code and of the processor, so that any change lands in an empty folder.

Every kernel imports its decorator from here and is spelled
``@njit(cache=True, error_model="numpy")``. ``nogil=True`` is added to a kernel only where a thread
of the same process must go on beside it (a worker's heartbeat beside a long simulation).
"""

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numba.np.arraymath  # or else it is loaded in the middle of somebody's first result
import numpy as np
from numba import njit
from numba.extending import overload

__all__ = [
    "bare_part",
    "cache_directory",
    "compile_as",
    "environment",
    "inlined_part",
    "kernel_part",
    "njit",
    "source_digest",
]

_ROOT = Path(__file__).resolve().parents[1]

PURE_PACKAGES = (
    "numerics",
    "backtests/engine",
    "backtests/validation",
    "experiments/statistics",
    "experiments/bandits",
    "experiments/simulation",
    "strategies/signals",
    "strategies/regimes",
    "strategies/portfolio",
    "strategies/risk",
    "strategies/execution",
    "strategies/attribution",
    "strategies/pipeline",
)


@cache
def source_digest() -> str:
    """Return the SHA-256 of every pure source file that can change a computed number.

    Returns
    -------
    str
        64 hexadecimal digits over the sorted relative paths and bytes of the Python files under
        `PURE_PACKAGES`; computed once per process.
    """
    digest = hashlib.sha256()
    for package in PURE_PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_ROOT).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Return the versions and the processor on which equal inputs give equal bytes."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "machine": platform.machine(),
        "cpu": _cpu_name(),
    }


@cache
def _cpu_name() -> str:
    from llvmlite import binding

    return str(binding.get_host_cpu_name())


def cache_directory() -> Path:
    """Return the folder of compiled kernels that fits these sources, versions and processor."""
    key = hashlib.sha256(
        "\0".join([source_digest(), *environment().values(), sys.implementation.cache_tag]).encode()
    )
    name, root = key.hexdigest()[:16], _cache_root()
    return root if root.name == name else root / name  # a child is told the folder itself


@cache
def _cache_root() -> Path:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    if home := os.environ.get("CROWETRADE_HOME"):
        return Path(home) / "cache" / "numba"
    return Path.home() / ".cache" / "crowetrade" / "numba"


# For functions that only other kernels call: the machine code of a kernel holds its parts, so they
# need no entry from Python and no file of their own. Compiling them takes two thirds of the time.
kernel_part = njit(
    error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=False
)  # type: ignore[call-overload]  # options

# The same for parts of the hottest loops that are called from one place: no calls are left.
inlined_part = njit(
    error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)  # type: ignore[call-overload]  # options

# The same for parts of loops that neither make arrays nor keep them: arrays inside tuples are then
# read without counting their references, which costs more than a short part itself.
bare_part = njit(
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    forceinline=True,
    _nrt=False,
)  # type: ignore[call-overload]  # options


def compile_as(plain: Callable[..., Any], compiled: Callable[..., Any]) -> None:
    """Let kernels that name a plain function run another in its place, of the same parameters.

    Parameters
    ----------
    compiled : function
        What numba compiles there; it may call intrinsics, which Python cannot.
    """
    overload(plain, strict=False, inline="always")(lambda *_types: compiled)


# In the environment too: numba reads all its settings anew once any of them has changed there, as
# workers change the number of threads, and would keep kernels where no hash tells versions apart.
os.environ["NUMBA_CACHE_DIR"] = str(cache_directory())
numba.config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]  # set at run time
