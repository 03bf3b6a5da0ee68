"""MLflow's addresses, as its clients ask for them: without a slash at the end, never redirected."""

from django.urls import path, re_path

from registry.api.mlflow import aliases, artifacts, models, versions

_V2 = "api/2.0/mlflow/"
_MODELS = f"{_V2}registered-models/"
_VERSIONS = f"{_V2}model-versions/"
_ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"

urlpatterns = [
    path(f"{_MODELS}create", models.CreateModelView.as_view()),
    path(f"{_MODELS}get", models.ModelView.as_view(), name="mlflow-model"),
    path(f"{_MODELS}update", models.UpdateModelView.as_view()),
    path(f"{_MODELS}rename", models.RenameModelView.as_view()),
    path(f"{_MODELS}delete", models.DeleteModelView.as_view()),
    path(f"{_MODELS}search", models.SearchModelsView.as_view()),
    path(f"{_MODELS}get-latest-versions", models.LatestVersionsView.as_view()),
    path(f"{_MODELS}set-tag", models.TagModelView.as_view()),
    path(f"{_MODELS}delete-tag", models.UntagModelView.as_view()),
    path(f"{_MODELS}alias", aliases.AliasView.as_view()),
    path(f"{_VERSIONS}create", versions.CreateVersionView.as_view()),
    path(f"{_VERSIONS}get", versions.VersionView.as_view()),
    path(f"{_VERSIONS}update", versions.UpdateVersionView.as_view()),
    path(f"{_VERSIONS}delete", versions.DeleteVersionView.as_view()),
    path(f"{_VERSIONS}search", versions.SearchVersionsView.as_view()),
    path(f"{_VERSIONS}get-download-uri", versions.DownloadUriView.as_view()),
    path(f"{_VERSIONS}set-tag", versions.TagVersionView.as_view()),
    path(f"{_VERSIONS}delete-tag", versions.UntagVersionView.as_view()),
    path(f"{_VERSIONS}transition-stage", versions.TransitionView.as_view()),
    path(_ARTIFACTS, artifacts.FolderView.as_view()),
    re_path(rf"^{_ARTIFACTS}/(?P<path>[\s\S]*)$", artifacts.FileView.as_view()),
    re_path(r"^api/[23]\.\d/mlflow(?:-artifacts)?(?:/[\s\S]*)?$", artifacts.UnknownView.as_view()),
]
