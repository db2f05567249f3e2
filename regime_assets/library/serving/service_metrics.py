"""Counters of the service in Prometheus' text format."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, time

from regime_assets.library.clock import clock
from regime_assets.library.serving.published_signal import PublishedSignal
from regime_assets.library.serving.served_champion import ServedChampion

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class ServiceMetrics:
    """Requests by route and status, their durations, and the champion that serves.

    Args:
        routes: the paths that get their own label; every other path counts as "other", so that a scanner cannot
            make labels without end.
    """

    def __init__(self, routes: frozenset[str]) -> None:
        self._routes = routes
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0
        self._count = 0

    def observe(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        known = method if method in ("GET", "POST") else "other"
        with self._lock:
            self._requests[known, path if path in self._routes else "other", status] += 1
            self._seconds += seconds
            self._count += 1
            for bound in _BUCKETS:
                if seconds <= bound:
                    self._buckets[bound] += 1

    def text(self, champion: ServedChampion, signal: PublishedSignal | None = None) -> str:
        """All figures as text.

        Args:
            champion: the one that serves.
            signal: the newest published one; None when there is none, or none that can be read.
        """
        lines = ["# TYPE regime_assets_requests_total counter"]
        with self._lock:
            for (method, path, status), count in sorted(self._requests.items()):
                labels = f'method="{method}",path="{path}",status="{status}"'
                lines.append(f"regime_assets_requests_total{{{labels}}} {count}")
            lines.append("# TYPE regime_assets_request_seconds histogram")
            for bound in _BUCKETS:
                lines.append(f'regime_assets_request_seconds_bucket{{le="{bound}"}} {self._buckets[bound]}')
            lines.append(f'regime_assets_request_seconds_bucket{{le="+Inf"}} {self._count}')
            lines.append(f"regime_assets_request_seconds_sum {self._seconds:.6f}")
            lines.append(f"regime_assets_request_seconds_count {self._count}")
        lines += [
            "# TYPE regime_assets_champion_reloads_total counter",
            f"regime_assets_champion_reloads_total {champion.reloads}",
            "# TYPE regime_assets_champion_reload_failures_total counter",
            f"regime_assets_champion_reload_failures_total {champion.failures}",
        ]
        loaded = champion.current
        if loaded is not None:
            pointer = loaded.pointer
            labels = f'model="{pointer.model_name}",version="{pointer.version}",sha256="{pointer.sha256}"'
            fitted = datetime.combine(pointer.session, time(), UTC).timestamp()
            lines += [
                "# TYPE regime_assets_champion_info gauge",
                f"regime_assets_champion_info{{{labels}}} 1",
                "# TYPE regime_assets_champion_session_timestamp_seconds gauge",
                f"regime_assets_champion_session_timestamp_seconds {fitted:.0f}",
            ]
        if signal is not None:
            of = datetime.combine(signal.signal.session, time(), UTC).timestamp()
            age = (clock.now() - signal.decided_at).total_seconds()
            lines += [
                "# TYPE regime_assets_signal_session_timestamp_seconds gauge",
                f"regime_assets_signal_session_timestamp_seconds {of:.0f}",
                "# TYPE regime_assets_signal_age_seconds gauge",
                f"regime_assets_signal_age_seconds {age:.0f}",
            ]
        return "\n".join(lines) + "\n"
