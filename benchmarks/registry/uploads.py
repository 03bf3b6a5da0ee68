"""What a large upload does to the memory of web processes."""

import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import seconds, table
from benchmarks.registry.server import ADDRESS

UPLOAD_BYTES = 2**30


def measure_uploads(server: subprocess.Popen[bytes], token: str) -> None:
    """Print what an upload of a gigabyte, and its download, do to the web processes' memory."""
    rows: list[tuple[str, ...]] = [("1 GiB", "s", "MB/s", "web process grew by MB", "load")]
    piece = random.Random(7).randbytes(2**20)  # noqa: S311 - bytes to send
    digest = hashlib.sha256()
    for _ in range(UPLOAD_BYTES // len(piece)):
        digest.update(piece)
    for name, work in {
        "PUT": lambda: _put(token, piece, digest.hexdigest(), "desk/large/whole.bin"),
        "PATCH, pieces of 64 MiB": lambda: _patch(token, piece, digest.hexdigest()),
    }.items():
        processes = _children(server.pid)
        _put(token, b"x", hashlib.sha256(b"x").hexdigest(), f"desk/{len(rows)}/small.bin", 1)
        before = {pid: _status(pid, "VmRSS") for pid in processes}
        for pid in processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        taken = seconds(work)
        grown = max(_status(pid, "VmHWM") - before[pid] for pid in processes)
        rows.append((name, f"{taken:.1f}", f"{UPLOAD_BYTES / 1e6 / taken:.0f}", f"{grown:.1f}",
                     f"{os.getloadavg()[0]:.1f}"))  # fmt: skip
    path = Path(os.environ["CROWETRADE_HOME"], "plain.bin")

    def plain() -> None:
        hashed = hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(UPLOAD_BYTES // len(piece)):
                hashed.update(piece)
                file.write(piece)
            os.fsync(file.fileno())

    taken = seconds(plain)
    rows.append(("hash, write, fsync alone", f"{taken:.1f}", f"{UPLOAD_BYTES / 1e6 / taken:.0f}",
                 "–", f"{os.getloadavg()[0]:.1f}"))  # fmt: skip
    table(rows)


def _send(
    verb: str, path: str, token: str, headers: dict[str, str], body: Any = None
) -> dict[str, Any]:
    link = http.client.HTTPConnection(*ADDRESS, timeout=300, blocksize=2**20)
    link.request(verb, path, body=body, headers={"Authorization": f"Bearer {token}"} | headers)
    answer = link.getresponse()
    said = answer.read()
    link.close()
    if answer.status >= 300:
        sys.exit(f"{verb} {path}: {answer.status} {said[:300]!r}")
    return dict(json.loads(said)) if said else {}


def _put(token: str, piece: bytes, sha256: str, path: str, n_bytes: int = UPLOAD_BYTES) -> None:
    headers = {"Content-Length": str(n_bytes), "X-Content-SHA256": sha256}
    pieces = (piece for _ in range(n_bytes // len(piece)))
    _send("PUT", f"/api/v1/files/{path}", token, headers, pieces)


def _patch(token: str, piece: bytes, sha256: str) -> None:
    told = {"path": "desk/large/parts.bin", "n_bytes": UPLOAD_BYTES, "sha256": sha256}
    kind = {"Content-Type": "application/json"}
    upload = _send("POST", "/api/v1/uploads/", token, kind, json.dumps(told))
    part = 64 * len(piece)
    for offset in range(0, UPLOAD_BYTES, part):
        headers = {
            "Content-Length": str(part), "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
        }  # fmt: skip
        pieces = (piece for _ in range(64))
        _send("PATCH", f"/api/v1/uploads/{upload['id']}/", token, headers, pieces)


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _status(pid: int, field: str) -> float:
    """Return a field of a process's status [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))
