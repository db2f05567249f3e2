"""The first run tells, while it runs, what its steps say of their progress."""

import uuid
from io import StringIO

import dagster as dg
from rich.console import Console

from regime_assets.first_run import _progress
from regime_assets_tests.chain_run import QUIET


def test_progress_lines_are_printed_before_their_step_ends() -> None:
    @dg.op(name="tiny__raw_prices")
    def load(context: dg.OpExecutionContext) -> None:
        context.log.info("files: 25 of [500] symbols")
        context.log.debug("not for everyone")

    @dg.op(ins={"start": dg.In(dg.Nothing)})
    def fail() -> None:
        raise ValueError

    @dg.job
    def job() -> None:
        fail(load())

    shown, run_id = StringIO(), str(uuid.uuid4())
    with (
        dg.instance_for_test() as instance,
        _progress(instance, run_id, Console(file=shown, width=200)),
    ):
        job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False, run_config=QUIET)
    lines = [line.split(" s ", 1)[1].strip() for line in shown.getvalue().splitlines()]
    assert lines == ["tiny/raw_prices: files: 25 of [500] symbols", "done  tiny/raw_prices", "FAILED  fail"]
