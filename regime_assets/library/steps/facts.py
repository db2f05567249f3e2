"""From a source's facts to stored ones: fetched whole once, then what is new, and read as they were known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.market.fact_store import FactsReport, FactsStore, LastAsked, Question
from regime_assets.library.market.sources import create_facts_source
from regime_assets.library.universe import FundamentalsChoice, MacroChoice
from regime_assets.library.workspace import Workspace

LEAD_DAYS = 400
"""Days before the history's start from which periods are asked for: its first session already sees a year's reports."""

OVERLAP_DAYS = 10
"""Days before the last answer from which publications are asked for again: archives enter some of them late."""

WHOLE_EVERY_DAYS = 90
"""After so many days a subject is fetched whole again, for what its archive dated back further than the overlap."""

SUBJECTS_AT_ONCE = 25
"""Series or companies that are stored together; what was stored is not asked for again when a later one fails."""

Log = Callable[[str], None]
FactsChoice = MacroChoice | FundamentalsChoice


class FactsError(Exception):
    """A source had no facts about something it was asked for; what it had about the others is stored."""


@dataclass(frozen=True)
class KnownFacts:
    """What was known as of one session.

    Attributes:
        latest: the newest known period of each subject's fact, with its age in days.
        figures: how many subjects have a fact, and how many facts about how many periods are known.
    """

    latest: pd.DataFrame
    figures: dict[str, float]


def refresh_facts(workspace: Workspace, choice: FactsChoice, sessions: Sequence[date], log: Log) -> FactsReport:
    """Fetch what was published since each subject was last asked for, up to today, and store what is new.

    A subject that was never asked for, or not whole for a quarter of a year, is fetched whole: archives date versions
    back, and those lie behind the overlap. The answer always reaches up to today, whatever `sessions` are materialized:
    reads pick what was known as of them. Each part of the subjects is stored as it arrives; a later run goes on there.

    Raises:
        FactsError: the source failed for some subjects; those that it answered are stored.
        SourceError: the source as a whole failed; what earlier parts brought is stored.
    """
    source, store = create_facts_source(choice.kind, choice.options), facts_store(workspace, choice)
    subjects, now = subjects_of(workspace, choice), clock.now()
    first = workspace.universe.history_start - timedelta(days=LEAD_DAYS)
    request = json.dumps({"first": first.isoformat(), "options": choice.options}, sort_keys=True, default=str)
    since = _published_since(store.last_asked(request), subjects, now.date())
    answered_until = workspace.calendar.decision_time(max(sessions))
    total, failures = FactsReport(0, 0), dict[str, str]()
    for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
        part = subjects[start : start + SUBJECTS_AT_ONCE]
        asked = {subject: day for subject, day in since.items() if subject in part and day is not None}
        log(
            f"{source.name}: {start + 1} to {start + len(part)} of {len(subjects)}: "
            f"{len(part) - len(asked)} whole from {first}, {len(asked)} for what is new: {', '.join(part)}"
        )
        fetched_at = clock.now()
        fetched = source.fetch_facts(part, first, fetched_at.date(), asked)
        question = Question(request, {subject: since[subject] for subject in part})
        report = store.ingest(fetched, fetched_at, answered_until, question)
        total = FactsReport(*(a + b for a, b in zip(total, report, strict=True)))
        failures |= fetched.failures
    log(f"stored {total.dated_by_archive} versions dated by the archive, {total.known_late} known from now on")
    if failures:
        reasons = "; ".join(f"{subject}: {reason}" for subject, reason in sorted(failures.items()))
        raise FactsError(
            f"{workspace.universe.name}: {source.name} failed for {len(failures)} of {len(subjects)}, the others are "
            f"stored: {reasons}"
        )
    return total


def known_facts(workspace: Workspace, choice: FactsChoice, session: date) -> KnownFacts:
    """The facts as they were known at the decision time of `session`."""
    store, subjects = facts_store(workspace, choice), subjects_of(workspace, choice)
    known = store.facts(session, workspace.calendar, subjects)
    latest = store.latest(session, workspace.calendar, subjects)
    ends = pd.to_datetime(latest["period"].str.split("/").str[-1])
    latest["age_days"] = (pd.Timestamp(session) - ends).dt.days
    figures = {
        "subjects_asked_for": len(subjects),
        "subjects_with_facts": latest["subject"].nunique(),
        "facts": len(latest),
        "facts_and_periods": len(known),
    }
    return KnownFacts(latest, {name: float(value) for name, value in figures.items()})


def _published_since(last: Mapping[str, LastAsked], subjects: Sequence[str], today: date) -> dict[str, date | None]:
    """Subject → the day of publication to ask from; None for the whole."""
    return {
        subject: last[subject].at.date() - timedelta(days=OVERLAP_DAYS)
        if subject in last and today - last[subject].whole_at.date() < timedelta(days=WHOLE_EVERY_DAYS)
        else None
        for subject in subjects
    }


def facts_store(workspace: Workspace, choice: FactsChoice) -> FactsStore:
    """Where the facts of this choice are kept."""
    return FactsStore(workspace.database, workspace.universe.name, choice.kind)


def subjects_of(workspace: Workspace, choice: FactsChoice) -> tuple[str, ...]:
    """What is asked for: the series, or the companies (the universe's watched symbols when none are named)."""
    if isinstance(choice, MacroChoice):
        return choice.series
    return choice.symbols or workspace.universe.symbols
