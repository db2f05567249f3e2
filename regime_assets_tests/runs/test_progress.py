"""A run tells one line a stage, when the stage has ended, and fits a terminal."""

import uuid
from logging import INFO

import dagster as dg

from regime_assets.runs.progress import StageLog, told
from regime_assets_tests.chain_run import QUIET


def lines_of(job: dg.JobDefinition, width: int = 80) -> list[str]:
    shown: list[str] = []
    run_id, steps = str(uuid.uuid4()), [node.name for node in job.nodes]
    with dg.instance_for_test() as instance, told(instance, run_id, steps, shown.append, width):
        job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False, run_config=QUIET)
    return [line.split(" s  ", 1)[1] for line in shown]


@dg.op(name="tiny__raw_prices")
def load(context: dg.OpExecutionContext) -> None:
    context.log.info("files: 20 of [500] symbols")
    context.log.info("files: 25 of [500] symbols")
    context.log.debug("not for everyone")


@dg.op(name="tiny__raw_prices_checks", ins={"start": dg.In(dg.Nothing)})
def check() -> None:
    pass


@dg.op(name="tiny__short__vae", ins={"start": dg.In(dg.Nothing)})
def fail() -> None:
    raise ValueError


def test_a_stage_is_told_once_when_its_last_step_has_ended_with_the_last_word_of_it() -> None:
    @dg.job
    def job() -> None:
        check(load())

    assert lines_of(job) == ["prices                files: 25 of [500] symbols"]


def test_a_failure_names_the_step() -> None:
    @dg.job
    def job() -> None:
        fail(load())

    assert lines_of(job) == ["prices                files: 25 of [500] symbols", "FAILED                tiny/short/vae"]


def test_no_line_is_wider_than_it_may_be() -> None:
    @dg.job
    def job() -> None:
        load()

    (line,) = lines_of(job, width=40)
    assert line.endswith("…")


def test_a_long_stage_says_how_far_it_is() -> None:
    clock, shown = iter([3.0, 20.0, 20.0, 24.0]), list[str]()
    log = StageLog(["tiny__long__backtest_report"], shown.append, lambda: next(clock), 80)
    for number in (1, 2, 3):
        log.see(said("tiny__long__backtest_report", f"walk-forward: refit {number} of 8"))
    assert [line.split() for line in shown] == [["20", "s", "walk-forward:", "refit", "2", "of", "8"]]


def said(step: str, message: str) -> dg.EventLogEntry:
    return dg.EventLogEntry(None, INFO, message, "run", 0.0, step_key=step)
