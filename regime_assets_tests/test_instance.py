"""The Dagster home in the data folder."""

from pathlib import Path

import pytest

from regime_assets.instance import TEMPLATE, prepare_dagster_home
from regime_assets.library.home import Home
from regime_assets.library.upkeep.data_format import DataFolderError


@pytest.mark.parametrize("damage", [b"\x98", b"\n]"])
def test_a_dagster_yaml_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    configuration = tmp_path / "dagster" / "dagster.yaml"
    configuration.parent.mkdir()
    configuration.write_bytes(TEMPLATE.read_bytes() + damage)
    with pytest.raises(DataFolderError, match=r"dagster/dagster\.yaml: not readable as YAML.*move it away"):
        prepare_dagster_home(Home(tmp_path))
    configuration.unlink()
    prepare_dagster_home(Home(tmp_path))
    assert configuration.read_bytes() == TEMPLATE.read_bytes()


def test_a_dagster_yaml_that_was_edited_stays(tmp_path: Path) -> None:
    configuration = tmp_path / "dagster" / "dagster.yaml"
    configuration.parent.mkdir()
    configuration.write_bytes(edited := TEMPLATE.read_bytes() + b"# mine\n")
    prepare_dagster_home(Home(tmp_path))
    assert configuration.read_bytes() == edited
