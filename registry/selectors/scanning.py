"""Which versions wait for a new look, as the rules that admitted them are not those of today."""

from collections.abc import Iterator

from crowetrade_site.core import doctor
from registry.artifacts.revision import scanner_revision
from registry.models import ModelVersion


def count_admitted_earlier() -> int:
    """Return how many ready versions rules admitted that are not those of today."""
    return ModelVersion.objects.admitted_by_others(scanner_revision()).count()


def scans_of_versions() -> Iterator[doctor.Diagnosis]:
    """Check that all that is served was looked at by the rules, and the libraries, of today."""
    n_earlier = count_admitted_earlier()
    are = "version was" if n_earlier == 1 else "versions were"
    yield doctor.judge(
        "scans of versions",
        f"{n_earlier:,} ready {are} admitted by earlier rules" if n_earlier
        else "all ready versions were admitted by today's rules",
        good=not n_earlier, mild=True,
        cure="run: manage.py rescan_models, which looks at them; --dry-run says what would fail",
    )  # fmt: skip
