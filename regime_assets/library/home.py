"""Where everything is stored: one folder, so that a laptop can be backed up, moved or wiped in one step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HOME_VARIABLE = "REGIME_ASSETS_HOME"
RESTORE = "restore the data folder from a backup (`regime-assets restore`)"
"""What is left to do about a file that nothing else knows."""

DESIGN_DIGITS = 16
"""Of a design's hash, in the name of its folder."""


@dataclass(frozen=True)
class Home:
    """The data folder and the places in it."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """`$REGIME_ASSETS_HOME`, or `data` in the working directory."""
        return cls(Path(os.environ.get(HOME_VARIABLE, "data")).resolve())

    @property
    def databases(self) -> Path:
        return self.root / "databases"

    def database(self, universe: str) -> Path:
        """The DuckDB file of one universe: universes share no table and no writer."""
        return self.databases / f"{universe}.duckdb"

    @property
    def ledger(self) -> Path:
        """The DuckDB file of all that was ever tried: what is tried on one universe is luck for another of its
        prices."""
        return self.root / "ledger.duckdb"

    @property
    def calendars(self) -> Path:
        return self.root / "calendars"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"

    @property
    def mlflow_uri(self) -> str:
        """`$MLFLOW_TRACKING_URI`, or an SQLite file in the data folder."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow_artifacts"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def pages(self) -> Path:
        """The morning pages, a file a session, and what they are made of."""
        return self.root / "pages"

    def run_lease(self, run_id: str) -> Path:
        """The lease that the process of a run holds."""
        return self.locks / "runs" / run_id

    def model(self, universe: str, horizon: str, design: str, kind: str, session: date) -> Path:
        """The folder of one fitted model of a design, by the design's hash."""
        return self.root / "models" / universe / horizon / session.isoformat() / design[:DESIGN_DIGITS] / kind

    def drift_thresholds(self, universe: str, calibrated: date, rules: str) -> Path:
        """The folder of the drift thresholds calibrated on the history up to a session, under rules of that name."""
        return self.root / "drift_thresholds" / universe / calibrated.isoformat() / rules

    def bundle(self, universe: str, horizon: str, design: str, session: date) -> Path:
        """The folder of one session's bundle of a design, by the design's hash."""
        return self.root / "bundles" / universe / horizon / session.isoformat() / design[:DESIGN_DIGITS]

    def report(self, universe: str, horizon: str, kind: str, session: date) -> Path:
        """The HTML file of one session's report."""
        return self.reports / universe / horizon / f"{session.isoformat()}-{kind}.html"
