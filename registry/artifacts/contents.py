"""What one file is, by its bytes and their structure; its name is never asked."""

from __future__ import annotations

import io
import mmap
import re
import zipfile
from codecs import BOM_UTF8
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from registry.artifacts.archives import (
    HDF5_MAGIC,
    UNREADABLE_MEMBER,
    hides_hdf5,
    inspect_tar,
    inspect_zip,
    is_polyglot,
    is_tar,
    nested_archives,
    open_zip,
    read_member,
)
from registry.artifacts.arrays import NPY_MAGIC, npy_holds_objects, read_tensor_header
from registry.artifacts.documents import DocumentError, read_json, read_yaml
from registry.artifacts.errors import LimitExceededError, UnreadableError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.onnx_files import is_onnx, is_ort, structure_of
from registry.artifacts.pickles import scan_pickle
from registry.artifacts.streams import Bounded, compression_of, expand
from registry.artifacts.trusted import inspect_skops, is_skops

_NAMED_MAGIC = {
    HDF5_MAGIC: "HDF5 (Keras)",
    b"\x7fELF": "a program (ELF)",
    b"MZ": "a program (PE)",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"GGUF": "GGUF",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"\x0b\xfd\xae\xf8": "a program",
    b"#!": "a script",
}
# [project], [[package]], [tool.uv] on a line of its own
_TABLE = re.compile(r"\s*\[{1,2} *[A-Za-z_][\w .:\"-]*\]{1,2}[ \t]*([#;].*)?\r?$", re.MULTILINE)


class Format(StrEnum):
    """What a file is."""

    SKOPS = "skops"
    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    PARAMETERS = "parameters"
    PICKLE = "pickle"
    ARRAYS = "arrays"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Content:
    """What one file turned out to be.

    Attributes
    ----------
    format : Format
    findings : tuple of Finding
    globals : tuple of str
        What a pickle in it would import, sorted.
    """

    format: Format
    findings: tuple[Finding, ...] = ()
    globals: tuple[str, ...] = ()


def look(
    stream: Bounded, path: str, limits: Limits, trusted: Collection[str], depth: int = 0
) -> Content:
    """Find out what a file is and what is wrong with it.

    Parameters
    ----------
    stream : Bounded
        The whole file.
    path : str
        What findings are said to be about.
    limits : Limits
    trusted : collection of str
        The registry's list of skops types.
    depth : int
        How many compressions it lies in.
    """
    if hides_hdf5(stream):
        text = "it begins as one format and goes on as HDF5 (Keras)"
        return Content(Format.UNKNOWN, (Finding("polyglot", path, text),))
    head = stream.head(512)
    if head.startswith(b"PK"):
        return _look_zip(stream, path, limits, trusted)
    if is_polyglot(stream):
        text = "it begins as one format and ends as a zip archive"
        return Content(Format.UNKNOWN, (Finding("polyglot", path, text),))
    if head.startswith(NPY_MAGIC):
        return _look_npy(stream, path, limits)
    if (kind := compression_of(head)) and (content := _look_in(stream, kind, path, limits, depth)):
        return content
    return _look_plain(stream, head, path, limits)


def _unknown(path: str, text: str) -> Finding:
    return Finding("unknown_format", path, text)


def _look_in(stream: Bounded, kind: str, path: str, limits: Limits, depth: int) -> Content | None:
    """Look into a compressed stream; only pickles come compressed.

    None where it is not compressed after all: two bytes are a weak sign.
    """
    if depth >= limits.depth:
        return Content(Format.UNKNOWN, (Finding("archive_nested", path, "nested too deeply"),))
    try:
        inner = expand(stream, kind, limits)
    except LimitExceededError as error:
        return Content(Format.UNKNOWN, (Finding("archive_ratio", path, f"{kind}: {error}"),))
    except UnreadableError as error:
        if kind in {"zlib", "lzma"}:
            return None
        finding = Finding("unreadable_compression", path, str(error))
        return Content(Format.UNKNOWN, (finding,))
    with inner:
        content = look(inner, f"{path}!{kind}", limits, (), depth + 1)
    if content.format is Format.PICKLE:
        return content
    text = f"{kind} around {content.format.value}"
    return replace(
        content, format=Format.UNKNOWN, findings=(*content.findings, _unknown(path, text))
    )


def _look_zip(stream: Bounded, path: str, limits: Limits, trusted: Collection[str]) -> Content:
    archive = open_zip(stream)
    if archive is None:
        return Content(Format.UNKNOWN, (Finding("archive_broken", path, "a damaged zip archive"),))
    if findings := inspect_zip(archive, path, limits):
        return Content(Format.UNKNOWN, tuple(findings))
    if is_skops(archive):
        return Content(Format.SKOPS, tuple(inspect_skops(stream, path, limits, trusted)))
    try:
        return _look_members(archive, path, limits)
    except UNREADABLE_MEMBER as error:
        finding = Finding("archive_broken", path, f"a damaged zip archive: {error}")
        return Content(Format.UNKNOWN, (finding,))


def _look_members(archive: zipfile.ZipFile, path: str, limits: Limits) -> Content:
    """Look at every member of a zip archive: .npz, torch's archives, or anything."""
    findings = nested_archives(archive, path)
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    formats: set[Format] = set()
    listed: set[str] = set()
    for name in names if not findings else ():
        content = look(read_member(archive, name), f"{path}!{name}", limits, (), limits.depth)
        formats.add(content.format)
        findings += [f for f in content.findings if f.code not in {"pickle", "unknown_format"}]
        listed.update(content.globals)
        if content.format is Format.PICKLE:
            text = f"a pickle in an archive: {', '.join(content.globals) or 'without imports'}"
            findings.append(Finding("nested_pickle", f"{path}!{name}", text))
    if formats == {Format.ARRAYS} and not findings:
        return Content(Format.ARRAYS)
    findings.append(_unknown(path, _archive_kind(names)))
    return Content(Format.UNKNOWN, tuple(findings), tuple(sorted(listed)))


