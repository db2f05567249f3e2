"""A lease is held as long as one of its processes lives, and not a moment longer, on one machine and on many."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from regime_assets.library import shared_lease
from regime_assets.library.lease import hold_lease, holder, is_held, release_leases
from regime_assets_tests.postgres_server import PostgresServer

HOLD = "import sys, time; from pathlib import Path; from regime_assets.library.lease import hold_lease\n"
HOLD += "hold_lease(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


@pytest.fixture(params=["file", "postgres"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "postgres":
        request.getfixturevalue("on_shared_server")
        monkeypatch.setattr(shared_lease, "RETURN_SECONDS", 0.0)
    return tmp_path / "runs" / uuid4().hex


def held_by_another(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def soon(path: Path, held: bool) -> bool:
    """Whether it is held or free; a server needs a moment to see that a connection is gone."""
    deadline = time.monotonic() + 5.0
    while is_held(path) is not held and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_held(path) is held


def test_a_lease_ends_with_the_last_process_that_holds_it(path: Path) -> None:
    assert is_held(path) is None
    first, second = held_by_another(path), held_by_another(path)
    assert is_held(path) is True
    assert holder(path) in (f"process {first.pid}", f"process {socket.gethostname()}:{first.pid}")
    for process, held in ((first, True), (second, False)):
        process.kill()
        process.wait()
        assert soon(path, held)


def test_a_process_that_holds_a_lease_sees_it_held(path: Path) -> None:
    hold_lease(path)
    hold_lease(path)
    assert is_held(path) is True


def test_a_process_that_turns_to_something_else_gives_its_leases_back(path: Path) -> None:
    hold_lease(path)
    release_leases()
    assert soon(path, held=False)
    hold_lease(path)
    assert is_held(path) is True
    other = held_by_another(path)
    release_leases()
    assert is_held(path) is True
    other.kill()
    other.wait()
    assert soon(path, held=False)


def test_a_lease_is_found_free_twice_before_it_counts_as_free(
    on_shared_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives on after the server restarted needs a moment to take its leases again."""
    assert on_shared_server
    monkeypatch.setattr(shared_lease, "RETURN_SECONDS", 0.3)
    path = tmp_path / uuid4().hex
    process = held_by_another(path)
    process.kill()
    process.wait()
    assert soon(path, held=False)
    monkeypatch.setattr(shared_lease, "RETURN_SECONDS", 60.0)
    assert is_held(path) is None
