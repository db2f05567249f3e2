"""Files of tables written again so that the DuckDB of a deployment reads them, which is older than that of one machine.

A file keeps the version of its format from then on, and either DuckDB writes it.
"""

from __future__ import annotations

import os
from pathlib import Path

from regime_assets.library.database import DatabaseError
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.upkeep.table_copies import TableCopyError, table_contents

READABLE = "v1.5.0"
"""The newest format of files that DuckDB 1.5 knows."""


def make_readable(home: Home) -> dict[str, bool]:
    """Write the data folder's files of tables in a format that DuckDB 1.5 reads.

    Returns:
        Of each file, by its place in the folder, whether it was written again; the others have such a format already.

    Raises:
        TableCopyError: a file would not hold what it held; it stays as it is then.
        DatabaseError: another process holds a file, or it cannot be read here.
    """
    paths = [*sorted(home.databases.glob("*.duckdb")), *([home.ledger] if home.ledger.exists() else [])]
    return {str(path.relative_to(home.root)): _written_again(path) for path in paths}


def _written_again(path: Path) -> bool:
    import duckdb

    DatabaseFile(path).tables()  # what a process that was killed left beside the file is in it afterwards
    staging = path.with_name(f".{path.name}.readable")
    with DatabaseFile(path).undisturbed(), duckdb.connect() as engine:
        try:
            engine.execute(f"ATTACH '{_quoted(path)}' AS before (READ_ONLY)")
            tags = engine.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'before'").fetchone()
            if tags is None or str(dict(tags[0]).get("storage_version", "")).startswith("v1."):
                return False
            staging.unlink(missing_ok=True)
            engine.execute(f"ATTACH '{_quoted(staging)}' AS after (STORAGE_VERSION '{READABLE}')")
            engine.execute("COPY FROM DATABASE before TO after")
            held, holds = table_contents(engine, "before"), table_contents(engine, "after")
            engine.execute("DETACH before")
            engine.execute("DETACH after")
        except duckdb.Error as error:
            staging.unlink(missing_ok=True)
            raise DatabaseError(f"{path}: cannot be written again: {error}; it stays as it is") from error
        if held != holds:
            staging.unlink()
            raise TableCopyError(f"{path}: written again it would hold something else; it stays as it is: report this")
        with staging.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(staging, path)
    return True


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
