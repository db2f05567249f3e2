"""The page for the morning over HTTP, and the form that opens it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, Template
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.report.morning_files import published_mornings
from regime_assets.library.report.morning_page import Links, morning_page
from regime_assets.library.serving.browser_session import COOKIE, DAYS, BrowserSession

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def morning_route(home: Home, links: Links) -> Route:
    """`/`: the page, made from what the last session wrote."""

    async def page(_: Request) -> Response:
        mornings = await run_in_threadpool(published_mornings, home)
        written = max((each.made_at for each in mornings), default=clock.now())
        return HTMLResponse(morning_page(mornings, links, written), headers=HEADERS)

    return Route("/", page)


def login_routes(session: BrowserSession) -> list[Route]:
    """`/login`: a form that takes the token, and gives a cookie for it."""

    async def form(_: Request) -> Response:
        return HTMLResponse(_login().render(days=DAYS), headers=HEADERS)

    async def login(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
        if not session.knows(fields.get("token", [""])[0]):
            return HTMLResponse(_login().render(days=DAYS, refused=True), 401, HEADERS)
        answer = RedirectResponse("./", 303, HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, session.issue(), max_age=DAYS * 86400, httponly=True, samesite="strict", secure=secure
        )
        return answer

    return [Route("/login", form, methods=["GET"]), Route("/login", login, methods=["POST"])]


@cache
def _login() -> Template:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True).get_template("login.html")
