"""A server on this machine that speaks the format of Alpaca's trading API, as far as a paper account needs it."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TIME = "2022-12-28T21:00:05.123456Z"


class PaperAccount:
    """What the account holds, which orders it knows, and what it refuses."""

    def __init__(self, equity: float, cash: float, positions: dict[str, float], tradable: set[str]) -> None:
        self.equity, self.cash, self.positions, self.tradable = equity, cash, positions, tradable
        self.orders: dict[str, dict[str, Any]] = {}
        self.keys: set[str | None] = set()

    def place(self, wanted: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST /v2/orders."""
        reference = wanted["client_order_id"]
        if reference in self.orders:
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        if wanted["symbol"] not in self.tradable:
            return 422, {"code": 42210000, "message": f"asset {wanted['symbol']} not found"}
        order = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, reference)),
            "client_order_id": reference,
            "created_at": TIME,
            "updated_at": TIME,
            "submitted_at": TIME,
            "filled_at": None,
            "filled_qty": "0",
            "filled_avg_price": None,
            "order_class": "",
            "status": "accepted",
            "extended_hours": False,
            "type": "market",
            **{name: wanted[name] for name in ("symbol", "qty", "side", "time_in_force")},
        }
        self.orders[reference] = order
        return 200, order

    def fill(self, price: float) -> None:
        """Fill whatever is open."""
        for order in self.orders.values():
            filled = {"status": "filled", "filled_at": TIME, "filled_qty": order["qty"], "filled_avg_price": str(price)}
            order.update(filled)


@contextmanager
def alpaca_server(account: PaperAccount) -> Generator[str]:
    """The server's address while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            account.keys.add(self.headers.get("APCA-API-KEY-ID"))
            address = urlsplit(self.path)
            if address.path == "/v2/account":
                document = {"id": str(uuid.UUID(int=1)), "account_number": "PA1", "status": "ACTIVE"}
                self._answer(200, document | {"equity": str(account.equity), "cash": str(account.cash)})
            elif address.path == "/v2/positions":
                self._answer(200, [{"symbol": s, "qty": str(q), "side": "long"} for s, q in account.positions.items()])
            elif address.path == "/v2/orders:by_client_order_id":
                reference = parse_qs(address.query)["client_order_id"][0]
                found = account.orders.get(reference)
                self._answer(200 if found else 404, found or {"message": "order not found"})
            else:
                self._answer(404, {"message": f"no {address.path}"})

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*account.place(wanted))

        def _answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
