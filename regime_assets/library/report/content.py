"""What a report says, as plain data: the report computes nothing but its pictures and the monthly table.

A part for which there is no data is left out with a sentence that says why; leaving one out silently is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.evaluation.metrics import PerformanceSummary
from regime_assets.library.report.figures import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

Part = Literal[
    "comparison", "performance", "weights", "regimes", "latents", "signal", "vae", "policy", "gate", "provenance"
]
PARTS: tuple[Part, ...] = get_args(Part)


class ReportError(Exception):
    """The content is not one that a report can be made of."""


@dataclass(frozen=True)
class Fact:
    """A labelled value, already formatted for a reader, with an optional remark below it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class StrategyRow:
    """One strategy of the comparison.

    Attributes:
        name: as in `ReportContent.net`.
        summary: its figures over the common sessions.
        sharpe_interval: 95 % interval of its Sharpe ratio.
        difference: Sharpe ratio minus the reference's with its paired 95 % interval; None for the reference.
    """

    name: str
    summary: PerformanceSummary
    sharpe_interval: tuple[float, float] | None = None
    difference: Estimate | None = None


@dataclass(frozen=True)
class RegimeHistory:
    """What the model said at each of T sessions, with what was known then.

    Attributes:
        prices: market level (T,), indexed by session.
        states: regime (T,), 0 the calmest.
        names: the K regimes' names, calm to turbulent.
        posteriors: filtered probabilities (T, K).
        latents: aligned latents (T, L).
        pulls: (T, 2 + D) by session: the newest model's regime, `ahead` (by how much, in nats), and how far each
            coordinate pulls towards it; None for regimes of which that is not known.
    """

    prices: pd.Series
    states: NDArray[np.integer]
    names: tuple[str, ...]
    posteriors: NDArray[np.floating] | None = None
    latents: NDArray[np.floating] | None = None
    pulls: pd.DataFrame | None = None

    def why(self, sessions: int, strongest: int) -> list[tuple[str, str, float, list[tuple[str, float]]]]:
        """Of the newest sessions, newest first: session, regime, how far ahead, and the strongest pulls either way."""
        if self.pulls is None:
            return []
        rows: list[tuple[str, str, float, list[tuple[str, float]]]] = []
        for session, row in self.pulls.iloc[-sessions:].iloc[::-1].iterrows():
            each = row.drop(["regime", "ahead"]).astype(float)
            order = each.abs().sort_values(ascending=False, kind="stable").index[:strongest]
            shown = [(str(name), float(each[name])) for name in order]
            rows.append((f"{session:%Y-%m-%d}", str(row["regime"]), float(row["ahead"]), shown))
        return rows


@dataclass(frozen=True)
class ReportContent:
    """Everything a report says. Optional parts are empty, with the reason in `absent`.

    Attributes:
        title: what is reported.
        universe: the universe's name.
        horizon: `short` or `long`.
        as_of: the last session whose data were used.
        facts: headline facts (today's regime, decided weights, serving policy, champion's version).
        notes: what is out of sample and under which assumptions; at least one sentence.
        provenance: name → value (data hash, code version, seeds, parents, environment).
        verdict: the gate's answer in words, shown beside the title.
        reference: the strategy that differences are taken to.
        rows: the comparison, subject first.
        net: strategy → net simple returns by session, subject first.
        weights: decided weights (T, N) by session.
        regimes: the regimes' history.
        signal: diagnostics of the risk-off signal (precision, recall, lead).
        vae_curves: the VAE's losses by epoch.
        policy_curves: the policy's rewards by step (and seed).
        rules: the gate's rules.
        absent: part → why it is left out, a sentence.
        rolling_window: sessions of the rolling Sharpe ratio.
        sessions_per_year: for annualising it.
    """

    title: str
    universe: str
    horizon: str
    as_of: date
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    verdict: str = ""
    reference: str = "buy & hold"
    rows: tuple[StrategyRow, ...] = ()
    net: Mapping[str, pd.Series] = field(default_factory=dict[str, pd.Series])
    weights: pd.DataFrame | None = None
    regimes: RegimeHistory | None = None
    signal: tuple[Fact, ...] = ()
    vae_curves: pd.DataFrame | None = None
    policy_curves: pd.DataFrame | None = None
    rules: tuple[RuleOutcome, ...] = ()
    absent: Mapping[Part, str] = field(default_factory=dict[Part, str])
    rolling_window: int = 252
    sessions_per_year: int = 252

    def present(self) -> dict[Part, bool]:
        """Which parts have data."""
        return {
            "comparison": bool(self.rows),
            "performance": bool(self.net),
            "weights": self.weights is not None,
            "regimes": self.regimes is not None,
            "latents": self.regimes is not None and self.regimes.latents is not None,
            "signal": bool(self.signal),
            "vae": self.vae_curves is not None,
            "policy": self.policy_curves is not None,
            "gate": bool(self.rules),
            "provenance": bool(self.provenance),
        }

    def check(self) -> None:
        """Raise a `ReportError` unless there are notes and each part has either data or a reason to be absent."""
        if not self.notes:
            raise ReportError("notes are empty: a report has to say what in it is out of sample")
        if unknown := set(self.absent) - set(PARTS):
            raise ReportError(f"`absent` names unknown parts {sorted(unknown)}; parts are {', '.join(PARTS)}")
        for part, there in self.present().items():
            if not there and not self.absent.get(part):
                raise ReportError(f"part {part!r} has no data and no reason in `absent`")
            if there and part in self.absent:
                raise ReportError(f"part {part!r} has data and yet a reason to be absent: {self.absent[part]}")
