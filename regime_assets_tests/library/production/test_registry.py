from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.production.bundle import BundleError, save_bundle
from regime_assets.library.production.champion_pointer import pointer_path, read_pointer
from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.names import NameRefusedError
from regime_assets.library.production.promotion_rules import NO_CHAMPION, PromotionRefusedError
from regime_assets.library.production.registry import Registry
from regime_assets_tests.library.production.bundles import SESSION, stored_only_bundle
from regime_assets_tests.library.production.conftest import MODEL, open_registry

AddVersion = Callable[..., int]
LATER = date(2022, 3, 2)


def test_the_same_bundle_is_registered_once(registry: Registry, add_version: AddVersion) -> None:
    first = add_version(1.0)
    assert add_version(1.0) == first
    assert add_version(2.0) != first
    assert len(registry.versions(MODEL)) == 2


def test_equal_arrays_of_two_sessions_are_two_versions(registry: Registry, add_version: AddVersion) -> None:
    versions = {add_version(1.0, SESSION), add_version(1.0, LATER)}
    assert len(versions) == 2
    assert [stored.session for stored in registry.versions(MODEL)] == [SESSION, LATER]


def test_a_registered_bundle_outlives_the_folder_it_was_built_in(
    registry: Registry, home: Path, add_version: AddVersion
) -> None:
    version = add_version(1.0)
    for file in (home / "built").rglob("*.json"):
        file.write_text("{}")
    served = registry.promote(MODEL, version, "first", "accepted")
    assert served.tags["note"] == "value 1.0"
    assert served.tags["promotion"] == "accepted"


def test_a_bundle_of_another_model_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    sha256 = save_bundle(stored_only_bundle(horizon="long"), tmp_path / "b")
    with pytest.raises(RegistryError, match=r"us\.long"):
        registry.register(tmp_path / "b", MODEL, sha256, {})


def test_a_folder_that_does_not_have_the_hash_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    save_bundle(stored_only_bundle(), tmp_path / "b")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        registry.register(tmp_path / "b", MODEL, "0" * 64, {})
    assert registry.versions(MODEL) == ()


def test_an_unknown_model_has_no_champion(registry: Registry) -> None:
    assert registry.champion(MODEL) is None
    assert registry.previous(MODEL) is None
    assert registry.challenger(MODEL) is None


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "x" * 65, "<script>", "us' OR '1'='1"])
def test_names_that_could_leave_their_folder_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(NameRefusedError):
        registry.champion(name)
    with pytest.raises(NameRefusedError):
        registry.promote(name, 1, "r", "v")


def test_promotion_moves_the_champion_to_previous_and_writes_the_pointer(
    registry: Registry, home: Path, add_version: AddVersion
) -> None:
    first, second = add_version(1.0), add_version(2.0, LATER)
    registry.promote(MODEL, first, "first", "accepted", judged_against=NO_CHAMPION)
    registry.promote(MODEL, second, "better", "accepted", judged_against=first)
    champion, previous = registry.champion(MODEL), registry.previous(MODEL)
    assert champion is not None
    assert previous is not None
    assert (champion.version, previous.version) == (second, first)
    pointer = read_pointer(home / "artifacts", MODEL)
    assert pointer is not None
    assert pointer.folder(home / "artifacts") == champion.path
    assert (pointer.version, pointer.sha256, pointer.session) == (second, champion.sha256, LATER)


def test_promoting_the_champion_again_changes_nothing(registry: Registry, add_version: AddVersion) -> None:
    first, second = add_version(1.0), add_version(2.0)
    registry.promote(MODEL, first, "r", "v")
    registry.promote(MODEL, second, "r", "v", judged_against=first)
    registry.promote(MODEL, second, "a retry", "v", judged_against=first)
    previous = registry.previous(MODEL)
    assert previous is not None
    assert previous.version == first
    assert len(registry.history(MODEL)) == 2


def test_a_verdict_on_another_champion_does_not_promote(registry: Registry, add_version: AddVersion) -> None:
    versions = [add_version(value) for value in (1.0, 2.0, 3.0)]
    registry.promote(MODEL, versions[0], "r", "v")
    registry.promote(MODEL, versions[1], "r", "v", judged_against=versions[0])
    with pytest.raises(PromotionRefusedError, match="judged against version 1, but 2 serves"):
        registry.promote(MODEL, versions[2], "r", "v", judged_against=versions[0])


def test_an_older_session_never_replaces_a_newer_one(registry: Registry, add_version: AddVersion) -> None:
    old, new = add_version(1.0, SESSION), add_version(2.0, LATER)
    registry.promote(MODEL, new, "r", "v")
    with pytest.raises(PromotionRefusedError, match="newer"):
        registry.promote(MODEL, old, "a late re-run", "v")
    assert registry.promote(MODEL, old, "a human's decision", "v", reinstate=True).version == old


def test_a_damaged_bundle_is_not_promoted(registry: Registry, add_version: AddVersion) -> None:
    first, second = add_version(1.0), add_version(2.0)
    registry.promote(MODEL, first, "r", "v")
    arrays = registry.versions(MODEL)[1].path / "policy" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match="policy"):
        registry.promote(MODEL, second, "r", "v")
    champion = registry.champion(MODEL)
    assert champion is not None
    assert champion.version == first


