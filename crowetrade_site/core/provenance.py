"""What code and which machine made a result.

The code digest covers the sources that can change a number (pure packages and jobs) and the
versions of the numeric libraries; documentation, admin pages and tests void no evidence.
"""

import hashlib
import platform
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMERIC_LIBRARIES = (
    "arch", "cmaes", "llvmlite", "numba", "numpy", "optuna", "pandas", "pyarrow", "scipy",
    "statsmodels",
)  # fmt: skip
SHELL = {
    "admin", "api", "management", "migrations", "models", "selectors", "services", "static",
    "templates", "tests",
}  # fmt: skip
APPS = ("numerics", "registry", "experiments", "strategies", "backtests")


def _counts(path: Path) -> bool:
    """Whether a source can change a number: below a pure package, or a job."""
    inside = path.relative_to(ROOT).parts
    if inside[0] == "numerics":
        return True
    return (len(inside) > 2 and inside[1] not in SHELL) or inside[1].startswith("jobs")


@cache
def code_digest() -> str:
    """Return the SHA-256 of the sources and library versions that can change a number."""
    digest = hashlib.sha256()
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if _counts(path):
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name, number in library_versions().items():
        digest.update(f"{name}=={number}\n".encode())
    return digest.hexdigest()


@cache
def library_versions() -> dict[str, str]:
    """Return Python's and the numeric libraries' versions."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in NUMERIC_LIBRARIES
    }


@cache
def environment() -> dict[str, str]:
    """Return what else a result may depend on: versions, platform, and the CPU's features."""
    import llvmlite.binding as llvm

    return library_versions() | {
        "platform": f"{sys.platform}-{platform.machine()}",
        "cpu": llvm.get_host_cpu_name(),
        "cpu_features": hashlib.sha256(llvm.get_host_cpu_features().flatten().encode()).hexdigest()[
            :16
        ],
    }
