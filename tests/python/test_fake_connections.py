"""The generator of connections: repeatable, nearly ordered, and with the whole truth beside it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reference import connections_reference
from tickline.fake import generate_connections

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden" / "fake_connections.json"
NOW_S = 1_764_000_000
SMALL = {"lines": 20_000, "hosts": 60, "servers": 30, "now_s": NOW_S}


def test_the_truth_is_what_the_reference_finds(tmp_path: Path) -> None:
    truth = generate_connections(tmp_path, **SMALL)
    assert truth == json.loads((tmp_path / "truth.json").read_text())
    assert truth["complete"] is True
    text = (tmp_path / "connections.log").read_bytes()
    assert truth["sources"] == [{"path": "connections.log", "lines": 20_000, "bytes": len(text)}]
    rows = connections_reference.read(text).rows
    assert len(rows) == 20_000
    last = [(ns // 10**9, one, other) for ns, one, other in rows if NOW_S - ns // 10**9 <= 3600]
    pairs = Counter((one, other) for _, one, other in last)
    assert {(one, other): n for one, own in truth["pairs"].items() for other, n in own.items()} == pairs
    top = Counter(other for _, _, other in last)
    assert [(one["host"], one["count"]) for one in truth["top"]] == sorted(
        top.items(), key=lambda one: (-one[1], one[0])
    )
    buckets = Counter((NOW_S - time) // 1200 for time, _, _ in last)
    assert truth["buckets"] == [buckets[i] for i in range(4)]
    assert truth["connections"] == len(last) > 9000
    assert len({one for _, one, _ in rows}) == 60
    assert len({other for _, _, other in rows}) == 30


def test_lines_are_out_of_order_by_less_than_was_asked_for(tmp_path: Path) -> None:
    for disorder in (0, 7, 300, 5000):
        generate_connections(tmp_path, **SMALL, disorder_s=disorder)
        times = [
            ns // 10**9
            for ns, _, _ in connections_reference.read((tmp_path / "connections.log").read_bytes()).rows
        ]
        assert (min(times) >= NOW_S - 7200, max(times) < NOW_S, len(times)) == (True, True, 20_000)
        latest, back = 0, 0
        for time in times:
            latest = max(latest, time)
            back = max(back, latest - time)
        assert back == 0 if disorder == 0 else disorder * 0.8 < back < disorder


def test_seeds_repeat_and_differ(tmp_path: Path) -> None:
    def digest(**options: int) -> str:
        generate_connections(tmp_path, **{**SMALL, **options})
        return hashlib.sha256((tmp_path / "connections.log").read_bytes()).hexdigest()

    first = digest()
    assert digest() == first
    assert digest(seed=8) != first


def test_golden_lines(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["cases"]
    for case in golden["cases"]:
        generate_connections(tmp_path, **case["options"])
        found = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in case["sha256"]}
        assert found == case["sha256"]


def test_foreign_folders_and_wrong_options_are_refused(tmp_path: Path) -> None:
    for wrong in ({"lines": 0}, {"disorder_s": 7201}, {"hosts": 2000, "servers": 2000}, {"now_s": 5}):
        with pytest.raises(ValueError, match="must"):
            generate_connections(tmp_path, **{**SMALL, **wrong})
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError):
        generate_connections(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_command_writes_what_the_function_does(tmp_path: Path) -> None:
    words = ["--lines", "1000", "--hosts", "5", "--servers", "4", "--disorder", "60", "--seed", "3"]
    command = [sys.executable, "-m", "tickline", "fake", "connections", str(tmp_path / "a"), *words]
    done = subprocess.run([*command, "--now", str(NOW_S)], capture_output=True, text=True, check=True)
    assert "truth.json" in done.stdout
    generate_connections(tmp_path / "b", lines=1000, hosts=5, servers=4, disorder_s=60, seed=3, now_s=NOW_S)
    for name in ("connections.log", "truth.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    wrong = subprocess.run([*command, "--now", "5"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "2001" in wrong.stderr
