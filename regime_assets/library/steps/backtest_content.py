"""What a session's backtest report says, put together from the backtest, the models and their lineage."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.evaluation.contenders import BUY_AND_HOLD
from regime_assets.library.evaluation.experience import RULE as EXPERIENCE
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.regimes.explanation import in_words, pulls
from regime_assets.library.regimes.regime_model import RegimeModel, RegimePath, young_words
from regime_assets.library.report.figures import Estimate
from regime_assets.library.report.page import Fact, Part, RegimeHistory, ReportContent, StrategyRow
from regime_assets.library.report.plain_words import weights_in_words
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.universe import OWN_DESIGN, Horizon, Universe
from regime_assets.library.workspace import Workspace

if TYPE_CHECKING:
    from regime_assets.library.evaluation.comparison import Comparison
    from regime_assets.library.steps.backtest_outcome import Backtest

ROLLING_SESSIONS = 126


def compose(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    result: Backtest,
    track: pd.DataFrame,
    history: TrainingSet,
) -> ReportContent:
    """The content of one report."""
    rows = tuple(strategy_row(result.comparisons[name]) for name in result.net)
    with workspace.database.at_once():
        return _around(rows, workspace, horizon, session, result, track, history)


def _around(
    rows: tuple[StrategyRow, ...],
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    result: Backtest,
    track: pd.DataFrame,
    history: TrainingSet,
) -> ReportContent:
    """The strategies' rows with what the stores say of the session."""
    lineage = workspace.lineage(horizon)
    policy_curves = lineage.curves("rl_policy", session).rename(columns={"gradient_step": "step"})
    absent: dict[Part, str] = {"gate": "The verdict is reached when the session is promoted, which has not run yet."}
    signal = _signal(track, history)
    if not signal:
        absent["signal"] = "The track holds no risk-off session yet, so that its signal cannot be judged."
    refused = {kind: one.refusal for kind, one in lineage.of_session(session).items() if not one.accepted}
    if policy_curves.empty:
        untrained = "There are no training curves: the policy is the regime rule, or one of your own."
        absent["policy"] = refused.get("rl_policy") or untrained
    vae_curves, regimes = lineage.curves("vae", session), _regimes(workspace, horizon, session, history, track)
    if vae_curves.empty:
        absent["vae"] = refused.get("vae") or "The VAE of this session was not fitted."
    if regimes is None:
        absent["regimes"] = absent["latents"] = "No models of this session or of an earlier one were accepted."
    return ReportContent(
        title=f"{workspace.universe.name}, {horizon} horizon"
        + ("" if workspace.lane == OWN_DESIGN else f", {workspace.lane}"),
        universe=workspace.universe.name,
        horizon=horizon,
        as_of=session,
        facts=_facts(result, track),
        notes=(
            *_notes(workspace, track),
            *_experience(result),
            *_young(workspace, horizon, session),
            *_regimes_in_words(workspace, regimes, history, track),
        ),
        provenance=_provenance(workspace, horizon, session),
        reference=BUY_AND_HOLD,
        rows=rows,
        net=result.net,
        weights=result.comparisons[next(iter(result.net))].weights,
        regimes=regimes,
        signal=signal,
        vae_curves=None if vae_curves.empty else vae_curves,
        policy_curves=None if policy_curves.empty else policy_curves,
        absent=absent,
        rolling_window=ROLLING_SESSIONS,
        sessions_per_year=round(workspace.universe.sessions_per_year),
    )


def strategy_row(comparison: Comparison) -> StrategyRow:
    """One strategy's row of a report."""
    interval, difference = comparison.interval, comparison.difference
    return StrategyRow(
        name=comparison.name,
        summary=comparison.summary,
        sharpe_interval=(interval.low, interval.high) if interval else None,
        difference=Estimate(difference.estimate, difference.low, difference.high) if difference else None,
    )


def _facts(result: Backtest, track: pd.DataFrame) -> tuple[Fact, ...]:
    newest = track.iloc[-1]
    served = result.comparisons[next(iter(result.net))]
    weights = served.weights.iloc[-1]
    return (
        Fact("Risk-off probability", f"{newest['risk_off']:.0%}", "filtered, most turbulent regime"),
        Fact("Decided weights", weights_in_words(dict(weights), "{:.0%}".format)),
        Fact("Serves", f"the {'learned policy' if result.serving.serves == 'policy' else 'regime rule'}"),
    )


def _notes(workspace: Workspace, track: pd.DataFrame) -> tuple[str, ...]:
    refits = track["model_session"].nunique()
    return (
        f"Every figure is out of sample: {len(track)} sessions from {track.index[0]:%Y-%m-%d} to "
        f"{track.index[-1]:%Y-%m-%d}, decided by {refits} successive models, each fitted on sessions up to its own "
        "date only.",
        scored_net_of(workspace.universe),
        "Intervals are 95 % stationary-bootstrap intervals. Two years of daily data cannot prove a difference of less "
        "than about one in Sharpe ratio.",
    )


def scored_net_of(universe: Universe) -> str:
    """What every figure of a report is net of, and how weights are held, as a sentence."""
    return (
        f"Net of {_costs(universe)} one way; a weight decided on a close is filled on the next close and earns from "
        f"there on; {_holding(universe)}."
    )


def _costs(universe: Universe) -> str:
    """What trading costs, in words."""
    each = {one.symbol: universe.cost_bp if one.cost_bp is None else one.cost_bp for one in universe.holdings}
    if len(set(each.values())) == 1:
        return f"{next(iter(each.values())):g} basis points"
    return ", ".join(f"{cost:g} ({symbol})" for symbol, cost in each.items()) + " basis points"


