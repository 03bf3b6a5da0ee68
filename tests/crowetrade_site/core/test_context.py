"""Request id and actor: in the context, at the border, in the logs and in the trail."""

import json
import logging
import math
import sys

import pytest
from django.http import HttpResponse

from crowetrade_site.core import context
from crowetrade_site.core.logs import ContextFilter, JsonFormatter
from crowetrade_site.core.middleware import ActorMiddleware, RequestContextMiddleware


class TestActing:
    def test_sets_and_resets(self):
        with context.acting(request="r", actor="a", run="n") as request_id:
            assert request_id == "r"
            seen = (context.request_id.get(), context.actor_name.get(), context.run_id.get())

        assert seen == ("r", "a", "n")
        assert context.request_id.get() == context.actor_name.get() == context.run_id.get() == ""

    def test_draws_an_id_where_none_is_given(self):
        with context.acting() as one:
            pass
        with context.acting() as other:
            pass

        assert len(one) == 32
        assert one != other

    def test_keeps_the_outer_context_where_it_says_nothing(self):
        with context.acting(request="r", actor="a"), context.acting(run="n") as request_id:
            assert (request_id, context.actor_name.get()) == ("r", "a")

    def test_resets_after_an_error_and_after_a_change_inside(self):
        def change_and_fail() -> None:
            with context.acting(actor="a"):
                context.actor_name.set("b")
                raise KeyError("inside")

        with pytest.raises(KeyError):
            change_and_fail()

        assert context.actor_name.get() == ""


def respond(rf, **headers: str) -> tuple[str, str]:
    """Return the id inside the request and the one in the response."""
    seen = []

    def view(request):
        seen.append(context.request_id.get())
        return HttpResponse()

    response = RequestContextMiddleware(view)(rf.get("/", headers=headers))
    return seen[0], response["X-Request-ID"]


class TestRequestContextMiddleware:
    @pytest.mark.parametrize("given", ["abcdefgh", "A-1_2.3-4567", "x" * 64])
    def test_takes_a_well_formed_id(self, rf, given):
        assert respond(rf, X_Request_ID=given) == (given, given)

    @pytest.mark.parametrize(
        "given", ["", "short", "x" * 65, "with space", "new\nline-1234", "<script>1", "é" * 10]
    )
    def test_replaces_any_other(self, rf, given):
        inside, echoed = respond(rf, X_Request_ID=given)

        assert inside == echoed != given
        assert len(inside) == 32

    def test_leaves_nothing_behind(self, rf):
        respond(rf)

        assert context.request_id.get() == ""


class TestActorMiddleware:
    def test_names_who_is_logged_in(self, client, researcher):
        client.force_login(researcher)
        seen = []
        request = client.get("/health/live").wsgi_request
        with context.acting():
            ActorMiddleware(lambda _: seen.append(context.actor_name.get()))(request)

        assert seen == ["researcher"]
        assert context.actor_name.get() == ""


def logged(message: str = "Sealed", *arguments: object, **extra: object) -> str:
    record = logging.getLogger("core.test").makeRecord(
        "core.test", logging.INFO, __file__, 1, message, arguments, None, extra=extra
    )
    ContextFilter().filter(record)
    return JsonFormatter().format(record)


class TestJsonFormatter:
    def test_is_one_line_with_message_values_and_context(self):
        with context.acting(request="request-1", actor="ada", run="run-1"):
            line = logged("Sealed %d\nof two lines", 3, count=3, name_of="é")

        assert "\n" not in line
        document = json.loads(line)
        assert document.pop("at").endswith("+00:00")
        assert document == {
            "level": "INFO",
            "logger": "core.test",
            "message": "Sealed 3\nof two lines",
            "count": 3,
            "name_of": "é",
            "request_id": "request-1",
            "actor": "ada",
            "run_id": "run-1",
        }

    def test_leaves_out_an_empty_context(self):
        assert not {"actor", "run_id"} & set(json.loads(logged()))

    def test_lets_no_value_replace_its_own_members(self):
        document = json.loads(logged(at="never", level="silent", logger="x"))

        assert document["level"] == "INFO"
        assert document["logger"] == "core.test"
        assert document["at"] != "never"

    def test_tells_an_exception(self):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            record = logging.LogRecord("x", 40, __file__, 1, "Failed", (), sys.exc_info())
        document = json.loads(JsonFormatter().format(record))

        assert "ZeroDivisionError" in document["exception"]

    @pytest.mark.parametrize(
        "value",
        [math.nan, {1: 2, (3, 4): 5}, object(), {math.inf}, "\ud800"],
        ids=["nan", "tuple key", "object", "set", "surrogate"],
    )
    def test_never_loses_a_line_to_a_value(self, value):
        def refuse(text: str) -> None:
            raise AssertionError(f"{text} is no JSON")

        document = json.loads(logged(value=value), parse_constant=refuse)

        assert document["message"] == "Sealed"
        assert "value" in document