def _archive_kind(names: list[str]) -> str:
    base_names = {name.rsplit("/", 1)[-1] for name in names}
    if "data.pkl" in base_names:
        return "a torch archive"
    if "model.weights.h5" in base_names:
        return "a Keras archive"
    return "a zip archive that is no model"


def _look_npy(stream: Bounded, path: str, limits: Limits) -> Content:
    try:
        holds_objects = npy_holds_objects(stream)
    except UnreadableError as error:
        return Content(Format.UNKNOWN, (_unknown(path, str(error)),))
    if not holds_objects:
        return Content(Format.ARRAYS)
    scan = scan_pickle(stream, path, limits)
    text = f"an array of objects, which is a pickle: {', '.join(scan.globals) or 'without imports'}"
    findings = (*scan.findings, Finding("object_array", path, text))
    return Content(Format.UNKNOWN, findings, scan.globals)


def _look_plain(stream: Bounded, head: bytes, path: str, limits: Limits) -> Content:
    if not head:
        return Content(Format.EMPTY)
    for looker in (_look_named, _look_pickle, _look_tensors, _look_onnx, _look_text):
        stream.seek(0)
        if (content := looker(stream, head, path, limits)) is not None:
            return content
    return Content(Format.UNKNOWN, (_unknown(path, "bytes of no known format"),))


def _look_named(stream: Bounded, head: bytes, path: str, limits: Limits) -> Content | None:
    """Name formats that are never taken."""
    for magic, name in _NAMED_MAGIC.items():
        if head.startswith(magic):
            return Content(Format.UNKNOWN, (_unknown(path, name),))
    if is_ort(head):
        return Content(Format.UNKNOWN, (_unknown(path, "a model of onnxruntime's own (ORT)"),))
    if is_tar(stream):
        findings = (*inspect_tar(stream, path, limits), _unknown(path, "a tar archive"))
        return Content(Format.UNKNOWN, findings)
    return None


def _look_pickle(stream: Bounded, _: bytes, path: str, limits: Limits) -> Content | None:
    scan = scan_pickle(stream, path, limits)
    if not scan.is_pickle:
        return None
    listed = ", ".join(scan.globals) or "nothing"
    findings = (*scan.findings, Finding("pickle", path, f"a pickle that imports {listed}"))
    return Content(Format.PICKLE, findings, scan.globals)


def _look_tensors(stream: Bounded, _: bytes, path: str, __: Limits) -> Content | None:
    try:
        return Content(Format.SAFETENSORS) if read_tensor_header(stream) else None
    except UnreadableError as error:
        return Content(Format.UNKNOWN, (_unknown(path, f"safetensors: {error}"),))


def _look_onnx(stream: Bounded, _: bytes, path: str, __: Limits) -> Content | None:
    with memoryview(mapped(stream)) as buffer:
        if not is_onnx(buffer):
            return None
        try:
            structure = structure_of(buffer)
        except UnreadableError as error:
            return Content(Format.UNKNOWN, (_unknown(path, f"onnx: {error}"),))
    findings = [
        Finding("external_data", path, f"{name} lies in another file")
        for name in structure.external_tensors
    ]
    findings += [
        Finding("endless_loop", path, f"{name}: no node computes in it, so nothing could end it")
        for name in structure.idle_bodies
    ]
    return Content(Format.ONNX, tuple(findings))


def mapped(stream: Bounded) -> mmap.mmap | bytes:
    """Return a stream's bytes, mapped where they are a file."""
    try:
        return mmap.mmap(stream.raw.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, io.UnsupportedOperation):
        stream.seek(0)
        return stream.read()


def _look_text(stream: Bounded, head: bytes, path: str, limits: Limits) -> Content | None:
    """Look at a stream as text: parameters in JSON or YAML, or only words."""
    raw = stream.read(limits.document_bytes + 1) if b"\0" not in head else b"\xff"
    try:
        text = raw.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError:
        return None
    if len(raw) > limits.document_bytes:
        return Content(Format.UNKNOWN, (Finding("file_size", path, "a text that is too long"),))
    try:
        document = _document(raw, text, limits)
    except DocumentError as error:
        return Content(Format.UNKNOWN, (error.finding(path),))
    if finding := _keras_finding(document, path):
        return Content(Format.UNKNOWN, (finding,))
    is_document = isinstance(document, dict | list)
    return Content(Format.PARAMETERS if is_document else Format.TEXT)


def _document(raw: bytes, text: str, limits: Limits) -> Any:
    """Return what a text says as JSON or YAML; None where it is neither.

    A text that fails as YAML is only words, unless it has tags: those are meant to be obeyed. What
    begins with the name of a table is TOML or INI, which are words here.
    """
    is_table = _TABLE.match(text) is not None
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return read_json(raw, limits)
        except DocumentError:
            if not is_table:
                raise
    try:
        document = read_yaml(raw, limits)
    except DocumentError as error:
        if error.code == "yaml_tag" or "!!python" in text:
            raise
        return None
    return None if is_table else document


def _keras_finding(document: Any, path: str) -> Finding | None:
    """Find a Keras model written as JSON: its Lambda layers hold marshalled code."""
    classes: set[str] = set()
    pending = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(node.get("class_name"), str) and "config" in node:
                classes.add(node["class_name"])
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    if "Lambda" in classes or "__lambda__" in classes:
        return Finding("keras_lambda", path, "a Keras model whose Lambda layer holds code")
    if classes:
        return Finding("keras_model", path, "a Keras model")
    return None
