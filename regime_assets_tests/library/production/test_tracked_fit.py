from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from regime_assets.library.production.lineage import ModelRecord
from regime_assets.library.production.tracked_fit import track_fit
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
            identifier = track_fit(mlflow, "short.rl_policy", RECORD, figures, CURVES)
            assert mlflow.active_run().info.run_id == parent.info.run_id
        client = mlflow.MlflowClient()
        run = client.get_run(identifier)
        loss = [
            [(m.step, m.value) for m in client.get_metric_history(identifier, f"curve.loss.seed_{n}")] for n in (0, 1)
        ]
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
