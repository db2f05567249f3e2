"""What each horizon counts in the daily signal: as the file says, or as both out-of-sample records say.

By evidence a horizon counts as much as it is probable that it is the better one of the two, given the difference of
their Sharpe ratios over all sessions on which both were decided out of sample, its standard error, and how far apart
two horizons are beforehand thought to be. A short record says little, and leaves about one half each.
"""

from __future__ import annotations

import json
from datetime import date
from statistics import NormalDist

import numpy as np
import pandas as pd

from regime_assets.library.evaluation.paired_test import paired_test
from regime_assets.library.production.names import model_name
from regime_assets.library.steps.served_track import read_served_track
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import FILL_DELAY, earned_over_cash
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.workspace import Workspace

FEWEST_SESSIONS = 252
"""Common sessions below which the records say nothing of who is better."""

PRIOR_DEVIATION = 0.3
"""Standard deviation of the true difference of two Sharpe ratios before anything was seen: about what separates the
designs that are measured in the documents."""


def horizon_shares(workspace: Workspace, session: date) -> dict[str, float] | None:
    """The shares of the horizons as of a session; None for equal ones."""
    chosen = workspace.universe.signal.horizons
    if chosen == "equal":
        return None
    if chosen != "evidence":
        return {"short": chosen.short, "long": chosen.long}
    short, long = (_record(workspace, horizon, session) for horizon in HORIZONS)
    return evidence_shares(short, long, workspace.universe.sessions_per_year)


def evidence_shares(short: pd.Series, long: pd.Series, sessions_per_year: float) -> dict[str, float] | None:
    """Shares from net returns over cash, index = sessions; None while they say nothing."""
    both = pd.DataFrame({"short": short, "long": long}).dropna()
    if len(both) < FEWEST_SESSIONS:
        return None
    test = paired_test(both["short"], both["long"], sessions_per_year)
    if test is None or test.standard_error == 0.0:
        return None
    # The posterior of a normal difference under a normal prior around zero.
    shrunk = PRIOR_DEVIATION / (PRIOR_DEVIATION**2 + test.standard_error**2) ** 0.5
    better = NormalDist().cdf(test.estimate / test.standard_error * shrunk)
    return {"short": better, "long": 1.0 - better}


def stored_shares(rows: pd.DataFrame) -> dict[str, float] | None:
    """The shares that a stored signal was combined with; None where they were equal, as before there were any."""
    known = rows["shares"].dropna() if "shares" in rows else rows.iloc[:0, :0]
    return json.loads(str(known.iloc[0])) if len(known) else None


def _record(workspace: Workspace, horizon: Horizon, session: date) -> pd.Series:
    """What the horizon's line earned on the sessions that it had not seen."""
    track = read_served_track(workspace, horizon, session)
    if len(track) <= FILL_DELAY:
        return pd.Series(dtype=np.float64)
    champion = workspace.registry.champion_as_of(model_name(workspace.universe.name, horizon), session)
    serves = "policy" if champion is not None and champion.tags.get("serves") == "policy" else "rule"
    history = workspace.history(horizon, session)
    weights = weights_of(track[track.index >= history.sessions[0]], serves, workspace.universe.held)
    return earned_over_cash(weights, history.traded_returns, workspace.terms(history))
