"""The champion over HTTP: the published signal, and the champion's answer to features that the caller sends.

Start it with `python -m regime_assets.library.serving.service --home DATA --model us_large_cap.short` and a token
of at least 16 characters in `REGIME_ASSETS_TOKEN`. It needs the extra `serve` (FastAPI, uvicorn); it needs neither
MLflow nor torch nor the database: it follows the pointer file that a promotion writes. `--runtime onnx` lets ONNX
Runtime evaluate the networks (extra `onnx`).

    GET  /signal, /regime    the newest answer of the universe's horizons together, as it was published
    POST /signal, /regime    the champion's answer to {"sessions": [T], "names": [F], "rows": [T][F]}
    GET  /metrics            Prometheus text
    GET  /                   the page for the morning; a browser signs in at /login with the token
    GET  /reports/           the reports, by universe, horizon and session
    GET  /health             200 when a champion serves, 503 when none does; it and /login need no token
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.routing import Route

from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.production.names import NameRefusedError, checked_name
from regime_assets.library.production.signal import Signal, SignalError, score
from regime_assets.library.regimes.explanation import newest_pulls
from regime_assets.library.report.morning_page import Links
from regime_assets.library.serving.browser_session import BrowserSession
from regime_assets.library.serving.morning_pages import login_routes, morning_route
from regime_assets.library.serving.named_components import NamedComponents
from regime_assets.library.serving.onnx_networks import OnnxMissingError, require_onnx, with_onnx_networks
from regime_assets.library.serving.polled_signal import PolledSignal
from regime_assets.library.serving.published_signal import FollowedSignal, PublishedSignal, PublishedSignalError
from regime_assets.library.serving.report_pages import report_routes
from regime_assets.library.serving.served_champion import LoadedChampion, PointedChampion, ServedChampion
from regime_assets.library.serving.service_guard import LARGEST_HEADERS, ServiceGuard
from regime_assets.library.serving.service_metrics import CONTENT_TYPE, ServiceMetrics
from regime_assets.library.shared_files import is_shared

TOKEN_VARIABLE = "REGIME_ASSETS_TOKEN"
UNIVERSES_VARIABLE = "REGIME_ASSETS_UNIVERSES"
FEWEST_TOKEN_CHARACTERS = 16
MOST_ROWS = 1000
MOST_CONNECTIONS = 64
KEEP_ALIVE_SECONDS = 5
ROUTES = frozenset({"/", "/signal", "/regime", "/health", "/metrics", "/login", "/reports/"})

Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Session = Annotated[date, Field(ge=date(1900, 1, 1), lt=date(2200, 1, 1))]  # nanoseconds hold 1678 to 2262


class ServiceError(Exception):
    """The service cannot start."""


class FeatureWindow(BaseModel):
    """Feature rows of ascending sessions; the answer is for the last one.

    Attributes:
        sessions: (T,) dates.
        names: (F,) the features' names, exactly those of the champion in its order.
        rows: (T, F) finite numbers.
    """

    model_config = ConfigDict(extra="forbid")

    sessions: Annotated[list[Session], Field(min_length=1, max_length=MOST_ROWS)]
    names: Annotated[list[str], Field(min_length=1, max_length=MOST_ROWS)]
    rows: Annotated[list[list[Finite]], Field(min_length=1, max_length=MOST_ROWS)]

    def frame(self) -> pd.DataFrame:
        """The rows as a frame.

        Raises:
            SignalError: rows of another length than names, or another number of rows than sessions.
        """
        if len(self.rows) != len(self.sessions):
            raise SignalError(f"{len(self.rows)} rows for {len(self.sessions)} sessions")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.names):
                raise SignalError(f"row {number} has {len(row)} values for {len(self.names)} names")
        # From arrays: pandas takes longer to look at lists of values than the champion takes to answer one row.
        index = pd.DatetimeIndex(np.array(self.sessions, dtype="datetime64[ns]"), name="session")
        return pd.DataFrame(np.array(self.rows, dtype=np.float64), index=index, columns=self.names)


async def sent_window(request: Request) -> FeatureWindow:
    """The window in a request's body, read from its bytes: four times as fast as by way of Python's own values.

    Raises:
        RequestValidationError: it is none.
    """
    try:
        return FeatureWindow.model_validate_json(await request.body())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([one | {"loc": ("body", *one["loc"])} for one in found]) from error


SentWindow = Annotated[FeatureWindow, Depends(sent_window)]
BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": FeatureWindow.model_json_schema()}}}
}
"""What `/openapi.json` says of a body that FastAPI does not read itself."""


def create_service(
    load_champion: Callable[[], LoadedChampion | None],
    token: str,
    published: Callable[[], PublishedSignal | None] = lambda: None,
    poll_seconds: float = 1.0,
    pages: Sequence[Route] = (),
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        load_champion: gives the present champion; called at the start and every `poll_seconds`.
        token: what callers present as `Authorization: Bearer …`.
        published: gives the newest published signal.
        poll_seconds: how long a promotion may go unseen.
        pages: what a browser may open.

    Raises:
        ServiceError: the token is too short to be one.
    """
    if len(token) < FEWEST_TOKEN_CHARACTERS:
        raise ServiceError(f"the token in ${TOKEN_VARIABLE} has fewer than {FEWEST_TOKEN_CHARACTERS} characters")
    champion = ServedChampion(load_champion, poll_seconds)
    metrics = ServiceMetrics(ROUTES)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        champion.start()
        gc.collect()
        gc.freeze()  # what was imported and loaded stays: without this a full collection delays some request by it
        yield
        champion.stop()

    service = FastAPI(title="regime_assets", lifespan=lifespan, docs_url=None, redoc_url=None)
    session = BrowserSession(token)
    service.add_middleware(ServiceGuard, token=token, metrics=metrics, session=session)
    service.router.routes.extend([*pages, *login_routes(session)])

    def answer(window: FeatureWindow) -> tuple[LoadedChampion, Signal]:
        serving = champion.current
        if serving is None:
            raise HTTPException(503, "no champion serves")
        try:
            return serving, score(serving.bundle, window.frame())
        except SignalError as error:
            raise HTTPException(422, str(error)) from error

    def newest() -> PublishedSignal:
        try:
            found = published()
        except PublishedSignalError as error:
            raise HTTPException(503, "the published signal cannot be read") from error
        if found is None:
            raise HTTPException(404, "no signal was published yet")
        return found

    # Answers are JSON values already, and are returned as responses so that FastAPI does not walk through them again.
    @service.get("/signal")
    async def published_signal() -> JSONResponse:
        return JSONResponse(newest().to_document())

    @service.post("/signal", openapi_extra=BODY)
    async def signal(window: SentWindow) -> JSONResponse:
        serving, answered = answer(window)
        return JSONResponse(_origin(serving) | {"signal": answered.to_document()})

    @service.get("/regime")
    async def published_regime() -> JSONResponse:
        latest = newest()
        found = latest.signal
        told = {
            "session": found.session.isoformat(),
            "why": {name: dict(row) for name, row in latest.why.items()},
            "regime": found.regime,
            "regime_from": found.regime_from,
            "posteriors": {horizon: each.posteriors for horizon, each in found.horizons.items()},
        }
        return JSONResponse(told)

    @service.post("/regime", openapi_extra=BODY)
    async def regime(window: SentWindow) -> JSONResponse:
        serving, answered = answer(window)
        state = list(answered.posteriors).index(answered.regime)
        told = {
            "session": answered.session.isoformat(),
            "regime": answered.regime,
            "posteriors": answered.posteriors,
            "why": newest_pulls(serving.bundle.regimes, window.frame(), state),
        }
        return JSONResponse(_origin(serving) | told)

    @service.get("/health")
    async def health() -> JSONResponse:
        serves = champion.current is not None
        return JSONResponse({"status": "ok" if serves else "no champion"}, 200 if serves else 503)

    @service.get("/metrics")
    async def figures() -> PlainTextResponse:
        try:
            newest_signal = published()
        except PublishedSignalError:
            newest_signal = None  # its figures are absent, which is what an alert on their age asks for
        return PlainTextResponse(metrics.text(champion, newest_signal), media_type=CONTENT_TYPE)

    @service.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Without the offending input, which FastAPI would echo and which JSON cannot carry when it is NaN.
        found = [{"where": list(e["loc"]), "what": e["msg"]} for e in error.errors()[:10]]
        return JSONResponse({"detail": found}, 422)

    return service


