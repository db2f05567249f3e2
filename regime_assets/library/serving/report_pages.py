"""The reports of a data folder over HTTP: an index by universe, horizon and session, and the files themselves.

Whoever serves them decides who may read: the service stands behind its token, the Dagster web server on loopback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from regime_assets.library.report.compared_reports import comparable_reports
from regime_assets.library.shared_files import folders, is_shared, listed, read_file

REPORT_NAME = re.compile(r"(?P<session>\d{4}-\d\d-\d\d)-(?P<kind>[a-z_]+)(?:-(?P<of>[A-Za-z0-9_-]+))?\.html")
KINDS = {
    "backtest": "backtest",
    "drift": "drift",
    "drift_tables": "drift, Evidently's tables",
    "compare": "comparison of",
}
FILES = {
    ".html": "text/html",
    ".csv": "text/csv",
    ".json": "application/json",
    ".js": "text/javascript",
    ".css": "text/css",
}
HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class Shelf:
    """The reports of one horizon, by session, newest first: (session, ((kind in words, address), ...)).

    `comparable` are the backtest reports with figures beside them, newest first, by session and design.
    """

    universe: str
    horizon: str
    sessions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    comparable: tuple[str, ...] = ()


def shelves(reports: Path) -> list[Shelf]:
    """Every universe's and horizon's reports; addresses are relative to the index."""
    return [
        Shelf(horizon.parent.name, horizon.name, tuple(_sessions(horizon)), comparable_reports(horizon))
        for universe in folders(reports)
        for horizon in sorted(folders(universe), key=lambda path: (path.name != "short", path.name))
    ]


def report_routes(reports: Path) -> list[Route]:
    """`/reports/`, the index, `/reports/compare`, two reports on one page, and the files below `/reports/`."""

    async def index(_: Request) -> Response:
        found = await run_in_threadpool(shelves, reports)
        return HTMLResponse(_template().render(shelves=found), headers=HEADERS)

    async def missing() -> Response:
        found = await run_in_threadpool(shelves, reports)
        return HTMLResponse(_template().render(shelves=found, missing=True), 404, HEADERS)

    async def compare(request: Request) -> Response:
        asked = request.query_params
        wanted = asked.get("universe"), asked.get("horizon")
        found = await run_in_threadpool(shelves, reports)
        shelf = next((one for one in found if (one.universe, one.horizon) == wanted), None)
        if shelf is None or not {asked.get("first"), asked.get("second")} <= set(shelf.comparable):
            return await missing()
        folder = reports / shelf.universe / shelf.horizon
        page = await run_in_threadpool(_compared, folder, asked["first"], asked["second"])
        return HTMLResponse(page, headers=HEADERS)

    async def file(request: Request) -> Response:
        path = _inside(reports, str(request.path_params["path"]))
        try:
            if path is not None and is_shared(path):
                content = await run_in_threadpool(read_file, path)
                return Response(content, media_type=FILES[path.suffix], headers=HEADERS)
            if path is not None and path.is_file():
                return FileResponse(path, media_type=FILES[path.suffix], headers=HEADERS)
        except FileNotFoundError:
            pass
        return await missing()

    return [Route("/reports/", index), Route("/reports/compare", compare), Route("/reports/{path:path}", file)]


def _compared(folder: Path, first: str, second: str) -> str:
    from regime_assets.library.report.compared_page import compared_page
    from regime_assets.library.report.compared_reports import compared_reports

    return compared_page(compared_reports(folder, first, second))


def _inside(reports: Path, asked: str) -> Path | None:
    """The file that is asked for; None when it is none of ours: a path may hold dots and links."""
    path = (reports / asked).resolve()
    return path if path.is_relative_to(reports.resolve()) and path.suffix in FILES else None


def _sessions(folder: Path) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for path in listed(folder):
        if named := REPORT_NAME.fullmatch(path.name):
            kind = KINDS.get(named["kind"], named["kind"].replace("_", " "))
            kind = " ".join(filter(None, (kind, (named["of"] or "").replace("-", " "))))
            found.setdefault(named["session"], []).append((kind, f"{folder.parent.name}/{folder.name}/{path.name}"))
    for session in sorted(found, reverse=True):
        yield session, tuple(found[session])


@cache
def _template() -> Template:
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report_index.html")
