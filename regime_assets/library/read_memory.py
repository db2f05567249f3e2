"""What was read of a database file, for the next reader, as long as nobody writes those tables.

A step reads the same rows many times: which models a session has, which moves the journal holds. The file's header
counts its checkpoints, and every write ends in one; so eight bytes tell whether another process wrote since.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

MOST_ENTRIES = 512
MOST_CELLS = 4_000_000
"""Of all frames that are kept: some 32 MB of numbers."""

HEADERS = (4096, 8192)
"""Where DuckDB's two headers begin; each holds its checksum and the number of the checkpoint that wrote it."""

_TABLE = re.compile(r'\b(?:FROM|JOIN)\s+"?([A-Za-z_]\w*)', re.IGNORECASE)


def checkpoint_of(path: Path) -> bytes | None:
    """What changes with every write to a file that nobody has open; None where that cannot be told."""
    if path.with_name(path.name + ".wal").exists():
        return None
    try:
        with path.open("rb", buffering=0) as file:
            parts: list[bytes] = []
            for place in HEADERS:
                file.seek(place)
                parts.append(file.read(16))
    except OSError:
        return None
    return b"".join(parts)


def tables_read(sql: str) -> frozenset[str]:
    """The tables that a statement reads, in small letters; none where it reads the catalog, which any write changes."""
    names = frozenset(name.lower() for name in _TABLE.findall(sql))
    return names if not any(name.startswith(("information_schema", "duckdb_")) for name in names) else frozenset()


class ReadMemory:
    """What one process has read of one file. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._checkpoint: bytes | None = None
        self._kept: OrderedDict[Hashable, tuple[frozenset[str], Any]] = OrderedDict()
        self._cells = 0

    def recall(self, key: Hashable, checkpoint: bytes | None) -> tuple[bool, Any]:
        """Whether the answer to `key` is known and still true, and the answer, a copy for its reader to change."""
        with self._lock:
            if key not in self._kept or checkpoint is None or checkpoint != self._checkpoint:
                return False, None
            self._kept.move_to_end(key)
            return True, deepcopy(self._kept[key][1])

    def keep(self, key: Hashable, tables: frozenset[str], answer: Any, checkpoint: bytes | None) -> None:
        """Remember an answer that was read from `tables` at a checkpoint, which the reader's lock held in place."""
        if checkpoint is None or not tables:
            return
        with self._lock:
            if checkpoint != self._checkpoint:
                self._forget_all(checkpoint)
            self._drop(key)
            self._kept[key] = tables, deepcopy(answer)
            self._cells += _cells(answer)
            while len(self._kept) > MOST_ENTRIES or (self._cells > MOST_CELLS and self._kept):
                self._drop(next(iter(self._kept)))

    def written(self, before: bytes | None, after: bytes | None, tables: Iterable[str] | None) -> None:
        """Forget what was read of `tables`, all where that is not known: a writer changed them between two checkpoints.

        What was read before another process wrote is forgotten altogether.
        """
        with self._lock:
            if tables is None or before is None or before != self._checkpoint:
                self._forget_all(after)
                return
            changed = {name.lower() for name in tables}
            for key in [key for key, (read, _) in self._kept.items() if read & changed]:
                self._drop(key)
            self._checkpoint = after

    def forget(self, key: Hashable) -> None:
        """Forget one answer."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        _, answer = self._kept.pop(key, (None, None))
        self._cells -= _cells(answer)

    def _forget_all(self, checkpoint: bytes | None) -> None:
        self._kept.clear()
        self._cells, self._checkpoint = 0, checkpoint


def _cells(answer: Any) -> int:
    """Those of a frame; pandas is not imported to ask, because the definitions load without it."""
    return int(getattr(answer, "size", 0))
