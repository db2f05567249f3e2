"""Every table is described once, and the page of tables says what the code says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from regime_assets.library import tables

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_of_tables_is_the_codes() -> None:
    assert PAGE.read_text() == tables.render() + "\n", "python -m regime_assets.library.tables > docs/tables.md"


@pytest.mark.parametrize("table", [table for table in tables.TABLES if not any("*" in c.name for c in table.columns)])
def test_a_statement_creates_the_columns_that_are_described(table: tables.Table) -> None:
    with duckdb.connect() as connection:
        connection.execute(table.ddl)
        connection.execute(table.ddl)
        found = connection.execute(f"DESCRIBE {table.name}").fetchall()
    assert [(name, kind) for name, kind, *_ in found] == [(c.name, c.type) for c in table.columns]
    assert [null == "NO" for _, _, null, *_ in found] == [c.required or c.name in table.key for c in table.columns]


def test_no_table_and_no_column_is_described_twice() -> None:
    names = [table.name for table in tables.TABLES]
    assert len(names) == len(set(names))
    for table in tables.TABLES:
        columns = [column.name for column in table.columns]
        assert len(columns) == len(set(columns)), table.name


def test_a_family_of_columns_describes_its_members() -> None:
    column = tables.VALIDATED_WINDOW.column("feature:breadth")
    assert column is not None
    assert column.meaning == "one column a feature, known on the session's close"
    assert tables.undescribed("validated_window", ["as_of", "return:SP500"]) == []
    assert tables.undescribed("validated_window", ["bogus"]) == ["validated_window.bogus"]
    assert tables.undescribed("bogus", []) == ["bogus"]