def _origin(serving: LoadedChampion) -> dict[str, Any]:
    pointer = serving.pointer
    return {"model_name": pointer.model_name, "model_version": pointer.version, "bundle_sha256": pointer.sha256}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve one model until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m regime_assets.library.serving.service", description=__doc__)
    parser.add_argument("--home", type=Path, default=Home.from_environment().root, help="the data folder")
    parser.add_argument("--model", required=True, help="the registered model, <universe>.<horizon>")
    parser.add_argument(
        "--universes",
        type=Path,
        default=os.environ.get(UNIVERSES_VARIABLE),
        help="folder of the universes' files; components of your own are loaded if the universe names them there",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to; loopback unless a proxy stands before")
    parser.add_argument("--port", type=int, default=8321)
    parser.add_argument("--poll-seconds", type=float, default=1.0, help="how long a promotion may go unseen")
    parser.add_argument("--dagster", default=Links.dagster, help="address of the Dagster UI, for links on the page")
    parser.add_argument("--mlflow", default=Links.mlflow, help="address of the MLflow UI, for links on the page")
    parser.add_argument("--runtime", choices=["numpy", "onnx"], default="numpy", help="what evaluates the networks")
    chosen = parser.parse_args(arguments)
    import uvicorn

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    home = Home(chosen.home.resolve())
    os.environ[HOME_VARIABLE] = str(home.root)  # a shared storage has the files of this folder by their place in it
    root = home.mlflow_artifacts
    try:
        model = checked_name(chosen.model, "model name")
        universe = checked_name(model.rpartition(".")[0], "universe")
        token = os.environ.get(TOKEN_VARIABLE, "")
        allowed = NamedComponents(chosen.universes, universe) if chosen.universes else ()
        if chosen.runtime == "onnx":
            require_onnx()
            champion = PointedChampion(root, model, with_onnx_networks, allowed)
        else:
            champion = PointedChampion(root, model, allowed=allowed)
        pages = [morning_route(home, Links("reports", chosen.dagster, chosen.mlflow)), *report_routes(home.reports)]
        polled = is_shared(root)
        published = PolledSignal(root, universe, chosen.poll_seconds) if polled else FollowedSignal(root, universe)
        service = create_service(champion, token, published, chosen.poll_seconds, pages)
    except (ServiceError, NameRefusedError, OnnxMissingError) as error:
        raise SystemExit(str(error)) from error
    # uvicorn's own access log has the query string in it; the guard logs each request without.
    uvicorn.run(
        service,
        host=chosen.host,
        port=chosen.port,
        access_log=False,
        server_header=False,
        http="h11",  # httptools has no bound on headers that never end
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


if __name__ == "__main__":
    main()
