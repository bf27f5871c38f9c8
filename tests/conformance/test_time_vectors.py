"""NTP stamps of other programs' tests, through `tickline.time`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tickline as tl


@pytest.fixture
def vectors(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "ntp_vectors.json").read_text())
    return found


def test_stamps_about_the_ends_of_eras(vectors: dict[str, Any]) -> None:
    assert len(vectors["timestamps"]) == 29
    for one in vectors["timestamps"]:
        stamp, second = int(one["ntp64"], 16), one["unix_sec"] * 10**9
        ns = tl.time.ntp64_to_ns(stamp, 0)
        assert ns - second == one.get("nsec", one.get("nsec_round", 0)), one
        # Where the stamp was made by cutting off it may be one unit below the nearest.
        if "nsec_round" not in one:
            assert tl.time.ns_to_ntp64(ns) - stamp in ((0, 1) if "nsec" in one else (0,))


def test_one_stamp_under_several_pivots(vectors: dict[str, Any]) -> None:
    assert len(vectors["era_pivots"]) == 36
    for one in vectors["era_pivots"]:
        ns = tl.time.ntp64_to_ns(int(one["ntp64"], 16), one["pivot_unix"])
        assert ns // 10**9 == one["unix_sec"], one


def test_the_short_format(vectors: dict[str, Any]) -> None:
    assert len(vectors["short_format"]) == 16
    decoded = [one for one in vectors["short_format"] if "encode_seconds" not in one]
    assert len(decoded) == 9
    for one in decoded:
        assert tl.time.ntp_short_to_ns(int(one["ntp32"], 16)) == one["ns_round"], one
    # The others say how seconds are rounded up: what comes back is no less, and at most a unit and a
    # nanosecond more.
    for one in vectors["short_format"]:
        seconds = one.get("encode_seconds")
        if seconds is not None and 0 <= seconds < 65535:
            more = tl.time.ntp_short_to_ns(int(one["ntp32"], 16)) - math.floor(seconds * 10**9)
            assert 0 <= more <= 15260, one