def _holding(universe: Universe) -> str:
    """What is assumed of cash, drift, borrowing and shorting, in words."""
    chosen = universe.portfolio
    if chosen is None:
        return "cash earns nothing, and weights are held by free rebalancing"
    cash = "cash earns nothing"
    if chosen.cash is not None:
        earns = chosen.cash.series or f"{chosen.cash.rate:.2%} a year"
        cash = f"cash earns {earns}, and ratios are of returns over cash"
    said = [cash, f"weights drift and are brought back beyond {chosen.no_trade_band:.1%}"]
    if universe.refuges:
        said.append(f"what is not at risk is held in {', '.join(universe.refuges)}")
    if chosen.borrowing:
        said.append(f"borrowing costs {chosen.borrowing.rate:.2%} a year over cash")
    if chosen.shorting:
        said.append(f"shorting costs {chosen.shorting.rate:.2%} a year")
    return "; ".join(said)


def _experience(result: Backtest) -> tuple[str, ...]:
    """What the history has not held, where that is something."""
    return tuple(
        f"Read this with care: {rule.detail}. A model does not recognise what it has never seen."
        for rule in result.record.rules
        if rule.rule == EXPERIENCE and not rule.passed
    )


def _young(workspace: Workspace, horizon: Horizon, session: date) -> tuple[str, ...]:
    """What the rule does not follow yet, while the line is young."""
    record = workspace.lineage(horizon).find("gmm", session)
    followed = 1.0 if record is None else float(record.figures.get("followed", 1.0))
    return () if followed >= 1.0 else (f"The line is young: {young_words(followed)}.",)


def _regimes_in_words(
    workspace: Workspace, regimes: RegimeHistory | None, history: TrainingSet, track: pd.DataFrame
) -> tuple[str, ...]:
    """What the market did in each regime on the out-of-sample sessions."""
    if regimes is None:
        return ()
    returns = history.market_returns.loc[track.index].to_numpy()
    per_year = workspace.universe.sessions_per_year
    lines = in_words(regimes.names, track["regime"].to_numpy("int64"), returns, per_year)
    return tuple(f"Regime {line}." for line in lines)


def _provenance(workspace: Workspace, horizon: Horizon, session: date) -> dict[str, str]:
    lineage = workspace.lineage(horizon)
    values: dict[str, str] = {"source": workspace.universe.source.kind, "design": workspace.design.hash_for(horizon)}
    records = lineage.of_session(session)
    for kind in KINDS:
        record = records.get(kind)
        if record is None or not record.accepted:
            values[kind] = f"none of this session: {record.refusal if record else 'not materialized'}"
            continue
        values["window"] = record.data_hash
        values["code"] = record.code_version
        origin = f"warm start from {record.parent[:12]}" if record.parent else "trained from scratch"
        values[kind] = f"{record.sha256[:12]}, seed {record.seed}, {origin}"
    return values | _exceptions(workspace, session) | environment_versions()


def _exceptions(workspace: Workspace, session: date) -> dict[str, str]:
    """What somebody took for right, corrected or took back in the data up to a session, and what windows go without."""
    decided = [entry.told for entry in workspace.universe.accept if entry.span[0] <= session]
    decided += [one.told for one in workspace.decisions.standing() if one.session <= session]
    absent = workspace.held_back.absences(session, workspace.market, workspace.calendar)
    gone = [f"{one.symbol} {one.first} to {one.last} ({one.rule})" for one in absent]
    halted = [f"{one.symbol} from {one.first}" for one in workspace.universe.suspended if one.first <= session]
    ended = [
        f"{one.symbol} on {one.last} at {one.last_price:g}"
        for one in workspace.universe.watched
        if one.last_price is not None and one.last is not None and one.last <= session
    ]
    lists = {"decided about the data": decided, "held back": gone, "suspended": halted, "delisted": ended}
    return {name: "; ".join(entries) for name, entries in lists.items() if entries}


def _regimes(
    workspace: Workspace, horizon: Horizon, session: date, history: TrainingSet, track: pd.DataFrame
) -> RegimeHistory | None:
    """The regimes as they were named on each session of the track, over the traded instruments' level."""
    newest = LineageModels(workspace.lineage(horizon)).complete(session)
    if newest is None:
        return None
    path = workspace.regime_path(newest[1].regimes, history.features)
    inside = path.sessions.isin(track.index)
    level = (1.0 + history.market_returns.loc[track.index]).cumprod()
    return RegimeHistory(
        prices=level,
        states=track["regime"].to_numpy(dtype="int64"),
        names=path.names,
        posteriors=None,
        latents=path.latents[inside],
        pulls=_pulls(newest[1].regimes, history.features, path, inside),
    )


def _pulls(
    model: RegimeModel, features: pd.DataFrame, path: RegimePath, inside: NDArray[np.bool_]
) -> pd.DataFrame | None:
    """What pulls each session of the track towards the newest model's regime, and how far that is ahead."""
    found = pulls(model, features, path.states)
    if found is None:
        return None
    shown = found[inside]
    regime = np.take(path.names, path.states[inside])
    return pd.concat([pd.DataFrame({"regime": regime, "ahead": shown.sum(axis=1)}, index=shown.index), shown], axis=1)


def _signal(track: pd.DataFrame, history: TrainingSet) -> tuple[Fact, ...]:
    from regime_assets.library.evaluation.diagnostics import describe_signal

    if track["rule_exposure"].min() >= 0.5:
        return ()
    risk_off = track["rule_exposure"].to_numpy() < 0.5
    returns = history.market_returns.loc[track.index].to_numpy()
    return tuple(Fact(name, value) for name, value in describe_signal(risk_off, returns).items())
