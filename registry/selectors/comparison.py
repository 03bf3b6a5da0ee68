"""In what two versions differ, and what a version came from."""

from typing import Any

from registry.artifacts.manifest import Manifest
from registry.models import ModelVersion
from registry.selectors.records import list_versions

MOST_COPIES = 100


def compare_versions(one: ModelVersion, other: ModelVersion) -> dict[str, Any]:
    """Return in what two versions differ: files, schema, parameters, metrics and the rest."""
    files = {side: {f["path"]: f["sha256"] for f in v.manifest["files"]}
             for side, v in (("one", one), ("other", other))}  # fmt: skip
    mappings = ("signature", "framework", "parameters", "metrics", "tags")
    return {
        "one": str(one),
        "other": str(other),
        "is_same_files": _manifest(one).content_digest == _manifest(other).content_digest,
        "files": _differences(files["one"], files["other"]),
        **{name: _differences(getattr(one, name), getattr(other, name)) for name in mappings},
        "datasets": {
            "only_one": sorted(set(one.datasets) - set(other.datasets)),
            "only_other": sorted(set(other.datasets) - set(one.datasets)),
        },
        "code_revision": [one.code_revision, other.code_revision],
    }


def _manifest(version: ModelVersion) -> Manifest:
    return Manifest.from_json(version.manifest)


def _differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        key: [one.get(key), other.get(key)]
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    }


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
