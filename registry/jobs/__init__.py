"""Worker-side verbs of the registry: look at what was handed in, end what is over."""

from registry.jobs.admission import (
    admit_version,
    materialized,
    read_parameters_with,
    stalled_versions,
)
from registry.jobs.collection import Collected, InUse, collect_files
from registry.jobs.conversion import convert_version, stalled_conversions
from registry.jobs.expiry import expire_promotions, expire_uploads
from registry.jobs.integrity import (
    Absent,
    Verified,
    report_tampering,
    require_intact,
    verify_versions,
)
from registry.jobs.loose import keep_loose, note_loose
from registry.jobs.rescanning import Rescanned, rescan_versions

__all__ = [
    "Absent",
    "Collected",
    "InUse",
    "Rescanned",
    "Verified",
    "admit_version",
    "collect_files",
    "convert_version",
    "expire_promotions",
    "expire_uploads",
    "keep_loose",
    "materialized",
    "note_loose",
    "read_parameters_with",
    "report_tampering",
    "require_intact",
    "rescan_versions",
    "stalled_conversions",
    "stalled_versions",
    "verify_versions",
]
