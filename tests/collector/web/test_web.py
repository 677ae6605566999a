"""The pages: what administrators see, and that no patient is identified."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.config import CollectorConfig
from collector.imports.rows import read_rows
from collector.ingest.messages import parse_message, to_batch
from collector.ingest.subscriber import Counters
from collector.store import tables
from collector.store.database import StoreUnavailable
from collector.store.rows import BoxUpdate
from collector.store.store import Batch, Store
from collector.web.app import make_app
from collector.web.page import health
from device.contract import Flag
from tests.collector.conftest import NOON


class Browser:
    """Asks the application itself, over ASGI."""

    def __init__(self, app) -> None:
        self._transport = httpx.ASGITransport(app=app)

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://collector") as client:
                return await client.get(path)

        return asyncio.run(ask())


@pytest.fixture
def config(key_file: Path) -> CollectorConfig:
    return CollectorConfig(site_key_file=key_file)


@pytest.fixture
def page(config, store):
    return Browser(make_app(config, store, Counters(connected=True)))


@pytest.fixture
def filled(store, config, a_result, a_message, tmp_path):
    results = [a_result(n, flag=Flag.PNEUMONIA if n % 2 else Flag.CLEAR, probability=n / 40) for n in range(1, 31)]
    messages = [a_message(result) for result in [*results, a_result(40, flag=Flag.UNCLASSIFIED)]]
    messages += [a_message("online", leaf="status"), a_message('{"alarms": {"disk": "low"}}', leaf="health")]
    messages += [a_message('{"no": 1}')]
    store.commit(to_batch(parse_message(message) for message in messages))
    path = tmp_path / "reads.csv"
    lines = [f"{reader},{int(n > 12)},1.2.{n}" for n in range(1, 31) for reader in ("R1", "R2")]
    path.write_text("\n".join(["reader,label,sop_instance_uid", *lines, "R1,1,1.2.40"]))
    store.put_imports(tables.reads, read_rows(path, config))
    return store


def test_an_empty_collector_shows_what_to_do_next(page):
    assert "import-reads" in page.get("/").text
    assert "No box has connected yet" in page.get("/boxes").text
    assert "No result has arrived yet" in page.get("/results").text


def test_the_comparison_page_and_its_json_have_the_same_figures(page, filled):
    figures = page.get("/api/comparison.json").json()
    text = page.get("/").text
    for metric in ("sensitivity", "specificity", "roc_auc", "mcc"):
        assert f"{figures['systems']['pneumoflag'][metric]['value']:.4f}" in text
    assert figures["reference"]["cases"] == 31
    assert "unclassified by the box" in text


def test_the_pages_need_no_script_and_nothing_from_elsewhere(page, filled):
    for path in ("/", "/boxes", "/results"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r'(src|href)="(https?:)?//', answer.text)


def test_every_page_states_the_intended_use_once(page, filled):
    for path in ("/", "/boxes", "/results"):
        assert page.get(path).text.count("not for diagnosis") == 1


def test_the_page_of_results_shows_no_whole_identifier(page, filled, a_result):
    text = page.get("/results").text
    assert a_result(1).exposure_id[:8] in text
    assert a_result(1).exposure_id not in text
    assert "lateral view" in text


def test_boxes_show_gaps_alarms_and_rejected_messages(page, filled):
    text = page.get("/boxes").text
    assert "31\u201339" in text
    assert "disk: low" in text
    assert "online" in text
    assert "result.schema: missing" in text


def test_hostile_names_are_shown_and_not_run(page, store, a_result, a_message):
    parsed = parse_message(a_message(a_result(1)))
    device = "<script>alert(1)"  # as an earlier version stored it
    row = replace(parsed.result, device=device, view="<img src=x onerror=alert(1)>")
    store.commit(Batch(results=(row,), boxes=(replace(parsed.box, device=device),)))
    for path in ("/results", "/boxes"):
        text = page.get(path).text
        assert "<script>" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text


def test_the_comparison_is_computed_again_only_when_the_store_has_changed(
    page, filled, a_result, a_message, monkeypatch
):
    calls = []
    real = Store.rows
    monkeypatch.setattr(Store, "rows", lambda *args: calls.append(1) or real(*args))
    page.get("/")
    once = len(calls)
    page.get("/")
    page.get("/api/comparison.json")
    assert len(calls) == once
    filled.commit(to_batch([parse_message(a_message(a_result(99)))]))
    page.get("/")
    assert len(calls) == 2 * once


def test_pages_and_healthz_answer_503_while_the_store_is_unavailable(page, store, monkeypatch):
    def unavailable(_self: Store) -> tuple:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(Store, "state", unavailable)
    assert page.get("/").status_code == 503
    assert page.get("/healthz").status_code == 503


def test_healthz_says_whether_store_and_broker_are_there(page):
    assert page.get("/healthz").json() == {"store": "ok", "broker": "connected"}


def test_metrics_are_those_of_prometheus_under_their_names(config, store):
    counters = Counters(connected=True, stored=5, duplicates=4, rejected=3, commits=2, store_retries=1)
    answer = Browser(make_app(config, store, counters)).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {s.name: s.value for family in text_string_to_metric_families(answer.text) for s in family.samples}
    assert samples == {
        "pneumoflag_collector_broker_connected": 1,
        "pneumoflag_collector_results_stored_total": 5,
        "pneumoflag_collector_results_duplicate_total": 4,
        "pneumoflag_collector_messages_rejected_total": 3,
        "pneumoflag_collector_commits_total": 2,
        "pneumoflag_collector_store_retries_total": 1,
    }


@pytest.mark.parametrize("message", [{}, {"alarms": "x", "model": 3, "temperature_c": "hot"}, {"free_disk_mib": None}])
def test_a_health_message_of_another_version_does_not_break_the_page(message):
    assert health(message).facts == ()


def test_stored_health_that_cannot_be_encoded_does_not_break_the_page(page, store):
    message = {"temperature_c": 10**400, "spool_depth": 3, "alarms": {"disk": "\ud800"}, "model": {"name": "\udfff"}}
    store.commit(Batch(boxes=(BoxUpdate(site="s", device="d", last_seen_at=NOON, health=message),)))
    answer = page.get("/boxes")
    assert answer.status_code == 200
    assert "disk: ?" in answer.text
    assert "3 to classify" in answer.text
    assert "\u00b0C" not in answer.text
