"""What a model's file says it was made with, read without opening it.

It is the word of the file: nothing is decided by it.

References
----------
.. [1] skops, `io/_persist.py`: ``schema.json`` has ``protocol`` and ``_skops_version``; the state
   of an estimator has ``_sklearn_version``.
.. [2] onnx/onnx.proto3, ModelProto: ``ir_version``, ``producer_name``, ``producer_version``.
.. [3] safetensors, "Format": ``__metadata__`` is a map from text to text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry.artifacts.archives import open_zip
from registry.artifacts.arrays import read_tensor_metadata
from registry.artifacts.contents import Format, mapped
from registry.artifacts.errors import UnreadableError
from registry.artifacts.manifest import FileEntry, open_regular
from registry.artifacts.onnx_graphs import is_for_complete_rows, maker_of, opsets_of
from registry.artifacts.onnx_writing import REFUSE
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import SCHEMA

MOST_ENTRIES = 100
LONGEST_TEXT = 500


def framework_of(folder: Path, entry: FileEntry, model_format: Format) -> dict[str, Any]:
    """Return what a model's file says it was made with, as plain JSON values.

    Parameters
    ----------
    folder, entry
        The file, which `inspect_folder` has not refused.
    model_format : Format
        What it is.

    Raises
    ------
    ArtifactError
        The file is not there, or is damaged.
    """
    with open_regular(folder / entry.path) as file:
        stream = Bounded(file)
        match model_format:
            case Format.SKOPS:
                return _of_skops(stream)
            case Format.ONNX:
                return _of_onnx(stream)
            case Format.SAFETENSORS:
                said = _plain(read_tensor_metadata(stream))
                return {"metadata": said} if said else {}
    return {}


def _of_skops(stream: Bounded) -> dict[str, Any]:
    archive = open_zip(stream)
    if archive is None:
        raise UnreadableError("a damaged zip archive")
    schema = json.loads(archive.read(SCHEMA))
    said = {"skops": schema.get("_skops_version"), "protocol": schema.get("protocol")}
    versions = sorted(set(_sklearn_versions(schema)))
    found = _plain({name: str(one) for name, one in said.items() if one is not None})
    return found | ({"scikit-learn": _text(", ".join(versions))} if versions else {})


def _sklearn_versions(schema: Any) -> Iterator[str]:
    """Yield the versions of scikit-learn that the estimators in a schema were fitted with."""
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            version = node.get("_sklearn_version")
            if isinstance(version, dict) and isinstance(version.get("content"), str):
                yield version["content"].strip('"')
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _of_onnx(stream: Bounded) -> dict[str, Any]:
    with memoryview(mapped(stream)) as buffer:
        found: dict[str, Any] = _plain(maker_of(buffer)) | {"opsets": opsets_of(buffer)}
        if is_for_complete_rows(buffer):
            found["missing_values"] = REFUSE
    return found


def _plain(said: dict[str, str]) -> dict[str, Any]:
    return {_text(name): _text(value) for name, value in list(said.items())[:MOST_ENTRIES]}


def _text(said: str) -> str:
    """Return a text without what no database or page keeps."""
    return "".join(sign for sign in said[:LONGEST_TEXT] if sign.isprintable())
