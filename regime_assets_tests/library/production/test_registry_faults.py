"""Processes that are killed within a promotion, and processes that promote at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from regime_assets.library.production import mirrors
from regime_assets.library.production.bundle import save_bundle, verify_bundle
from regime_assets.library.production.champion_pointer import read_pointer
from regime_assets.library.production.promotion_journal import PromotionJournal
from regime_assets.library.production.promotion_rules import PromotionRefusedError
from regime_assets.library.production.registry import Registry
from regime_assets.library.production.registry_store import RegistryStore
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle
from regime_assets_tests.library.production.conftest import MODEL, open_registry

# Children are forked from a process that has imported MLflow and opened nothing: DuckDB does not survive a fork.
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["mlflow.tracking", "sqlalchemy", "duckdb", "regime_assets.library.production.registry"])
WRITES = (
    (PromotionJournal, "record"),
    (RegistryStore, "set_alias"),
    (RegistryStore, "set_tag"),
    (mirrors, "write_pointer"),
)


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Path:
    """A home with versions 1 to 3, of which 1 is `previous` and 2 `champion`."""
    home = tmp_path_factory.mktemp("three")
    shutil.copy(migrated_store, home / "mlflow.db")
    registry = open_registry(home)
    for value in range(3):
        sha256 = save_bundle(stored_only_bundle(date(2022, 3, 1 + value)), home / "built")
        registry.register(home / "built", MODEL, sha256, {})
    registry.promote(MODEL, 1, "r", "v")
    registry.promote(MODEL, 2, "r", "v")
    return home


@pytest.fixture
def new_home(three_versions: Path, tmp_path: Path) -> Callable[[], Path]:
    def copy() -> Path:
        home = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(three_versions, home)
        return home

    return copy


def versions(registry: Registry) -> tuple[int | None, int | None]:
    found = registry.champion(MODEL), registry.previous(MODEL)
    return found[0] and found[0].version, found[1] and found[1].version


def assert_sound(home: Path) -> tuple[int | None, int | None]:
    """Whatever serves resolves, verifies and is pointed at, and MLflow says the same."""
    registry = open_registry(home)
    registry.reconcile(MODEL)
    champion = registry.champion(MODEL)
    assert champion is not None
    verify_bundle(champion.path, champion.sha256)
    pointer = read_pointer(home / "artifacts", MODEL)
    assert pointer is not None
    assert (pointer.version, pointer.sha256) == (champion.version, champion.sha256)
    aliases = RegistryStore(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts", home / "locks").aliases(MODEL)
    assert (aliases["champion"], aliases.get("previous")) == versions(registry)
    return versions(registry)


def die_at_write(number: int, home: Path, act: Callable[[Registry], object]) -> None:
    """Kill this process with SIGKILL instead of its write of that number."""
    made = 0

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            nonlocal made
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return write(*arguments)

        return wrapper

    for owner, name in WRITES:
        setattr(owner, name, counted(getattr(owner, name)))
    act(open_registry(home))


def promote_third(registry: Registry) -> object:
    return registry.promote(MODEL, 3, "r", "v", judged_against=2)


def roll_back(registry: Registry) -> object:
    return registry.roll_back(MODEL, "worse")


@pytest.mark.parametrize(("act", "before", "after"), [(promote_third, (2, 1), (3, 2)), (roll_back, (2, 1), (1, None))])
def test_killed_before_any_of_its_writes_a_move_happened_or_did_not(
    new_home: Callable[[], Path], act: Callable[[Registry], object], before: tuple[int, int], after: tuple[int, int]
) -> None:
    outcomes: list[tuple[int | None, int | None]] = []
    for number in range(20):
        home = new_home()
        child = FORK.Process(target=die_at_write, args=(number, home, act))
        child.start()
        child.join()
        outcomes.append(assert_sound(home))
        if child.exitcode == 0:  # there are no more writes to be killed at
            break
        assert child.exitcode == -signal.SIGKILL
        if outcomes[-1] == before:
            act(open_registry(home))
        assert assert_sound(home) == after
    else:
        pytest.fail("a move never ended")
    changes = outcomes.index(after)
    assert outcomes == [before] * changes + [after] * (len(outcomes) - changes)
    assert changes == 1  # killed before its row it did not happen, later it did


def promote_and_roll_back_for_ever(home: Path, started: Any) -> None:
    registry = open_registry(home)
    registry.reconcile(MODEL)
    started.put(True)
    while True:
        registry.promote(MODEL, 3, "r", "v", reinstate=True)
        registry.roll_back(MODEL, "worse")


def test_killed_at_any_moment_the_champion_resolves(new_home: Callable[[], Path]) -> None:
    moments = random.Random(7)
    cut_short = 0
    for _ in range(6):
        home = new_home()
        started = FORK.SimpleQueue()
        child = FORK.Process(target=promote_and_roll_back_for_ever, args=(home, started))
        child.start()
        started.get()
        time.sleep(0.4 * moments.random())
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        cut_short += bool(open_registry(home).reconcile(MODEL))
        assert assert_sound(home) in ((2, 1), (3, 2))
    assert cut_short > 0  # otherwise nothing was tested


def promote_at(moment: float, version: int, home: Path, answers: Any) -> None:
    registry = open_registry(home)
    registry.champion(MODEL)
    time.sleep(max(0.0, moment - time.monotonic()))
    try:
        registry.promote(MODEL, version, "r", "v", judged_against=1)
        answers.put(version)
    except PromotionRefusedError:
        answers.put(None)


def test_of_two_promoters_that_judged_the_same_champion_one_wins(new_home: Callable[[], Path]) -> None:
    for _ in range(4):
        home = new_home()
        open_registry(home).roll_back(MODEL, "r")
        answers = FORK.SimpleQueue()
        moment = time.monotonic() + 0.6
        children = [FORK.Process(target=promote_at, args=(moment, v, home, answers)) for v in (3, 4)]
        sha256 = save_bundle(stored_only_bundle(date(2022, 3, 9)), home / "built")
        open_registry(home).register(home / "built", MODEL, sha256, {})
        for child in children:
            child.start()
        for child in children:
            child.join()
        won = [answer for answer in (answers.get(), answers.get()) if answer is not None]
        assert len(won) == 1
        assert assert_sound(home) == (won[0], 1)


def register_in(home: Path, answers: Any) -> None:
    answers.put(open_registry(home).register(home / "built", MODEL, stored_only_bundle().sha256(), {}))


def test_processes_that_open_a_new_store_at_once_register_one_version(tmp_path: Path) -> None:
    save_bundle(stored_only_bundle(SESSION), tmp_path / "built")
    answers = FORK.SimpleQueue()
    children = [FORK.Process(target=register_in, args=(tmp_path, answers)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert [answers.get() for _ in children] == [1, 1, 1]
