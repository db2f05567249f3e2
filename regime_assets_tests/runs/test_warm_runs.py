"""Runs are forks of a process that has imported what they need, in a code server and nowhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dagster._grpc.server import DagsterApiServer

from regime_assets.runs.warm_runs import COLD_VARIABLE, CONTEXT, fork_runs_in_code_server, starts_runs_by

FORKED = """
import multiprocessing, sys
import dagster._grpc.server as server
import regime_assets.runs.warm_runs as warm

def answer(queue):
    import os
    queue.put((os.getpid(), "heavy" in sys.modules, __import__("random").random()))

if __name__ == "__main__":
    sys.argv[1:] = ["api", "grpc"]
    warm.PRELOADED = "heavy"
    assert warm.fork_runs_in_code_server()
    context = object.__new__(server.DagsterApiServer)._mp_ctx
    answers = []
    for _ in range(2):
        queue = context.Queue()
        process = context.Process(target=answer, args=[queue])
        process.start()
        answers.append(queue.get())
        process.join()
        assert process.exitcode == 0
    dying = context.Process(target=sys.exit, args=[3])
    dying.start()
    dying.join()
    print(answers, dying.exitcode)
    assert len({pid for pid, _, _ in answers}) == 2
    assert all(warm for _, warm, _ in answers)
    assert len({number for _, _, number in answers}) == 2, "each has random numbers of its own"
    assert dying.exitcode == 3
"""


def test_a_code_servers_runs_are_forks_whose_end_it_sees(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy.py").write_text("")
    (tmp_path / "serve.py").write_text(FORKED)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:.")
    subprocess.run([sys.executable, str(tmp_path / "serve.py")], check=True, timeout=120)


def test_the_installed_dagster_starts_runs_by_the_attribute_that_is_replaced() -> None:
    assert starts_runs_by(DagsterApiServer.StartRun), (
        "Dagster's code server starts runs in another way than before: every run would spend twenty CPU s on "
        f"imports. Look how DagsterApiServer.StartRun makes its process, and let runs.warm_runs replace that: {CONTEXT}"
    )
    assert not starts_runs_by(DagsterApiServer.CancelExecution)


def test_with_a_dagster_that_starts_runs_in_another_way_they_start_cold_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["dagster", "api", "grpc"])
    monkeypatch.delenv(COLD_VARIABLE, raising=False)
    monkeypatch.setattr(DagsterApiServer, "StartRun", DagsterApiServer.CancelExecution)
    assert not fork_runs_in_code_server()
    assert "twenty CPU seconds on imports" in caplog.text


def test_other_processes_and_those_that_are_told_not_to_fork_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fork_runs_in_code_server()
    monkeypatch.setattr(sys, "argv", ["dagster", "api", "grpc"])
    monkeypatch.setenv(COLD_VARIABLE, "1")
    assert not fork_runs_in_code_server()


def test_what_is_imported_beforehand_is_there_and_leaves_out_what_a_calm_day_does_not_need() -> None:
    code = """
import sys, threading
import regime_assets.runs.warm_imports as warm
missing = {*warm.DAGSTER, *warm.LIBRARIES, *warm.own_modules()} - set(sys.modules)
assert not missing, missing
unused = {"evidently", "plotly", "regime_assets.definitions"} & set(sys.modules)
assert not unused, unused
assert threading.active_count() == 1, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
