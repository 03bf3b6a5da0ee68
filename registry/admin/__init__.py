"""The registry in the admin: what stands, what happened, and what waits for whom."""

from registry.admin.models import RegisteredModelAdmin
from registry.admin.promotions import PromotionRequestAdmin
from registry.admin.records import EvidenceAdmin, PromotionPolicyAdmin
from registry.admin.trust import TrustedTypeAdmin
from registry.admin.versions import ModelVersionAdmin

__all__ = [
    "EvidenceAdmin",
    "ModelVersionAdmin",
    "PromotionPolicyAdmin",
    "PromotionRequestAdmin",
    "RegisteredModelAdmin",
    "TrustedTypeAdmin",
]
