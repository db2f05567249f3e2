"""Two machines with one storage see the same files, whole or not at all, and never an old copy of their own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.artifact import (
    ARRAYS_FILE,
    ArtifactError,
    Parts,
    read_artifact,
    read_newest,
    write_artifact,
    write_newest,
)
from regime_assets.library.home import Home
from regime_assets.library.shared_files import (
    SharedFilesError,
    file_exists,
    files_below,
    folders,
    listed,
    read_file,
    remove,
    rename_folder,
    shown_place,
    size_of,
    write_file,
)
from regime_assets_tests.machines import Machines
from regime_assets_tests.s3_server import s3_server

BUCKET = "desk"
DAY = date(2024, 6, 28)
OLD, NEW = (Parts({"weights": np.full(3, level, np.float32)}, {"level": level}) for level in (1, 2))


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    pytest.importorskip("moto")
    with s3_server(BUCKET) as environment:
        yield environment


@pytest.fixture(params=["file", "memory", "s3"])
def machines(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    places = {"file": f"file://{tmp_path}/storage", "memory": f"memory://{tmp_path.name}"}
    if request.param == "s3":
        for name, value in request.getfixturevalue("server").items():
            monkeypatch.setenv(name, value)
        places["s3"] = f"s3://{BUCKET}/{tmp_path.name}"
    return Machines(tmp_path, monkeypatch, places[request.param])


def test_a_file_written_on_one_machine_is_read_listed_and_deleted_on_another(machines: Machines) -> None:
    home = machines.on("a")
    write_file(home.reports / "u" / "short" / "2024-06-28-backtest.html", b"first")
    write_file(home.reports / "u" / "short" / "2024-06-28-backtest.data" / "figures.json", b"{}")
    write_file(home.reports / "u" / "short" / "2024-06-28-backtest.html", b"second")
    here = machines.on("b").reports
    assert read_file(here / "u" / "short" / "2024-06-28-backtest.html") == b"second"
    assert [path.name for path in listed(here / "u" / "short")] == [
        "2024-06-28-backtest.data",
        "2024-06-28-backtest.html",
    ]
    assert folders(here / "u") == (here / "u" / "short",)
    assert [path.name for path in folders(here / "u" / "short")] == ["2024-06-28-backtest.data"]
    assert size_of(here / "u") == len(b"second{}")
    found = [path.relative_to(here / "u" / "short").as_posix() for path in files_below(here)]
    assert found == ["2024-06-28-backtest.data/figures.json", "2024-06-28-backtest.html"]
    assert files_below(here / "nobody") == ()
    assert not here.exists(), "no copy lies on the machine that reads"
    remove(here / "u" / "short" / "2024-06-28-backtest.data")
    home = machines.on("a")
    assert not file_exists(home.reports / "u" / "short" / "2024-06-28-backtest.data")
    assert not listed(home.reports / "nobody")
    with pytest.raises(FileNotFoundError):
        read_file(home.reports / "u" / "short" / "2024-07-01-backtest.html")


def test_a_model_is_fetched_when_the_copy_is_missing_damaged_or_another_one(machines: Machines) -> None:
    folder = machines.on("a").model("u", "short", "d" * 64, "vae", DAY)
    old = write_artifact(folder, OLD)
    there = machines.on("b").model("u", "short", "d" * 64, "vae", DAY)
    np.testing.assert_array_equal(read_artifact(there, old).arrays["weights"], OLD.arrays["weights"])
    (there / ARRAYS_FILE).write_bytes(b"damaged")
    assert read_artifact(there, old).document == OLD.document
    new = write_artifact(there, NEW)
    home = machines.on("a")
    assert read_artifact(folder, new).document == NEW.document, "the copy here is the old model's"
    assert read_artifact(folder, old).document == OLD.document, "the older record's model is still there"
    with pytest.raises(ArtifactError):
        read_artifact(folder, "0" * 64)
    other = home.model("u", "short", "e" * 64, "", DAY)
    rename_folder(folder.parent, other)
    assert read_artifact(machines.on("c").model("u", "short", "e" * 64, "vae", DAY), new).document == NEW.document


def test_the_newest_artifact_without_a_record_is_the_one_written_last_anywhere(machines: Machines) -> None:
    folder = machines.on("a").drift_thresholds("u", DAY, "rules")
    assert read_newest(folder) is None
    write_newest(folder, OLD)
    there = machines.on("b").drift_thresholds("u", DAY, "rules")
    found = read_newest(there)
    assert found is not None
    assert found.document == OLD.document
    write_newest(there, NEW)
    machines.on("a")
    found = read_newest(folder)
    assert found is not None
    assert found.document == NEW.document


def test_what_is_a_machines_own_or_not_finished_is_not_shared(machines: Machines, tmp_path: Path) -> None:
    home = machines.on("a")
    for path in (home.calendars / "XNYS.json", home.reports / ".half" / "page.html", tmp_path / "elsewhere.json"):
        write_file(path, b"own")
        assert path.read_bytes() == b"own"
    assert not listed(machines.on("b").calendars)


def test_without_a_storage_the_data_folder_is_all_there_is(tmp_path: Path) -> None:
    path = Home(tmp_path).reports / "u" / "page.html"
    write_file(path, b"page")
    assert path.read_bytes() == read_file(path) == b"page"
    assert listed(path.parent) == (path,)
    assert folders(path.parent.parent) == (path.parent,)
    assert shown_place(path) == str(path)
    remove(path.parent)
    assert not path.parent.exists()


def test_a_storage_that_is_down_or_refuses_is_named_within_a_minute_and_without_credentials(
    server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Machines(tmp_path, monkeypatch, f"s3://{BUCKET}/{tmp_path.name}").on("a").pages / "u.morning.json"
    reached = {**server, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "not the secret"}
    for name, value in {**reached, "AWS_ENDPOINT_URL": server["AWS_ENDPOINT_URL"]}.items():
        monkeypatch.setenv(name, value)
    refused = _error(path)
    assert "InvalidAccessKeyId" in refused or "Forbidden" in refused or "PermissionError" in refused
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    down = _error(path)
    assert time.monotonic() - began < 60
    for message in (refused, down):
        assert f"s3://{BUCKET}/{tmp_path.name}/pages/u.morning.json" in message
        assert "run the step again" in message
        assert "not the secret" not in message
    assert not path.exists()


def _error(path: Path) -> str:
    from regime_assets.library.shared_files import _storage

    _storage.cache_clear()
    with pytest.raises(SharedFilesError) as raised:
        write_file(path, b"{}")
    with pytest.raises(SharedFilesError):
        read_file(path)
    _storage.cache_clear()
    return str(raised.value)


def test_a_machine_of_its_own_imports_nothing_of_this(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from regime_assets.library.artifact import Parts, read_artifact, "
        "write_artifact; folder = Path(sys.argv[1]); read_artifact(folder, write_artifact(folder, Parts({}, {}))); "
        "print({'fsspec', 's3fs', 'psycopg', 'boto3', 'celery'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path / "model")], capture_output=True, text=True)  # noqa: PLW1510
    assert ran.stdout == "set()\n", ran.stderr