def test_roll_backs_go_further_back_and_never_forward(registry: Registry, add_version: AddVersion) -> None:
    versions = [add_version(float(value)) for value in range(4)]
    for version in versions[:3]:
        registry.promote(MODEL, version, "r", "v")
    assert registry.roll_back(MODEL, "worse live").version == versions[1]
    assert registry.roll_back(MODEL, "worse still").version == versions[0]
    assert registry.previous(MODEL) is None
    with pytest.raises(RegistryError, match="no previous champion"):
        registry.roll_back(MODEL, "again")
    assert registry.promote(MODEL, versions[3], "new", "v").version == versions[3]
    assert registry.roll_back(MODEL, "no").version == versions[0]


def test_a_version_that_was_rolled_back_returns_only_when_reinstated(
    registry: Registry, add_version: AddVersion
) -> None:
    first, second = add_version(1.0), add_version(2.0)
    registry.promote(MODEL, first, "r", "v")
    registry.promote(MODEL, second, "r", "v")
    registry.roll_back(MODEL, "lost 4 % in a week")
    with pytest.raises(PromotionRefusedError, match="lost 4 % in a week"):
        registry.promote(MODEL, second, "a re-run of its partition", "v")
    registry.promote(MODEL, second, "the loss was a data error", "v", reinstate=True)
    registry.promote(MODEL, add_version(3.0), "r", "v")
    assert registry.roll_back(MODEL, "r").version == second


def test_the_champion_as_of_an_old_session_is_the_one_of_its_time(registry: Registry, add_version: AddVersion) -> None:
    sessions = [date(2022, 3, day) for day in (1, 3, 7)]
    versions = [add_version(0.0, session) for session in sessions]
    for version in versions:
        registry.promote(MODEL, version, "r", "v")
    registry.roll_back(MODEL, "r", as_of=date(2022, 3, 9))

    def served(day: int) -> int | None:
        found = registry.champion_as_of(MODEL, date(2022, 3, day))
        return None if found is None else found.version

    assert served(8) == versions[2]
    assert served(9) == versions[1]
    assert served(4) == versions[1]
    assert served(2) == versions[0]
    assert registry.champion_as_of(MODEL, date(2022, 2, 28)) is None

    registry.promote(MODEL, versions[0], "a human's decision", "v", reinstate=True)
    assert [served(day) for day in (2, 4, 8, 9)] == [versions[0], versions[1], versions[2], versions[0]]


def test_a_version_with_an_alias_is_not_deleted(registry: Registry, add_version: AddVersion) -> None:
    versions = [add_version(float(value)) for value in range(4)]
    registry.promote(MODEL, versions[0], "r", "v")
    registry.promote(MODEL, versions[1], "r", "v")
    registry.set_challenger(MODEL, versions[2])
    for version, alias in zip(versions, ("previous", "champion", "challenger"), strict=False):
        with pytest.raises(RegistryError, match=alias):
            registry.delete(MODEL, version)
    registry.delete(MODEL, versions[3])
    assert [stored.version for stored in registry.versions(MODEL)] == versions[:3]


def test_retention_deletes_the_files_too_and_what_no_version_owns(
    registry: Registry, home: Path, add_version: AddVersion
) -> None:
    versions = [add_version(0.0, date(2022, 3, day)) for day in (1, 2, 3, 4)]
    registry.promote(MODEL, versions[1], "r", "v")
    (home / "artifacts" / MODEL / "left-by-a-crash").mkdir()
    assert registry.retention(MODEL, keep_last=1) == (versions[2],)
    folders = {path.name for path in (home / "artifacts" / MODEL).iterdir() if path.is_dir()}
    assert folders == {stored.sha256 for stored in registry.versions(MODEL)}


def test_the_versions_of_each_design_are_counted_by_themselves(registry: Registry, add_version: AddVersion) -> None:
    days = [date(2022, 3, day) for day in (1, 2, 3)]
    ours = [add_version(0.0, day) for day in days]
    theirs = [add_version(1.0, day, "another design") for day in days]
    doomed = {stored.version for stored in registry.unneeded(MODEL, keep_last=1)}
    assert doomed == {ours[1], theirs[1]}, "the newest of each and the first of the month stay"


def test_a_pointer_that_was_lost_or_spoiled_is_written_anew(
    registry: Registry, home: Path, add_version: AddVersion
) -> None:
    version = add_version(1.0)
    registry.promote(MODEL, version, "r", "v")
    path = pointer_path(home / "artifacts", MODEL)
    for spoil in (path.unlink, lambda: path.write_text("{"), lambda: path.write_text('{"version": 9}')):
        spoil()
        assert registry.champion(MODEL) is not None
        assert json.loads(path.read_text())["version"] == version


def test_another_process_sees_the_same_registry(home: Path, registry: Registry, add_version: AddVersion) -> None:
    version = add_version(1.0)
    registry.promote(MODEL, version, "r", "v")
    other = open_registry(home).champion(MODEL)
    assert other is not None
    assert other.version == version


def test_a_registry_that_is_down_is_an_error_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    database = DatabaseFile(tmp_path / "us.duckdb")
    registry = Registry("http://127.0.0.1:9", tmp_path / "artifacts", tmp_path / "locks", database)
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1"):
        registry.reconcile(MODEL)
    assert registry.champion(MODEL) is None, "what serves is asked of the journal"
