"""One holder at a time; whoever waits comes next, gives up in time, and inherits from the dead."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regime_assets.library.file_lock import LockTimeoutError, file_lock

HOLD = """
import sys, time
from pathlib import Path
from regime_assets.library.file_lock import file_lock
with file_lock(Path(sys.argv[1]), 5):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("holder")
def test_a_lock_that_another_process_holds_is_not_had_in_time(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LockTimeoutError, match="lock: held by another process"), file_lock(tmp_path / "lock", 0.2):
        pass
    assert time.monotonic() - began < 2


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    threading.Timer(0.2, os.kill, (holder.pid, signal.SIGKILL)).start()
    with file_lock(tmp_path / "lock", 30):
        pass


def test_threads_of_one_process_exclude_each_other_and_come_in_order(tmp_path: Path) -> None:
    order: list[int] = []

    def take(number: int) -> None:
        with file_lock(tmp_path / "lock", 10):
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with file_lock(tmp_path / "lock", 10):
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_who_gave_up_does_not_keep_the_lock_later(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock", 10), pytest.raises(LockTimeoutError), file_lock(tmp_path / "lock", 0.05):
        pass
    with file_lock(tmp_path / "lock", 10):
        pass
