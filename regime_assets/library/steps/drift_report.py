"""Drift of one session: measured against the champion's reference, confirmed into episodes, and reported."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.artifact import ArtifactError, Parts, read_newest, write_newest
from regime_assets.library.cadence import full_retrain_due
from regime_assets.library.determinism import derive_seed
from regime_assets.library.market.window import Expanding, Window
from regime_assets.library.monitoring.calibration import calibrate_thresholds, rules_key
from regime_assets.library.monitoring.drift import (
    DriftMeasurement,
    DriftSettings,
    DriftThresholds,
    measure_drift,
    watched_features,
)
from regime_assets.library.monitoring.drift_episodes import DriftState, advance
from regime_assets.library.monitoring.textbook import textbook_share
from regime_assets.library.production.bundle import load_bundle
from regime_assets.library.production.lineage import OUTCOMES_TABLE
from regime_assets.library.production.names import model_name
from regime_assets.library.report.drift_page import DriftContent, write_drift_page
from regime_assets.library.shared_files import file_exists
from regime_assets.library.steps.served_design import reading
from regime_assets.library.steps.served_track import served_design
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

TABLE = "drift_report"
SEED = "seed"
"""In the document of thresholds: what they were calibrated with."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drift:
    """One session's drift.

    Attributes:
        measurement: what was measured.
        state: where the episode stands.
        textbook_share: the share of features that a textbook's test would call drifted.
        report: the page; None where none was written.
    """

    measurement: DriftMeasurement
    state: DriftState
    textbook_share: float
    report: Path | None

    @property
    def status(self) -> str:
        """calm, suspected or drifting."""
        return self.state.status

    @property
    def episode_id(self) -> str | None:
        """The open episode; None while there is none."""
        return self.state.episode_id

    @property
    def refresh_requested(self) -> bool:
        """Whether this session asks for a full refresh."""
        return self.state.refresh_requested

    @property
    def figures(self) -> dict[str, float]:
        """What plots over partitions."""
        own = self.measurement.figures() | {"drifting": float(self.status == "drifting")}
        return own | {"textbook_share": self.textbook_share}

    @property
    def scores(self) -> pd.DataFrame:
        """One row a feature and window."""
        return self.measurement.scores

    @property
    def ratios(self) -> dict[str, float]:
        """Largest distance of each feature over its windows, as a multiple of its bound."""
        return {str(name): float(value) for name, value in self.scores.groupby("feature")["ratio"].max().items()}


def report_drift(workspace: Workspace, horizon: Horizon, session: date, *, page: bool = True) -> Drift:
    """Measure and store the drift of one session, and report it.

    Args:
        page: write the report; one of a session that is not calm, and one that is there already, in any case.
    """
    settings = DriftSettings(sessions_per_year=round(workspace.universe.sessions_per_year))
    window = workspace.read_window(horizon, session, Expanding(workspace.universe.windows.long_half_life_sessions))
    thresholds = _thresholds(workspace, session, settings)
    watched = _watched(workspace, horizon, session, window, thresholds)
    reference, current = _split(workspace, horizon, session, watched, settings)
    measurement = measure_drift(reference, current, thresholds)
    with workspace.database.at_once():
        before = _previous_state(workspace, horizon, session)
        served = served_design(workspace, horizon, session)
        retrained = workspace.lineage(horizon, served).latest_full_retrain("vae", session)
    state = advance(before, measurement, session, settings, retrained.session if retrained else None)
    share = textbook_share(reference, current.iloc[-max(thresholds.windows) :], thresholds.features)
    outcome = RuleOutcome(
        "no_drift", measurement.largest, "no open episode", state.status != "drifting", blocking=False,
        detail=f"{state.status}; largest: {measurement.leading}",
    )  # fmt: skip
    row = {k: v for k, v in state.to_dict().items() if k != "session"} | measurement.figures()
    with workspace.database.one_transaction([OUTCOMES_TABLE, TABLE]):
        workspace.lineage(horizon, design="").record_outcomes(TABLE, session, [outcome])
        workspace.database.replace_partition(TABLE, workspace.key(horizon, session), pd.DataFrame([row]))
    is_calm = state.status == "calm"
    path = workspace.home.report(workspace.universe.name, horizon, "drift", session)
    if is_calm and not page and not file_exists(path):
        return Drift(measurement, state, share, None)
    tables = ""
    if not is_calm or workspace.universe.reports.evidently_tables == "every":
        # Takes some seconds, of its import most: on a calm day nobody opens it.
        from regime_assets.library.monitoring.evidently_report import write_evidently_report

        file = workspace.home.report(workspace.universe.name, horizon, "drift_tables", session)
        write_evidently_report(reference, current, thresholds, file)
        tables = file.name
    drift = Drift(measurement, state, share, path)
    write_drift_page(_content(workspace, horizon, drift, thresholds, settings, tables), path)
    return drift


