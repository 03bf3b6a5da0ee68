"""Documents handed in by people: parsed strictly, refused with a path and a suggestion."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from crowetrade_site.core.errors import InvalidInput, NotFound

Schema = TypeVar("Schema", bound=BaseModel)


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silent overwriting: a key given twice is an error."""


def _unique_mapping(loader: UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read(path: Path) -> dict[str, Any]:
    """Return the mapping of a YAML or JSON file.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidInput
        As `loads`.
    """
    try:
        return loads(path.read_text(), name=str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text.") from None


def loads(text: str, *, name: str = "The document") -> dict[str, Any]:
    """Return the mapping of a YAML or JSON text.

    Raises
    ------
    InvalidInput
        It is not YAML (the line is named), gives a key twice, or is not a mapping.
    """
    try:
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{name} must be a mapping such as 'kind: backtest'.")
    return document


def parse(schema: type[Schema], document: Mapping[str, Any]) -> Schema:
    """Return a validated document.

    Raises
    ------
    InvalidInput
        The first fault in one sentence, all of them in ``errors`` as ``{path, message}``;
        an unknown key names the nearest known one (422).
    """
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        errors = [_fault(schema, fault) for fault in error.errors(include_url=False)]
    first = (
        f"{errors[0]['path']}: {errors[0]['message']}"
        if errors[0]["path"]
        else errors[0]["message"]
    )
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    raise InvalidInput(f"{first}{more}", errors=errors)


def _fault(schema: type[BaseModel], fault: Any) -> dict[str, str]:
    names, keys = _resolve(schema.model_json_schema(), list(fault["loc"]))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = f"unknown key{_nearest(str(names[-1]), keys)}"
    elif fault["type"] in {"union_tag_invalid", "literal_error"}:
        given = fault["ctx"].get("tag", fault.get("input"))
        known = str(fault["ctx"].get("expected_tags") or fault["ctx"].get("expected"))
        message = f"{given!r} is not one of {known}{_nearest(str(given), known.split(chr(39)))}"
    return {"path": ".".join(str(name) for name in names), "message": message}


def _nearest(name: str, known: "list[str] | set[str]") -> str:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if known else ""


def _resolve(root: dict[str, Any], location: list[Any]) -> tuple[list[Any], set[str]]:
    """Return the user's path (without union tags) and the keys known where it ends."""
    names: list[Any] = []
    nodes = [root]
    for step in location:
        tagged = [node for node in _spread(root, nodes) if _tag(node) == step]
        if tagged and not isinstance(step, int):
            nodes = tagged
            continue
        names.append(step)
        parents = list(_spread(root, nodes))
        children = [_child(node, step) for node in parents]
        nodes = [child for child in children if child is not None]
    known = {key for node in parents for key in node.get("properties", {})} if names else set()
    return names, known


def _spread(root: dict[str, Any], nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Follow references and alternatives down to plain schema nodes."""
    for node in nodes:
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[-1]
            yield from _spread(root, [root["$defs"][name]])
        elif alternatives := node.get("oneOf") or node.get("anyOf") or node.get("allOf"):
            yield from _spread(root, alternatives)
        else:
            yield node


def _tag(node: dict[str, Any]) -> Any:
    return node.get("properties", {}).get("kind", {}).get("const")


def _child(node: dict[str, Any], step: Any) -> dict[str, Any] | None:
    if isinstance(step, int):
        return node.get("items")
    child = node.get("properties", {}).get(step)
    extra = node.get("additionalProperties")
    return child if child is not None else extra if isinstance(extra, dict) else None
