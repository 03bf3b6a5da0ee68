import pytest
from django.db import OperationalError, connection
from django.urls import reverse
from kombu.exceptions import OperationalError as BrokerError

from crowetrade_site.core import health


class TestLive:
    def test_answers_without_a_database(self, client, django_assert_num_queries, db):
        with django_assert_num_queries(0):
            response = client.get("/health/live")

        assert (response.status_code, response.json()) == (200, {"status": "live"})


@pytest.mark.django_db
class TestReady:
    def test_answers_when_database_and_broker_do(self, client):
        response = client.get("/health/ready")

        assert response.status_code == 200
        assert response.json() == {"status": "ready", "database": True, "broker": True}

    def test_says_that_the_database_is_away(self, client, monkeypatch):
        def away() -> None:
            raise OperationalError("connection refused by 10.0.0.5")

        monkeypatch.setattr(connection, "cursor", away)

        response = client.get("/health/ready")

        assert response.status_code == 503
        assert response.json() == {"status": "not ready", "database": False, "broker": True}

    @pytest.mark.parametrize("error", [BrokerError("refused"), ConnectionRefusedError()])
    def test_says_that_the_broker_is_away(self, client, monkeypatch, error):
        class Away:
            def connection_for_write(self):
                raise error

        monkeypatch.setattr(health, "current_app", Away())

        response = client.get("/health/ready")

        assert response.status_code == 503
        assert response.json() == {"status": "not ready", "database": True, "broker": False}

    def test_is_no_place_for_the_logged_in_alone(self, client):
        assert client.get(reverse("admin:index")).status_code == 302
        assert client.get("/health/ready").status_code == 200
