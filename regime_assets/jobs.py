"""A universe's jobs: the session's run, the signal alone, and what an operator starts by hand."""

from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field

from regime_assets.assets.lane import Lane
from regime_assets.library.model_kinds import RETRAINED
from regime_assets.library.universe import HORIZONS
from regime_assets.resources import DataHome
from regime_assets.runs.failure_record import failure_hooks
from regime_assets.sensors.event_log import starts_on

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


class RollBackConfig(dg.Config):
    """What to roll back."""

    horizon: Literal["short", "long"] = Field(description="whose champion steps down")
    reason: str = Field(min_length=1, description="kept in the promotion journal")
    to: int | None = Field(None, description="an older version that served; the previous champion when left out")


class PromoteConfig(dg.Config):
    """What to promote."""

    horizon: Literal["short", "long"] = Field(description="whose champion is replaced")
    version: int = Field(ge=1, description="the registered version that shall serve, whatever the gate said")
    reason: str = Field(min_length=1, description="kept in the promotion journal")


class BarDecisionConfig(dg.Config):
    """What to decide about one bar in quarantine, or about a stored one."""

    decision: Literal["accept", "correct", "retract"] = Field(
        description="accept a finding, correct the bar, or take a stored one back"
    )
    symbol: str = Field(min_length=1, description="whose bar")
    session: str = Field(description="of which session, as in 2024-06-28")
    reason: str = Field(min_length=1, description="why; kept with the decision and shown with it")
    by: str = Field(min_length=1, description="who decides")
    rule: str = Field("", description="accept: the rule that the bar breaks and that is right after all")
    bar: dict[str, float] = Field({}, description="correct: the right values as traded, close at least")


class RetentionConfig(dg.Config):
    """What to keep besides what serves and the first of each month."""

    versions: int = Field(30, ge=1, description="newest versions of each horizon that are kept")
    walk_forwards: int = Field(3, ge=0, description="walk-forwards of each horizon, the last asked for, that are kept")
    sessions: int = Field(252, ge=30, description="newest sessions whose reports, models and windows are kept")
    run_days: int = Field(400, ge=30, description="days for which runs of Dagster and MLflow are kept")
    dry_run: bool = Field(False, description="only say what would be deleted")


def daily_job(lane: Lane) -> "UnresolvedAssetJobDefinition":
    """The job that materializes a session's partition of every asset of the universe."""
    by_hand = [lane.of(horizon).key("walk_forward") for horizon in HORIZONS]
    return dg.define_asset_job(
        f"{lane.universe.name}_daily",
        selection=dg.AssetSelection.key_prefixes([lane.universe.name]) - dg.AssetSelection.assets(*by_hand),
        partitions_def=lane.partitions,
        description="Every asset of the universe for one session, in order; a walk-forward is asked for by hand.",
        tags={
            "dagster/max_retries": str(lane.universe.schedule.retries),
            # From the first step on: where a fit failed, the champion of the session before has answered, and a retry
            # of the failed steps alone would promote the session's own and leave that answer.
            "dagster/retry_strategy": "ALL_STEPS",
            **lane.run_tags,
        },
    )


def signal_job(lane: Lane) -> "UnresolvedAssetJobDefinition":
    """The job that lets the champion answer for a session whose refit stopped half-way."""
    return dg.define_asset_job(
        f"{lane.universe.name}_signal",
        selection=dg.AssetSelection.assets(lane.key("daily_signal")),
        partitions_def=lane.partitions,
        description="The daily signal alone: the champion answers although a refit was refused.",
        tags=lane.run_tags,
    )


def full_retrain(lane: Lane) -> dict[str, Any]:
    """The run config under which every design of a horizon is trained from scratch.

    All of them: the market that moved is everybody's, and a challenger is compared with a champion of its own age.
    """
    config = {"config": {"full_retrain": True}}
    return {"ops": {design.op_name(asset): config for design in lane.designs for asset in RETRAINED}}


def retention_schedule(lane: Lane) -> dg.ScheduleDefinition:
    """Asks for the retention every week, on a day without a session at most exchanges."""
    return dg.ScheduleDefinition(
        name=f"{lane.universe.name}_retention_schedule",
        job_name=f"{lane.universe.name}_retention",
        cron_schedule="0 4 * * 0",
        default_status=dg.DefaultScheduleStatus.RUNNING if starts_on() else dg.DefaultScheduleStatus.STOPPED,
        description="Every Sunday: deletes what is no longer needed.",
    )


def operator_jobs(lane: Lane) -> list[dg.JobDefinition]:
    """The jobs of one universe."""
    universe, hooks = lane.universe, failure_hooks(lane.universe)

    @dg.op(name=f"{universe.name}_roll_back_champion")
    def roll_back_champion(context: dg.OpExecutionContext, config: RollBackConfig, data: DataHome) -> None:
        from regime_assets.library.steps.promotion import roll_back

        context.log.info(roll_back(data.workspace(universe), config.horizon, config.reason, to=config.to))

    @dg.op(name=f"{universe.name}_promote_version")
    def promote_version(context: dg.OpExecutionContext, config: PromoteConfig, data: DataHome) -> None:
        from regime_assets.library.steps.promotion import promote_by_hand

        context.log.info(promote_by_hand(data.workspace(universe), config.horizon, config.version, config.reason))

    @dg.op(name=f"{universe.name}_decide_about_bar")
    def decide_about_bar(context: dg.OpExecutionContext, config: BarDecisionConfig, data: DataHome) -> None:
        from datetime import date

        from regime_assets.library.steps import bar_decisions

        workspace, session = data.workspace(universe), date.fromisoformat(config.session)
        said = (config.reason, config.by)
        if config.decision == "accept":
            told = bar_decisions.accept(workspace, config.symbol, session, config.rule, *said)
        elif config.decision == "correct":
            told = bar_decisions.correct(workspace, config.symbol, session, config.bar, *said)
        else:
            told = bar_decisions.retract(workspace, config.symbol, session, *said)
        context.log.info(told)

    @dg.op(name=f"{universe.name}_delete_old_versions")
    def delete_old_versions(context: dg.OpExecutionContext, config: RetentionConfig, data: DataHome) -> None:
        from regime_assets.library.upkeep.retention import Keep, retain
        from regime_assets.runs.old_runs import remove_old_runs

        keep = Keep(config.versions, config.walk_forwards, config.sessions, config.run_days)
        removed = retain(data.workspace(universe), keep, config.dry_run)
        removed += remove_old_runs(context.instance, data.home(), config.run_days, config.dry_run)
        for each in removed:
            context.log.info(f"{'would delete' if config.dry_run else 'deleted'} {each}")

    @dg.job(
        hooks=hooks, name=f"{universe.name}_roll_back", description="The previous champion of a horizon serves again."
    )
    def roll_back_job() -> None:
        roll_back_champion()

    @dg.job(
        hooks=hooks, name=f"{universe.name}_promote", description="A registered version serves, whatever the gate said."
    )
    def promote_job() -> None:
        promote_version()

    @dg.job(
        hooks=hooks,
        name=f"{universe.name}_quarantine",
        description="Accepts a finding about one bar, corrects the bar, or takes a stored one back.",
    )
    def quarantine_job() -> None:
        decide_about_bar()

    @dg.job(
        hooks=hooks,
        name=f"{universe.name}_retention",
        description="Deletes old versions, walk-forwards, reports, models, windows and runs, but what serves and the "
        "first of each month.",
    )
    def retention_job() -> None:
        delete_old_versions()

    return [roll_back_job, promote_job, quarantine_job, retention_job]
