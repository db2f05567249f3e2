"""Which code fitted a model: a hash over the library's sources, so that an uncommitted change is told apart too."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1]


@cache
def code_version() -> str:
    """The first 12 hex digits of a SHA-256 over the names and contents of the library's modules."""
    digest = hashlib.sha256()
    for path in sorted(LIBRARY.rglob("*.py")):
        digest.update(path.relative_to(LIBRARY).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
