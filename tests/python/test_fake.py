"""The generator of access logs: repeatable, honest about its own lines, and quick to refuse."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tickline.fake import SHAPES, access_lines, generate_access
from tickline.reference import s3_access as reference

ROOT = Path(__file__).resolve().parents[2]

GOLDEN = ROOT / "tests" / "data" / "golden" / "fake_access.json"
REDUCE = reference.ReferenceFilter(operations={b"REST.GET.OBJECT"}, statuses=set(range(200, 300)))
READINGS = {"read": None, "reduce": REDUCE}
COLUMN_OF = {"time_ms": "time"}
VALUES = (
    "time_ms",
    "remote_ip",
    "requester",
    "operation",
    "key",
    "http_status",
    "bytes_sent",
    "object_size",
    "referrer",
    "user_agent",
)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _recount(folder: Path, answer: dict[str, Any]) -> dict[str, Any]:
    """Count all files anew with the reference parser."""
    keys: dict[bytes, list[int]] = {}
    days: dict[str, list[int]] = {}
    counts: dict[str, Any] = {"lines": 0, "bytes": 0}
    for reading in READINGS:
        counts[reading] = {"accepted": 0, "filtered": Counter(), "rejected": Counter(), "noted": Counter()}
        counts[reading]["bytes_sent"] = 0
    for source in answer["sources"]:
        data = (folder / source["path"]).read_bytes()
        counts["bytes"] += len(data)
        for line in reference.reference_lines(data):
            counts["lines"] += 1
            for reading, rules in READINGS.items():
                found = reference.reference_parse(line, rules)
                into = counts[reading]
                if found["outcome"] != "accepted":
                    into[found["outcome"]][found["reason"]] += 1
                    continue
                raw = found["raw"]
                into["accepted"] += 1
                into["bytes_sent"] += raw["bytes_sent"] or 0
                into["noted"].update(found["noted"])
                if reading == "reduce":
                    day = reference.datetime.datetime.fromtimestamp(
                        raw["time"] / 1000, reference.datetime.UTC
                    )
                    for table, name in ((keys, raw["key"]), (days, day.date().isoformat())):
                        entry = table.setdefault(name, [0, 0])
                        entry[0] += 1
                        entry[1] += raw["bytes_sent"] or 0
    # The reduced table has no column that could hold bytes that are not UTF-8.
    del counts["reduce"]["noted"]["invalid_utf8"]
    counts["reduce"]["by_day"] = {
        day: {"requests": requests, "bytes": sent} for day, (requests, sent) in sorted(days.items())
    }
    lines = b"".join(b"%s\t%i\t%i\n" % (key, *keys[key]) for key in sorted(keys))
    top = sorted(keys, key=lambda key: (-keys[key][0], key))[:1000]
    counts["reduce"]["by_key"] = {
        "distinct": len(keys),
        "sha256": hashlib.sha256(lines).hexdigest(),
        "top": [{"key": key.decode(), "requests": keys[key][0], "bytes": keys[key][1]} for key in top],
    }
    return counts


def _assert_adds_up(tally: dict[str, Any]) -> None:
    for reading in READINGS:
        part = tally[reading]
        assert tally["lines"] == (
            part["accepted"] + sum(part["filtered"].values()) + sum(part["rejected"].values())
        )


def test_bytes_are_those_of_the_golden_file(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    for case in golden["cases"]:
        folder = tmp_path / case["name"]
        generate_access(folder, **case["options"])
        assert _digests(folder) == case["sha256"], case["name"]
    lines = access_lines(**golden["lines"]["options"])
    digest = hashlib.sha256(b"\n".join(text for text, _ in lines)).hexdigest()
    assert digest == golden["lines"]["sha256"]


def test_another_seed_gives_other_lines(tmp_path: Path) -> None:
    first = access_lines(seed=1, count=50, dirty=0)
    second = access_lines(seed=2, count=50, dirty=0)
    assert not {text for text, _ in first} & {text for text, _ in second}


def test_every_line_gets_the_announced_answer_from_the_reference() -> None:
    lines = access_lines(seed=11, count=30_000, dirty=0.6)
    seen: Counter[str] = Counter()
    for text, expected in lines:
        line = text.removesuffix(b"\r")
        for rules, answer in (
            (None, (expected["outcome"], expected["reason"])),
            (REDUCE, expected["reduce"]),
        ):
            found = reference.reference_parse(line, rules)
            assert (found["outcome"], found["reason"]) == answer, (expected["shape"], text)
        found = reference.reference_parse(line)
        if expected["outcome"] == "accepted":
            values = {name: found["raw"][COLUMN_OF.get(name, name)] for name in VALUES}
            assert values == {name: expected[name] for name in VALUES}, (expected["shape"], text)
            noted = {*expected["noted"], *(["invalid_utf8"] if expected["not_utf8"] else [])}
            assert set(found["noted"]) == noted, (expected["shape"], text)
        seen[str(expected["shape"])] += 1
    assert set(seen) == {"clean", *SHAPES}
    assert min(seen.values()) > 100


@pytest.mark.parametrize(
    "options",
    [
        {"total_bytes": 6_000_000, "dirty": 0.3},
        {"total_bytes": 2_000_000, "dirty": 0.05, "layout": "s3", "days": 2, "seed": 3},
        {"total_bytes": 2_000_000, "dirty": 0.2, "new_keys": True, "get_share": 1.0, "days": 1},
    ],
    ids=["daily", "s3 names", "new keys"],
)
def test_truth_is_what_the_reference_counts(tmp_path: Path, options: dict[str, Any]) -> None:
    answer = generate_access(tmp_path, **options)
    assert json.loads((tmp_path / "truth.json").read_text()) == answer
    total = answer["total"]
    counted = _recount(tmp_path, answer)
    shapes = total.pop("shapes")
    by_column = total["read"].pop("invalid_utf8")
    assert total == counted
    # No line has two columns with bytes that are not UTF-8, so rows and values are the same number.
    assert sum(by_column.values()) == total["read"]["noted"].get("invalid_utf8", 0)
    assert sum(shapes.values()) == pytest.approx(options["dirty"] * total["lines"], rel=0.2)


def test_sources_add_up_to_the_total(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=3_000_000, dirty=0.1, days=4)
    assert [source["path"] for source in answer["sources"]] == [
        "2024/02/28.log",
        "2024/02/29.log",
        "2024/03/01.log",
        "2024/03/02.log",
    ]
    for tally in (*answer["sources"], answer["total"]):
        _assert_adds_up(tally)
    for name in ("lines", "bytes"):
        assert sum(source[name] for source in answer["sources"]) == answer["total"][name]
    for reading in READINGS:
        summed: Counter[str] = Counter()
        for source in answer["sources"]:
            summed.update(source[reading]["rejected"])
        assert dict(sorted(summed.items())) == answer["total"][reading]["rejected"]
    for source in answer["sources"]:
        assert (tmp_path / source["path"]).stat().st_size == source["bytes"]


def test_every_shape_occurs_and_one_file_lacks_its_last_newline(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=5_000_000, dirty=0.2)
    assert set(answer["total"]["shapes"]) == set(SHAPES)
    endings = {source["path"]: (tmp_path / source["path"]).read_bytes()[-1:] for source in answer["sources"]}
    assert answer["no_final_newline"] == [path for path, last in endings.items() if last != b"\n"]
    assert len(answer["no_final_newline"]) == 1


def test_without_dirt_all_lines_are_ordinary(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=1_000_000, dirty=0)
    total = answer["total"]
    assert total["shapes"] == {}
    assert total["read"]["accepted"] == total["lines"]
    assert total["bytes"] / total["lines"] == pytest.approx(560, rel=0.05)
    gets = total["lines"] - total["reduce"]["filtered"]["operation"]
    assert gets / total["lines"] == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("layout", ["daily", "s3"])
def test_size_is_met_within_one_percent(tmp_path: Path, layout: Any) -> None:
    asked: list[tuple[int, int]] = []
    answer = generate_access(
        tmp_path,
        total_bytes=8_000_000,
        layout=layout,
        progress=lambda done, total: asked.append((done, total)),
    )
    assert answer["total"]["bytes"] == pytest.approx(8_000_000, rel=0.01)
    assert asked[-1][0] == pytest.approx(8_000_000, rel=0.01)
    assert asked == sorted(asked)
    assert {total for _, total in asked} == {8_000_000}


def test_times_rise_but_for_some_seconds(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=2_000_000, dirty=0, days=1)
    data = (tmp_path / answer["sources"][0]["path"]).read_bytes()
    times = [reference.reference_parse(line)["raw"]["time"] for line in reference.reference_lines(data)]
    highest = times[0]
    lags = []
    for time in times:
        lags.append(highest - time)
        highest = max(highest, time)
    assert 0 < max(lags) < 120_000
    assert times[-1] - times[0] > 23 * 3_600_000


def test_few_keys_are_hot_and_many_are_cold(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=30_000_000, dirty=0)
    by_key = answer["total"]["reduce"]["by_key"]
    requests = [key["requests"] for key in by_key["top"]]
    assert by_key["distinct"] == pytest.approx(30_000_000 * 40_000 / 572e6, rel=0.1)
    assert requests[0] > 100 * requests[-1]
    assert sum(requests[:20]) > 0.2 * answer["total"]["reduce"]["accepted"]


def test_own_output_is_replaced_and_other_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    generate_access(folder, total_bytes=200_000, days=3)
    generate_access(folder, total_bytes=100_000, days=1)
    assert set(_digests(folder)) == {"2024/02/28.log", "truth.json"}

    (folder / "2024" / "mine.txt").write_text("precious")
    before = _digests(folder)
    with pytest.raises(FileExistsError, match=r"mine\.txt"):
        generate_access(folder, total_bytes=100_000)
    assert _digests(folder) == before

    other = tmp_path / "other"
    other.mkdir()
    (other / "truth.json").write_text('{"kind": "something else", "sources": []}')
    with pytest.raises(FileExistsError, match="not empty"):
        generate_access(other, total_bytes=100_000)


def test_a_stopped_run_leaves_no_half_log_and_can_be_repeated(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_access(tmp_path, total_bytes=9_000_000, progress=stop)
    assert set(_digests(tmp_path)) == {"2024/02/28.log", "truth.json"}
    assert json.loads((tmp_path / "truth.json").read_text())["complete"] is False
    assert generate_access(tmp_path, total_bytes=300_000)["complete"] is True


@pytest.mark.parametrize(
    "options",
    [
        {"total_bytes": 0},
        {"days": 0},
        {"dirty": 1.5},
        {"dirty": -0.1},
        {"get_share": 2},
        {"layout": "weekly"},
    ],
)
def test_senseless_options_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = tmp_path / "logs"
    with pytest.raises(ValueError, match="must"):
        generate_access(folder, **{"total_bytes": 1000, **options})
    assert not folder.exists()


def test_memory_stays_small_and_long_lines_come_rarely(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, json\n"
        "from tickline.fake import generate_access\n"
        "answer = generate_access(pathlib.Path(sys.argv[1]), total_bytes=100_000_000, days=2)\n"
        # Not getrusage: its peak is the parent's where that was higher, over fork and exec.
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "peak = int(status.split('VmHWM:')[1].split()[0]) * 1024\n"
        "print(json.dumps([peak, answer['total']['shapes']]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True, text=True
    )
    peak, shapes = json.loads(done.stdout)
    assert peak < 150_000_000
    assert (shapes["long_user_agent"], shapes["long_uri"]) == (1, 1)
    longest = max(len(line) for path in tmp_path.rglob("*.log") for line in path.read_bytes().split(b"\n"))
    assert 1_000_000 < longest < 1_010_000
