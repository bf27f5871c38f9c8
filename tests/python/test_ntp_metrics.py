"""What a client counts: numbers, flags against thresholds, and text that Prometheus can read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from python.ntp_query_support import PATIENCE_S
from python.ntp_server_support import HONEST, kissing, ntp_servers, server
from tickline import ntp
from tickline.errors import UsageError

MEASURES = ("elapsed", "offset", "error", "delay", "root_distance")
HOUR_NS = 3600 * 10**9

# https://prometheus.io/docs/instrumenting/exposition_formats/, written down from there.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
HELP_LINE = re.compile(rf"# HELP ({NAME}) ([^\\\n]*)")
TYPE_LINE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE_LINE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({NUMBER})")


def parse(text: str) -> dict[str, tuple[str, dict[tuple[str, str], float]]]:
    """Read the text format: {family: (type, {(name, labels): value})}."""
    assert text.endswith("\n")
    families: dict[str, tuple[str, dict[tuple[str, str], float]]] = {}
    lines = iter(text[:-1].split("\n"))
    family = ""
    for line in lines:
        if about := HELP_LINE.fullmatch(line):
            family = about[1]
            assert family not in families  # a family stands in one piece
            kind = TYPE_LINE.fullmatch(next(lines))
            assert kind is not None
            assert kind[1] == family
            families[family] = (kind[2], {})
            continue
        sample = SAMPLE_LINE.fullmatch(line)
        assert sample is not None, line
        suffixes = ("_bucket", "_sum", "_count") if families[family][0] == "histogram" else ("",)
        assert sample[1] in [family + suffix for suffix in suffixes]
        series = (sample[1], sample[2] or "")
        assert series not in families[family][1]
        families[family][1][series] = float(sample[3])
    return families


@pytest.fixture(scope="module")
def asked() -> ntp.Client:
    """A client after two queries: one with a result, and one without."""
    client = ntp.Client()
    with ntp_servers(HONEST, HONEST, HONEST, server(offset_ns=HOUR_NS), kissing("RATE")) as servers:
        # An accuracy out of reach, so that all of them are heard.
        first = client.query(servers.names, deadline_s=PATIENCE_S, accuracy_s=1e-9)
        assert first.ok, first.why
        client.query(['a"b\\c', "name with blanks"], deadline_s=0.01)
    return client


def test_a_new_client_has_counted_nothing() -> None:
    metrics = ntp.Client().metrics
    read = metrics.read()
    assert read["last"] is None
    assert read["queries"] == read["agreed"] == read["packets_sent"] == 0
    assert all(
        count == 0 for name in ("samples", "servers", "refused", "kisses") for count in read[name].values()
    )
    assert all(read[measure]["count"] == 0 for measure in MEASURES)
    assert metrics.quantile_ns("delay", 0.5) == 0
    assert metrics.degraded(offset_s=0, error_s=0, elapsed_s=0, failed=0, falsetickers=0) == ()


def test_servers_are_counted_by_verdict_reason_and_kiss_code(asked: ntp.Client) -> None:
    read = asked.metrics.read()
    assert (read["queries"], read["agreed"]) == (2, 1)
    assert read["packets_sent"] >= 5
    assert read["servers"]["truechimer"] == 3
    assert read["servers"]["falseticker"] == 1
    assert read["servers"]["kiss"] == 1
    assert sum(read["servers"].values()) == 7
    assert read["refused"]["kiss"] == 1
    assert read["kisses"]["RATE"] == 1
    assert sum(read["kisses"].values()) == 1
    assert sum(read["samples"].values()) == 4
    assert read["last"]["falsetickers"] == 1


def test_histograms_hold_what_the_query_measured(asked: ntp.Client) -> None:
    read = asked.metrics.read()
    assert [read[measure]["count"] for measure in MEASURES] == [2, 1, 1, 4, 4]
    for measure in MEASURES:
        one = read[measure]
        assert 0 <= one["p50_ns"] <= one["p90_ns"] <= one["p99_ns"] <= one["max_ns"]
        assert one["max_ns"] <= one["sum_ns"] <= one["count"] * one["max_ns"]
    assert read["offset"]["sum_ns"] == abs(read["last"]["offset_ns"])
    assert read["error"]["sum_ns"] == read["last"]["error_ns"]
    assert asked.metrics.quantile_ns("error", 1) == read["last"]["error_ns"]


def test_only_thresholds_that_are_given_are_looked_at(asked: ntp.Client) -> None:
    metrics = asked.metrics
    assert metrics.degraded() == ()
    assert metrics.degraded(error_s=0) == ("error",)
    assert metrics.degraded(failed=0.49) == ("failed",)
    assert metrics.degraded(failed=0.5) == ()
    assert metrics.degraded(falsetickers=0, elapsed_s=0) == ("elapsed", "falsetickers")
    assert metrics.degraded(offset_s=1e300, elapsed_s=float("inf"), falsetickers=1) == ()


@pytest.mark.parametrize(
    "threshold",
    [
        {"offset_s": -1.0},
        {"error_s": float("nan")},
        {"elapsed_s": -0.1},
        {"failed": -0.1},
        {"falsetickers": -1},
    ],
)
def test_a_threshold_that_is_none_is_refused(threshold: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(threshold))):
        ntp.Client().metrics.degraded(**threshold)


def test_unknown_measures_and_shares_are_refused() -> None:
    metrics = ntp.Client().metrics
    with pytest.raises(UsageError, match="root_distance"):
        metrics.quantile_ns("width", 0.5)  # type: ignore[arg-type]
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="share"):
            metrics.quantile_ns("delay", share)


def test_the_text_for_prometheus_follows_its_grammar(asked: ntp.Client) -> None:
    for client in (asked, ntp.Client()):
        families = parse(client.metrics.prometheus())
        assert all(name.startswith("tickline_ntp_") for name in families)
        assert all((kind == "counter") == name.endswith("_total") for name, (kind, _) in families.items())


def test_the_text_for_prometheus_says_what_the_numbers_say(asked: ntp.Client) -> None:
    families = parse(asked.metrics.prometheus())
    read = asked.metrics.read()

    def value(name: str, labels: str = "") -> float:
        return next(samples[name, labels] for _, samples in families.values() if (name, labels) in samples)

    assert value("tickline_ntp_up") == 0
    assert value("tickline_ntp_queries_total", 'outcome="agreed"') == 1
    assert value("tickline_ntp_last_error_margin_seconds") == read["last"]["error_ns"] / 1e9
    for verdict, count in read["servers"].items():
        assert value("tickline_ntp_servers_total", f'standing="{verdict}"') == count
    for reason, count in read["refused"].items():
        assert value("tickline_ntp_refused_total", f'reason="{reason}"') == count
    for family, measure in (
        ("query_duration", "elapsed"),
        ("absolute_offset", "offset"),
        ("error_margin", "error"),
        ("delay", "delay"),
        ("root_distance", "root_distance"),
    ):
        name = f"tickline_ntp_{family}_seconds"
        assert value(f"{name}_count") == read[measure]["count"]
        assert value(f"{name}_bucket", 'le="+Inf"') == read[measure]["count"]
        assert value(f"{name}_sum") == pytest.approx(read[measure]["sum_ns"] / 1e9)


def test_names_of_servers_are_labels_whatever_they_hold(asked: ntp.Client) -> None:
    _, states = parse(asked.metrics.prometheus())["tickline_ntp_sources_state_info"]
    names = [re.search(r'source_name=("(?:[^"\\]|\\.)*")', labels) for _, labels in states]
    # The last query is the one that is shown; its names were none that could be asked.
    assert len(names) == len(states) == 2
    assert set(states.values()) == {1}
