"""The mornings that were written to the data folder: a JSON file a universe, for readers without the database."""

from __future__ import annotations

import json
from dataclasses import replace

from regime_assets.library.home import Home
from regime_assets.library.report.failures import recorded_failures
from regime_assets.library.report.morning import Morning
from regime_assets.library.shared_files import listed, read_file, shown_place

MORNING_SUFFIX = ".morning.json"


class MorningFileError(Exception):
    """A written morning cannot be understood."""


def published_mornings(home: Home) -> list[Morning]:
    """Every universe's newest morning, sorted by name, with what failed or was mended since it was written.

    Raises:
        MorningFileError: a file is not one; the message names it.
    """
    found: list[Morning] = []
    for path in (path for path in listed(home.pages) if path.name.endswith(MORNING_SUFFIX)):
        try:
            written = Morning.from_document(json.loads(read_file(path)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MorningFileError(
                f"{shown_place(path)} is not a morning that this version wrote ({error!r}). Delete it; the next "
                "session writes it."
            ) from error
        others = (failure for failure in written.failures if not failure.step)
        found.append(replace(written, failures=(*recorded_failures(home, written.universe), *others)))
    return found
