"""Documents handed in by people: parsed strictly, refused with a path and a suggestion."""

import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from crowetrade_site.core import hints
from crowetrade_site.core.errors import LISTED, InvalidInput, NotFound

Schema = TypeVar("Schema", bound=BaseModel)
LONGEST = 250_000  # characters; the YAML reader takes about a second for them
DEEPEST = 50
MOST_VALUES = 100_000
_SHOULD = "Input should be "
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML without silent overwriting: a key given twice is an error."""


def _unique_mapping(loader: UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is a word, not a list or a mapping", key_node.start_mark
            )
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
        return loads(path.read_text(encoding="utf-8"), name=str(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text.") from None


def loads(text: str, *, name: str = "The document") -> dict[str, Any]:
    """Return the mapping of a YAML or JSON text.

    Raises
    ------
    InvalidInput
        It is not YAML (the line is named), gives a key twice, is too long or nested too
        deeply, or is not a mapping.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f"{name} is longer than {LONGEST} characters.")
    try:
        document = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2020-02-30
        raise InvalidInput(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested too deeply.") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{name} must be a mapping such as 'kind: backtest'.")
    return document


def parse(schema: type[Schema], document: Mapping[str, Any], *, within: str = "") -> Schema:
    """Return a validated document; `within` is its place in a larger one.

    Raises
    ------
    InvalidInput
        The first few faults in one line, a hundred of them in ``errors`` as ``{path, message}``,
        unknown keys first; an unknown key names the nearest known one (422).
    """
    _require_storable(document)
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        faults = _essential(schema, error.errors(include_url=False))
    faults.sort(key=lambda fault: fault["type"] != "extra_forbidden")
    told = merged([_fault(schema, fault, within) for fault in faults[:LISTED]])
    raise InvalidInput.of(told, n_more=max(len(faults) - LISTED, 0))


def place(*names: Any) -> str:
    """Return a path in a document: names with dots between, one that has dots itself in quotes."""
    return ".".join(_quoted(str(name)[:100]) for name in names)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) if not name or set(name) & {".", '"'} else name


