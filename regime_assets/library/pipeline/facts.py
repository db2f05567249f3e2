"""From a source's facts to stored ones: fetched whole, stored by the moment they became known, read as of a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from regime_assets.library.chain import Chain
from regime_assets.library.market.facts import FactsReport, FactsStore
from regime_assets.library.market.sources import create_facts_source
from regime_assets.library.universe import FundamentalsChoice, MacroChoice

LEAD_DAYS = 400
"""Days before the history's start from which periods are asked for: its first session already sees a year's reports."""

Log = Callable[[str], None]
FactsChoice = MacroChoice | FundamentalsChoice


class FactsError(Exception):
    """A source had no facts about something it was asked for; nothing was stored."""


@dataclass(frozen=True)
class KnownFacts:
    """What was known as of one session.

    Attributes:
        latest: the newest known period of each subject's fact, with its age in days.
        figures: how many subjects have a fact, and how many facts about how many periods are known.
    """

    latest: pd.DataFrame
    figures: dict[str, float]


def refresh_facts(chain: Chain, choice: FactsChoice, sessions: Sequence[date], log: Log) -> FactsReport:
    """Fetch every version of every period up to today, and store what is new.

    The answer always reaches up to today, whatever `sessions` are materialized: reads pick what was known as of them.

    Raises:
        FactsError: the source had nothing for a subject; what is stored stays as it was.
        SourceError: the source as a whole failed.
    """
    source = create_facts_source(choice.kind, choice.options)
    subjects = subjects_of(chain, choice)
    fetched_at = datetime.now(UTC)
    first = chain.universe.history_start - timedelta(days=LEAD_DAYS)
    log(f"fetching {', '.join(subjects)}, periods from {first}, from {source.name}")
    fetched = source.fetch_facts(subjects, first, fetched_at.date())
    if fetched.failures:
        reasons = "; ".join(f"{subject}: {reason}" for subject, reason in sorted(fetched.failures.items()))
        raise FactsError(f"{chain.universe.name}: {source.name} has no facts, nothing was stored: {reasons}")
    answered_until = chain.calendar.decision_time(max(sessions))
    report = facts_store(chain, choice).ingest(fetched, fetched_at, answered_until)
    log(f"stored {report.dated_by_archive} versions dated by the archive, {report.known_late} known from now on")
    return report


def known_facts(chain: Chain, choice: FactsChoice, session: date) -> KnownFacts:
    """The facts as they were known at the decision time of `session`."""
    store, subjects = facts_store(chain, choice), subjects_of(chain, choice)
    known = store.facts(session, chain.calendar, subjects)
    latest = store.latest(session, chain.calendar, subjects)
    ends = pd.to_datetime(latest["period"].str.split("/").str[-1])
    latest["age_days"] = (pd.Timestamp(session) - ends).dt.days
    figures = {
        "subjects_asked_for": len(subjects),
        "subjects_with_facts": latest["subject"].nunique(),
        "facts": len(latest),
        "facts_and_periods": len(known),
    }
    return KnownFacts(latest, {name: float(value) for name, value in figures.items()})


def facts_store(chain: Chain, choice: FactsChoice) -> FactsStore:
    """Where the facts of this choice are kept."""
    return FactsStore(chain.database, chain.universe.name, choice.kind)


def subjects_of(chain: Chain, choice: FactsChoice) -> tuple[str, ...]:
    """What is asked for: the series, or the companies (the universe's watched symbols when none are named)."""
    if isinstance(choice, MacroChoice):
        return choice.series
    return choice.symbols or chain.universe.symbols
