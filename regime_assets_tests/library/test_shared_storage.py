"""Which places a deployment shares is said by two environment variables, both or neither."""

import pytest

from regime_assets.library.shared_storage import SharedStorage, SharedStorageError

CATALOG = "postgresql://quant:s3cr%2Ft@db.example:5432/regimes"
STORAGE = "s3://bucket/prefix"


def test_a_machine_of_its_own_shares_nothing() -> None:
    assert SharedStorage.from_environment({"REGIME_ASSETS_CATALOG": "", "HOME": "/home/quant"}) is None


def test_both_variables_make_a_shared_storage() -> None:
    shared = SharedStorage.from_environment({"REGIME_ASSETS_CATALOG": CATALOG, "REGIME_ASSETS_STORAGE": f"{STORAGE}/"})
    assert shared == SharedStorage(CATALOG, STORAGE)


@pytest.mark.parametrize(
    ("named", "value", "missing"),
    [
        ("REGIME_ASSETS_CATALOG", CATALOG, "REGIME_ASSETS_STORAGE"),
        ("REGIME_ASSETS_STORAGE", STORAGE, "REGIME_ASSETS_CATALOG"),
    ],
)
def test_one_without_the_other_is_refused(named: str, value: str, missing: str) -> None:
    with pytest.raises(SharedStorageError, match=f"{named} is set and {missing} is not.*set both, or neither"):
        SharedStorage.from_environment({named: value})


@pytest.mark.parametrize(
    ("catalog", "storage", "told"),
    [
        ("mysql://quant@db/regimes", STORAGE, "does not name a PostgreSQL database"),
        ("postgresql://quant@db:5432", STORAGE, "does not name a PostgreSQL database"),
        ("postgresql://quant:a:b@db:port/regimes", STORAGE, "port that is no number"),
        (CATALOG, "/shared/folder", "is no URL of a folder"),
        (CATALOG, "s3://", "is no URL of a folder"),
        (CATALOG, "s3://key:secret@bucket/prefix", "carries credentials"),
    ],
)
def test_what_is_no_such_place_is_refused_without_printing_a_secret(catalog: str, storage: str, told: str) -> None:
    with pytest.raises(SharedStorageError, match=told) as refused:
        SharedStorage.from_environment({"REGIME_ASSETS_CATALOG": catalog, "REGIME_ASSETS_STORAGE": storage})
    assert "s3cr" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_password_is_never_shown() -> None:
    shared = SharedStorage(CATALOG, STORAGE)
    assert "s3cr" not in repr(shared)
    assert shared.shown_catalog == "postgresql://quant@db.example:5432/regimes"
