"""Every asset's failure goes into a small file, and out of it when the asset succeeds: the pages show what is in it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    PARTITION_NAME_TAG,
)

from regime_assets.runs.plain_errors import plain_message

if TYPE_CHECKING:
    from regime_assets.library.universe import Universe
    from regime_assets.resources import DataHome


def failure_hooks(universe: Universe) -> set[dg.HookDefinition]:
    """The hooks of a universe's assets."""

    @dg.failure_hook(name=f"{universe.name}_failed", required_resource_keys={"data"})
    def failed(context: dg.HookContext) -> None:
        from regime_assets.library.steps.failures import record_failure
        from regime_assets.library.steps.morning import publish_morning

        data: DataHome = context.resources.data
        why = plain_message(context.op_exception) if context.op_exception else "the step ended without an error"
        record_failure(data.home(), universe.name, _step(context), _session(context), why)
        publish_morning(data.workspace(universe))

    @dg.success_hook(name=f"{universe.name}_succeeded", required_resource_keys={"data"})
    def succeeded(context: dg.HookContext) -> None:
        from regime_assets.library.steps.failures import forget_failure

        data: DataHome = context.resources.data
        forget_failure(data.home(), universe.name, _step(context), _session(context))

    return {failed, succeeded}


def _step(context: dg.HookContext) -> str:
    return context.step_key.replace("__", "/")


def _session(context: dg.HookContext) -> date:
    """The newest session of the run."""
    run = context.instance.get_run_by_id(context.run_id)
    tags = run.tags if run else {}
    return date.fromisoformat(tags.get(PARTITION_NAME_TAG) or tags[ASSET_PARTITION_RANGE_END_TAG])
