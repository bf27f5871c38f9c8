"""Chrony's own logs, from the internet and from live daemons, through `tickline.chrony`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import tickline as tl
from reference import chrony_reference

# Cut inside their last row by those who published them.
CUT = {"omnios_issue2576/tracking_2.log": "bad_column", "ntpmon_issue5/measurements.log": "unknown_layout"}


@pytest.fixture
def logs(data: Path) -> list[Path]:
    found = sorted((data / "chrony").rglob("*.log"))
    assert len(found) == 28, "the samples have changed"
    return found


def test_every_sample_is_read_as_the_reference_reads_it(logs: list[Path]) -> None:
    for path in logs:
        kind = path.name.partition(".")[0].partition("_")[0]
        expected = chrony_reference.read(path.read_bytes(), kind)
        read = tl.chrony.read(path)
        assert list(read) == [kind], path
        arrow = pa.table(read[kind])
        arrow = arrow.set_column(0, "time", arrow["time"].cast(pa.int64()))
        assert [list(row.values()) for row in arrow.to_pylist()] == expected.rows, path
        total = read[kind].accounting["total"]
        assert total["lines"] == path.read_bytes().count(b"\n")
        assert total["accepted"] == expected.outcomes.count("accepted") > 0
        assert total["filtered"].get("banners", 0) == expected.outcomes.count("banners")
        reason = CUT.get("/".join(path.parts[-2:]))
        assert total["rejected"] == ({} if reason is None else {reason: 1}), path
        # Without the name the content says the same.
        (again,) = tl.chrony.read(path.read_bytes()).values()
        assert pa.table(again).equals(pa.table(read[kind]))


def test_the_examples_of_the_manuals_have_the_values_that_the_manuals_give(data: Path) -> None:
    read = tl.chrony.read(data / "chrony" / "docs_examples")
    assert {kind: len(table) for kind, table in read.items()} == {
        "tracking": 5,
        "measurements": 5,
        "statistics": 3,
        "refclocks": 2,
        "rtc": 2,
        "tempcomp": 2,
        "selection": 1,
    }
    assert read["measurements"].column("layout").tolist() == ["1.20", "1.25", "2.0", "2.0", "3.0"]
    newest = pa.table(read["measurements"]).slice(4).to_pylist()[0]
    del newest["time"]
    # The bracketed values of chrony.conf(5), log measurements.
    assert newest == {
        "address": "203.0.113.15",
        "leap": "N",
        "stratum": 2,
        "tests_a": "111",
        "tests_b": "111",
        "tests_c": "1111",
        "layout": "3.0",
        "local_poll": 10,
        "remote_poll": 10,
        "score": 1.0,
        "offset_s": -4.966e-03,
        "peer_delay_s": 2.296e-01,
        "peer_dispersion_s": 1.577e-05,
        "root_delay_s": 1.615e-01,
        "root_dispersion_s": 7.446e-03,
        "reference_id": "CB00717B",
        "mode": "4B",
        "tx_stamp": "D",
        "rx_stamp": "K",
    }
    tracking = read["tracking"]
    assert tracking.column("max_error_s").tolist() == [None, None, None, None, 8.304e-03]
    assert tracking.column("combined_sources").tolist() == [None, None, 4, 4, 2]
    assert read["selection"].column("reachability").tolist() == [0o377]
    assert read["refclocks"].column("dispersion_s").tolist() == [None, 1e-06]


def test_start_up_rows_of_live_daemons(data: Path) -> None:
    for folder in ("client_b_multi", "client_c_nobanner", "client_d_refclock", "client_e_long_ipv6"):
        table = tl.chrony.read(data / "chrony" / "live_4.3" / folder, "tracking")["tracking"]
        first = pa.table(table).slice(0, 1).to_pylist()[0]
        assert (first["address"], first["stratum"], first["leap"], first["max_error_s"]) == (
            "0.0.0.0",
            0,
            "?",
            1.5,
        )
        assert first["skew_ppm"] == 1_000_000
