"""What runs print: warnings and errors. The UI's event log holds every line, so a terminal need not hold them too."""

import dagster as dg

quiet_console_logger = dg.LoggerDefinition(
    logger_fn=dg.colored_console_logger.logger_fn,
    config_schema={
        "log_level": dg.Field(str, default_value="WARNING", description="the least that is printed"),
        "name": dg.Field(str, default_value="dagster", description="the logger's name"),
    },
    description="Prints warnings and errors of a run.",
)
