"""The stores of one universe, opened from its configuration and the data folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from regime_assets.library.database import Database
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.open_database import ledger_database, universe_database
from regime_assets.library.universe import OWN_DESIGN, Horizon, Universe
from regime_assets.library.universe.membership import Membership

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from regime_assets.library.design import Design
    from regime_assets.library.evaluation.trials import TrialLedger
    from regime_assets.library.features.training_set import TrainingSet
    from regime_assets.library.market.decisions import Decision, DecisionStore
    from regime_assets.library.market.held_back import HeldBackStore
    from regime_assets.library.market.price_basis import PriceBasisStore
    from regime_assets.library.market.quarantine import Quarantine
    from regime_assets.library.market.settling import Settling
    from regime_assets.library.market.store import MarketStore
    from regime_assets.library.market.window import Expanding, Rolling, Window
    from regime_assets.library.production.lineage import Lineage
    from regime_assets.library.production.registry import Registry
    from regime_assets.library.regimes.regime_model import RegimeModel, RegimePath
    from regime_assets.library.trading.terms import Terms
    from regime_assets.library.window_reads import WindowReads

WINDOWS_TABLE = "validated_window"


class NotMaterializedError(Exception):
    """An earlier part of the chain was not materialized."""


@dataclass(frozen=True)
class Workspace:
    """One universe's configuration and stores. Opening it reads nothing."""

    universe: Universe
    home: Home
    reads: WindowReads | None = None
    """What was read in a run, for its next reader; without it every reader reads for itself."""
    lane: str = OWN_DESIGN
    """Whose models are meant: `design`, the universe's own, or a challenger's by its name in the file."""

    @cached_property
    def calendar(self) -> TradingCalendar:
        """The universe's sessions, from its history's start on."""
        return universe_calendar(self.universe, self.home.calendars)

    @cached_property
    def database(self) -> Database:
        """The universe's tables."""
        return universe_database(self.home, self.universe.name)

    @cached_property
    def ledger(self) -> TrialLedger:
        """All designs that were ever tried, on this universe and on others."""
        from regime_assets.library.evaluation.trials import TrialLedger

        return TrialLedger(ledger_database(self.home))

    @cached_property
    def market(self) -> MarketStore:
        """Bars and corporate actions, point in time."""
        from regime_assets.library.market.store import MarketStore
        from regime_assets.library.market.tickers import Rename, Tickers

        renames = tuple(Rename(one.symbol, one.formerly, one.until) for one in self.universe.renamed)
        return MarketStore(self.database, self.universe.name, Tickers(renames))

    @cached_property
    def price_basis(self) -> PriceBasisStore:
        """What the bars were asked for with."""
        from regime_assets.library.market.price_basis import PriceBasisStore

        return PriceBasisStore(self.database, self.universe.name)

    @cached_property
    def held_back(self) -> HeldBackStore:
        """What windows go without."""
        from regime_assets.library.market.held_back import HeldBackStore

        return HeldBackStore(self.database, self.universe.name)

    @cached_property
    def settling(self) -> Settling:
        """Which evening bars are provisional."""
        from regime_assets.library.market.settling import Settling

        return Settling(self.database, self.universe.name)

    @cached_property
    def decisions(self) -> DecisionStore:
        """What was decided about single bars."""
        from regime_assets.library.market.decisions import DecisionStore

        return DecisionStore(self.database, self.universe.name)

    def membership(self, as_of: date) -> Membership:
        """On which sessions symbols have a price to read, as known as of a session: members that were not held back."""
        absences = self.held_back.absences(as_of, self.market, self.calendar)
        return self.universe.membership.without((one.symbol, one.first, one.last) for one in absences)

    def decided(self, as_of: date) -> tuple[Decision, ...]:
        """The decisions about single bars that windows up to a session stand on."""
        return self.decisions.in_force(as_of, self.market, self.quarantine, self.calendar)

    @cached_property
    def quarantine(self) -> Quarantine:
        """What was refused, and why."""
        from regime_assets.library.market.quarantine import Quarantine

        return Quarantine(self.database, self.universe.name)

    @cached_property
    def design(self) -> Design:
        """How the lane's models are fitted."""
        from regime_assets.library.design import design_named

        return design_named(self.universe, self.lane)

    def of_lane(self, name: str) -> Workspace:
        """The same stores for another lane of the file."""
        return self if name == self.lane else replace(self, lane=name)

    def under(self, design: Design) -> Workspace:
        """The same stores under another design, which need not stand in the file."""
        other = replace(self)
        other.__dict__["design"] = design
        return other

    @cached_property
    def registry(self) -> Registry:
        """Versions and aliases of the bundles."""
        from regime_assets.library.production.registry import Registry

        return Registry(self.home.mlflow_uri, self.home.mlflow_artifacts, self.home.locks, self.database)

    def lineage(self, horizon: Horizon, design: str | None = None) -> Lineage:
        """The fitted models of one horizon.

        Args:
            horizon: which one.
            design: hash of another design than the lane's; empty for rules that concern the horizon, as drift does.
        """
        from regime_assets.library.production.lineage import Lineage

        chosen = self.design.hash_for(horizon) if design is None else design
        return Lineage(self.database, self.home, self.universe.name, horizon, chosen)

    def window_shape(self, horizon: Horizon) -> Rolling | Expanding:
        """Rolling for the short horizon, expanding with recency weights for the long one."""
        from regime_assets.library.market.window import Expanding, Rolling

        windows = self.universe.windows
        if horizon == "short":
            return Rolling(windows.short_calendar_days)
        return Expanding(windows.long_half_life_sessions)

    def read_window(self, horizon: Horizon, as_of: date, shape: Rolling | Expanding | None = None) -> Window:
        """The window of one session from what was known as of it."""
        from regime_assets.library.market.window import read_window

        wanted, lookback = shape or self.window_shape(horizon), self.design.memory_sessions

        def read() -> Window:
            return read_window(
                self.market,
                self.calendar,
                horizon_name=horizon,
                shape=wanted,
                as_of=as_of,
                symbols=self.universe.symbols,
                traded=self.universe.held,
                history_start=self.universe.history_start,
                lookback=lookback,
                membership=self.membership(as_of),
                accepted=(*self.universe.accept, *self.decided(as_of)),
                refuges=self.universe.refuges,
            )

        return self.reads.once("window", (as_of, wanted, lookback), read) if self.reads else read()

    def training_set(self, horizon: Horizon, as_of: date) -> TrainingSet:
        """The validated window of one session, as it was stored, with the features that the design reads.

        Designs share the window. One that reads other features than those stored with it has them computed of the same
        prices, as they were known as of that session.

        Raises:
            NotMaterializedError: it was not materialized.
        """
        from regime_assets.library.features.training_set import TrainingSet
        from regime_assets.library.market.fact_features import fact_feature_names

        frame = self.database.read_partition(WINDOWS_TABLE, self.key(horizon, as_of))
        if frame.empty:
            raise NotMaterializedError(
                f"validated_window of {self.universe.name}/{horizon}, {as_of} was not materialized"
            )
        if not self._reads(frame.get("features")):
            read = self.featured(self.read_window(horizon, as_of))
            return read if horizon == "long" else replace(read, known_sessions=None)
        stored = TrainingSet.from_frame(frame.drop(columns="features", errors="ignore"))
        # Universes share the table, whose columns are in the order in which any of them came to name one.
        facts = [name for name in fact_feature_names(self.universe) if name in stored.features.columns]
        others = [name for name in stored.features.columns if name not in facts]
        window = replace(
            stored,
            features=stored.features[[*others, *facts]],
            traded_returns=stored.traded_returns[list(self.universe.held)],
            refuges=self.universe.refuges,
        )
        return self._known(window, as_of, horizon)

    def _reads(self, stored: pd.Series | None) -> bool:
        """Whether the features stored with a window are those of the design; older rows have the universe's own."""
        from regime_assets.library.design import design_of

        if stored is None or stored.isna().all():
            return self.design.features == design_of(self.universe).features
        return str(stored.iloc[0]) == self.design.features_hash

    def history(self, horizon: Horizon, as_of: date) -> TrainingSet:
        """Features and returns from the universe's start on, as known as of a session."""
        from regime_assets.library.market.window import Expanding

        shape = Expanding(self.universe.windows.long_half_life_sessions)
        return self.featured(self.read_window(horizon, as_of, shape))

    def featured(self, window: Window) -> TrainingSet:
        """The features and returns of a window, with the facts that the universe names as features.

        Raises:
            FactFeatureError: such a fact is not known from the window's start on.
        """
        from regime_assets.library.features.training_set import build_training_set
        from regime_assets.library.market.fact_features import read_fact_features

        def build() -> TrainingSet:
            facts = read_fact_features(self.universe, self.database, self.calendar, window)
            return self._known(build_training_set(window, self.design.features, facts), window.as_of, "long")

        key = (window.as_of, len(window.sessions), window.data_hash, repr(self.design.features))
        return self.reads.once("features", key, build) if self.reads else build()

    def regime_path(self, model: RegimeModel, features: pd.DataFrame) -> RegimePath:
        """What a model says of features (T, F); a run infers the same model on the same features once."""
        from regime_assets.library.artifact import parts_hash
        from regime_assets.library.features.training_set import features_hash

        if self.reads is None:
            return model.infer(features)
        key = (parts_hash(model.to_parts()), features_hash(features))
        return self.reads.once("regimes", key, lambda: model.infer(features).read_only())

    def terms(self, history: TrainingSet) -> float | Terms:
        """What trading and holding cost on the sessions of a history: one number, or the terms of a portfolio."""
        import numpy as np

        from regime_assets.library.trading.portfolio import portfolio_of
        from regime_assets.library.trading.terms import Terms

        chosen, portfolio = self.universe.portfolio, portfolio_of(self.universe)
        if chosen is None or portfolio is None:
            return self.universe.cost
        cash, charges = history.cash, portfolio.charges
        return Terms(
            cost=charges.cost,
            borrowing=charges.borrowing,
            shorting=charges.shorting,
            sessions=history.sessions,
            cash=np.zeros(len(history.sessions)) if cash is None else cash,
            no_trade_band=chosen.no_trade_band,
            risk=portfolio.risk,
        )

    def _known(self, training: TrainingSet, as_of: date, horizon: Horizon) -> TrainingSet:
        """The same set with what cash earned on its sessions, and how long the line's history is.

        Raises:
            FactFeatureError: the series that says so is not known from the first session on.
        """
        from regime_assets.library.market.cash import cash_returns

        known = len(self.calendar.sessions(self.universe.history_start, as_of)) if horizon == "long" else None
        cash = cash_returns(self.universe, self.database, self.calendar, as_of, training)
        return replace(training, cash=cash, known_sessions=known)

    def report(self, horizon: Horizon, kind: str, session: date) -> Path:
        """The HTML file of one session's report of the lane; a challenger's has its name."""
        named = kind if self.lane == OWN_DESIGN else f"{kind}-{self.lane}"
        return self.home.report(self.universe.name, horizon, named, session)

    def key(self, horizon: Horizon, as_of: date) -> dict[str, object]:
        """The key columns of one session's rows in the tables of a horizon."""
        return {"universe": self.universe.name, "horizon": horizon, "as_of": as_of}

    def lane_key(self, horizon: Horizon, as_of: date) -> dict[str, object]:
        """The key columns of one session's rows in the tables of a lane."""
        return {**self.key(horizon, as_of), "design": self.design.hash_for(horizon)}
