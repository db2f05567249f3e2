"""What a universe no longer needs: old versions of its bundles and old walk-forwards."""

from __future__ import annotations

from regime_assets.library.production.names import model_name
from regime_assets.library.research.walk_store import forget_runs
from regime_assets.library.universe import HORIZONS
from regime_assets.library.workspace import Workspace


def retain(workspace: Workspace, keep_last: int, keep_walk_forwards: int) -> list[str]:
    """Delete old versions and walk-forwards of both horizons; return what was deleted, two lines a horizon."""
    lines: list[str] = []
    for horizon in HORIZONS:
        name = model_name(workspace.universe.name, horizon)
        deleted = workspace.registry.retention(name, keep_last)
        lines.append(f"{name}: deleted versions {', '.join(map(str, deleted)) or 'none'}")
        forgotten = forget_runs(workspace, horizon, keep_walk_forwards)
        lines.append(f"{name}: deleted walk-forwards {', '.join(forgotten) or 'none'}")
    return lines
