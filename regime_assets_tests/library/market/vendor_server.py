"""A scripted server on this machine that stands in for the vendors, so that the real HTTP clients are what is tested.

It belongs to the tests only. Each request takes the next answer of its route, the last one repeats.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    """One request as it arrived."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """One scripted answer.

    Attributes:
        body: bytes as they are, text encoded, anything else as JSON.
        silence_seconds: wait before answering at all.
        drip_seconds: send one byte at a time with this pause.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    silence_seconds: float = 0.0
    drip_seconds: float = 0.0

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class VendorServer:
    """The scripted routes and the requests that arrived; `base_url` is what a source takes."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.asked: list[Asked] = []
        self._routes: list[tuple[str, dict[str, str], list[Any]]] = []
        self._lock = threading.Lock()

    def route(self, path: str, *answers: Any, query: Mapping[str, str] | None = None) -> None:
        """Answer requests for `path` whose query contains `query`; later routes win.

        An answer is an `Answer`, its body, or a function of the request that returns either.
        """
        self._routes.insert(0, (path, dict(query or {}), list(answers)))

    def times_asked(self, path: str) -> int:
        """How many requests for `path` arrived."""
        return sum(asked.path == path for asked in self.asked)

    def take(self, asked: Asked) -> Answer:
        """The next answer for a request that arrived."""
        with self._lock:
            self.asked.append(asked)
            answer = self._scripted(asked)
        answer = answer(asked) if callable(answer) else answer
        return answer if isinstance(answer, Answer) else Answer(answer)

    def _scripted(self, asked: Asked) -> Any:
        for path, query, answers in self._routes:
            if path == asked.path and query.items() <= asked.query.items():
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return Answer("no such page", status=404)


@contextmanager
def running_server() -> Generator[VendorServer]:
    """A server on a free port of 127.0.0.1 for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            answer = server.take(Asked(parts.path, query, {k.lower(): v for k, v in self.headers.items()}))
            with suppress(OSError):  # the client hangs up when a time-out or a size cap is reached
                self._send(answer)

        def _send(self, answer: Answer) -> None:
            time.sleep(answer.silence_seconds)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.drip_seconds:
                for byte in answer.encoded():
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answer.drip_seconds)
            else:
                self.wfile.write(answer.encoded())

        def log_message(self, *_: object) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = VendorServer(f"http://127.0.0.1:{http_server.server_port}")
    thread = threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        thread.join()
        http_server.server_close()