def _content(
    workspace: Workspace,
    horizon: Horizon,
    drift: Drift,
    thresholds: DriftThresholds,
    settings: DriftSettings,
    tables: str,
) -> DriftContent:
    """What the report says."""
    measured, state = drift.measurement, drift.state
    sql = f"SELECT as_of AS session, largest FROM {TABLE} WHERE universe = ? AND horizon = ? AND as_of <= ? ORDER BY 1"
    top = measured.scores.iloc[int(measured.scores["ratio"].argmax())]
    is_open = state.status == "drifting"
    return DriftContent(
        universe=workspace.universe.name,
        horizon=horizon,
        session=measured.session,
        status=state.status,
        largest=measured.largest,
        leading=str(top["feature"]),
        leading_window=int(top["window"]),
        opened=state.opened if is_open else None,
        sessions_since=state.sessions_since if is_open else None,
        refitted=state.refitted,
        cool_down=state.cool_down,
        confirm=settings.confirm_sessions,
        scores=measured.scores,
        history=workspace.database.query(sql, [workspace.universe.name, horizon, measured.session]),
        reference=(measured.reference_first, measured.reference_last),
        calibrated=(thresholds.first_session, thresholds.last_session),
        alarms_per_year=thresholds.alarms_per_year,
        notice=thresholds.notice,
        textbook_share=drift.textbook_share,
        tables=tables,
    )


def _watched(
    workspace: Workspace, horizon: Horizon, session: date, window: Window, thresholds: DriftThresholds
) -> pd.DataFrame:
    """Features of the watched symbols and, where a champion serves, what it makes of the sessions."""
    prices = window.standing(workspace.universe.members(session))
    features = watched_features(prices.pct_change(fill_method=None).iloc[1:], thresholds.forecast)
    champion = workspace.registry.champion_as_of(model_name(workspace.universe.name, horizon), session)
    if champion is None:
        return features
    bundle = load_bundle(champion.path, champion.sha256, workspace.universe.own_components)
    served = reading(workspace, bundle)
    shape = Expanding(workspace.universe.windows.long_half_life_sessions)
    seen = window if served is workspace else served.read_window(horizon, session, shape)
    path = workspace.regime_path(bundle.regimes, served.featured(seen).features)
    shown = pd.DataFrame({"reconstruction_error": path.reconstruction_error}, index=path.sessions)
    for number in range(path.latents.shape[1]):
        shown[f"latent_{number}"] = path.latents[:, number]
    for number, name in enumerate(path.names):
        shown[f"posterior_{name}"] = path.posteriors[:, number]
    return features.join(shown, how="inner")


def _split(
    workspace: Workspace, horizon: Horizon, session: date, watched: pd.DataFrame, settings: DriftSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sessions that the champion was trained on last, and the newest ones; the two never overlap."""
    longest = max(settings.windows)
    champion = workspace.registry.champion_as_of(model_name(workspace.universe.name, horizon), session)
    end = len(watched) - longest
    if champion is not None:
        end = min(end, int(watched.index.searchsorted(pd.Timestamp(champion.session), side="right")))
    return watched.iloc[max(0, end - settings.reference_sessions) : end], watched.iloc[-longest:]


def _thresholds(workspace: Workspace, session: date, settings: DriftSettings) -> DriftThresholds:
    """The thresholds calibrated on the history before the session's quarter; calibrated once a quarter."""
    calendar = workspace.calendar
    first = session
    while not full_retrain_due("quarterly", first, calendar):
        first = calendar.previous(first)
    calibrated = calendar.previous(first)
    folder = workspace.home.drift_thresholds(workspace.universe.name, calibrated, rules_key(settings))
    seed = derive_seed(workspace.universe.name, calibrated.isoformat(), "drift_thresholds")
    if (known := _known_thresholds(folder, seed)) is not None:
        return known
    window = workspace.read_window("long", calibrated, Expanding(workspace.universe.windows.long_half_life_sessions))
    returns = window.standing(workspace.universe.members(calibrated)).pct_change(fill_method=None).iloc[1:]
    thresholds = calibrate_thresholds(returns, settings, seed)
    arrays, document = thresholds.to_parts()
    write_newest(folder, Parts(arrays, {**document, SEED: seed}))
    return thresholds


def _known_thresholds(folder: Path, seed: int) -> DriftThresholds | None:
    """The thresholds of a seed, which tells universe and quarter; None where they are to be made.

    Damaged ones and those of another universe are: the same history gives the same bits again.
    """
    try:
        known = read_newest(folder)
    except ArtifactError as error:
        _log.warning("the drift thresholds are calibrated again, to the same bits: %s", error)
        return None
    if known is None:
        return None
    document = dict(known.document)
    return DriftThresholds.from_parts(Parts(known.arrays, document)) if document.pop(SEED, None) == seed else None


def state_of(workspace: Workspace, horizon: Horizon, session: date) -> DriftState | None:
    """The state after one session; None when its drift report was not materialized."""
    return _stored_state(workspace, horizon, "as_of = ?", session)


def _previous_state(workspace: Workspace, horizon: Horizon, session: date) -> DriftState | None:
    """The state after the newest session before this one."""
    return _stored_state(workspace, horizon, "as_of < ? ORDER BY as_of DESC LIMIT 1", session)


def _stored_state(workspace: Workspace, horizon: Horizon, condition: str, session: date) -> DriftState | None:
    if not workspace.database.has_table(TABLE):
        return None
    sql = f"SELECT * FROM {TABLE} WHERE universe = ? AND horizon = ? AND {condition}"
    rows = workspace.database.query(sql, [workspace.universe.name, horizon, session])
    if rows.empty:
        return None
    values: dict[str, Any] = {}
    for name, value in rows.iloc[0].to_dict().items():
        values[str(name)] = None if pd.isna(value) else value
    values["session"] = values["as_of"].date().isoformat()
    values["sessions_since"] = None if values["sessions_since"] is None else int(values["sessions_since"])
    return DriftState.from_dict(values)
