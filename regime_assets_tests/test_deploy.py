"""The files of a deployment are what Dagster, Compose, Celery and Kubernetes read, and agree with each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.launcher import RunLauncher
from dagster._core.launcher.base import WorkerStatus
from dagster._serdes import ConfigurableClassData

from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.lease import hold_lease
from regime_assets_tests.test_delivery import accepted

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
SHARED = ("REGIME_ASSETS_CATALOG", "REGIME_ASSETS_STORAGE", "MLFLOW_TRACKING_URI")
BROKER = "redis://127.0.0.1:9/0"


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIME_ASSETS_BROKER", BROKER)
    monkeypatch.setenv("REGIME_ASSETS_NETWORK", "regime-assets_default")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://regime:secret@127.0.0.1:9/dagster")


def test_compose_gives_every_process_of_ours_the_same_shared_places_and_no_password_of_its_own() -> None:
    pytest.importorskip("check_jsonschema")
    for file in (DEPLOY / "compose.yaml", DEPLOY / "docker" / "compose.yaml"):
        accepted("compose-spec", file)
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for role in ("code", "web", "daemon", "worker", "service"):
        assert set(SHARED) <= set(services[role]["environment"]), role
        assert role == "web" or "healthcheck" in services[role], f"the image's own asks {role} for Dagster's web server"
    wanted = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    assert wanted == set(re.findall(r"^(\w+)=$", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published), "neither web server knows a password"


@pytest.mark.parametrize("kind", ["celery", "docker"])
def test_dagster_reads_the_instance_of_a_deployment(kind: str) -> None:
    settings, custom = dagster_instance_config(str(DEPLOY / kind))
    assert custom is None
    assert settings["storage"] == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    launcher = settings["run_launcher"]
    data = ConfigurableClassData(launcher["module"], launcher["class"], yaml.dump(launcher["config"]))
    assert data.rehydrate(as_type=RunLauncher).supports_check_run_worker_health
    mine = yaml.safe_load((ROOT / "regime_assets" / "dagster.yaml").read_text())
    for section in ("run_retries", "python_logs", "telemetry", "nux"):
        assert settings[section] == mine[section], "as on one machine"
    assert settings["concurrency"]["pools"] == mine["concurrency"]["pools"]
    limits = "tag_concurrency_limits"
    assert settings["concurrency"]["runs"][limits] == mine["concurrency"]["runs"][limits]


def test_a_container_of_a_run_gets_all_that_a_worker_has() -> None:
    passed = yaml.safe_load((DEPLOY / "docker" / "dagster.yaml").read_text())["run_launcher"]["config"]["env_vars"]
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    own = {"REGIME_ASSETS_BROKER", "REGIME_ASSETS_COLD_RUNS", "REGIME_ASSETS_AUTOMATION"}  # of other roles
    assert set(services["worker"]["environment"]) - own <= set(passed)


def test_a_message_of_a_run_is_not_delivered_again_while_the_run_may_last() -> None:
    from regime_assets.runs.celery_app import LONGEST_RUN_SECONDS, SETTINGS, celery_app

    monitoring = yaml.safe_load((DEPLOY / "celery" / "dagster.yaml").read_text())["run_monitoring"]
    assert monitoring["max_runtime_seconds"] == LONGEST_RUN_SECONDS
    assert SETTINGS["broker_transport_options"]["visibility_timeout"] > LONGEST_RUN_SECONDS
    configured = celery_app(BROKER).conf
    assert configured.task_acks_late
    assert configured.task_reject_on_worker_lost
    assert configured.worker_prefetch_multiplier == 1


def test_the_celery_launcher_asks_the_lease_and_not_celery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regime_assets.runs.celery_launcher import LeasedCeleryRunLauncher

    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    launcher = ConfigurableClassData(
        "regime_assets.runs.celery_launcher", "LeasedCeleryRunLauncher", yaml.dump({"broker": BROKER})
    ).rehydrate(as_type=LeasedCeleryRunLauncher)
    with dg.DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        waiting, alive, dead = (dg.DagsterRun(job_name="us_daily", run_id=f"run-{number}") for number in range(3))
        home = Home(tmp_path)
        hold_lease(home.run_lease(alive.run_id))
        script = (
            "import sys; from pathlib import Path; from regime_assets.library.lease import hold_lease; "
            "hold_lease(Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", script, str(home.run_lease(dead.run_id))], check=True)
        told = [launcher.check_run_worker_health(run) for run in (waiting, alive, dead)]
    assert [each.status for each in told] == [WorkerStatus.RUNNING, WorkerStatus.RUNNING, WorkerStatus.FAILED]
    assert "is gone" in (told[-1].msg or "")


def _values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text())


def test_kubernetes_reads_every_part_of_the_values_that_is_its_own() -> None:
    """Dagster's chart is not a package of Python; what it hands on to Kubernetes is read by Kubernetes' own client."""
    from dagster_k8s.job import UserDefinedDagsterK8sConfig
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes import client

    values = _values()
    kinds = {"resources": client.V1ResourceRequirements, "securityContext": client.V1SecurityContext}
    listed = {"volumes": client.V1Volume, "volumeMounts": client.V1VolumeMount, "envSecrets": client.V1SecretEnvSource}
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    parts = [values["dagsterWebserver"], values["dagsterDaemon"], launcher]
    for part in (*parts, *values["dagster-user-deployments"]["deployments"]):
        for name, kind in kinds.items():
            if name in part:
                k8s_model_from_dict(kind, k8s_snake_case_dict(kind, part[name]))
        for name, kind in listed.items():
            for one in part[name]:
                k8s_model_from_dict(kind, k8s_snake_case_dict(kind, one))
    own = {_snake(name): value for name, value in launcher["runK8sConfig"].items()}
    read = UserDefinedDagsterK8sConfig.from_dict(own).to_dict()
    assert read["job_spec_config"]["backoff_limit"] == 0, "Dagster starts a lost run again, Kubernetes does not"


def test_the_values_are_what_the_launcher_of_dagster_takes() -> None:
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher

    values = _values()
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    told = {
        "service_account_name": "dagster",
        "instance_config_map": "dagster-instance",
        "dagster_home": "/opt/dagster/dagster_home",
        "image_pull_policy": launcher["imagePullPolicy"],
        "env_secrets": [one["name"] for one in launcher["envSecrets"]],
        "env_vars": launcher["envVars"],
        "volumes": launcher["volumes"],
        "volume_mounts": launcher["volumeMounts"],
        "resources": launcher["resources"],
        "fail_pod_on_run_failure": launcher["failPodOnRunFailure"],
        "run_k8s_config": {_snake(name): value for name, value in launcher["runK8sConfig"].items()},
    }
    assert not process_config(K8sRunLauncher.config_type(), told).errors


def test_dagster_reads_the_instance_that_its_chart_makes_of_the_values(tmp_path: Path) -> None:
    """The chart writes limits that nobody set into `run_coordinator`, unless it is told of them below `concurrency`."""
    daemon, concurrency = _values()["dagsterDaemon"], _values()["concurrency"]
    assert concurrency["enabled"]
    assert "config" not in daemon["runCoordinator"], "Dagster takes no limits of runs in both places"
    made = {
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": daemon["runCoordinator"]["type"]},
        "run_monitoring": {_snake(name): value for name, value in daemon["runMonitoring"].items()},
        "run_retries": {_snake(name): value for name, value in daemon["runRetries"].items()},
        "concurrency": {
            part: {_snake(name): value for name, value in concurrency[part].items()} for part in ("pools", "runs")
        },
    }
    (tmp_path / "dagster.yaml").write_text(yaml.dump(made))
    read, _ = dagster_instance_config(str(tmp_path))
    mine = yaml.safe_load((ROOT / "regime_assets" / "dagster.yaml").read_text())["concurrency"]
    assert read["concurrency"]["runs"]["tag_concurrency_limits"] == mine["runs"]["tag_concurrency_limits"]
    assert read["concurrency"]["pools"] == mine["pools"]
    celery = yaml.safe_load((DEPLOY / "celery" / "dagster.yaml").read_text())
    assert read["run_monitoring"]["max_runtime_seconds"] == celery["run_monitoring"]["max_runtime_seconds"]


def test_the_chart_is_that_of_the_dagster_that_is_installed() -> None:
    (pinned,) = re.findall(r"^dagster==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    for text in (DEPLOY / "kubernetes" / "values.yaml", ROOT / "docs" / "scaling.md"):
        assert re.findall(r"dagster/dagster --version (\S+)", text.read_text()) == [pinned], text.name


def test_no_value_of_kubernetes_is_a_secret_and_the_secret_has_what_processes_need() -> None:
    secret = (DEPLOY / "kubernetes" / "example-secret.env").read_text()
    assert set(SHARED) <= set(re.findall(r"^(\w+)=", secret, re.MULTILINE))
    assert "password" not in json.dumps(_values()).lower().replace("generatepostgresqlpasswordsecret", "")


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
