"""Filters of the ground floor's lists."""

import django_filters

from crowetrade_site.core.models import AuditEvent


class AuditFilter(django_filters.FilterSet):
    """The audit trail by what, who, when and on what."""

    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields = ["verb", "actor", "object_type", "object_id", "request_id"]
