"""A lease is held as long as one of its processes lives, and not a moment longer."""

import subprocess
import sys
from pathlib import Path

from regime_assets.library.lease import hold_lease, holder, is_held

HOLD = "import sys, time; from pathlib import Path; from regime_assets.library.lease import hold_lease\n"
HOLD += "hold_lease(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def held_by_another(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lease_ends_with_the_last_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run"
    assert is_held(path) is None
    first, second = held_by_another(path), held_by_another(path)
    assert is_held(path) is True
    assert holder(path) == f"process {first.pid}"
    for process, held in ((first, True), (second, False)):
        process.kill()
        process.wait()
        assert is_held(path) is held


def test_a_process_that_holds_a_lease_sees_it_held(tmp_path: Path) -> None:
    hold_lease(tmp_path / "run")
    hold_lease(tmp_path / "run")
    assert is_held(tmp_path / "run") is True
