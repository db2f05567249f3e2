"""What must hold on any universe, shown on the user's own: no look-ahead, no memory of the start, no gain from fees.

Each proof builds a world whose answer is known (the future was changed, there is nothing to find, there is an oracle)
and runs the product's own store, features, models and scorer in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.artifact import parts_hash
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet, build_training_set
from regime_assets.library.market.sources.base import PRICE_FIELDS, Fetched
from regime_assets.library.market.store import MarketStore
from regime_assets.library.market.window import Expanding, Rolling, Window, read_window, window_weights
from regime_assets.library.policies.own_policy import fit_own
from regime_assets.library.policies.training import train_policy
from regime_assets.library.trading.decided import Decider, weights_of
from regime_assets.library.trading.scoring import FILL_DELAY, realised_returns
from regime_assets.library.trading.tape import MarketTape
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.walk import Segment, WalkForwardSettings, replay, schedule, walk_forward
from regime_assets.library.workspace import Workspace

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProofSettings:
    """How much is computed, and which bounds are held.

    Attributes:
        refits: in the walk-forward whose future is changed; the last one lies in the changed part.
        refit_every: sessions between them.
        noise_histories: histories without anything to find.
        noise_sessions: out of sample in each of them.
        noise_z: largest mean net return over its standard error on noise; 2.33 is one-sided 1 %.
        oracle_sessions: of returns that the oracle knows; a quarter of them is held out.
        oracle_z: least gain over the rule on the held-out quarter, over its standard error.
    """

    refits: int = 3
    refit_every: int = 10
    noise_histories: int = 4
    noise_sessions: int = 504
    noise_z: float = 2.33
    oracle_sessions: int = 1260
    oracle_z: float = 3.0


@dataclass(frozen=True)
class Proof:
    """What was claimed, whether it held, and what was seen."""

    name: str
    holds: bool
    evidence: str


def run_proofs(
    workspace: Workspace, end: date, scratch: Path, settings: ProofSettings = ProofSettings()
) -> Iterator[Proof]:
    """Every proof in turn, on the bars that are stored up to `end`.

    Args:
        end: a session for which every instrument has a bar.
        scratch: an empty folder for stores of copied and changed bars; the universe's own store is only read.
    """
    cut = workspace.calendar.previous(end, settings.refit_every + settings.refit_every // 2)
    true = _copied_store(workspace, end, cut, scratch / "true.duckdb", lambda bars: bars)
    changed = _copied_store(workspace, end, cut, scratch / "changed.duckdb", lambda bars: _perturbed(bars, cut))
    decided: list[pd.DataFrame] = []
    for horizon in HORIZONS:
        proof, track = future_perturbation(workspace, (true, changed), cut, end, horizon, settings)
        decided.append(track)
        yield proof
    yield recursive_start(workspace, true, end)
    returns = _history(workspace, true, end).traded_returns
    yield fees_never_help(returns, decided, workspace.universe.cost)
    yield noise_earns_nothing(workspace, returns, settings)
    yield oracle_is_found(workspace, returns, settings)


def future_perturbation(
    workspace: Workspace, stores: tuple[MarketStore, MarketStore], cut: date, end: date, horizon: Horizon,
    settings: ProofSettings,
) -> tuple[Proof, pd.DataFrame]:  # fmt: skip
    """Nothing up to `cut` depends on a bar after it, though everything after it does.

    Returns:
        The proof, and the decisions on the true bars.
    """
    shape = workspace.window_shape(horizon)
    windows = [_window(workspace, store, horizon, shape, cut).data_hash for store in stores]
    histories = [_history(workspace, store, end) for store in stores]
    last = pd.Timestamp(cut)
    counts = WalkForwardSettings(settings.refits * settings.refit_every, settings.refit_every)
    runs: list[list[Segment]] = []
    for history in histories:
        steps = schedule(len(history.sessions), counts)
        name = (workspace.universe.name, horizon, "proofs")
        runs.append(list(replay(history, shape, workspace.design, steps, name, stability=workspace.universe.stability)))
    tracks = [pd.concat([segment.decided for segment in run]) for run in runs]
    known = [[_hashes(segment) for segment in run if segment.session <= last] for run in runs]
    later = [[_hashes(segment) for segment in run if segment.session > last] for run in runs]
    same = {
        "window": windows[0] == windows[1],
        "features": _bits(histories[0].features[:last]) == _bits(histories[1].features[:last]),
        **{kind: all(a[kind] == b[kind] for a, b in zip(*known, strict=True)) for kind in known[0][0]},
        "decisions": _bits(tracks[0][:last]) == _bits(tracks[1][:last]),
    }
    differs = {
        "features": _bits(histories[0].features[last:]) != _bits(histories[1].features[last:]),
        "vae": all(a["vae"] != b["vae"] for a, b in zip(*later, strict=True)),
    }
    broken = [f"{name} up to {cut} changed" for name, held in same.items() if not held]
    blind = [f"{name} after {cut} did not change" for name, moved in differs.items() if not moved]
    evidence = "; ".join(broken + blind) or (
        f"all bars after {cut} changed: {', '.join(same)} of {len(known[0])} refits and "
        f"{len(tracks[0][:last])} sessions equal to the bit, the next refit and its features not"
    )
    return Proof(f"no look-ahead, {horizon}", not (broken or blind), evidence), tracks[0]


def recursive_start(workspace: Workspace, store: MarketStore, end: date) -> Proof:
    """A longer history leaves features past the warm-up as they are, and so does the rolling window's short one."""
    whole = _history(workspace, store, end)
    later_by = min(252, len(whole.sessions) // 2)
    first = workspace.calendar.sessions(workspace.universe.history_start, end)[later_by]
    starts = {f"from {first}": _history(workspace, store, end, first).features}
    rolling = _window(workspace, store, "short", workspace.window_shape("short"), end)
    starts["of the rolling window"] = build_training_set(rolling, workspace.design.features).features
    seen: list[str] = []
    for name, features in starts.items():
        common = whole.features.loc[features.index]
        different = int((common.to_numpy() != features.to_numpy()).any(axis=1).sum())
        seen.append(
            f"{different} of {len(common)} rows {name} differ from those since {workspace.universe.history_start}"
        )
    return Proof("features forget the start", all(line.startswith("0 of") for line in seen), "; ".join(seen))


def fees_never_help(returns: pd.DataFrame, tracks: list[pd.DataFrame], cost: float) -> Proof:
    """The same decisions earn no more on any session when trading costs more.

    Args:
        returns: (T, N) of the traded instruments.
        tracks: decisions of `walk_forward`; random ones are tried beside them.
        cost: one-way, of the universe; multiples of it are tried.
    """
    rng, size = np.random.default_rng(0), returns.shape
    strategies = [
        (rng.random(size) / size[1] * (rng.random((size[0], 1)) < 0.9), returns.to_numpy()) for _ in range(50)
    ]
    for track in tracks:
        weights = weights_of(track, "policy", [str(symbol) for symbol in returns.columns])
        strategies.append((weights.to_numpy(), returns.loc[track.index].to_numpy()))
    costs = (cost or 0.0010) * np.array([0.0, 0.5, 1.0, 2.0, 5.0, 10.0])
    raised, sessions = 0, 0
    for weights, earned in strategies:
        net = np.stack([realised_returns(weights, earned, float(fee)) for fee in costs])
        raised += int((np.diff(net, axis=0) > 0.0).sum())
        sessions += net.shape[1]
    evidence = (
        f"{raised} of {sessions} sessions of {len(strategies)} strategies earn more when costs rise from 0 to "
        f"{1e4 * costs[-1]:g} basis points"
    )
    return Proof("fees up, profit never up", raised == 0, evidence)


def noise_earns_nothing(workspace: Workspace, returns: pd.DataFrame, settings: ProofSettings) -> Proof:
    """Independent returns of mean zero leave nothing significant after costs, to the policy or to its rule."""
    volatility = float(returns.std().mean())
    shape = workspace.window_shape("long")
    counts = WalkForwardSettings(settings.noise_sessions, max(settings.noise_sessions // 4, 1), 252)
    nets: dict[Decider, list[Array]] = {"policy": [], "rule": []}
    for number in range(settings.noise_histories):
        name = (workspace.universe.name, "noise", str(number))
        history = _noise(workspace, volatility, 252 + settings.noise_sessions, derive_seed(*name))
        track = walk_forward(history, shape, workspace.design, counts, name, stability=workspace.universe.stability)
        earned, cost = history.traded_returns.loc[track.index], workspace.universe.cost
        for decider, net in nets.items():
            weights = weights_of(track, decider, [str(symbol) for symbol in earned.columns])
            net.append(realised_returns(weights.to_numpy(), earned.to_numpy(), cost)[FILL_DELAY:])
    z = {decider: _z(np.concatenate(net)) for decider, net in nets.items()}
    evidence = (
        f"mean net return over its standard error: policy {z['policy']:+.2f}, rule {z['rule']:+.2f}, "
        f"bound {settings.noise_z:g}; {settings.noise_histories} histories of {settings.noise_sessions} sessions"
    )
    return Proof("white noise earns nothing", max(z.values()) < settings.noise_z, evidence)


def oracle_is_found(workspace: Workspace, returns: pd.DataFrame, settings: ProofSettings) -> Proof:
    """A policy that is shown the return which its decision will earn uses it on sessions that it was not trained on."""
    earned = returns.to_numpy(dtype=np.float64)[-settings.oracle_sessions :]
    count = len(earned)
    observed = np.random.default_rng(0).normal(size=(count, 4))
    observed[:, 3] = 0.0
    market = earned.mean(axis=1)
    observed[:-FILL_DELAY, 3] = market[FILL_DELAY:] / market.std()
    rule, base = np.full(count, 0.5), np.full(earned.shape[1], 1.0 / earned.shape[1])
    tape = MarketTape(observed.astype(np.float32), rule, earned, base, np.ones(count))
    held = 3 * count // 4
    known = MarketTape(tape.observations[:held], rule[:held], earned[:held], base, np.ones(held))
    chosen, seed = workspace.design.policy, derive_seed(workspace.universe.name, "oracle")
    if chosen.own:
        policy = fit_own(chosen.use, known, chosen.settings, seed, None)[0].model
    else:
        policy = train_policy(known, chosen.settings, seed).model
    weights = policy.decide(tape.observations[held:], rule[held:])
    cost = workspace.universe.cost
    ours, rules = (realised_returns(w, earned[held:], cost) for w in (weights, np.outer(rule[held:], base)))
    z = _z((ours - rules)[FILL_DELAY:])
    gain = workspace.universe.sessions_per_year * float((ours - rules).mean())
    evidence = (
        f"gain over the rule on {count - held} held-out sessions {gain:+.0%} a year, {z:.1f} standard errors, "
        f"bound {settings.oracle_z:g}"
    )
    return Proof("an oracle is found", z >= settings.oracle_z, evidence)


def _copied_store(
    workspace: Workspace, end: date, cut: date, path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> MarketStore:
    """Bars known as of `end`, changed, in a store of their own.

    Actions after `cut` are left out: they rescale all closes before them, which changes last bits and nothing else.
    """
    universe, calendar = workspace.universe, workspace.calendar
    bars = workspace.market.bars(end, universe.history_start, end, calendar, universe.instruments)
    actions = workspace.market.actions(cut, universe.history_start, cut, calendar)
    store = MarketStore(DatabaseFile(path), universe.name)
    store.ingest(Fetched(change(bars), actions, {}), "proofs", calendar.decision_time(end), calendar)
    return store


def _perturbed(bars: pd.DataFrame, cut: date) -> pd.DataFrame:
    """Every bar after `cut` moved by 5 % or so, each by its own draw."""
    changed, later = bars.copy(), bars["session"] > pd.Timestamp(cut)
    factor = np.exp(np.random.default_rng(0).normal(0.0, 0.05, int(later.sum())))
    for field in PRICE_FIELDS:
        changed.loc[later, field] = bars.loc[later, field].to_numpy() * factor
    return changed


def _window(
    workspace: Workspace,
    store: MarketStore,
    name: str,
    shape: Rolling | Expanding,
    as_of: date,
    start: date | None = None,
) -> Window:
    return read_window(
        store,
        workspace.calendar,
        horizon_name=name,
        shape=shape,
        as_of=as_of,
        symbols=workspace.universe.symbols,
        traded=workspace.universe.held,
        history_start=start or workspace.universe.history_start,
        lookback=workspace.design.memory_sessions,
        membership=workspace.membership(as_of),
    )


def _history(workspace: Workspace, store: MarketStore, end: date, start: date | None = None) -> TrainingSet:
    shape = Expanding(workspace.universe.windows.long_half_life_sessions)
    return build_training_set(_window(workspace, store, "history", shape, end, start), workspace.design.features)


def _noise(workspace: Workspace, volatility: float, count: int, seed: int) -> TrainingSet:
    """A market of the universe's instruments without drift, memory or relation."""
    lookback = workspace.design.memory_sessions
    rng, symbols = np.random.default_rng(seed), list(workspace.universe.instruments)
    returns = np.clip(rng.normal(0.0, volatility, (lookback + count, len(symbols))), -0.5, 0.5)
    sessions = pd.bdate_range("2000-01-03", periods=lookback + count, name="session")
    prices = pd.DataFrame(100.0 * np.cumprod(1.0 + returns, axis=0), sessions, symbols)
    weights = window_weights(Expanding(workspace.universe.windows.long_half_life_sessions), count)
    held, last = tuple(workspace.universe.held), sessions[-1].date()
    window = Window(workspace.universe.name, "noise", last, sessions[lookback:], prices, held, weights, f"noise {seed}")
    return build_training_set(window, workspace.design.features)


def _hashes(segment: Segment) -> dict[str, str]:
    regimes = segment.models.regimes
    return {
        "vae": parts_hash(regimes.vae.to_parts()),
        "regimes": parts_hash(regimes.regimes.to_parts()),
        "policy": parts_hash(segment.models.policy.to_parts()),
    }


def _bits(frame: pd.DataFrame) -> bytes:
    return frame.to_numpy(dtype=np.float64, na_value=np.nan).tobytes() if not frame.empty else b""


def _z(series: Array) -> float:
    """Mean over its standard error; 0 for a series that never moves."""
    error = float(series.std(ddof=1) / np.sqrt(len(series)))
    return float(series.mean() / error) if error > 0.0 else 0.0
