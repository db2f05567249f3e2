"""A source's answer against what is stored of the same sessions: a rescaled history is brought back to its prices."""

from __future__ import annotations

from regime_assets.library.market.findings import Finding
from regime_assets.library.market.rescaling import as_traded, find_rescalings, rescaling_finding
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.requested_bars import Request
from regime_assets.library.workspace import Workspace


def undo_rescaling(
    workspace: Workspace, fetched: Fetched, request: Request, *, learn: bool
) -> tuple[Fetched, list[Finding]]:
    """The answer in the prices of the stored bars, and what was found.

    Args:
        workspace: the universe.
        fetched: the answer.
        request: what was asked for.
        learn: whether a factor is an action that the vendor does not report otherwise.
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
    resolved = [one for one in rescalings if learn or one.explained_by]
    findings = [rescaling_finding(one, learned=learn) for one in rescalings]
    return as_traded(fetched, stored, resolved, learn=learn), findings
