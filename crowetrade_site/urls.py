"""Every address of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from crowetrade_site.core import health

handler400 = "crowetrade_site.core.api.problems.bad_request"
handler403 = "crowetrade_site.core.api.problems.forbidden"
handler404 = "crowetrade_site.core.api.problems.not_found"
handler500 = "crowetrade_site.core.api.problems.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}crowetrade/favicon.svg")),
    path("admin/", admin.site.urls),
    # First what is asked most: addresses are tried one after the other.
    path("api/v1/", include("experiments.api.urls")),
    path("api/v1/", include("registry.api.urls")),
    path("api/v1/", include("crowetrade_site.core.api.urls")),
    path("api/v1/", include("backtests.api.urls")),
    path("api/v1/", include("strategies.api.urls")),
    path("", include("registry.api.mlflow.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.live),
    path("health/ready", health.ready),
]
