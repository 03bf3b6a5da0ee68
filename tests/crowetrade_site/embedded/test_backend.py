"""Django on the embedded server, in processes of its own."""

import pytest

from crowetrade_site.embedded.daemon import Health
from crowetrade_site.embedded.postgres import Postgres

SETUP = """
    import os, signal
    import django
    from django.conf import settings
    from crowetrade_site.embedded.home import home
    from crowetrade_site.embedded.postgres import Postgres
    server = Postgres(home())
    settings.configure(DATABASES={"default": {
        "ENGINE": "crowetrade_site.embedded.backend", **server.connection(), **OPTIONS,
    }})
    django.setup()
    from django.db import OperationalError, connection

    def ask(sql):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.description and cursor.fetchone()
"""
HEAL = """
    import logging
    logging.getLogger("psycopg.pool").setLevel("CRITICAL")  # it tells of each broken connection
    from django.db import close_old_connections
    ask("CREATE TABLE t AS SELECT 7 AS x")
    os.kill(server.pid(), signal.SIGKILL)
    try:
        while True:
            ask("SELECT 1")  # the backend needs a moment to notice
    except OperationalError:
        print("lost")
    close_old_connections()
    connection.close()
    print(ask("SELECT x FROM t"))
    connection.close()
    connection.close_pool()
"""
PLAIN = "    OPTIONS = {}\n" + SETUP


class TestDatabaseWrapper:
    def test_starts_the_server_with_the_first_query_and_stops_it_at_the_end(self, home, clients):
        code = PLAIN + (
            "    print(server.is_running(), connection.vendor, ask('SELECT 1'))\n"
            "    connection.close()\n"
        )
        assert clients.run(code) == "False postgresql (1,)"
        assert Postgres(home).health() is Health.SILENT

    @pytest.mark.faults
    @pytest.mark.parametrize(
        "options",
        [
            {"CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 60},
            {"CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": True}},
        ],
    )
    def test_heals_a_killed_server_with_what_was_committed(self, clients, options):
        code = f"    OPTIONS = {options!r}\n" + SETUP + HEAL
        assert clients.run(code) == "lost\n(7,)"

    def test_a_server_that_cannot_start_is_djangos_own_error_with_the_cure(self, home, clients):
        (home / "postgres").write_text("in the way")
        code = PLAIN + (
            "    try:\n"
            "        ask('SELECT 1')\n"
            "    except OperationalError as error:\n"
            "        print(error)\n"
        )
        assert "is in the way: it is not a PostgreSQL data folder. Move it away" in clients.run(
            code
        )

    @pytest.mark.faults
    def test_makes_and_destroys_test_databases(self, clients):
        code = PLAIN + (
            "    name = connection.creation.create_test_db(verbosity=0)\n"
            "    print(name, ask('SELECT current_database()')[0])\n"
            "    connection.creation.destroy_test_db('crowetrade', verbosity=0)\n"
            "    connection.close()\n"
        )
        assert clients.run(code) == "test_crowetrade test_crowetrade"
