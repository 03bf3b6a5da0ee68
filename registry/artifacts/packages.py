"""Where the packages of a version's environment come from.

The registry installs nothing, but ``mlflow models serve`` does: what the files of an environment
name is fetched, and building it runs its code. Names and versions of packages are plain. A source
of packages that the files bring along is remarked on, and refused where it is not HTTPS.

References
----------
.. [1] pip, "Requirements File Format"; PEP 508.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import Manifest, read_verified
from registry.artifacts.package_lists import CHANNEL, LOCK, READERS, lines_of

_LONGEST_LOCK_BYTES = 16 << 20
_EXTRA = r"\w[\w.-]*"
_NAME = rf"[A-Za-z0-9][\w.-]*( ?\[ ?({_EXTRA}( ?, ?{_EXTRA})*)? ?\])?"
_CLAUSE = r"[=<>!~]{1,3} ?\w[\w.*+!-]*"
_CLAUSES = rf"{_CLAUSE}( ?, ?{_CLAUSE})*,?"
# No word of these begins with a dash: to pip that would be an option of the line.
_WORD = r"[\w.,'\"<>=!~()][\w.,'\"<>=!~()-]*"
_MARKER = rf"( ?; ?{_WORD}( {_WORD})*)?"
_PLAIN = re.compile(
    rf"{_NAME}( ?({_CLAUSES}|\( ?{_CLAUSES} ?\)))?{_MARKER}( --hash[= ][a-z0-9]+:[0-9a-f]+)*",
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
    rf"((-i|-f|-e|--index-url|--extra-index-url|--find-links|--editable)[= ]\s*|{_NAME} ?@ ?)?"
    rf"(git\+)?https://[^\s;@]+(@[^\s;@]+)?{_MARKER}( --hash[= ]\S+)*"
    rf"|{CHANNEL} \S+",
    re.ASCII,
)
_ARCHIVE = re.compile(r"^\S+\.(whl|egg|zip|tar|tgz|gz|bz2|tbz|xz|txz|tlz|lzma)\b", re.IGNORECASE)


def inspect_packages(folder: Path, manifest: Manifest, limits: Limits) -> list[Finding]:
    """Return which files of an environment bring sources of packages along, and which.

    Their names are compared without case: some file systems have it so.

    Raises
    ------
    ArtifactError
        A file is not there, or is not what the manifest says.
    """
    found: list[Finding] = []
    for entry in manifest.files:
        name = PurePosixPath(entry.path).name.casefold()
        if name not in READERS:
            continue
        if entry.n_bytes > (_LONGEST_LOCK_BYTES if name == LOCK else limits.yaml_bytes):
            found.append(Finding("unsafe_package_source", entry.path, f"{entry.n_bytes} bytes"))
            continue
        raw = read_verified(folder, entry)
        try:
            lines = list(lines_of(name, raw, limits))
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
