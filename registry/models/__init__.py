"""Tables of the registry: what is registered, its files, and what was decided about it."""

from registry.models.artifacts import (
    Conversion,
    KeptObject,
    LooseObject,
    SigningBundle,
    StoredFile,
    TrustedType,
    Upload,
)
from registry.models.decisions import Approval, Evidence, PromotionPolicy, PromotionRequest, Waiver
from registry.models.versions import ModelAlias, ModelVersion, RegisteredModel

__all__ = [
    "Approval",
    "Conversion",
    "Evidence",
    "KeptObject",
    "LooseObject",
    "ModelAlias",
    "ModelVersion",
    "PromotionPolicy",
    "PromotionRequest",
    "RegisteredModel",
    "SigningBundle",
    "StoredFile",
    "TrustedType",
    "Upload",
    "Waiver",
]
