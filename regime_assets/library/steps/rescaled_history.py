"""A source's answer against what is stored of the same sessions: a rescaled history is brought back to its prices."""

from __future__ import annotations

from regime_assets.library.market.findings import Finding
from regime_assets.library.market.rescaling import as_traded, find_rescalings, rescaling_finding
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.requested_bars import Request
from regime_assets.library.workspace import Workspace


def undo_rescaling(
    workspace: Workspace, fetched: Fetched, request: Request, *, adjusted: bool
) -> tuple[Fetched, list[Finding]]:
    """The answer in the prices of the stored bars, and what was found.

    Args:
        workspace: the universe.
        fetched: the answer.
        request: what was asked for.
        adjusted: whether the vendor adjusts its prices, so that a factor is an action that
            it does not report otherwise.
    """
    newest_version = workspace.calendar.all_sessions[-1]
    stored = workspace.market.bars(
        newest_version, request.since, request.last, workspace.calendar, list(request.symbols)
    )
    if stored.empty or fetched.bars.empty:
        return fetched, []
    smallest = workspace.universe.quality.revision
    rescalings = find_rescalings(stored, fetched, workspace.calendar, smallest)
    if not rescalings:
        return fetched, []
    accept = [*workspace.universe.accept, *workspace.decisions.standing()]
    accepted = [
        one for one in rescalings if any(entry.covers("rescaled", one.symbol, one.ex_session) for entry in accept)
    ]
    findings = [rescaling_finding(one, adjusted=adjusted, accepted=one in accepted) for one in rescalings]
    resolved = [one for one in rescalings if adjusted or one.explained_by or one in accepted]
    learned = [one for one in resolved if not one.explained_by]
    return as_traded(fetched, stored, resolved, learned), findings
