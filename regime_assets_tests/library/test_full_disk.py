"""A disk that takes no more leaves what was there, and the message names the file and the remedy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regime_assets.library.artifact import read_artifact
from regime_assets.library.database_file import DatabaseFile

# A process that may write no file beyond a size gets an error in the middle of a write, as on a full disk.
FILL = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np, pandas as pd
from regime_assets.library.artifact import Parts, write_artifact
from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.database_file import DatabaseFile

root, room = Path(sys.argv[1]), int(sys.argv[2])
database = DatabaseFile(root / "u.duckdb")
database.replace_partition("t", {"universe": "u"}, pd.DataFrame({"v": [1.0]}))
write_artifact(root / "vae", Parts({"w": np.zeros(3)}, {}))
write_file_atomically(root / "pointer.json", b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = database.path.stat().st_size + room
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
large = np.random.default_rng(0).random(2_000_000)
said = {}
for name, write in (
    ("table", lambda: database.replace_partition("t", {"universe": "u"}, pd.DataFrame({"v": large}))),
    ("model", lambda: write_artifact(root / "vae", Parts({"w": large}, {}))),
    ("file", lambda: write_file_atomically(root / "pointer.json", large.tobytes())),
):
    try:
        write()
        said[name] = "written"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
said["rows"] = len(database.query("SELECT * FROM t"))
print(json.dumps(said))
"""


@pytest.mark.parametrize("room", [0, 300_000, 3_000_000])
def test_the_old_partition_model_and_file_stay(tmp_path: Path, room: int) -> None:
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FILL, str(tmp_path), str(room)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(child.stdout)
    assert said["table"].startswith(f"DatabaseError: {tmp_path}/u.duckdb: nothing of it was stored")
    assert "make room" in said["table"]
    assert "File too large" in said["model"]
    assert "File too large" in said["file"]
    assert said["rows"] == 1
    assert list(DatabaseFile(tmp_path / "u.duckdb").query("SELECT v FROM t")["v"]) == [1.0]
    assert list(read_artifact(tmp_path / "vae").arrays["w"]) == [0.0] * 3
    assert (tmp_path / "pointer.json").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"u.duckdb", "u.duckdb.lock", "vae", "pointer.json"}
