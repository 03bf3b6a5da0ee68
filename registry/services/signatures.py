"""Signatures over the files of a version: made outside, verified before they are kept."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, roles
from crowetrade_site.core.errors import Conflict, InvalidInput, translating
from registry import selectors
from registry.artifacts.errors import ArtifactError
from registry.artifacts.signing import verify_signature
from registry.models import SigningBundle
from registry.services.steps import require_sound


@transaction.atomic(durable=True)
def attach_signature(
    *, version_id: UUID, bundle: Mapping[str, Any], public_key: str, actor: User, at: datetime
) -> SigningBundle:
    """Keep an OpenSSF model-signing bundle with a version, once it holds for exactly its files.

    Whose the key is the registry does not know: who attached it is recorded, and people compare.

    Raises
    ------
    NotFound, Forbidden
        No such version (404), the actor may neither register nor judge models (403).
    InvalidInput
        The bundle is damaged, not by this key, or over other files (422).
    Conflict
        The version is compromised, or has a signature with this key (409).
    """
    roles.require(actor, "models:write", "models:approve")
    version = selectors.get_version(version_id)
    require_sound(version)
    manifest = selectors.manifest_of(version)
    with translating(ArtifactError, InvalidInput):
        found = verify_signature(json.dumps(bundle).encode(), public_key.encode(), manifest)
    try:
        with transaction.atomic():
            made = SigningBundle.objects.create(
                version=version, bundle=dict(bundle), public_key=public_key,
                key_id=found.key_digest, attached_by=actor, verified_at=at,
            )  # fmt: skip
    except IntegrityError:
        raise Conflict(f"{version} has a signature with this key.") from None
    audit.record(
        "registry.signature.attached", version, actor=actor, at=at,
        after={"key_id": found.key_digest, "name": found.name, "digest": version.digest},
    )  # fmt: skip
    return made
