"""Files over REST: handed in at once or in parts, and handed out again."""

from urllib.parse import urlencode
from uuid import UUID

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core import roles
from crowetrade_site.core.api.bodies import DIGEST_HEADERS
from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key, names_etag
from crowetrade_site.core.api.input import caller, valid
from crowetrade_site.core.api.negotiation import AsItIs
from crowetrade_site.core.api.pagination import NewestFirst
from crowetrade_site.core.api.serializers import Reason
from registry import selectors, services
from registry.api import filters, serializers
from registry.api.receiving import offset_of, receive_file, receive_part
from registry.models import StoredFile, Upload

BYTES = {"application/octet-stream": OpenApiTypes.BINARY}
OFFSET = OpenApiParameter(
    "Upload-Offset", OpenApiTypes.INT, OpenApiParameter.HEADER, required=True,
    description="How many bytes are there already.",
)  # fmt: skip


class ByPath(NewestFirst):
    """Files by their paths."""

    ordering = ("path", "id")


class FilesView(ListAPIView[StoredFile]):
    """Files that were handed in."""

    scopes = {"GET": "models:read"}
    queryset = selectors.list_files()
    serializer_class = serializers.FileRow
    filterset_class = filters.FileFilter
    pagination_class = ByPath
    ordering_fields = ["path"]


class FileView(APIView):
    """One file under its path."""

    scopes = {"PUT": "models:write"}

    @extend_schema(
        request=BYTES, responses={201: serializers.FileRow}, parameters=[*DIGEST_HEADERS]
    )
    def put(self, request: Request, path: str) -> Response:
        """Store the body as a file; it is hashed while it arrives."""
        stored = receive_file(request, path)
        return Response(
            serializers.FileRow(stored).data,
            status.HTTP_201_CREATED,
            headers={"ETag": f'"{stored.sha256}"'},
        )


class UploadsView(APIView):
    """Files that arrive in several requests."""

    scopes = {"POST": "models:write"}

    @extend_schema(
        request=serializers.UploadRequest,
        responses={201: serializers.UploadRow},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Announce a file; its bytes follow."""
        wanted = valid(serializers.UploadRequest(data=request.data))
        upload = services.start_upload(
            actor=caller(request), at=timezone.now(), idempotency_key=idempotency_key(request),
            **wanted,
        )  # fmt: skip
        return Response(
            serializers.UploadRow(upload, context={"offset": offset_of(upload)}).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("upload", args=[upload.public_id])},
        )


class UploadView(APIView):
    """One upload; `HEAD` gives the offset alone."""

    scopes = {"GET": "models:write", "PATCH": "models:write", "DELETE": "models:write"}

    @extend_schema(responses=serializers.UploadRow)
    def get(self, request: Request, upload_id: UUID) -> Response:
        """Return how much of it is there, also as `Upload-Offset`."""
        upload = selectors.get_upload(upload_id, caller(request))
        return self._answer(upload, offset_of(upload))

    @extend_schema(request=BYTES, responses=serializers.UploadRow, parameters=[OFFSET])
    def patch(self, request: Request, upload_id: UUID) -> Response:
        """Append bytes; the file has its path once all are there and hash to what was said."""
        upload = selectors.get_upload(upload_id, caller(request))
        return self._answer(upload, receive_part(request, upload))

    @extend_schema(parameters=[Reason], responses={204: None})
    def delete(self, request: Request, upload_id: UUID) -> Response:
        """Give it up; what arrived of it is removed."""
        wanted = valid(Reason(data=request.query_params))
        services.abandon_upload(
            upload_id=upload_id, actor=caller(request), at=timezone.now(), reason=wanted["reason"]
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _answer(self, upload: Upload, offset: int) -> Response:
        body = serializers.UploadRow(upload, context={"offset": offset}).data
        headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.n_bytes)}
        return Response(body, headers=headers | {"Cache-Control": "no-store"})


class VersionFilesView(APIView):
    """The files of a version."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.VersionFile(many=True))
    def get(self, request: Request, version_id: UUID) -> Response:
        """List them, with the address of each."""
        version = selectors.get_version(version_id)
        base = request.build_absolute_uri(reverse("version-artifact", args=[version_id]))
        rows = [
            {**entry, "url": f"{base}?{urlencode({'path': entry['path']})}"}
            for entry in version.manifest["files"]
        ]
        return Response(serializers.VersionFile(rows, many=True).data)


class VersionArtifactView(APIView):
    """One file of a version."""

    scopes = {"GET": "models:read"}
    content_negotiation_class = AsItIs

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "path", OpenApiTypes.STR, description="Needless where it has one file."
            )
        ],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
            304: OpenApiResponse(description="The client has it: If-None-Match names the ETag"),
        },
    )
    def get(self, request: Request, version_id: UUID) -> HttpResponseBase:
        """Return the file, verified against its digest before the first byte leaves."""
        version = selectors.get_version(version_id)
        if refusal := selectors.refusal_to_serve(version, roles.roles_of(request.user)):
            raise refusal
        entry = selectors.get_file(version, request.query_params.get("path", ""))
        answer: HttpResponseBase = HttpResponse(status=304)
        if not names_etag(request, entry.sha256):
            file = services.open_file(version=version, entry=entry, at=timezone.now())
            name = entry.path.rsplit("/", 1)[-1]
            answer = FileResponse(
                file, as_attachment=True, filename=name, content_type="application/octet-stream"
            )
        answer.headers["ETag"] = f'"{entry.sha256}"'
        return answer
