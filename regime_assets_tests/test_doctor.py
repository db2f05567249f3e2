"""What the doctor finds in a damaged folder, what it says to do, and what it puts right by itself."""

import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from regime_assets.doctor import examine
from regime_assets.library.home import Home
from regime_assets.library.production.champion_pointer import pointer_path
from regime_assets.library.universe import load_universe
from regime_assets.library.upkeep.data_format import open_data_folder
from regime_assets.library.upkeep.findings import Finding
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.upkeep.test_upgrade import ARCHIVE, UNIVERSE

MODEL = "tiny.short"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in order: two champions, and the models that they are made of, taken from their bundles."""
    root = tmp_path_factory.mktemp("doctor")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root / "data", filter="data")
    (root / "tiny.yaml").write_text(UNIVERSE)
    home = open_data_folder(Home(root / "data"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", "")  # put back afterwards
        found = list(examine(home, [load_universe(root / "tiny.yaml")], repair=True))
    repaired = {finding.what for finding in found if finding.level == "repaired"}
    assert repaired == {"was damaged; taken from the session's bundle"}
    return root


@pytest.fixture
def copied(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Workspace]:
    """Makes a copy of that folder. MLflow keeps a file open by its path: what is examined twice needs a second copy."""
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back afterwards

    def copy(name: str) -> Workspace:
        shutil.copytree(sound, tmp_path / name)
        return Workspace(load_universe(tmp_path / name / "tiny.yaml"), Home(tmp_path / name / "data"))

    return copy


def faults(workspace: Workspace, repair: bool = False) -> list[Finding]:
    found = examine(workspace.home, [workspace.universe], repair)
    return [finding for finding in found if finding.level in ("fault", "repaired")]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) // 4 * 3, 1000):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))


def champion_folder(workspace: Workspace) -> Path:
    champion = workspace.registry.champion(MODEL)
    assert champion is not None
    return champion.path


def records(workspace: Workspace) -> Path:
    return workspace.home.dagster / "history" / "runs.db"


def move_alias(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.home.root / "mlflow.db") as store:
        store.execute("UPDATE registered_model_aliases SET version = 1 WHERE name = ? AND alias = 'champion'", [MODEL])


def newest_vae(workspace: Workspace) -> Path:
    (fitted,) = (workspace.home.root / "models" / "tiny" / "short" / "2018-12-19").glob("*/vae/arrays.safetensors")
    return fitted


REPAIRED: dict[str, Callable[[Workspace], object]] = {
    "mlflow.db: damaged": lambda w: (w.home.root / "mlflow.db").write_bytes(b"no database" * 5000),
    "MLflow has no version 1": lambda w: (w.home.root / "mlflow.db").unlink(),
    "the alias champion names version 1, the journal version 2": move_alias,
    "the pointer file does not name version 2": lambda w: pointer_path(w.home.mlflow_artifacts, MODEL).write_text("{"),
    "vae of tiny/short, 2018-12-19": lambda w: flip(newest_vae(w)),
    "ledger.duckdb: ": lambda w: w.home.ledger.unlink(),
}


@pytest.mark.parametrize("words", REPAIRED)
def test_what_another_store_still_knows_is_put_right(copied: Callable[[str], Workspace], words: str) -> None:
    looked_at, repaired = copied("looked at"), copied("repaired")
    for workspace in (looked_at, repaired):
        REPAIRED[words](workspace)
    assert any(words in f"{finding.subject}: {finding.what}" for finding in faults(looked_at))
    assert {finding.level for finding in faults(repaired, repair=True)} == {"repaired"}
    assert faults(repaired) == []
    champion = repaired.registry.champion(MODEL)
    assert champion is not None
    assert champion.version == 2


LOST: dict[str, tuple[Callable[[Workspace], object], str]] = {
    "champion of tiny.short, version 2": (
        lambda w: flip(champion_folder(w) / "policy" / "arrays.safetensors"),
        "roll back",
    ),
    "databases/tiny.duckdb": (lambda w: flip(w.home.database("tiny")), "regime-assets restore"),
    "dagster/history/runs.db": (lambda w: records(w).write_bytes(b"no database" * 5000), "regime-assets restore"),
}


@pytest.mark.parametrize("subject", LOST)
def test_what_nothing_else_knows_is_named_with_its_remedy(copied: Callable[[str], Workspace], subject: str) -> None:
    damage, remedy = LOST[subject]
    workspace = copied("damaged")
    damage(workspace)
    for repair in (False, True):
        (finding,) = faults(workspace, repair)
        assert (finding.level, finding.subject) == ("fault", subject)
        assert remedy in finding.remedy
