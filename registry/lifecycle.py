"""The stages of a model version and the moves between them."""

from enum import StrEnum

from crowetrade_site.core.lifecycle import Lifecycle


class Stage(StrEnum):
    """Where a model version is."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


STAGES = Lifecycle(
    "model version",
    {
        Stage.DEVELOPMENT: frozenset({Stage.TESTING, Stage.ARCHIVED}),
        Stage.TESTING: frozenset({Stage.STAGING, Stage.DEVELOPMENT, Stage.ARCHIVED}),
        Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.DEVELOPMENT, Stage.ARCHIVED}),
        Stage.PRODUCTION: frozenset({Stage.ARCHIVED}),
        # back to production: a rollback to the version that was there before
        Stage.ARCHIVED: frozenset({Stage.DEVELOPMENT, Stage.PRODUCTION}),
    },
)
