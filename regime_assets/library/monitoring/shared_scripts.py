"""Evidently's pages without Evidently's program in each of them: the program lies beside them once, by its hash.

A page is 4.1 MB, of which 3.6 are the same on every session; the rest is the session's figures. It opens without a
network as before, from the folder that it lies in.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from regime_assets.library.shared_files import file_exists, write_file

SHARED_FOLDER = "shared"
LEAST_CHARACTERS = {"script": 1_000_000, "style": 100_000}
"""From which on a script is the program and not a page's own figures."""

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def with_shared_scripts(page: str, folder: Path) -> str:
    """The page with its program and its styles in files of `folder`, whose names are their hashes.

    Args:
        page: a whole HTML document.
        folder: `shared` beside the page.
    """

    def shared(found: re.Match[str]) -> str:
        kind, content = found.group(1), found.group(2)
        if len(content) < LEAST_CHARACTERS[kind]:
            return found.group(0)
        name = f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{'js' if kind == 'script' else 'css'}"
        if not file_exists(folder / name):
            write_file(folder / name, content.encode())
        place = f"{folder.name}/{name}"
        if kind == "script":
            return f'<script src="{place}"></script>'
        return f'<link rel="stylesheet" href="{place}">'

    return _INLINE.sub(shared, page)
