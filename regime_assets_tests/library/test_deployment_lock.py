"""One holder at a time among all that share a deployment, on one machine and on many; a dead holder holds nobody."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from regime_assets.library.deployment_lock import deployment_lock
from regime_assets.library.file_lock import LockTimeoutError
from regime_assets.library.postgres import PostgresError
from regime_assets.library.shared_storage import CATALOG_VARIABLE
from regime_assets_tests.postgres_server import PostgresServer

HOLD = "import sys; from pathlib import Path; from regime_assets.library.deployment_lock import deployment_lock\n"
HOLD += "with deployment_lock(Path(sys.argv[1]), 5.0): print('held', flush=True); sys.stdin.read()"


@pytest.fixture(params=["file", "postgres"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "postgres":
        request.getfixturevalue("on_shared_server")
    return tmp_path / f"{uuid4().hex}.lock"


def held_by_another(path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_whoever_comes_later_waits_for_so_long_only_and_a_killed_holder_frees_it(path: Path) -> None:
    process = held_by_another(path)
    began = time.monotonic()
    with pytest.raises(LockTimeoutError, match=path.name), deployment_lock(path, 0.1):
        pytest.fail("two held it")
    assert time.monotonic() - began < 3.0
    process.kill()
    process.wait()
    with deployment_lock(path, 5.0):
        pass


def test_threads_hold_it_one_after_another(path: Path) -> None:
    counted = [0]

    def count(_: int) -> None:
        with deployment_lock(path, 10.0):
            before = counted[0]
            time.sleep(0.005)
            counted[0] = before + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(12)))
    assert counted == [12]


def test_where_machines_share_the_holder_is_named(on_shared_server: PostgresServer, tmp_path: Path) -> None:
    assert on_shared_server
    path = tmp_path / f"{uuid4().hex}.lock"
    process = held_by_another(path)
    try:
        with pytest.raises(LockTimeoutError, match=rf":{process.pid} at 127\.0\.0\.1"), deployment_lock(path, 0.1):
            pytest.fail("two held it")
    finally:
        process.kill()
        process.wait()


def test_a_server_that_does_not_answer_is_one_sentence(
    on_shared_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert on_shared_server
    monkeypatch.setenv(CATALOG_VARIABLE, "postgresql://quant:s3cret@127.0.0.1:1/regimes")
    told = r"postgresql://quant@127\.0\.0\.1:1/regimes: the PostgreSQL server cannot be used: .*run again"
    with pytest.raises(PostgresError, match=told), deployment_lock(tmp_path / "a.lock", 0.1):
        pytest.fail("held without a server")


def test_a_session_that_the_server_ended_is_no_failure(on_shared_server: PostgresServer, tmp_path: Path) -> None:
    path = tmp_path / f"{uuid4().hex}.lock"
    with deployment_lock(path, 5.0):
        pass
    with psycopg.connect(on_shared_server.url(), autocommit=True) as operator:
        operator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with deployment_lock(path, 5.0):
        pass
