"""Materialize sessions of a universe in a process of their own: `python -m regime_assets_tests.chain_run --help`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from regime_assets.definitions import build_definitions
from regime_assets.instance import prepare_dagster_home
from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize(
    home: Home, universes: Path, job: str, partition: str, selection: Sequence[str] | None = None
) -> dg.ExecuteInProcessResult:
    """Run one partition of a job on the data folder's own Dagster instance."""
    os.environ.update(prepare_dagster_home(home))
    definitions = build_definitions(home, universes)
    with dg.DagsterInstance.get() as instance:
        return definitions.resolve_job_def(job).execute_in_process(
            partition_key=partition,
            instance=instance,
            asset_selection=[dg.AssetKey(key.split("/")) for key in selection] if selection else None,
            raise_on_error=False,
            run_config=QUIET,
        )


UNIVERSES_OF_THE_JOB = "UNIVERSES_OF_THE_JOB"


def tiny_daily() -> dg.JobDefinition:
    """The daily job of the data folder and the universes that the environment names."""
    definitions = build_definitions(Home.from_environment(), Path(os.environ[UNIVERSES_OF_THE_JOB]))
    return definitions.resolve_job_def("tiny_daily")


def materialize_side_by_side(home: Home, universes: Path, partition: str) -> bool:
    """Run one partition of the daily job by the executor that the daemon's runs have; whether it succeeded."""
    os.environ.update(prepare_dagster_home(home) | {UNIVERSES_OF_THE_JOB: str(universes)})
    job, tags = dg.reconstructable(tiny_daily), {"dagster/partition": partition}
    with dg.DagsterInstance.get() as instance:
        return dg.execute_job(job, instance, run_config=QUIET, tags=tags, raise_on_error=False).success


@contextmanager
def opened(home: Home) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a data folder, whose `dagster.yaml` names its files by the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in prepare_dagster_home(home).items():
            environment.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            yield instance


def main() -> None:
    """Materialize the given sessions in order; fail when one of them does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("universes", type=Path)
    parser.add_argument("sessions", nargs="+")
    parser.add_argument("--side-by-side", action="store_true", help="each horizon in a process of its own")
    parser.add_argument("--prices-up-to", help="load the prices up to this later session before anything else")
    options = parser.parse_args()
    home = Home(options.home)
    if options.prices_up_to:
        loaded = materialize(home, options.universes, "tiny_daily", options.prices_up_to, ["tiny/raw_prices"])
        assert loaded.success
    if options.side_by_side:
        for session in options.sessions:
            assert materialize_side_by_side(home, options.universes, session), session
        return
    attached = _count_attached()
    costs: dict[str, int] = {}
    for session in options.sessions:
        before = len(attached)
        assert materialize(home, options.universes, "tiny_daily", session).success, session
        costs[session] = len(attached) - before
    counted = {"attached": costs, "modules": sorted({name.partition(".")[0] for name in sys.modules})}
    options.universes.with_name("counted.json").write_text(json.dumps(counted))


def _count_attached() -> list[Path]:
    """Grows by one with every time that a database file is attached."""
    seen: list[Path] = []
    attach = DatabaseFile._attach

    def counted(self: DatabaseFile) -> object:
        seen.append(self.path)
        return attach(self)  # pyright: ignore

    DatabaseFile._attach = counted  # pyright: ignore
    return seen


if __name__ == "__main__":
    main()
