"""What stands before the service: the bearer token, the cap on bodies, the log line and the counters.

A plain ASGI layer, so that a request without the token or with too large a body is answered before anything of its
body is parsed, and nothing of its headers, query or body is ever logged.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from regime_assets.library.serving.browser_session import BrowserSession
    from regime_assets.library.serving.service_metrics import ServiceMetrics

LARGEST_BODY = 64 * 1024
LARGEST_HEADERS = 16 * 1024
BODY_TIMEOUT_SECONDS = 10.0
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Added where a page has not set its own."""

OPEN_PATHS = frozenset({"/health", "/login"})
PAGES = ("/", "/reports/")

_log = logging.getLogger(__name__)


class _RefusedError(Exception):
    def __init__(self, status: int, detail: str, location: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.location = location


class ServiceGuard:
    """Admits a request or answers it itself: 401 without the token, 408 too slow, 413 and 431 too large.

    A browser that asks for a page without a cookie is sent to the form that gives it one.
    """

    def __init__(self, app: ASGIApp, token: str, metrics: ServiceMetrics, session: BrowserSession) -> None:
        self._app = app
        self._credentials = f"Bearer {token}".encode()
        self._metrics = metrics
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = {name.lower() for name, _ in message.get("headers", [])}
                added = [pair for pair in SECURITY_HEADERS if pair[0] not in named]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
                raise _RefusedError(431, f"the headers are larger than {LARGEST_HEADERS} bytes")
            self._check_token(scope)
            body = await _read_body(scope, receive)
            await self._app(scope, _replaying(body, receive), send_observed)
        except _RefusedError as refused:
            await _answer(send_observed, refused)
        finally:
            seconds = time.perf_counter() - started
            method, path = scope["method"], scope["path"]
            self._metrics.observe(method, path, status, seconds)
            _log.info("%s %r %d %.1f ms", method, path, status, seconds * 1e3)

    def _check_token(self, scope: Scope) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        headers = dict(scope["headers"])
        if hmac.compare_digest(headers.get(b"authorization", b""), self._credentials):
            return
        if scope["method"] in ("GET", "HEAD") and _is_page(scope["path"]):
            if self._session.admits(headers):
                return
            if b"text/html" in headers.get(b"accept", b""):
                raise _RefusedError(303, "sign in", "/login")
        raise _RefusedError(401, "a bearer token is required")


def _is_page(path: str) -> bool:
    return path == PAGES[0] or path.startswith(PAGES[1])


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > LARGEST_BODY:
        raise _RefusedError(413, f"the body is larger than {LARGEST_BODY} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _RefusedError(400, "the client went away")
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:  # sent in chunks, without a declared length
                    raise _RefusedError(413, f"the body is larger than {LARGEST_BODY} bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise _RefusedError(408, f"the body did not arrive within {BODY_TIMEOUT_SECONDS:.0f} s") from None


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once and then whatever the connection says."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


async def _answer(send: Send, refused: _RefusedError) -> None:
    headers = [(b"content-type", b"application/json")]
    if refused.location:
        headers.append((b"location", refused.location.encode()))
    elif refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    else:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": refused.detail}).encode()})
