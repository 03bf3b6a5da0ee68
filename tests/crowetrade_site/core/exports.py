"""Reading, changing and verifying the files of an exported trail."""

import json
import subprocess
import sys
from pathlib import Path

from crowetrade_site.core import canonical


def verdict(folder: Path, *arguments: str, code: int = 1) -> str:
    """Run the copied verifier without site packages and environment; return its last line."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", folder / "verify_trail.py", *arguments],
        capture_output=True, text=True, check=False, cwd="/", env={},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return done.stdout.splitlines()[-1]


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def rewrite(file: Path, documents: list[dict]) -> None:
    file.write_text("".join(f"{canonical.encode(document)}\n" for document in documents))


def change(file: Path, at: int, **changes: object) -> None:
    documents = lines(file)
    documents[at] |= changes
    rewrite(file, documents)
