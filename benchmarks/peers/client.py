"""Ask another engine, which runs in a process and an environment of its own."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.workloads import ROOT

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Peer:
    """Another engine: its runner, its environment, and what it is always told."""

    runner: str
    environment: str
    parameters: Mapping[str, Any]

    @property
    def python(self) -> Path:
        """The interpreter of the environment; it need not exist."""
        return ROOT / self.environment / "bin" / "python"

    @property
    def is_installed(self) -> bool:
        """Whether `make peers` has made the environment."""
        return self.python.exists()


PEERS = {
    "vectorbt (Rust)": Peer("vectorbt_runner.py", ".venv-peers", {"engine": "rust"}),
    "vectorbt (numba)": Peer("vectorbt_runner.py", ".venv-peers", {"engine": "numba"}),
    "backtesting.py": Peer("backtesting_runner.py", ".venv-peers", {}),
    "NautilusTrader": Peer("nautilus_runner.py", ".venv-peers-nautilus", {}),
    "backtrader": Peer("backtrader_runner.py", ".venv-peers", {}),
}


@dataclass(frozen=True)
class Answer:
    """What a peer found: its trades, and a report of equity, seconds and memory."""

    trades: NDArray[Any]
    report: dict[str, Any]


class PeerFailed(RuntimeError):
    """The peer's process ended with an error; the text is the end of what it wrote."""


def ask(
    name: str, columns: Mapping[str, NDArray[Any]], timeout: float = 3600.0, **parameters: Any
) -> Answer:
    """Return a peer's answer to one request.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    columns : mapping of str to array
        ts, open, high, low, close, shape (n_bars,) or (n_bars, n_assets); pairs for a sweep.
    timeout : float
        After so many seconds the peer is stopped.
    **parameters
        The task and its numbers; see `benchmarks.peers.cases`.

    Raises
    ------
    FileNotFoundError
        The peer is not installed.
    PeerFailed
        Its process ended with an error.
    """
    peer = PEERS[name]
    if not peer.is_installed:
        raise FileNotFoundError(f"{name} is not installed in {peer.environment}; run: make peers")
    with tempfile.TemporaryDirectory(prefix="crowetrade-peer-") as folder:
        request, answer = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        document = json.dumps({**peer.parameters, **parameters})
        np.savez(request, parameters=np.array(document), **columns)  # type: ignore[arg-type]
        done = subprocess.run(
            [peer.python, HERE / peer.runner, request, answer],
            capture_output=True, text=True, check=False, timeout=timeout, cwd=folder,
        )  # fmt: skip
        if done.returncode != 0:
            raise PeerFailed(f"{name}: {done.stderr[-2000:]}")
        with np.load(answer) as found:
            return Answer(found["trades"], json.loads(str(found["report"])))
