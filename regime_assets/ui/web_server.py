"""Dagster's web server, with the pages of the data folder beside the UI: the morning's, and the reports.

Run it with `python -m regime_assets.ui.web_server` and the options of `dagster-webserver`. They are at
`/regime-assets/`, on the UI's own host and port, so that links in asset metadata hold wherever the data
folder or the server moves.
"""

from __future__ import annotations

import dagster_webserver.app
from dagster_webserver.cli import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import BaseRoute, Mount

from regime_assets.library.home import Home
from regime_assets.library.report.morning_page import Links
from regime_assets.library.serving.morning_pages import morning_route
from regime_assets.library.serving.report_pages import report_routes
from regime_assets.metadata import PAGES


class WebServer(DagsterWebserver):
    """Dagster's web server with one more mount, in front of its route that catches every path."""

    def build_routes(self) -> list[BaseRoute]:
        """All routes."""
        home = Home.from_environment()
        pages = [morning_route(home, Links(reports="reports", dagster="")), *report_routes(home.reports)]
        return [Mount(PAGES, routes=pages), *super().build_routes()]


def main() -> None:
    """Dagster's own command with this server in the place of its own."""
    dagster_webserver.app.DagsterWebserver = WebServer
    cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