def merged(faults: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return faults with one for each path; what may stand there is told as one choice."""
    said: dict[str, list[str]] = {}
    for fault in faults:
        messages = said.setdefault(fault["path"], [])
        if fault["message"] not in messages:
            messages.append(fault["message"])
    return [{"path": path, "message": _together(messages)} for path, messages in said.items()]


def _together(messages: list[str]) -> str:
    """Return what is said of one place in one sentence, of an unknown key with the nearest one."""
    unknown = [one for one in messages if one.startswith("unknown key")]
    wanted = [one.removeprefix(_SHOULD) for one in messages if one.startswith(_SHOULD)]
    others = [one for one in messages if not one.startswith(("unknown key", _SHOULD))]
    unknown.sort(key=lambda message: not message.endswith("?"))
    choice = [_SHOULD + " or ".join(wanted)] if wanted else []
    return "; ".join([*choice, *others, *unknown[:1]])


def _require_storable(document: Any) -> None:
    """Refuse what no database column takes, and a short text that unfolds without end.

    YAML's aliases repeat a part without writing it: a kilobyte can mean a billion values.
    """
    waiting, seen = [(document, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise InvalidInput(
                f"The document is nested deeper than {DEEPEST} levels or has more than "
                f"{MOST_VALUES} values."
            )
        if isinstance(value, Mapping):
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list | tuple):
            waiting += [(inner, depth + 1) for inner in value]
        elif isinstance(value, str) and UNSTORABLE.search(value):
            raise InvalidInput("The document holds a NUL character or half a surrogate pair.")


@cache
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()


def _essential(schema: type[BaseModel], faults: list[Any]) -> list[Any]:
    """Leave out what follows from other faults: that their list is too short, or a key is missing.

    A key that is misspelt is said once, as an unknown key that names the one it may mean.
    """
    above = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    unknown = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    has_missing = any(fault["type"] == "missing" for fault in faults)
    meant = {_meant(schema, loc) for loc in unknown[:LISTED]} if has_missing else set()
    return [
        fault
        for fault in faults
        if (fault["type"] != "too_short" or fault["loc"] not in above)
        and (fault["type"] != "missing" or fault["loc"] not in meant)
    ]


def _meant(schema: type[BaseModel], location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return where the key would stand that is suggested for an unknown one."""
    names, keys = _resolve(_json_schema(schema), list(location))
    close = (
        key for key in keys if hints.closest(str(names[-1]), keys) == hints.closest(key, [key])
    )
    return (*location[:-1], *close)


def _fault(schema: type[BaseModel], fault: Any, within: str) -> dict[str, str]:
    location = list(fault["loc"])
    if is_key := _is_of_key(fault):
        del location[-1]
    names, keys = _resolve(_json_schema(schema), location)
    message = fault["msg"].removeprefix("Value error, ")
    if is_key:
        is_text = fault["type"] != "string_type"
        message = f"the key itself: {message}" if is_text else "Keys should be strings"
    elif fault["type"] == "extra_forbidden":
        message = f"unknown key{hints.nearest(str(names[-1]), keys)}"
    elif fault["type"] in {"union_tag_invalid", "literal_error"}:
        given = str(fault["ctx"].get("tag", fault.get("input")))[:100]
        known = str(fault["ctx"].get("expected_tags") or fault["ctx"].get("expected"))
        close = hints.closest(given, known.split("'")[1::2])
        message = f"{given!r} is not one of {known}{close}"
    return {"path": ".".join(part for part in (within, place(*names)) if part), "message": message}


def _is_of_key(fault: Any) -> bool:
    """Whether a fault is of a mapping's key, below which pydantic puts a name that nobody wrote."""
    *above, last = fault["loc"] or [None]
    is_last = last == "[key]" and fault["type"] != "extra_forbidden"
    return is_last and bool(above) and str(above[-1]) == str(fault["input"])


def _resolve(root: dict[str, Any], location: list[Any]) -> tuple[list[Any], set[str]]:
    """Return the user's path (without union tags) and the keys known where it ends."""
    names: list[Any] = []
    nodes, parents = [root], [root]
    for step in location:
        nodes = list(_spread(root, nodes))
        if any("choices" in node for node in nodes):  # the step is a tag, which no user wrote
            nodes = _chosen(root, nodes, step)
            continue
        names.append(step)
        parents = nodes
        nodes = [child for node in parents if (child := _child(node, step)) is not None]
    return names, {key for node in parents for key in node.get("properties", {})}


def _spread(root: dict[str, Any], nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Follow references and the one alternative to null; a true choice becomes ``choices``."""
    for node in nodes:
        alternatives = node.get("oneOf") or node.get("anyOf") or node.get("allOf") or []
        choices = [choice for choice in alternatives if choice.get("type") != "null"]
        if "$ref" in node:
            yield from _spread(root, [root["$defs"][node["$ref"].rsplit("/", 1)[-1]]])
        elif len(choices) == 1:
            yield from _spread(root, choices)
        elif choices:
            yield {"choices": choices}
        else:
            yield node


def _chosen(root: dict[str, Any], nodes: list[dict[str, Any]], step: Any) -> list[dict[str, Any]]:
    """Return the alternatives a union's tag stands for; all of them when it names none."""
    choices = [choice for node in nodes for choice in node.get("choices", [node])]
    plain = list(_spread(root, choices))
    named = [node for node in plain if step in (_tag(node), node.get("title"))]
    return named or plain


def _tag(node: dict[str, Any]) -> Any:
    return node.get("properties", {}).get("kind", {}).get("const")


def _child(node: dict[str, Any], step: Any) -> dict[str, Any] | None:
    if isinstance(step, int):
        fixed = node.get("prefixItems", [])
        return fixed[step] if step < len(fixed) else node.get("items")
    child = node.get("properties", {}).get(step)
    extra = node.get("additionalProperties")
    return child if child is not None else extra if isinstance(extra, dict) else None
