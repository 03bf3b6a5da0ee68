"""Tables that the database itself keeps append-only.

The SQL is part of migrations that have run: what these functions return must not change. Another
way of guarding is another function.
"""

from collections.abc import Iterable

REFUSE = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{what} is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""
GUARD = """
CREATE TRIGGER {prefix}_rows BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}();
CREATE TRIGGER {prefix}_table BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {prefix}_rows;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {prefix}_table;
"""


def refusal(function: str, *, what: str) -> str:
    """Return the SQL of a trigger function that refuses every change, naming what it guards."""
    return REFUSE.format(function=function, what=what)


def guards(tables: Iterable[str], *, prefix: str, function: str) -> str:
    """Return the SQL of the triggers that call it.

    A row trigger refuses UPDATE and DELETE, a statement trigger TRUNCATE; both are ENABLE ALWAYS,
    so that session_replication_role does not skip them.
    """
    return "".join(GUARD.format(prefix=prefix, table=table, function=function) for table in tables)


def unguarding(function: str) -> str:
    """Return the SQL that takes a trigger function away, and its triggers with it."""
    return f"DROP FUNCTION {function}() CASCADE;"
