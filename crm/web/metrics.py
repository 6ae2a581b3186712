"""/metrics: how ledgers and sweeps are, and what came in, for who watches; of customers nothing."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from crm import above
from crm.above import InboundCount, LedgerHealth, RetentionRound
from crm.db import Database
from crm.web.closed import ANSWERS

_BEARER = "Bearer "


def metrics(token: str, swept: Iterable[str]) -> HTTPRouteHandler:
    """Make the handler; without a token set, or with another, there is no such page.

    `swept` names the kinds of things that rounds of retention delete.
    """

    @get("/metrics", include_in_schema=False, opt=ANSWERS)
    async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say in OpenMetrics how every ledger is."""
        given = request.headers.get("authorization", "").removeprefix(_BEARER)
        if not token or not hmac.compare_digest(given.encode(), token.encode()):
            raise NotFoundException
        database: Database = request.app.state.database
        found = await above.ledgers_health(database)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Ledgers(found, database.clock()))
        rounds = await above.retention_rounds(database, swept)
        registry.register(_Rounds(rounds, database.clock()))
        registry.register(_Inbound(await above.inbound_counts(database)))
        # The type states no encoding of its own; OpenMetrics is UTF-8.
        written: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
        return Response(written, media_type=CONTENT_TYPE_LATEST)

    return get_metrics


class _Ledgers(Collector):
    """The gauges of one moment."""

    def __init__(self, found: Sequence[LedgerHealth], now: datetime) -> None:
        self._found = found
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Write each as a gauge by business."""
        yield self._gauge("size", "Entries sealed.", lambda each: each.size)
        yield self._gauge("unsealed", "Entries that wait to be sealed.", lambda each: each.unsealed)
        yield self._gauge("waiting_seconds", "How long the oldest waits.", self._waiting)
        yield self._gauge("alarms", "Alarms that nobody has settled.", lambda each: each.alarms)
        yield self._gauge(
            "watched_timestamp_seconds", "When the monitor ended its last round.", _watched
        )
        stopped = GaugeMetricFamily(
            "firsthand_ledger_stopped", "1 where nothing is sealed.", labels=["business", "reason"]
        )
        for each in self._found:
            if each.stopped_why:
                stopped.add_metric([str(each.business_id), each.stopped_why], 1)
        yield stopped

    def _gauge(self, name: str, says: str, value: Any) -> Metric:
        gauge = GaugeMetricFamily(f"firsthand_ledger_{name}", says, labels=["business"])
        for each in self._found:
            gauge.add_metric([str(each.business_id)], value(each))
        return gauge

    def _waiting(self, each: LedgerHealth) -> float:
        since = each.waiting_since
        return max((self._now - since).total_seconds(), 0.0) if since else 0.0


class _Rounds(Collector):
    """How long ago what has an end was last swept."""

    def __init__(self, found: Sequence[RetentionRound], now: datetime) -> None:
        self._found = found
        self._now = now

    def collect(self) -> Iterable[Metric]:
        """Write the oldest of each business: the one round that fails is not lost among others."""
        gauge = GaugeMetricFamily(
            "firsthand_retention_oldest_seconds",
            "How long ago the last round ended, of the kind of thing that waits longest.",
            labels=["business"],
        )
        oldest: dict[str, datetime] = {}
        for each in self._found:
            key = str(each.business_id)
            oldest[key] = min(each.since, oldest.get(key, each.since))
        for business, since in oldest.items():
            gauge.add_metric([business], max((self._now - since).total_seconds(), 0.0))
        yield gauge


class _Inbound(Collector):
    """What came in by mail."""

    def __init__(self, found: Sequence[InboundCount]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Count by business, way and kind."""
        counted = CounterMetricFamily(
            "firsthand_inbound", "Mails that came back.", labels=["business", "via", "kind"]
        )
        for each in self._found:
            counted.add_metric([str(each.business_id), each.via, each.kind], each.reports)
        yield counted


def _watched(each: LedgerHealth) -> float:
    return each.watched_at.timestamp() if each.watched_at else 0.0
