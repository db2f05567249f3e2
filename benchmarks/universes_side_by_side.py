"""Universes side by side on this machine: what each adds to the code location, to an idle evening, and to a session.

    python -m benchmarks.universes_side_by_side [--universes 1 5 20] [--idle 120] [--sessions]

Copies of the sample universe in a data folder of their own, served by Dagster's real code server and daemon, schedules
and sensors on. Prints a markdown table. Without `--sessions` nothing is due: what is measured is how long the code
location takes to load, its memory, and the CPU of both processes while they only look whether something is due. With
it, all universes answer two sessions first: the first from nothing, which takes long, the second warm, whose time by
the clock is told, from the moment at which it is due to the last signal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil

from regime_assets.definitions import UNIVERSES_VARIABLE
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.clock import NOW_VARIABLE, clock
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.sensors.event_log import AUTOMATION_VARIABLE
from regime_assets.ui.processes import DEFINITIONS, LOCATION

SHIPPED = Path(__file__).parents[1] / "regime_assets" / "universes" / "us_large_cap.yaml"
SESSIONS = (date(2020, 6, 1), date(2020, 6, 2))
DUE, NOT_DUE = 6, 3
"""Hours, UTC, after and before half past midnight in New York, when a session's turn comes."""

SETTLING_SECONDS = 150.0  # until every sensor has looked once
LONGEST_SECONDS = 3600.0

LOADED = """
import os, time
import dagster
began = time.process_time()
import regime_assets.definitions
taken = time.process_time() - began
print(taken, int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
"""


@dataclass(frozen=True)
class Running:
    """Code server and daemon, with all that they started."""

    processes: dict[str, psutil.Process]

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by process."""
        return {name: sum(_cpu(one) for one in _tree(process)) for name, process in self.processes.items()}

    def memory(self) -> dict[str, float]:
        """Proportional memory, MB, by process."""
        return {name: sum(_memory(one) for one in _tree(process)) for name, process in self.processes.items()}


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return spent.user + spent.system


def _memory(process: psutil.Process) -> float:
    try:
        return process.memory_full_info().pss / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def names(count: int) -> list[str]:
    """Of the universes."""
    return [f"side_{number:02d}" for number in range(1, count + 1)]


def write_universes(folder: Path, count: int) -> None:
    """Copies of the sample universe that begin with a short record."""
    folder.mkdir()
    for name in names(count):
        text = SHIPPED.read_text().replace("name: us_large_cap", f"name: {name}")
        text = text.replace("first_partition: 2010-01-04", f"first_partition: {SESSIONS[0]}")
        (folder / f"{name}.yaml").write_text(text + "walk_forward: {sessions: 126}\n")


@contextmanager
def dagster(environment: dict[str, str], folder: Path) -> Iterator[Running]:
    """Code server and daemon until the block ends."""
    socket, workspace, log = folder / "code.sock", folder / "workspace.yaml", folder / "dagster.log"
    workspace.write_text(f"load_from: [{{grpc_server: {{socket: {socket}, location_name: {LOCATION}}}}}]\n")
    served = ("code-server", "start", "-m", DEFINITIONS, "--socket", str(socket), "--location-name", LOCATION)
    commands = {
        "code server": ("dagster", *served, "--use-python-environment-entry-point"),
        "daemon": ("regime_assets.ui.daemon", "run", "-w", str(workspace)),
    }
    started: dict[str, psutil.Process] = {}
    try:
        with log.open("w") as out:
            for name, command in commands.items():
                process = psutil.Popen([sys.executable, "-m", *command], env=environment, stdout=out, stderr=out)
                started[name] = process
                while not socket.exists():
                    if process.poll() is not None:
                        raise RuntimeError(log.read_text()[-3000:])
                    time.sleep(0.1)
        yield Running(started)
        if "does not load" in log.read_text():
            raise RuntimeError(log.read_text()[:3000])
    finally:
        for process in reversed(started.values()):
            process.terminate()
        # After runs, the code server would wait longer than a minute for the heartbeats of a daemon that has ended.
        _, left = psutil.wait_procs(reversed(started.values()), timeout=20)
        for process in (one for ended in left for one in _tree(ended)):
            process.kill()


def answered(home: Home, count: int, session: date) -> int:
    """How many universes have published their signal of a session."""
    found = 0
    for name in names(count):
        if home.database(name).exists():
            database = DatabaseFile(home.database(name))
            if database.has_table("daily_signal"):
                rows = database.query(f"SELECT count(*) AS n FROM daily_signal WHERE as_of = DATE '{session}'")
                found += int(rows["n"].iloc[0] > 0)
    return found


def until_answered(home: Home, count: int, session: date) -> float:
    """Seconds by the clock until all universes have answered."""
    began = time.perf_counter()
    while answered(home, count, session) < count:
        if time.perf_counter() - began > LONGEST_SECONDS:
            raise RuntimeError(f"{answered(home, count, session)} of {count} universes answered for {session}")
        time.sleep(1.0)
    return time.perf_counter() - began


def at(session: date, hour: int) -> str:
    """What `REGIME_ASSETS_NOW` holds at an hour of the day after a session, UTC."""
    shown = datetime.combine(session + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=hour)
    return f"{shown.isoformat()} since {clock.system_now().isoformat()}"


def measure(count: int, idle: float, *, sessions: bool) -> tuple[str, ...]:
    """A row of the table."""
    with tempfile.TemporaryDirectory(prefix="side") as scratch:
        root = Path(scratch)
        write_universes(root / "universes", count)
        home = Home(root / "home")
        environment = prepare_dagster_home(home) | {UNIVERSES_VARIABLE: str(root / "universes")}
        subprocess.run([sys.executable, "-c", LOADED], env=environment, check=True, capture_output=True)  # calendars
        said = subprocess.run([sys.executable, "-c", LOADED], env=environment, check=True, capture_output=True)
        loading, resident = map(float, said.stdout.split())
        environment |= {AUTOMATION_VARIABLE: "on"}
        warm = "not asked for"
        if sessions:
            for session in SESSIONS:
                with dagster(environment | {NOW_VARIABLE: at(session, DUE)}, root):
                    warm = f"{until_answered(home, count, session):.0f} s"
                    print(f"{count} universes answered for {session} after {warm}", flush=True)
        quiet = at(SESSIONS[-1], DUE) if sessions else at(SESSIONS[0], NOT_DUE)
        with dagster(environment | {NOW_VARIABLE: quiet}, root) as running:
            time.sleep(SETTLING_SECONDS)
            before = running.cpu()
            time.sleep(idle)
            spent = {name: after - before[name] for name, after in running.cpu().items()}
            memory = running.memory()
    shares = ", ".join(f"{name} {seconds / idle:.1%}" for name, seconds in spent.items())
    sizes = ", ".join(f"{name} {size:.0f} MB" for name, size in memory.items())
    return f"{count}", f"{loading:.2f} s", f"{resident:.0f} MB", shares, sizes, warm


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--universes", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--idle", type=float, default=120.0, help="seconds that an idle evening is watched for")
    parser.add_argument("--sessions", action="store_true", help="let all of them answer two sessions before")
    options = parser.parse_args()
    rows = [measure(count, options.idle, sessions=options.sessions) for count in options.universes]
    print("CPU of the code location's load, its memory, and shares of one core while idle\n")
    print("| universes | code location loads in | resident | idle CPU | memory | warm session of all |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
