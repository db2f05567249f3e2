"""Dagster's default launcher, which also knows whether the process of a run still lives: `dagster.yaml` names it.

With it the daemon's run monitoring ends a run whose process was killed at its next look, and retries it where it may.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

from regime_assets.runs.dead_runs import run_health


class LeasedRunLauncher(DefaultRunLauncher):
    """Launches runs like Dagster's default, and finds those whose process is gone."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether `check_run_worker_health` says more than the status."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask the kernel whether the run's process lives."""
        return run_health(self._instance, run)
