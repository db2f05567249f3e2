"""SIGKILL at random moments of a session's run: what must hold afterwards, and how often it did.

    python benchmarks/kills.py --kills 200

A session is materialized undisturbed in one folder. In another one its run is killed again and again, each time at a
random moment of its whole length. After each kill the stores are whole, what served serves, and the dead run is ended;
at the end the session is materialized once more and everything that it decided has the bits of the undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from regime_assets.doctor import examine
from regime_assets.library.home import Home
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.test_universes import CRYPTO, failures, opened

SYMBOLS = ["BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD"]
FIRST, KILLED = date(2018, 8, 25), date(2018, 8, 26)
TABLES = ("daily_signal", "judgements", "latents", "drift_report", "models", "promotions")
LEFT_OUT = {"promotions": "EXCLUDE (made_at, identifier)", "models": "EXCLUDE (figures)"}
CHILD = """
import sys
from datetime import date
from pathlib import Path
from regime_assets.library.home import Home
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.test_universes import failures
Workspace.design = small_design()
root = Path(sys.argv[1])
workspace = Workspace(load_universe(root / "universes" / "universe.yaml"), Home(root / "home"))
print("began", flush=True)
problems = failures(workspace, date.fromisoformat(sys.argv[2]))
print("\\n".join(problems))
sys.exit(1 if problems else 0)
"""


def decided(workspace: Workspace) -> dict[str, str]:
    """Everything that the sessions decided, by table, and the bundles' hashes."""
    found = {
        table: workspace.database.query(f"SELECT * {LEFT_OUT.get(table, '')} FROM {table} ORDER BY ALL").to_json()
        for table in TABLES
    }
    for horizon in HORIZONS:
        for stored in workspace.registry.versions(f"{workspace.universe.name}.{horizon}"):
            found[f"{horizon} bundle of {stored.session}"] = stored.sha256
    return found


def begun(root: Path) -> subprocess.Popen[str]:
    """The session's run in a process of its own, from where the graph begins."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(root), KILLED.isoformat()]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def reopened(root: Path) -> Workspace:
    """The folder as a new process sees it."""
    return Workspace(load_universe(root / "universes" / "universe.yaml"), Home(root / "home"))


def main() -> None:
    """Kill, look, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    Workspace.design = small_design()  # type: ignore[method-assign,assignment]
    moments = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder) / "undisturbed", Path(folder) / "killed"
        undisturbed.mkdir()
        workspace = opened(undisturbed, CRYPTO, "24/7", SYMBOLS)
        assert failures(workspace, FIRST) == []
        shutil.copytree(undisturbed, killed)
        began = time.monotonic()
        assert begun(undisturbed).wait() == 0
        length = time.monotonic() - began
        cut, ended, put_right, faults = 0, 0, 0, list[str]()
        for _ in range(chosen.kills):
            child = begun(killed)
            time.sleep(length * moments.random())
            child.send_signal(signal.SIGKILL)
            cut += child.wait() == -signal.SIGKILL
            workspace = reopened(killed)
            for finding in examine(workspace.home, [workspace.universe], repair=True):
                put_right += finding.level == "repaired"
                ended += finding.subject == "runs" and finding.level == "repaired"
                if finding.level == "fault":
                    faults.append(f"{finding.subject}: {finding.what}")
            for horizon in HORIZONS:
                assert workspace.registry.champion(f"crypto.{horizon}") is not None
        child = begun(killed)
        assert child.wait() == 0
        was, now = decided(reopened(undisturbed)), decided(reopened(killed))
    differing = [name for name in was if was[name] != now[name]]
    print(f"{cut} of {chosen.kills} runs killed within {length:.0f} s; the others had ended before")
    print(
        f"dead runs ended with their slots: {ended}; put right besides: {put_right - ended}; faults left: {len(faults)}"
    )
    print("\n".join(faults[:10]))
    print(f"after one more run, {len(was)} records are compared with the undisturbed run: {len(differing)} differ")
    print("\n".join(differing))
    raise SystemExit(1 if faults or differing else 0)


if __name__ == "__main__":
    main()
