"""Where the packages of a version's environment come from.

The registry installs nothing, but ``mlflow models serve`` does: what the files of an environment
name is fetched, and building it runs its code. Names and versions of packages are plain. A source
of packages that the files bring along is remarked on, and refused where it is not HTTPS.

References
----------
.. [1] pip, "Requirements File Format"; PEP 508.
.. [2] MLflow, "Managing Dependencies": ``requirements.txt``, ``constraints.txt``,
   ``python_env.yaml``, ``conda.yaml``; and, from a project of uv, ``uv.lock``.
"""

from __future__ import annotations

import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from registry.artifacts.documents import read_yaml
from registry.artifacts.errors import UnreadableError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import Manifest, read_verified

ENVIRONMENTS = frozenset({"conda.yaml", "python_env.yaml"})
LISTS = frozenset({"requirements.txt", "constraints.txt"})
LOCK = "uv.lock"
_LONGEST_LOCK_BYTES = 16 << 20
_NAME = r"[A-Za-z0-9][\w.-]*(\s*\[[\w\s.,-]*\])?"
_PLAIN = re.compile(
    rf"{_NAME}\s*\(?([=<>!~]=?=?[\w\s.*+!,<>=~-]*)?\)?\s*(;[\w\s.'\"<>=!~()-]*)?"
    r"(\s+--hash[= ][a-z0-9]+:[0-9a-f]+)*",
    re.ASCII,
)
_OPTION = re.compile(
    r"(-r|--requirement|-c|--constraint)[= ]\s*(requirements|constraints)\.txt"
    r"|--(pre|prefer-binary|require-hashes|no-index|no-deps)"
    r"|--(no|only)-binary[= ]\s*[\w:.,-]+",
    re.ASCII,
)
# A source over HTTPS, and nothing else on its line. Git fetches what a commit or a branch is then.
_FOREIGN = re.compile(
    rf"((-i|-f|-e|--index-url|--extra-index-url|--find-links|--editable)[= ]\s*|{_NAME}\s*@\s*)?"
    r"(git\+)?https://[^\s;@]+(@[^\s;@]+)?(\s*;[\w\s.'\"<>=!~()-]*)?(\s+--hash[= ]\S+)*",
    re.ASCII,
)
_HOMES = ("https://pypi.org/", "https://files.pythonhosted.org/")
_ARCHIVE = re.compile(r"^\S+\.(whl|egg|zip|tar|tgz|gz|bz2|tbz|xz|txz|tlz|lzma)\b", re.IGNORECASE)
_CODING = re.compile(r"coding[:=]")
_ENVIRONMENT_KEYS = frozenset(
    {"name", "channels", "dependencies", "build_dependencies", "python", "prefix"}
)
_CHANNEL = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)
_CONDA = re.compile(r"([A-Za-z0-9][\w./-]*::)?[\w.-]+(\s*[=<>!~][\w\s.*+!,|<>=~-]*)?", re.ASCII)


def inspect_packages(folder: Path, manifest: Manifest, limits: Limits) -> list[Finding]:
    """Return which files of an environment bring sources of packages along, and which.

    Raises
    ------
    ArtifactError
        A file is not there, or is not what the manifest says.
    """
    found: list[Finding] = []
    for entry in manifest.files:
        name = PurePosixPath(entry.path).name
        if name not in ENVIRONMENTS | LISTS | {LOCK}:
            continue
        if entry.n_bytes > (_LONGEST_LOCK_BYTES if name == LOCK else limits.yaml_bytes):
            found.append(Finding("unsafe_package_source", entry.path, f"{entry.n_bytes} bytes"))
            continue
        raw = read_verified(folder, entry)
        try:
            lines = list(_lines_of(name, raw, limits))
        except (ValueError, RecursionError) as error:
            found.append(Finding("unsafe_package_source", entry.path, f"unreadable: {error}"))
            continue
        found += [Finding(code, entry.path, line) for line in lines if (code := _code_of(line))]
    return list(dict.fromkeys(found))


def _code_of(line: str) -> str:
    """Return what a line of requirements is to be remarked for; empty for nothing."""
    if _OPTION.fullmatch(line) or (_PLAIN.fullmatch(line) and not _ARCHIVE.search(line)):
        return ""
    return "foreign_package_source" if _FOREIGN.fullmatch(line) else "unsafe_package_source"


def _lines_of(name: str, raw: bytes, limits: Limits) -> Iterator[str]:
    """Yield the requirements in a file of an environment, whatever its form, as pip has them."""
    if name in LISTS:
        yield from _requirements(raw.removeprefix(BOM_UTF8).decode())
    elif name == LOCK:
        yield from _locked(tomllib.loads(raw.decode()))
    else:
        document = read_yaml(raw, limits)
        for line in _environment(document if isinstance(document, Mapping) else {}):
            yield from _requirements(line)


def _requirements(text: str) -> Iterator[str]:
    """Yield the logical lines of a requirements file, without comments.

    Raises
    ------
    UnreadableError
        It names an encoding, or a comment goes on in the next line: pip and others read that file
        in different ways.
    """
    begun = ""
    for number, line in enumerate(text.splitlines()):
        if number < 2 and _CODING.search(line):
            raise UnreadableError("it names an encoding of its own")
        if line.endswith("\\"):
            if "#" in line:
                raise UnreadableError("a comment that goes on in the next line")
            begun += line.rstrip("\\")
            continue
        plain = " ".join((begun + line).split())
        begun = ""
        if plain := re.sub(r"(^| )#.*", "", plain).strip():
            yield plain
    if begun:
        raise UnreadableError("its last line goes on")


def _environment(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what conda.yaml or python_env.yaml has installed, and keys that may steer it."""
    yield from (f"{key}: {document[key]}" for key in document if key not in _ENVIRONMENT_KEYS)
    for channel in map(str, _listed(document.get("channels"))):
        if not _CHANNEL.fullmatch(channel):
            yield f"--index-url {channel}"
    for key in ("build_dependencies", "dependencies"):
        for one in _listed(document.get(key)):
            if isinstance(one, Mapping):
                yield from map(str, _listed(one.get("pip")))
            elif key == "build_dependencies" or not _CONDA.fullmatch(str(one)):
                yield str(one)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _locked(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sources in uv's lock file that are not the Python Package Index."""
    for package in _listed(document.get("package")):
        source = package.get("source", {}) if isinstance(package, Mapping) else {}
        for kind, place in source.items() if isinstance(source, Mapping) else ():
            if place != "." and not str(place).startswith(_HOMES):
                yield f"git+{place}" if kind == "git" else str(place)
        for url in _urls(package):
            if not url.startswith(_HOMES):
                yield url


def _urls(node: Any) -> Iterator[str]:
    """Yield every address of a distribution under a package."""
    if isinstance(node, Mapping):
        if isinstance(node.get("url"), str):
            yield node["url"]
        for one in node.values():
            yield from _urls(one)
    elif isinstance(node, list):
        for one in node:
            yield from _urls(one)
