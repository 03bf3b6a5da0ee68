"""What the files of an environment ask for, read into lines as pip has them.

A line is a requirement or an option of pip. What no option of pip says, such as a key that steers
a build, is a line ``key: value``, which is none.

References
----------
.. [1] pip, "Requirements File Format"; PEP 518, 621 and 735 (pyproject.toml).
.. [2] MLflow, "Managing Dependencies": ``requirements.txt``, ``constraints.txt``,
   ``python_env.yaml``, ``conda.yaml``; and, from a project of uv, ``uv.lock``,
   ``pyproject.toml`` and ``.python-version``, of which ``uv sync --frozen`` is run.
.. [3] uv, "Settings".
"""

from __future__ import annotations

import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from configparser import Error, RawConfigParser
from typing import Any

from registry.artifacts import projects
from registry.artifacts.documents import read_yaml
from registry.artifacts.errors import UnreadableError
from registry.artifacts.limits import Limits
from registry.artifacts.projects import PLAIN_VERSION, listed

ENVIRONMENTS = frozenset({"conda.yaml", "python_env.yaml"})
LOCK = "uv.lock"
CHANNEL = "--channel"
_CODING = re.compile(r"coding[:=]")
_ENVIRONMENT_KEYS = frozenset(
    {"name", "channels", "dependencies", "build_dependencies", "python", "prefix"}
)
_CHANNELS = frozenset({"conda-forge", "defaults", "nodefaults"})
_CHANNEL = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)
_CLAUSE = r"[=<>!~]{1,3} ?[\w.*+!-]+"
_CONDA = re.compile(
    rf"(?:(?P<channel>[A-Za-z0-9][\w./-]*)::)?(?P<name>[\w.-]+)"
    rf"(?: ?{_CLAUSE}(?: ?[,|] ?{_CLAUSE})*(?:=[\w.*]+)?)?",
    re.ASCII,
)
_PACKAGE_FILES = (".conda", ".tar.bz2")  # to conda a name that ends so is a file of this machine
_NUMBERS = r"[=<>!~]{1,2} ?\d+(?:\.\d+){0,2}(?:\.\*)?"
_CONDA_PYTHON = re.compile(rf"python(?: ?{_NUMBERS}(?:[,|]{_NUMBERS})*(?:=\w+)?)?", re.ASCII)
_PIP_HARMLESS = frozenset(
    {"timeout", "retries", "quiet", "verbose", "no-color", "no-input", "no-cache-dir", "format",
     "disable-pip-version-check", "require-virtualenv", "progress-bar"}
)  # fmt: skip
_SETUP_ADDRESSES = frozenset({"index-url", "find-links", "dependency-links"})
_SETUP_REQUIREMENTS = frozenset({"install-requires", "setup-requires", "tests-require"})


def lines_of(name: str, raw: bytes, limits: Limits) -> Iterator[str]:
    """Yield what a file of an environment asks for.

    Parameters
    ----------
    name : str
        A key of `READERS`.

    Raises
    ------
    ValueError, RecursionError
        It cannot be read, or not in one way alone.
    """
    reader = READERS[name]
    if name.endswith(".yaml"):
        document = read_yaml(raw, limits)
        return reader(document if isinstance(document, Mapping) else {})
    text = raw.removeprefix(BOM_UTF8).decode()
    return reader(tomllib.loads(text) if name.endswith((".toml", ".lock")) else text)


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


def _python_env(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what python_env.yaml has installed, and keys that may steer it."""
    yield from _unknown_keys(document)
    for key in ("build_dependencies", "dependencies"):
        for one in listed(document.get(key)):
            yield from _requirements(str(one))


def _conda(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what conda.yaml has installed by pip, its channels, and keys that may steer it."""
    yield from _unknown_keys(document)
    for channel in map(str, listed(document.get("channels"))):
        if not _CHANNEL.fullmatch(channel):
            yield f"--index-url {channel}"
        elif channel not in _CHANNELS:
            yield f"{CHANNEL} {channel}"
    for one in listed(document.get("dependencies")):
        if isinstance(one, Mapping):
            yield from (f"dependencies: {key}" for key in one if key != "pip")
            for line in listed(one.get("pip")):
                yield from _requirements(str(line))
            continue
        found = _CONDA.fullmatch(str(one))
        if not found or str(one).lower().endswith(_PACKAGE_FILES) or not _is_plain(found):
            yield f"dependencies: {one}"
        elif found["channel"] and found["channel"] not in _CHANNELS:
            yield f"{CHANNEL} {found['channel']}"


def _is_plain(found: re.Match[str]) -> bool:
    """Return whether conda's spec of Python is of plain versions: it gets into a Dockerfile."""
    spec = found[0].rpartition("::")[2].lower()
    return found["name"].lower() != "python" or _CONDA_PYTHON.fullmatch(spec) is not None


def _unknown_keys(document: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key}: {document[key]}" for key in document if key not in _ENVIRONMENT_KEYS)
    python = document.get("python")
    if python is not None and not PLAIN_VERSION.fullmatch(str(python)):
        yield f"python: {python}"


def _pip_settings(text: str) -> Iterator[str]:
    """Yield what settings of pip say, as its options."""
    for _, key, value in _settings(text):
        if key not in _PIP_HARMLESS:
            yield from (f"--{key} {one}".strip() for one in value.split("\n"))


def _setup(text: str) -> Iterator[str]:
    """Yield what setuptools would fetch."""
    for section, key, value in _settings(text):
        lines = [" ".join(line.split()) for line in value.splitlines() if line.strip()]
        if section == "aliases" or key == "command-packages":  # commands in the place of others
            yield f"{section}.{key}: {value}"
        elif key == "version" and value.startswith("attr:"):
            if projects.is_call(value.removeprefix("attr:")):
                yield f"{section}.{key}: {value}"
        elif key in _SETUP_ADDRESSES:
            yield from (f"--find-links {line}" for line in lines)
        elif section == "options.extras_require" or key in _SETUP_REQUIREMENTS:
            lines = [line for line in lines if line != "file: requirements.txt"]
            yield from lines
            yield from projects.builders(lines) if key == "setup-requires" else ()


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of an INI file, keys with dashes."""
    parser = RawConfigParser()
    try:
        parser.read_string(text)
    except Error as error:
        raise UnreadableError(str(error)) from error
    for section, pairs in parser.items():
        for key, value in pairs.items():
            yield section, key.replace("_", "-"), value or ""


READERS: dict[str, Callable[[Any], Iterator[str]]] = {
    "requirements.txt": _requirements,
    "constraints.txt": _requirements,
    "conda.yaml": _conda,
    "python_env.yaml": _python_env,
    LOCK: projects.sources,
    "pyproject.toml": projects.project,
    "uv.toml": projects.uv_file,
    "hatch.toml": projects.hatch,
    ".python-version": projects.python_version,
    ".python-versions": projects.python_version,
    "pip.conf": _pip_settings,
    "pip.ini": _pip_settings,
    "setup.cfg": _setup,
}
