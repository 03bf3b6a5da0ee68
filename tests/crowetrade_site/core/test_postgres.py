"""Rows that travel with the COMMIT, on a table of their own."""

import contextlib

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from crowetrade_site.core.postgres.base import MOST_BYTES_WAITING, MOST_WAITING, RowRefused
from tests.crowetrade_site.core.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
INTO = "INSERT INTO later (number, word)"


class Undone(Exception):
    pass


@pytest.fixture(autouse=True)
def table(db):
    execute("CREATE TABLE later (number int PRIMARY KEY DEFERRABLE, word varchar(5))")
    yield
    execute("DROP TABLE later")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def later(*numbers: int, word: str = "") -> None:
    for number in numbers:
        connection.insert_later(INTO, [str(number), word])


@transaction.atomic
def later_undone(*numbers: int) -> None:
    later(*numbers)
    raise Undone


@transaction.atomic
def change(statement: str, *numbers: int, word: str = "") -> None:
    execute(statement)
    later(*numbers, word=word)


def numbers() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM later ORDER BY ctid")
        return [row[0] for row in cursor.fetchall()]


class TestInsertLater:
    def test_is_kept_with_the_commit_in_the_order_it_came(self):
        with transaction.atomic():
            later(2, 1, 3)

        assert numbers() == [2, 1, 3]

    def test_is_seen_in_the_log_of_statements(self):
        with CaptureQueriesContext(connection) as log, transaction.atomic():
            later(1)

        assert [query["sql"].split()[0] for query in log] == ["BEGIN", "INSERT", "COMMIT"]
        assert numbers() == [1]

    def test_comes_before_whatever_the_transaction_executes_next(self):
        with transaction.atomic(), connection.cursor() as cursor:
            later(1)
            cursor.execute("SELECT count(*) FROM later")

            assert cursor.fetchone() == (1,)
            later(2)
            cursor.executemany("INSERT INTO later VALUES (%s)", [(3,), (4,)])
        assert numbers() == [1, 2, 3, 4]

    def test_comes_before_the_statement_of_a_wrapper_that_watches(self):
        seen = []

        def watch(execute, sql, params, many, context):
            seen.append(sql)
            return execute(sql, params, many, context)

        with transaction.atomic():
            with connection.execute_wrapper(watch):
                later(1)
                execute("SELECT 1")
            later(2)

        assert [sql.split()[0] for sql in seen] == ["INSERT", "SELECT"]
        assert numbers() == [1, 2]
        assert connection.execute_wrappers == []

    def test_is_forgotten_by_a_rollback(self):
        with pytest.raises(Undone):
            later_undone(1)
        with transaction.atomic():
            later(2)

        assert numbers() == [2]

    def test_is_forgotten_by_the_rollback_of_its_savepoint_alone(self):
        with transaction.atomic():
            later(1)
            with pytest.raises(Undone):
                later_undone(2)
            later(3)

        assert numbers() == [1, 3]

    def test_is_kept_by_the_release_of_its_savepoint(self):
        with transaction.atomic():
            with transaction.atomic():
                later(1)
            with pytest.raises(Undone):
                later_undone()

        assert numbers() == [1]

    def test_survives_no_lost_connection(self):
        with transaction.atomic():
            later(1)
            connection.close()
        connection.close()
        with transaction.atomic():
            later(2)

        assert numbers() == [2]

    def test_takes_the_change_back_with_it_where_it_is_refused(self):
        with pytest.raises(RowRefused, match="too long"):
            change("INSERT INTO later VALUES (1)", 2, word="far too long")

        assert numbers() == []
        with transaction.atomic():
            later(3)
        assert numbers() == [3]

    def test_tells_what_the_commit_itself_refuses(self):
        with pytest.raises(IntegrityError, match="later_pkey"):
            change("SET CONSTRAINTS ALL DEFERRED", 1, 1)

        assert numbers() == []

    def test_tells_of_a_connection_lost_before_the_commit(self):
        def end(pid: int) -> None:
            in_threads(1, lambda _: execute(f"SELECT pg_terminate_backend({pid}, 20000)"))

        @transaction.atomic
        def change_and_lose() -> None:
            change("INSERT INTO later VALUES (1)")
            later(2)
            end(connection.connection.info.backend_pid)

        with pytest.raises(OperationalError, match="terminating connection"):
            change_and_lose()
        connection.close()

        assert numbers() == []

    def test_is_refused_in_a_transaction_that_is_broken(self):
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(TransactionManagementError):
                later(1)

        assert numbers() == []

    def test_refuses_a_text_the_server_would_cut(self):
        with pytest.raises(ValueError, match="NUL"), transaction.atomic():
            later(1, word="a\0b")

        assert numbers() == []

    def test_goes_before_it_grows_without_end(self, django_assert_num_queries):
        with transaction.atomic():
            with django_assert_num_queries(2):
                later(*range(2 * MOST_WAITING + 1))
            assert len(numbers()) == 2 * MOST_WAITING + 1

    def test_goes_before_it_takes_a_megabyte(self, django_assert_num_queries):
        execute("ALTER TABLE later ALTER COLUMN word TYPE text")
        half = "x" * (MOST_BYTES_WAITING // 2)

        with transaction.atomic():
            with django_assert_num_queries(0):
                later(1, word=half)
            with django_assert_num_queries(1):
                later(2, word=half)

        assert numbers() == [1, 2]

    def test_is_not_taken_for_a_refusal_of_the_statement_after_it(self):
        execute("INSERT INTO later VALUES (1)")
        done = []

        @transaction.atomic
        def swallow() -> None:
            transaction.on_commit(lambda: done.append("told"))
            later(1)
            execute("SET CONSTRAINTS ALL IMMEDIATE")
            later(1)
            try:
                execute("INSERT INTO later VALUES (3)")
            except IntegrityError:
                done.append("taken")

        with pytest.raises(RowRefused, match="later_pkey"):
            swallow()

        assert done == []
        assert numbers() == [1]

    def test_waits_on_where_a_wrapper_stops_its_sending(self):
        def deny(execute, sql, params, many, context):
            raise PermissionError

        with transaction.atomic():
            later(1)
            with pytest.raises(PermissionError), connection.execute_wrapper(deny):
                execute("SELECT 1")
            later(2)

        assert numbers() == [1, 2]
        assert connection.execute_wrappers == []

    def test_is_not_sent_twice_where_a_wrapper_fails_afterwards(self):
        def fail_after(execute, sql, params, many, context):
            execute(sql, params, many, context)
            raise PermissionError

        with transaction.atomic():
            later(1)
            with pytest.raises(PermissionError), connection.execute_wrapper(fail_after):
                execute("SELECT 1")

        assert numbers() == [1]

    def test_is_written_in_the_encoding_of_the_connection(self):
        execute("SET client_encoding = 'LATIN1'")
        try:
            with transaction.atomic():
                later(1, word="\u00e9")
                execute("SELECT 1")
                later(2, word="\u00e9")
            with pytest.raises(UnicodeEncodeError), transaction.atomic():
                later(3, word="\u20ac")
        finally:
            execute("SET client_encoding = 'UTF8'")

        with connection.cursor() as cursor:
            cursor.execute("SELECT number, word FROM later ORDER BY number")
            assert cursor.fetchall() == [(1, "\u00e9"), (2, "\u00e9")]

    def test_alone_has_a_transaction_of_its_own(self):
        connection.ensure_connection()
        notices = []
        connection.connection.add_notice_handler(notices.append)

        with transaction.atomic():
            later(1)

        assert notices == []
        assert numbers() == [1]


class TestCommit:
    def test_is_refused_where_the_server_has_given_the_transaction_up(self):
        told = []

        @transaction.atomic
        def swallow() -> None:
            transaction.on_commit(lambda: told.append(1))
            execute("INSERT INTO later VALUES (1)")
            with contextlib.suppress(DataError):
                execute("SELECT 1/0")

        with pytest.raises(TransactionManagementError, match="cannot be committed"):
            swallow()

        assert told == []
        assert numbers() == []
