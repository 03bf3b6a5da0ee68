"""Arms that are the same bytes: what is measured between them is chance, and is to be meant."""

from crowetrade_site.core.errors import DomainError
from experiments.models import Arm, Experiment
from registry import selectors as registry

_SHORT = 12


def arms_alike(experiment: Experiment) -> list[tuple[str, list[str]]]:
    """Return digests of versions that several arms are, each with the names of those.

    Of a draft by what its models mean now, of all else by what they were pinned to at the start.
    A model that is not there is found by the start, and none here.
    """
    names: dict[str, list[str]] = {}
    is_draft = experiment.started_at is None
    for arm in sorted(experiment.arms.all(), key=lambda arm: arm.position):
        digest = _meant(arm) if is_draft else arm.version_digest
        names.setdefault(digest, []).append(arm.name)
    return [(digest, same) for digest, same in names.items() if digest and len(same) > 1]


def _meant(arm: Arm) -> str:
    if not arm.model_uri:
        return ""
    try:
        return registry.resolve(arm.model_uri).digest
    except DomainError:
        return ""


def told_alike(digest: str, names: list[str]) -> str:
    """Return which arms are the same, as the beginning of a sentence."""
    return f"The arms {' and '.join(names)} are the same files (version digest {digest[:_SHORT]}…)"


def alike_notes(experiment: Experiment) -> list[str]:
    """Return a sentence for each set of arms that are the same bytes."""
    meaning = (
        "name another version, or start it as the A/A test that it is"
        if experiment.started_at is None
        else "this is an A/A test, and a winner among them would be a false alarm"
    )
    return [f"{told_alike(*one)}: {meaning}." for one in arms_alike(experiment)]
