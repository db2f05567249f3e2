"""Which versions of a registered model are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple


class StoredVersion(NamedTuple):
    """A version number and the session that its bundle was fitted for."""

    version: int
    session: date


def kept_versions(versions: Sequence[StoredVersion], aliased: Iterable[int], keep_last: int) -> frozenset[int]:
    """The versions that retention keeps.

    Args:
        versions: all versions of one model.
        aliased: versions that an alias names; always kept.
        keep_last: how many of the newest versions, by session and then by number, are kept.

    Returns:
        The aliased, the newest `keep_last`, and the first version of each calendar month, for the long record.
    """
    if keep_last < 0:
        raise ValueError(f"keep_last is a count of versions, not {keep_last}")
    ordered = sorted(versions, key=lambda stored: (stored.session, stored.version))
    newest = {stored.version for stored in ordered[len(ordered) - min(keep_last, len(ordered)) :]}
    first_of_month: dict[tuple[int, int], int] = {}
    for stored in ordered:
        first_of_month.setdefault((stored.session.year, stored.session.month), stored.version)
    known = {stored.version for stored in ordered}
    return frozenset(newest | set(first_of_month.values()) | (set(aliased) & known))
