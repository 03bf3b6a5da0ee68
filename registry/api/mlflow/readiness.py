"""Whether a version is ready, and why it may not be loaded."""

from crowetrade_site.core.errors import Conflict, Corrupted, Forbidden
from registry import selectors
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.selectors.searching import ListedVersion

PENDING, READY, FAILED = "PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION"


def status_of(version: ModelVersion | ListedVersion) -> tuple[str, str]:
    """Return MLflow's word for the status of a version, and what a person should know of it.

    A pickle in quarantine has failed to register, whatever a waiver says of its stages: clients
    would open it without the sandbox. One that waits is told at once, and in words.
    """
    if version.compromised_at is not None:
        return FAILED, "Its stored bytes are not those that were registered."
    match version.status:
        case VersionStatus.PENDING:
            return PENDING, version.status_message or "The files have not been looked at yet."
        case VersionStatus.READY:
            return READY, ""
        case VersionStatus.QUARANTINED:
            found = _findings(version) or "the files hold a pickle"
            return FAILED, f"In quarantine: {found.rstrip('.')}. Convert it to skops or ONNX."
    return FAILED, f"Refused: {_findings(version) or 'the files may not be registered.'}"


def require_loadable(version: ModelVersion) -> None:
    """Refuse to hand out the bytes of a version that nobody may run.

    Raises
    ------
    Corrupted, Forbidden, Conflict
        Its bytes are others (409), it is in quarantine (403), it was not looked at yet, was
        refused, is archived, or its desk took back a type's trust (409).
    """
    status, message = status_of(version)
    if version.compromised_at is not None:
        raise Corrupted(f"{version} cannot be loaded. {message}")
    if version.status == VersionStatus.QUARANTINED:
        raise Forbidden(f"{version} cannot be loaded. {message}")
    if status != READY:
        raise Conflict(f"{version} cannot be loaded. {message}")
    if version.stage == Stage.ARCHIVED:
        raise Conflict(f"{version} is archived and cannot be loaded.")
    if refusal := selectors.no_longer_trusted(version):
        raise refusal


def _findings(version: ModelVersion | ListedVersion) -> str:
    found = "; ".join(finding["text"] for finding in version.findings)
    return found or version.status_message
