"""JSON and YAML documents, read so that a document can be nothing but plain values."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from typing import Any

from registry.artifacts.errors import ArtifactError, UnreadableError
from registry.artifacts.findings import NO_SIGN, Finding
from registry.artifacts.limits import Limits

MAX_DEPTH, LONGEST_NUMBER = 64, 80
_BITS = 1024  # more than a float of 64 bits holds
_NO_SIGN = re.compile("[\0\ud800-\udfff]")
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
)


class DocumentError(ArtifactError):
    """A document was refused.

    Attributes
    ----------
    code : str
        ``json_invalid``, ``yaml_invalid`` or ``yaml_tag``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    def finding(self, path: str) -> Finding:
        """Return the refusal as a finding about a file."""
        return Finding(self.code, path, str(self))


def read_json(raw: bytes, limits: Limits) -> Any:
    """Read a JSON document of plain values.

    Raises
    ------
    DocumentError
        It is too large or has too many parts, is no JSON, not UTF-8, too deep, or names a key
        twice.
    """
    if len(raw) > limits.document_bytes:
        raise DocumentError("json_invalid", f"longer than {limits.document_bytes} bytes")
    if n_containers(raw) > limits.n_containers:
        raise DocumentError("json_invalid", f"more than {limits.n_containers} lists and objects")
    try:
        return json.loads(_text(raw), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise DocumentError("json_invalid", str(error)) from error


def n_containers(raw: bytes) -> int:
    """Return how many lists and objects a JSON document may have; brackets in texts count, too."""
    return raw.count(b"[") + raw.count(b"{")


def _text(raw: bytes) -> str:
    return raw.removeprefix(BOM_UTF8).decode()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is given twice")
    return document


def read_yaml(raw: bytes, limits: Limits) -> Any:
    """Read a YAML document of plain values: no tags that make objects, no repeated keys.

    The size is taken after aliases are expanded, before anything is built from them.

    Raises
    ------
    DocumentError
        It is too large, no YAML, too deep, names a key twice (``yaml_invalid``), or has a tag
        beyond JSON's kinds of values (``yaml_tag``, which names it).
    """
    import yaml

    if len(raw) > limits.yaml_bytes:
        raise DocumentError("yaml_invalid", f"longer than {limits.yaml_bytes} bytes")
    try:
        loader = yaml.SafeLoader(_text(raw))
        loader.yaml_implicit_resolvers = _without_timestamps(loader.yaml_implicit_resolvers)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {}, limits.n_nodes)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError("yaml_invalid", " ".join(str(error).split())) from error


def storable(value: Any, depth: int = 0) -> Any:
    """Return plain values as JSON and a database have them, of a document that somebody wrote.

    A NUL and half a pair of UTF-16 become a mark; numbers that are none, or larger than any float,
    become texts.

    Raises
    ------
    UnreadableError
        They are nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise UnreadableError("values that are nested too deeply")
    if isinstance(value, str):
        return _NO_SIGN.sub(NO_SIGN, value)
    if isinstance(value, dict):
        return {storable(str(k)): storable(one, depth + 1) for k, one in value.items()}
    if isinstance(value, list):
        return [storable(one, depth + 1) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"{value:#x}"[:LONGEST_NUMBER]
    return value


def _without_timestamps(resolvers: dict[Any, Any]) -> dict[Any, Any]:
    """Leave dates as the text they are written as."""
    stamp = "tag:yaml.org,2002:timestamp"
    return {key: [pair for pair in pairs if pair[0] != stamp] for key, pairs in resolvers.items()}


def _measure(node: Any, sizes: dict[int, int], most: int) -> int:
    """Return how many values a node is once its aliases are expanded."""
    if id(node) in sizes:
        if sizes[id(node)] < 0:
            raise DocumentError("yaml_invalid", "a value contains itself")
        return sizes[id(node)]
    if node.tag not in _PLAIN_TAGS:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        raise DocumentError("yaml_tag", f"the tag {tag} makes an object")
    sizes[id(node)] = -1
    size = 1
    for child in _children(node):
        size += _measure(child, sizes, most)
        if size > most:
            raise DocumentError("yaml_invalid", f"more than {most} values")
    sizes[id(node)] = size
    return size


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    if not node.value or not isinstance(node.value[0], tuple):
        return list(node.value)
    keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key.value, str)]
    if len(set(keys)) != len(keys):
        raise DocumentError("yaml_invalid", "a key is given twice")
    return [part for pair in node.value for part in pair]
