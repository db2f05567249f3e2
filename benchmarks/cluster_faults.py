"""What goes wrong in the rehearsal: a worker lost, PostgreSQL killed, the storage down; each says what it did."""

from __future__ import annotations

import time
from typing import Any

from cluster_deployment import Deployment
from cluster_processes import Gate

SHUT_SECONDS, LOST_SECONDS = 15.0, 20.0


def lost_worker(deployment: Deployment, day: str, _gate: Gate, _postgres: Any) -> str:
    """A worker's machine is gone in the middle of a fit, and comes back later."""
    job, events = deployment.in_step(day, "vae")
    number = deployment.lose_worker_of(events)
    time.sleep(LOST_SECONDS)
    deployment.start_worker(number)
    return f"a worker killed while `{job}` fitted its encoder; another one after {LOST_SECONDS:.0f} s"


def killed_postgres(deployment: Deployment, day: str, _gate: Gate, postgres: Any) -> str:
    """PostgreSQL is killed while the tables' catalog is written, and started again."""
    import psycopg

    deployment.in_step(day, "rl_policy")
    writing = (
        "SELECT query FROM pg_stat_activity WHERE datname = 'regime_assets' AND state = 'active' AND "
        "pid <> pg_backend_pid() AND (query ILIKE '%COMMIT%' OR query ILIKE '%INSERT INTO%ducklake%')"
    )
    seen = ""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        deadline = time.monotonic() + 120
        while not seen and time.monotonic() < deadline:
            row = connection.execute(writing).fetchone()
            seen = str(row[0]) if row else ""
    postgres.kill()
    time.sleep(3.0)
    postgres.start()
    what = "in the middle of a commit" if seen else "at a moment without a commit"
    return f"PostgreSQL killed {what}; back after 3 s"


def shut_storage(deployment: Deployment, day: str, gate: Gate, _postgres: Any) -> str:
    """The storage cuts its connections while files are written, and refuses new ones for a while."""
    deployment.in_step(day, "gmm")
    writes, deadline = gate.requests["PUT"], time.monotonic() + 60
    while gate.requests["PUT"] == writes and time.monotonic() < deadline:
        time.sleep(0.001)
    cut = gate.shut()
    time.sleep(SHUT_SECONDS)
    gate.open()
    return f"storage down for {SHUT_SECONDS:.0f} s from an upload on; {cut} connections cut"
