"""Looking again at versions that were admitted by earlier rules of the scanner.

The row says by which rules it was looked at last, so a pass that is broken off goes on where it
was. What fails is quarantined or refused as at admission; a version of production keeps its status,
since a trading system stands on it: it is marked, the trail and its page say so, and no gate lets
it go anywhere by its files again until a later look finds nothing.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone

from crowetrade_site.core import audit
from crowetrade_site.core.errors import DomainError
from registry.artifacts.errors import ArtifactError
from registry.artifacts.findings import Decision
from registry.artifacts.revision import scanner_revision
from registry.artifacts.sandbox import ProbeStatus
from registry.jobs.admission import STATUS_OF, added_types, examine, materialized
from registry.lifecycle import VERSIONS, Stage, VersionStatus
from registry.models import ModelVersion
from registry.querysets import ModelVersionQuerySet
from registry.selectors import manifest_of, trusted_types_of

logger = logging.getLogger(__name__)
_VERBS = {VersionStatus.QUARANTINED: "quarantined", VersionStatus.REFUSED: "refused"}


class Rescanned(NamedTuple):
    """What a pass found, or would do.

    Attributes
    ----------
    n_versions : int
        That other rules than those of today admitted, or that failed these in production.
    n_passed : int
    failed : list of str
        A sentence for each version that is quarantined or refused by it.
    in_production : list of str
        A sentence for each that failed and stays in production, marked.
    not_scanned : list of str
        A sentence for each that could not be looked at: the next pass does.
    """

    n_versions: int
    n_passed: int
    failed: list[str]
    in_production: list[str]
    not_scanned: list[str]


class _Found(NamedTuple):
    """What the rules of today say of a version."""

    status: VersionStatus
    findings: list[dict[str, Any]]
    words: str
    trusted_types: list[str]


class _NotLookedAtError(Exception):
    """The machine, not the model, kept a version from being looked at."""


def rescan_versions(
    *, is_dry: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Rescanned:
    """Look at ready versions once more that were admitted by other rules than those of today.

    Parameters
    ----------
    tell : callable
        Takes a sentence for each version, as it is done.
    """
    rows = _due()
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    done = Rescanned(len(keys), 0, [], [], [])
    for place, pk in enumerate(keys, 1):
        version = rows.with_names().filter(pk=pk).first()
        if version is None:  # deleted, or found to be otherwise, meanwhile
            continue
        try:
            found = _look(version)
        except Exception as unread:  # also what breaks the scanner: others come after it
            logger.warning(
                "A version was not looked at again", extra={"version": str(version)}, exc_info=True
            )
            why = str(unread) if isinstance(unread, _FORESEEN) else type(unread).__name__
            done.not_scanned.append(f"{version}: {why}")
            tell(f"{place} of {len(keys)}: {version} not scanned: {why}")
            continue
        stage = version.stage if is_dry else _record(version, found)
        done = _counted(done, version, found, stage)
        tell(f"{place} of {len(keys)}: {version} {found.words or 'passed'}")
    return done


_FORESEEN = (ArtifactError, DomainError, OSError, _NotLookedAtError)


def _due() -> ModelVersionQuerySet:
    """Return what a pass looks at: one that failed in production, too, until it passes or left."""
    earlier = ModelVersion.objects.admitted_by_others(scanner_revision())
    return earlier | ModelVersion.objects.marked()


def _look(version: ModelVersion) -> _Found:
    """Examine the files of a version; types that its desk took back are told by the gates."""
    trusted = trusted_types_of(version.registered_model.desk) | set(version.trusted_types)
    with materialized(version) as folder:
        verdict, probe = examine(folder, manifest_of(version), trusted)
        added = added_types(folder, manifest_of(version), trusted)
    if probe is not None and probe.status == ProbeStatus.PENDING:
        raise _NotLookedAtError(f"no sandbox to open it in: {probe.reason}")
    if probe is not None and probe.status == ProbeStatus.LATE:  # endless computing is no lateness
        raise _NotLookedAtError(f"out of time in the sandbox: {probe.reason}")
    findings = [finding.to_json() for finding in verdict.findings]
    if probe is not None and not probe.is_opened:
        why = f"It does not open in the sandbox: {probe.reason}"
        findings.append({"code": "unreadable", "path": "", "text": why})
        return _Found(VersionStatus.REFUSED, findings, why, added)
    words = "" if verdict.decision == Decision.ACCEPTED else verdict.summary
    return _Found(STATUS_OF[verdict.decision], findings, words, added)


def _counted(done: Rescanned, version: ModelVersion, found: _Found, stage: str | None) -> Rescanned:
    if stage is None:  # somebody else has looked, or moved on
        return done
    if found.status == VersionStatus.READY:
        return done._replace(n_passed=done.n_passed + 1)
    kept = done.in_production if stage == Stage.PRODUCTION else done.failed
    kept.append(f"{version} ({stage}): {found.words}")
    return done


@transaction.atomic
def _record(version: ModelVersion, found: _Found) -> str | None:
    """Write what was found where the version is now, and return its stage; None where it is gone.

    Its row is locked: nobody moves it into production between the look and the mark.
    """
    now = _due().select_for_update(no_key=True).filter(pk=version.pk).first()
    if now is None:
        return None
    at = timezone.now()  # of this version: a pass may take hours
    changes: dict[str, Any] = {"scanned_by": scanner_revision(), "updated_at": at}
    before: dict[str, Any] = {"status": now.status, "scanned_by": now.scanned_by}
    after = {"digest": now.digest, "scanned_by": scanner_revision(), "findings": found.findings}
    verb = ""
    if found.status == VersionStatus.READY:
        changes |= {
            "findings": found.findings, "trusted_types": found.trusted_types,
            "rescan_failed_at": None, "rescan_findings": [],
        }  # fmt: skip
        if now.trusted_types != found.trusted_types:
            before["trusted_types"] = now.trusted_types
            after["trusted_types"] = found.trusted_types
        if (
            now.rescan_failed_at is not None
            or now.findings != found.findings
            or now.trusted_types != found.trusted_types
        ):
            verb = "rescanned"
    elif now.stage == Stage.PRODUCTION and _is_told(now, found):
        return now.stage
    elif now.stage == Stage.PRODUCTION:
        changes |= {"rescan_failed_at": at, "rescan_findings": found.findings, "changed_at": at}
        verb = "rescan_failed"
        logger.error("A version of production fails newer rules", extra={"version": str(version)})
    else:
        VERSIONS.check(VersionStatus.READY, found.status)
        changes |= {
            "status": found.status, "findings": found.findings, "changed_at": at,
            "status_message": found.words[:2000], "rescan_failed_at": None, "rescan_findings": [],
        }  # fmt: skip
        verb = _VERBS[found.status]
        after["status"] = found.status
    ModelVersion.objects.filter(pk=now.pk).update(**changes)
    if verb:
        audit.record(
            f"registry.version.{verb}", version, actor=None, at=at,
            reason=found.words or "looked at once more, by newer rules", before=before,
            after=after | {"stage": now.stage},
        )  # fmt: skip
    return now.stage


def _is_told(now: ModelVersion, found: _Found) -> bool:
    """Say whether the mark of an earlier pass by the same rules says the same."""
    is_marked = now.rescan_failed_at is not None and now.scanned_by == scanner_revision()
    return is_marked and now.rescan_findings == found.findings
