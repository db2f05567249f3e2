"""A folder in which this user may not write: each store names it and says what to do, and nothing is left half."""

import json
import os
import subprocess
import sys
from pathlib import Path

WRITE = """
import json, os, sys
from pathlib import Path
import numpy as np, pandas as pd
from regime_assets.library.artifact import Parts, read_artifact, write_artifact
from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.file_lease import hold_lease
from regime_assets.library.file_lock import file_lock
from regime_assets.library.home import Home
from regime_assets.library.production.bundle import save_bundle
from regime_assets.library.upkeep.data_format import open_data_folder
from regime_assets.runs.sqlite_storage import KeptSqliteStorage
from regime_assets_tests.bound_by_modes import bow_to_modes
from regime_assets_tests.library.production.bundles import stored_only_bundle

root, value = Path(sys.argv[1]), float(sys.argv[2])
tables = root / "table" / "u.duckdb"
if sys.argv[3] == "bound":
    bow_to_modes()

def lock():
    with file_lock(root / "lock" / f"{value}.lock", 1.0):
        pass

def record(storage):
    storage.run_storage.set_cursor_values({"a": str(value)})

said = {}
for name, write in {
    "table": lambda: DatabaseFile(tables).replace_partition("t", {"u": "u"}, pd.DataFrame({"v": [value]})),
    "model": lambda: write_artifact(root / "model" / "vae", Parts({"w": np.full(3, value)}, {})),
    "bundle": lambda: save_bundle(stored_only_bundle(value=value), root / "bundle" / f"{value}"),
    "file": lambda: write_file_atomically(root / "file" / "pointer.json", str(value).encode()),
    "lock": lock,
    "lease": lambda: hold_lease(root / "lease" / f"{value}"),
    "data": lambda: open_data_folder(Home(root / "data" / f"{value}")),
    "dagster": lambda: record(KeptSqliteStorage.from_local(str(root / "dagster" / ""))),
}.items():
    try:
        write()
        said[name] = "written"
    except Exception as error:
        said[name] = str(error)
said["stored"] = [
    *DatabaseFile(tables).query("SELECT v FROM t")["v"],
    *read_artifact(root / "model" / "vae").arrays["w"],
    float((root / "file" / "pointer.json").read_text()),
] if sys.argv[3] == "free" else []
print(json.dumps(said))
"""
FOLDERS = ("table", "model", "bundle", "file", "lock", "lease", "data", "dagster")


def written(root: Path, value: float, bound: bool) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-c", WRITE, str(root), str(value), "bound" if bound else "free"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def set_modes(root: Path, folders: int, files: int) -> None:
    for name in FOLDERS:
        for place, _, inside in os.walk(root / name):
            for file in inside:
                os.chmod(Path(place, file), files)
            os.chmod(place, folders)


def test_each_store_names_the_folder_and_the_remedy_and_goes_on_when_it_is_writable(tmp_path: Path) -> None:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    first = written(tmp_path, 1.0, bound=False)
    assert [first[name] for name in FOLDERS] == ["written"] * len(FOLDERS)
    before = sorted(tmp_path.rglob("*"))
    set_modes(tmp_path, 0o500, 0o400)
    refused = written(tmp_path, 2.0, bound=True)
    for name in FOLDERS:
        assert str(tmp_path / name) in str(refused[name])
        assert "et this user write" in str(refused[name]), name
    set_modes(tmp_path, 0o700, 0o600)
    assert sorted(tmp_path.rglob("*")) == before
    again = written(tmp_path, 2.0, bound=False)
    assert [again[name] for name in FOLDERS] == ["written"] * len(FOLDERS)
    assert again["stored"] == [2.0] * 5
