"""The loop that every source of facts goes through: each subject on its own, whole or from a day of publication on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import pandas as pd

from regime_assets.library.market.sources.base import FetchedFacts, assemble_facts
from regime_assets.library.market.sources.pacing import Pacing, fetch_each

FACT_PARTS = ("fact", "period", "value", "known_at")


def fetch_each_subject(
    vendor: str,
    subjects: Sequence[str],
    since: Mapping[str, date] | None,
    fetch_one: Callable[[str, date | None], pd.DataFrame],
    pacing: Pacing,
) -> FetchedFacts:
    """Ask for one subject after the other.

    Args:
        vendor: the vendor's name, for messages.
        subjects: checked series or companies.
        since: subject → the first day of publication that is wanted; whole when not named.
        fetch_one: the versions of one subject, columns `FACT_PARTS`, none of those wanted left out; raises as
            `fetch_each` says.
        pacing: the vendor's limits.

    Raises:
        SourceError: not one subject was answered; the vendor is down or refuses us.
    """
    known = since or {}
    facts, failures = fetch_each(vendor, subjects, lambda subject: fetch_one(subject, known.get(subject)), pacing)
    return assemble_facts({subject: rows for subject, rows in facts.items() if not rows.empty}, failures, known)


def no_facts() -> pd.DataFrame:
    """The answer of a vendor that has nothing new about a subject."""
    return pd.DataFrame(columns=list(FACT_PARTS))
