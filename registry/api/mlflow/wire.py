"""Models and versions as MLflow writes them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from crowetrade_site.core.errors import InvalidInput
from registry.api.mlflow.readiness import status_of
from registry.lifecycle import Stage
from registry.models import ModelVersion, RegisteredModel
from registry.selectors.searching import ListedVersion

WORDS = {
    Stage.DEVELOPMENT: "None",
    Stage.TESTING: "None",
    Stage.STAGING: "Staging",
    Stage.PRODUCTION: "Production",
    Stage.ARCHIVED: "Archived",
}


def stage_word(text: str) -> str:
    """Return one of MLflow's four words for a stage, written in any case.

    Raises
    ------
    InvalidInput
        It is none of them (INVALID_PARAMETER_VALUE).
    """
    known = {word.lower(): word for word in WORDS.values()}
    if text.lower() not in known:
        raise InvalidInput(f"Invalid stage {text!r}; it is one of: {', '.join(known.values())}.")
    return known[text.lower()]


def stages_of(texts: Iterable[str]) -> list[Stage]:
    """Return the stages that MLflow's words stand for."""
    words = {stage_word(text) for text in texts}
    return [stage for stage, word in WORDS.items() if word in words]


def registered_model(
    model: RegisteredModel, newest: Iterable[ListedVersion], artifacts_url: str
) -> dict[str, Any]:
    """Return a model with the newest version of each of MLflow's stages."""
    return {
        "name": model.name,
        "creation_timestamp": _ms(model.created_at),
        "last_updated_timestamp": _ms(model.changed_at),
        "user_id": model.owner.get_username(),
        "description": model.description,
        "tags": _tags(model.tags),
        "aliases": [
            {"alias": alias.alias, "version": str(alias.version.number)}
            for alias in model.aliases.all()
        ],
        "latest_versions": [
            model_version(version, artifacts_url)
            for version in newest_by_word(newest)
            if version.registered_model_id == model.pk
        ],
    }


def newest_by_word(versions: Iterable[ListedVersion]) -> list[ListedVersion]:
    """Return the newest version of each model and word: two of our stages share one."""
    newest: dict[tuple[int, str], ListedVersion] = {}
    for version in sorted(versions, key=lambda one: one.number):
        newest[version.registered_model_id, WORDS[Stage(version.stage)]] = version
    return list(newest.values())


def model_version(version: ModelVersion | ListedVersion, artifacts_url: str) -> dict[str, Any]:
    """Return a version."""
    status, message = status_of(version)
    own = {"registry.stage": version.stage, "registry.digest": version.digest}
    return {
        "name": version.model_name,
        "version": str(version.number),
        "creation_timestamp": _ms(version.created_at),
        "last_updated_timestamp": _ms(version.changed_at),
        "user_id": version.author_name,
        "current_stage": WORDS[Stage(version.stage)],
        "description": version.description,
        "source": source(version, artifacts_url),
        "run_id": version.run_id,
        "run_link": version.run_link,
        "status": status,
        "status_message": message,
        "tags": _tags(version.tags | own),
        "aliases": version.alias_names,
    }


def source(version: ModelVersion | ListedVersion, artifacts_url: str) -> str:
    """Return where a version came from: `models:/…`, or the address of its folder."""
    if version.source.startswith("models:/"):
        return version.source
    return f"{artifacts_url}/{quote(version.source)}"


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": tags[key]} for key in sorted(tags)]


def _ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
