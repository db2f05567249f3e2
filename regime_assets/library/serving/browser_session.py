"""A browser's way past the token: a form takes it once, and a signed cookie stands for it afterwards.

The cookie holds an expiry and its signature, never the token; another token makes all cookies void. It opens pages
only: what changes or computes something asks for the token itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from regime_assets.library.clock import clock

COOKIE = "regime_assets_session"
DAYS = 30
MOST_FORM_CHARACTERS = 2048


class BrowserSession:
    """Issues and checks the cookie.

    Args:
        token: the service's token, which signs.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def knows(self, token: str) -> bool:
        """Whether this is the service's token."""
        return hmac.compare_digest(token.encode(), self._token)

    def issue(self, now: float | None = None) -> str:
        """A cookie's value, good for `DAYS`."""
        expiry = str(int((_now() if now is None else now) + DAYS * 86400))
        return f"{expiry}.{self._signature(expiry)}"

    def admits(self, headers: Mapping[bytes, bytes], now: float | None = None) -> bool:
        """Whether a request's headers carry a cookie that was issued here and has not expired."""
        try:
            found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
        except CookieError:
            return False
        if found is None:
            return False
        expiry, _, signature = found.value.partition(".")
        genuine = hmac.compare_digest(signature.encode(), self._signature(expiry).encode())
        return genuine and expiry.isdigit() and int(expiry) > (_now() if now is None else now)

    def _signature(self, expiry: str) -> str:
        return hmac.new(self._token, f"{COOKIE}:{expiry}".encode(), hashlib.sha256).hexdigest()


def _now() -> float:
    """The machine's time: a browser keeps a cookie by its own clock."""
    return clock.system_now().timestamp()
