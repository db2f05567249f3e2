"""Two machines that promote at once: one wins, and both read the same champion afterwards, files and all."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from regime_assets.library.home import Home
from regime_assets.library.open_database import universe_database
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.production.champion_pointer import read_pointer
from regime_assets.library.production.registry import Registry
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle

MODEL = "us.short"
PROMOTE = """
import sys
from regime_assets.library.production.promotion_rules import PromotionRefusedError
from regime_assets_tests.lake.test_promotions import MODEL, registry_of
registry = registry_of(sys.argv[1])
registry.champion(MODEL)
print("ready", flush=True)
sys.stdin.readline()
try:
    registry.promote(MODEL, int(sys.argv[2]), "test", "passed", judged_against=1)
    print("won")
except PromotionRefusedError as refused:
    print(refused)
"""


def registry_of(universe: str) -> Registry:
    """The registry as this machine opens it."""
    home = Home.from_environment()
    return Registry(home.mlflow_uri, home.mlflow_artifacts, home.locks, universe_database(home, universe))


@pytest.mark.usefixtures("on_shared_storage")
def test_of_two_machines_that_promote_at_once_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    universe = uuid4().hex
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("REGIME_ASSETS_HOME", str(tmp_path / "first"))
    registry = registry_of(universe)
    for value in (1.0, 2.0, 3.0):
        folder = tmp_path / f"built-{value}"
        sha256 = save_bundle(stored_only_bundle(SESSION, value), folder)
        registry.register(folder, MODEL, sha256, {"settings_hash": "one design"})
    registry.promote(MODEL, 1, "test", "passed", judged_against=0)
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE, universe, str(version)],
            env={**os.environ, "REGIME_ASSETS_HOME": str(tmp_path / machine)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for machine, version in (("first", 2), ("second", 3))
    ]
    for machine in machines:
        assert machine.stdout is not None
        assert machine.stdout.readline() == "ready\n"
    answers = [machine.communicate("go\n")[0].strip() for machine in machines]
    winner = 2 if answers[0] == "won" else 3
    assert sorted(answers, key=len)[0] == "won"
    assert f"was judged against version 1, but {winner} serves by now" in max(answers, key=len)
    assert [move.after.champion for move in registry.history(MODEL)] == [1, winner]
    for machine in ("first", "second"):
        monkeypatch.setenv("REGIME_ASSETS_HOME", str(tmp_path / machine))
        served = registry_of(universe).champion(MODEL)
        assert served is not None
        assert served.version == winner
        pointer = read_pointer(Home.from_environment().mlflow_artifacts, MODEL)
        assert pointer is not None
        assert pointer.version == winner
