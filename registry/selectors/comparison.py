"""In what two versions differ, and what a version came from."""

from typing import Any, NamedTuple

from registry.artifacts.manifest import Manifest
from registry.models import ModelVersion
from registry.selectors.records import list_versions

MOST_COPIES = 100


MAPPINGS = ("signature", "framework", "parameters", "metrics", "tags")


class Pair(NamedTuple):
    """One thing of two versions; None where one has it not."""

    name: str
    one: Any
    other: Any

    @property
    def is_same(self) -> bool:
        """Whether both have it alike."""
        return bool(self.one == self.other)


def side_by_side(one: ModelVersion, other: ModelVersion) -> dict[str, list[Pair]]:
    """Return all that two versions have, thing by thing, the same and the different."""
    one_data, other_data = (dict(zip(v.datasets, v.datasets, strict=True)) for v in (one, other))
    return {
        "files": _pairs(_files(one), _files(other)),
        **{name: _pairs(getattr(one, name), getattr(other, name)) for name in MAPPINGS},
        "datasets": _pairs(one_data, other_data),
        "code_revision": [Pair("code_revision", one.code_revision, other.code_revision)],
    }


def compare_versions(one: ModelVersion, other: ModelVersion) -> dict[str, Any]:
    """Return in what two versions differ: files, schema, parameters, metrics and the rest."""
    pairs = side_by_side(one, other)
    return {
        "one": str(one),
        "other": str(other),
        "is_same_files": _manifest(one).content_digest == _manifest(other).content_digest,
        **{name: _differences(pairs[name]) for name in ("files", *MAPPINGS)},
        "datasets": {
            "only_one": [pair.name for pair in pairs["datasets"] if pair.other is None],
            "only_other": [pair.name for pair in pairs["datasets"] if pair.one is None],
        },
        "code_revision": [one.code_revision, other.code_revision],
    }


def _manifest(version: ModelVersion) -> Manifest:
    return Manifest.from_json(version.manifest)


def _files(version: ModelVersion) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in version.manifest["files"]}


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> list[Pair]:
    return [Pair(key, one.get(key), other.get(key)) for key in sorted({*one, *other})]


def _differences(pairs: list[Pair]) -> dict[str, list[Any]]:
    return {pair.name: [pair.one, pair.other] for pair in pairs if not pair.is_same}


def get_lineage(version: ModelVersion) -> dict[str, Any]:
    """Return what a version came from and what came from it."""
    origin = list_versions().filter(copies=version).first()
    copies = list_versions().filter(copied_from=version).order_by("id")[:MOST_COPIES]
    return {
        "datasets": version.datasets,
        "code_revision": version.code_revision,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "copied_from": origin,
        "copies": list(copies),
        "runs": [
            {
                "kind": piece.kind, "source": piece.source, "status": piece.status,
                "evidence": piece.public_id, "digests": piece.digests,
                "produced_at": piece.produced_at,
            }
            for piece in version.evidence.filter(is_measured=True).order_by("-produced_at", "-id")
        ],
    }  # fmt: skip
