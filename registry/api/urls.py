"""Addresses of the registry under `/api/v1/`."""

from django.urls import path

from registry.api.views import decisions, events, files, models, trust, versions

MODEL, VERSION = "models/<uuid:model_id>/", "versions/<uuid:version_id>/"
TYPE = "trusted-types/<uuid:type_id>/"
PROMOTION, UPLOAD = "promotions/<uuid:request_id>/", "uploads/<uuid:upload_id>/"

urlpatterns = [
    path("models/", models.ModelsView.as_view(), name="models"),
    path(MODEL, models.ModelView.as_view(), name="model"),
    path(f"{MODEL}rename/", models.RenameModelView.as_view(), name="model-rename"),
    path(f"{MODEL}tags/", models.ModelTagsView.as_view(), name="model-tags"),
    path(f"{MODEL}aliases/", models.ModelAliasesView.as_view(), name="model-aliases"),
    path(f"{MODEL}aliases/<slug:alias>/", models.ModelAliasView.as_view(), name="model-alias"),
    path(f"{MODEL}owner/", models.ModelOwnerView.as_view(), name="model-owner"),
    path(f"{MODEL}production/", models.ModelProductionView.as_view(), name="model-production"),
    path(f"{MODEL}rollback/", models.RollBackView.as_view(), name="model-rollback"),
    path(f"{MODEL}policy/", models.ModelPolicyView.as_view(), name="model-policy"),
    path(f"{MODEL}versions/", versions.ModelVersionsView.as_view(), name="model-versions"),
    path("versions/", versions.VersionsView.as_view(), name="versions"),
    path(VERSION, versions.VersionView.as_view(), name="version"),
    path(f"{VERSION}tags/", versions.VersionTagsView.as_view(), name="version-tags"),
    path(f"{VERSION}move/", versions.MoveVersionView.as_view(), name="version-move"),
    path(f"{VERSION}hold/", versions.HoldVersionView.as_view(), name="version-hold"),
    path(f"{VERSION}waivers/", versions.VersionWaiversView.as_view(), name="version-waivers"),
    path(
        f"{VERSION}waivers/<uuid:waiver_id>/revoke/",
        versions.RevokeWaiverView.as_view(),
        name="version-waiver-revoke",
    ),
    path(
        f"{VERSION}signatures/",
        trust.VersionSignaturesView.as_view(),
        name="version-signatures",
    ),
    path(
        f"{VERSION}compare/<uuid:other_id>/",
        versions.CompareVersionsView.as_view(),
        name="version-compare",
    ),
    path(f"{VERSION}lineage/", versions.VersionLineageView.as_view(), name="version-lineage"),
    path(
        f"{VERSION}promotions/",
        decisions.VersionPromotionsView.as_view(),
        name="version-promotions",
    ),
    path(f"{VERSION}evidence/", decisions.VersionEvidenceView.as_view(), name="version-evidence"),
    path(f"{VERSION}files/", files.VersionFilesView.as_view(), name="version-files"),
    path(f"{VERSION}artifact/", files.VersionArtifactView.as_view(), name="version-artifact"),
    path(
        f"{VERSION}conversions/", trust.VersionConversionsView.as_view(), name="version-conversions"
    ),
    path("conversions/<uuid:conversion_id>/", trust.ConversionView.as_view(), name="conversion"),
    path("trusted-types/", trust.TrustedTypesView.as_view(), name="trusted-types"),
    path(f"{TYPE}approve/", trust.ApproveTypeView.as_view(), name="trusted-type-approve"),
    path(f"{TYPE}revoke/", trust.RevokeTypeView.as_view(), name="trusted-type-revoke"),
    path("promotions/", decisions.PromotionsView.as_view(), name="promotions"),
    path(PROMOTION, decisions.PromotionView.as_view(), name="promotion"),
    path(
        f"{PROMOTION}approve/", decisions.ApprovePromotionView.as_view(), name="promotion-approve"
    ),
    path(f"{PROMOTION}reject/", decisions.RejectPromotionView.as_view(), name="promotion-reject"),
    path(
        f"{PROMOTION}withdraw/",
        decisions.WithdrawPromotionView.as_view(),
        name="promotion-withdraw",
    ),
    path(
        f"{PROMOTION}execute/", decisions.ExecutePromotionView.as_view(), name="promotion-execute"
    ),
    path("events/", events.EventsView.as_view(), name="events"),
    path("evidence/", decisions.EvidenceListView.as_view(), name="evidence"),
    path("evidence/<uuid:evidence_id>/", decisions.EvidenceView.as_view(), name="evidence-piece"),
    path("policies/", decisions.PoliciesView.as_view(), name="policies"),
    path("policies/<uuid:policy_id>/", decisions.PolicyView.as_view(), name="policy"),
    path("files/", files.FilesView.as_view(), name="files"),
    path("files/<path:path>", files.FileView.as_view(), name="file"),
    path("uploads/", files.UploadsView.as_view(), name="uploads"),
    path(UPLOAD, files.UploadView.as_view(), name="upload"),
]
