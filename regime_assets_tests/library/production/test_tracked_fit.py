from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from regime_assets.library.production import tracked_fit
from regime_assets.library.production.lineage import ModelRecord
from regime_assets.library.production.tracked_fit import TrackedFit, figures_together, fits_together, track_fits
from regime_assets_tests.library.production.bundles import SESSION

RECORD = ModelRecord("rl_policy", SESSION, "a" * 64, "", False, 7, "d" * 64, "1", {}, True, "")
CURVES = pd.DataFrame({"gradient_step": [20, 40, 20, 40], "loss": [3.0, 2.0, 5.0, math.nan], "seed": [0, 0, 1, 1]})


def test_a_fit_is_a_nested_run_with_its_origin_its_figures_and_a_curve_a_member(home: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("fits", (home / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment) as parent:
            figures = {"tilt": 0.5, "unmeasured": math.nan}
            (identifier,) = track_fits(mlflow, [TrackedFit("short.rl_policy", RECORD, figures, CURVES)])
            assert mlflow.active_run().info.run_id == parent.info.run_id
        client = mlflow.MlflowClient()
        run = client.get_run(identifier)
        loss = [
            [(m.step, m.value) for m in client.get_metric_history(identifier, f"curve.loss.seed_{n}")] for n in (0, 1)
        ]
        shown = client.load_table(experiment, "curves.json", run_ids=[identifier])
        artifacts = [file.path for file in client.list_artifacts(identifier)]
    finally:
        mlflow.set_tracking_uri(None)
    assert run.info.run_name == f"short.rl_policy {SESSION}"
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == experiment
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (run.data.params["seed"], run.data.params["window"]) == ("7", "d" * 64)
    assert run.data.params["start"] == "from scratch"
    assert loss == [[(20, 3.0), (40, 2.0)], [(20, 5.0)]]
    assert run.data.metrics["tilt"] == 0.5
    assert "unmeasured" not in run.data.metrics
    assert artifacts == ["curves.json"]
    assert shown["seed"].tolist() == [0, 0, 1, 1], "a table, which MLflow's UI shows beside those of other runs"


def test_figures_of_a_runs_sessions_are_logged_by_step_also_when_a_later_session_fails(home: Path) -> None:
    import mlflow

    def sessions() -> None:
        with figures_together(mlflow) as take:
            take({"short.vae.loss": 0.5, "unmeasured": math.nan}, 1)
            take({"short.vae.loss": 0.25}, 2)
            raise RuntimeError("the third one")

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("sessions", (home / "artifacts").as_uri())
        with (
            mlflow.start_run(experiment_id=experiment) as parent,
            pytest.raises(RuntimeError, match="third"),
        ):
            sessions()
        kept = mlflow.MlflowClient().get_metric_history(parent.info.run_id, "short.vae.loss")
        assert "unmeasured" not in mlflow.MlflowClient().get_run(parent.info.run_id).data.metrics
    finally:
        mlflow.set_tracking_uri(None)
    assert [(metric.step, metric.value) for metric in kept] == [(1, 0.5), (2, 0.25)]


def test_a_local_store_holds_what_mlflows_own_calls_would_have_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    fits = [TrackedFit("short.rl_policy", RECORD, {"tilt": 0.5}, curves) for curves in (CURVES, None)]
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("both", (home / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            together = track_fits(mlflow, fits)
            monkeypatch.setattr(tracked_fit, "sqlite_file", lambda _uri: None)
            sent = track_fits(mlflow, fits)
        client = mlflow.MlflowClient()
        for ours, theirs in zip(together, sent, strict=True):
            assert everything(client, ours) == everything(client, theirs)
            found = client.search_runs([experiment], f"attributes.run_id = '{ours}' and metrics.tilt = 0.5")
            assert len(found) == 1, "and MLflow's search finds it"
    finally:
        mlflow.set_tracking_uri(None)


def everything(client: MlflowClient, identifier: str) -> dict[str, object]:
    """What MLflow knows of a run, but for its identifier and the time."""
    known = client.get_run(identifier).to_dictionary()
    for name in ("run_id", "run_uuid", "artifact_uri", "start_time", "end_time"):
        known["info"].pop(name, None)
    metrics = known["data"]["metrics"]
    curves = {name: [(m.step, m.value) for m in client.get_metric_history(identifier, name)] for name in metrics}
    return {**known, "curves": curves, "files": [file.path for file in client.list_artifacts(identifier)]}


def test_fits_of_a_runs_sessions_are_logged_also_when_a_later_session_fails(home: Path) -> None:
    import mlflow

    def sessions() -> None:
        with fits_together(mlflow) as track:
            track(TrackedFit("short.vae", RECORD, {"loss": 0.5}, None))
            raise RuntimeError("the second one")

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    try:
        experiment = mlflow.create_experiment("kept", (home / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment), pytest.raises(RuntimeError, match="second"):
            sessions()
        names = [run.info.run_name for run in mlflow.MlflowClient().search_runs([experiment])]
    finally:
        mlflow.set_tracking_uri(None)
    assert f"short.vae {SESSION}" in names
