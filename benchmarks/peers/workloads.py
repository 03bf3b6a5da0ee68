"""The reference workloads: where their data come from and what they must give."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Final equity to the cent, and trades: closed ones, in W2 fills, in W3 the sum over the pairs.
REFERENCE: dict[str, tuple[float, int]] = {
    "W1": (998_203.04, 13_738),
    "W2": (17_236_519.59, 31_642),
    "W3": (1_223_686.07, 113_447),
    "W4": (999_669.71, 2_755),
    "W4 daily": (999_988.24, 30),
}

# What W4 on daily bars loses under rules that peers leave unstated.
W4_DAILY: dict[str, tuple[dict[str, Any], float]] = {
    "entry bar checked, stop first": ({}, 11.76),
    "entry bar ignored": ({"checks_entry_bar": False}, 17.04),
    "entry bar ignored, limit slips": ({"checks_entry_bar": False, "slips_limit": True}, 17.18),
    "limit wins a double touch": ({"first": 1}, 9.17),
}


def data_folder() -> Path:
    """Return the folder of real market data; it need not exist."""
    return Path(os.environ.get("CROWETRADE_DATA", ROOT.parent / "shared" / "data"))


def reference_workloads() -> ModuleType:
    """Return the module that makes the workloads' bars from a fixed seed.

    Raises
    ------
    FileNotFoundError
        It is not beside the folder of market data.
    """
    path = data_folder().parent / "bench" / "data.py"
    if not path.is_file():
        raise FileNotFoundError(f"The reference workloads are not at {path}.")
    spec = importlib.util.spec_from_file_location("reference_workloads", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is not a Python module.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
