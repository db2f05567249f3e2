"""Gaussian mixtures as regime models: fitted to the window, moved by its new sessions, or fitted to recent ones.

A mixture judges a session alone; the persistence filter behind it makes regimes of that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pandas as pd

from regime_assets.library.regimes.mixture_fitting import MixtureFit, fit_mixture
from regime_assets.library.regimes.persistence import PersistenceFit, fit_persistence
from regime_assets.library.regimes.segmentation import FittedRegimes, FitWindow, Segmentation
from regime_assets.library.regimes.settings import BufferSettings, MixtureSettings, OnlineMixtureSettings


class MixtureRegimes:
    """The component `mixture`; what `online` and `buffer` do otherwise, `fit_mixture` reads off their settings."""

    Settings: ClassVar[type[MixtureSettings]] = MixtureSettings
    version: ClassVar[int] = 1
    from_parts = staticmethod(Segmentation.from_parts)

    @staticmethod
    def fit(window: FitWindow, settings: MixtureSettings, seed: int, previous: Segmentation | None) -> FittedRegimes:
        """As `RegimeComponent`."""
        mixture = fit_mixture(
            window.rows,
            window.market_returns,
            window.sample_weight,
            settings,
            seed,
            previous=previous.mixture if previous else None,
            new_rows=_unseen(window.sessions, previous.mixture.fitted_through) if previous else None,
        )
        evidence = mixture.model.log_likelihoods(window.rows)
        persistence = fit_persistence(
            evidence,
            settings.persistence,
            previous.persistence if previous else None,
            sessions_per_year=settings.sessions_per_year,
        )
        return as_regimes(mixture, persistence, window)


class OnlineRegimes(MixtureRegimes):
    """The component `online`."""

    Settings: ClassVar[type[MixtureSettings]] = OnlineMixtureSettings


class BufferRegimes(MixtureRegimes):
    """The component `buffer`."""

    Settings: ClassVar[type[MixtureSettings]] = BufferSettings


def as_regimes(mixture: MixtureFit, persistence: PersistenceFit, window: FitWindow) -> FittedRegimes:
    """Both fits as one answer, with the last session that they learned from."""
    model = replace(mixture.model, fitted_through=f"{window.sessions[-1]:%Y-%m-%d}")
    return FittedRegimes(
        Segmentation(model, persistence.model),
        mixture.figures | persistence.figures,
        exchanged=mixture.figures["relabelled"] == 1.0,
    )


def _unseen(sessions: pd.DatetimeIndex, fitted_through: str) -> int:
    return int((sessions > pd.Timestamp(fitted_through)).sum())
