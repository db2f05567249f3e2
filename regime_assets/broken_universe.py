"""What the UI shows of a universe that does not load: one asset that carries the message and cannot be materialized."""

import logging

import dagster as dg


def broken_universe(name: str, message: str) -> dg.Definitions:
    """The asset `<name>/universe_file`, which fails with the message, and a line in the code location's log."""
    logging.getLogger("regime_assets").error("%s does not load: %s", name, message)
    shown = f"**This universe does not load, so it has no other assets.**\n\n```\n{message}\n```\n\n"

    @dg.asset(
        key=[name, "universe_file"],
        group_name=name,
        kinds={"yaml"},
        tags={"regime_assets/state": "broken"},
        description=f"{shown}Mend the file and reload the code location.",
        metadata={"error": dg.MetadataValue.md(f"```\n{message}\n```")},
    )
    def universe_file() -> None:
        raise dg.Failure(f"{name} does not load: {message}", allow_retries=False)

    return dg.Definitions(assets=[universe_file])
