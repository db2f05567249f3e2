"""Micro-batches in Dagster: a sensor sees new files in a folder, and a small job stores their bars.

A tick lists the folder and opens neither a file nor the database. A batch materializes nothing: the daily run does, and
finds the bars stored.
"""

import hashlib
import json
from pathlib import Path

import dagster as dg
from pydantic import Field

from regime_assets.assets.lane import Lane
from regime_assets.library.clock import clock
from regime_assets.metadata import figures
from regime_assets.resources import DataHome
from regime_assets.runs.failure_record import failure_hooks, recorded_tick
from regime_assets.sensors.event_log import starts_on

ENDINGS = (".csv", ".parquet")
INTERVAL_SECONDS = 30
SETTLED_NANOSECONDS = 2_000_000_000
FILES_PER_RUN = 200
MOST_SHOWN = 20
RETRIES = dg.RetryPolicy(max_retries=3, delay=20)


class BatchConfig(dg.Config):
    """Which files to store."""

    files: list[str] = Field(min_length=1, description="names of files in the stream's folder, stored in this order")


def stream_job(lane: Lane, folder: Path) -> dg.JobDefinition:
    """The job that validates and stores the bars of some files of `folder`."""
    universe = lane.universe

    @dg.op(name=f"{universe.name}_store_batches", pool=lane.pool, retry_policy=RETRIES)
    def store_batches(context: dg.OpExecutionContext, config: BatchConfig, data: DataHome) -> None:
        from regime_assets.library.arrivals.micro_batches import AGAIN, StreamError, append_bars, read_batch
        from regime_assets.library.market.store import StoreError
        from regime_assets.library.steps.raw_prices import RejectedDataError

        workspace, refused = data.workspace(universe), []
        for name in config.files:
            try:
                if Path(name).name != name:
                    raise StreamError("a file lies in the stream's folder itself")
                batch = read_batch(folder / name)
                appended = append_bars(workspace, batch, f"stream:{name}", clock.now())
            except (StreamError, RejectedDataError, StoreError) as error:
                refused.append(f"{name}: {error}")
                continue
            counts = {**appended.report._asdict(), "warnings": len(appended.warnings)}
            context.log.info(f"{name}: {counts}")
            metadata = {"file": dg.MetadataValue.text(name), **figures(counts)}
            for session in appended.sessions:
                context.log_event(
                    dg.AssetObservation(lane.key("raw_prices"), partition=session.isoformat(), metadata=metadata)
                )
            for row in appended.refused.itertuples(index=False):
                refused.append(
                    f"{name}: {row.message}. Way out: {row.way_out}" if row.way_out else f"{name}: {row.message}"
                )
        if refused:
            more = f"\nand {len(refused) - MOST_SHOWN} more" if len(refused) > MOST_SHOWN else ""
            shown = "\n".join(refused[:MOST_SHOWN])
            raise dg.Failure(
                f"refused and kept in quarantine, everything else is stored:\n{shown}{more}\n{AGAIN}",
                allow_retries=False,
            )

    @dg.job(
        hooks=failure_hooks(universe),
        name=f"{universe.name}_stream",
        description="Validates and stores bars that arrived as files.",
    )
    def job() -> None:
        store_batches()

    return job


def stream_sensor(lane: Lane, folder: Path) -> dg.SensorDefinition:
    """Asks for one run for the files that are new or changed; its cursor holds their names and times."""
    name = lane.universe.name

    @dg.sensor(
        name=f"{name}_stream_sensor",
        job_name=f"{name}_stream",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description="Stores bars from new or changed files in the stream's folder.",
    )
    @recorded_tick(name, f"{name}_stream_sensor")
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not folder.is_dir():
            return dg.SkipReason(f"{folder}: no such folder")
        taken: dict[str, int] = json.loads(context.cursor or "{}")
        settled = _settled(folder)
        fresh = sorted((at, file) for file, at in settled.items() if taken.get(file) != at)[:FILES_PER_RUN]
        if not fresh:
            return dg.SkipReason(f"no new file in {folder}")
        remembered = {file: at for file, at in taken.items() if file in settled} | {file: at for at, file in fresh}
        config = {"ops": {f"{name}_store_batches": {"config": {"files": [file for _, file in fresh]}}}}
        key = hashlib.sha256(json.dumps(fresh).encode()).hexdigest()[:16]
        request = dg.RunRequest(run_key=f"stream:{name}:{key}", run_config=config)
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(remembered, sort_keys=True))

    return sensor


def _settled(folder: Path) -> dict[str, int]:
    """Name → time of the last change of the files that nobody seems to be writing any more."""
    latest = int(clock.system_now().timestamp() * 1e9) - SETTLED_NANOSECONDS
    found = {
        path.name: path.stat().st_mtime_ns
        for path in folder.iterdir()
        if path.suffix in ENDINGS and not path.name.startswith(".") and path.is_file()
    }
    return {name: at for name, at in found.items() if at <= latest}
