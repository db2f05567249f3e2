"""A design is written down before anything is known of its outcome, and goes on under one hash.

Bundles and registered versions keep the hash of the design that they were made with. Where a later version of the
package computes another hash of the same design, what was stored under the former one is booked under the present one,
once, and the pair is recorded. So an upgrade makes no challenger of a champion, and no second trial of a design.
"""

from __future__ import annotations

from regime_assets.library.clock import clock
from regime_assets.library.design import Design
from regime_assets.library.evaluation.trials import Kind
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


def declare(workspace: Workspace, horizon: Horizon, kind: Kind, design: Design | None = None) -> None:
    """Count a design in the ledger.

    Args:
        workspace: of the universe.
        horizon: for which it is tried.
        kind: what tries it.
        design: another one than the workspace's.
    """
    universe, chosen = workspace.universe, design or workspace.design
    present, former, now = chosen.hash_for(horizon), chosen.former_hash, clock.now()
    # Where both agree there is nothing to carry forward.
    if former != present:
        workspace.lineage(horizon, present).take_over(former)
        workspace.ledger.rename(universe.name, horizon, former, present, now)
    workspace.ledger.start(universe.name, horizon, present, universe.held, kind, now)


def present_hash(workspace: Workspace, horizon: Horizon, stored: str) -> str:
    """The hash that the design of a stored bundle has now."""
    return workspace.ledger.present_hash(workspace.universe.name, horizon, stored)
