"""Which rules files are looked at by: a digest of the sources that hold them, and of libraries."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# What reads the bytes of a model or of its documents. Headers of ONNX and safetensors are read by
# sources of this package, so the libraries of those names decide nothing here.
LIBRARIES = ("numpy", "onnxruntime", "PyYAML", "scikit-learn", "scipy", "skops")


@cache
def scanner_revision() -> str:
    """Return the revision of the scanner: 16 hexadecimal digits, others after any change to it."""
    sources = {path.name: path.read_bytes() for path in Path(__file__).parent.glob("*.py")}
    return revision_of(sources, {name: _version(name) for name in LIBRARIES})


def revision_of(sources: Mapping[str, bytes], versions: Mapping[str, str]) -> str:
    """Return the revision of a scanner of these sources on these libraries.

    Comments, docstrings and how the lines are laid out are no part of it: what they say moves no
    version. A Python of another minor version may write the same syntax tree otherwise, and is
    then another scanner, which is right: it brings another pickle, zip and JSON.

    Parameters
    ----------
    sources : mapping
        Names of modules to their text in Python.
    versions : mapping
        Names of libraries to their versions.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(_meaning(source)).digest())
    for name, number in sorted(versions.items()):
        digest.update(f"{name}\0{number}\0".encode())
    return digest.hexdigest()[:16]


def _meaning(source: bytes) -> bytes:
    """Return what a module does: its syntax tree without statements that are only constants."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_constant(one)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu
        return ""
