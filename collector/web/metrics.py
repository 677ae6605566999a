"""Metrics: the subscriber's counters come in; the text that Prometheus scrapes goes out."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.ingest.subscriber import Counters

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "pneumoflag_collector"


class _CounterCollector(Collector):
    """Counters as metric families. prometheus-client adds `_total` to the names of counters."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        yield GaugeMetricFamily(
            f"{PREFIX}_broker_connected", "1 while connected to the MQTT broker.", value=int(counters.connected)
        )
        for name, text, value in (
            ("results_stored", "Results stored.", counters.stored),
            ("results_duplicate", "Results received again after they were stored.", counters.duplicates),
            ("messages_rejected", "Messages outside the contract.", counters.rejected),
            ("commits", "Group commits.", counters.commits),
            ("store_retries", "Commits tried again because the store was unavailable.", counters.store_retries),
        ):
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)


def metrics_text(counters: Counters) -> bytes:
    """Return all metrics in the Prometheus text format, version 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_CounterCollector(counters))
    return generate_latest(registry)
