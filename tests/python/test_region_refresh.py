"""Looking regions up again, a ninetieth a day: whose turn it is, what changes, and the list of changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from python import regions_support as made
from python.http_support import ok_json, status
from python.regions_support import batches, ipinfo_server, labels_of, stored, written
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.regions import refresh as region_refresh
from tickline.pipelines.access.regions.ipinfo import ask_ipinfo
from tickline.pipelines.access.regions.refresh import RefreshReport, refresh_regions
from tickline.pipelines.access.regions.regions import label_requesters, update_regions
from tickline.pipelines.access.vacuum import vacuum
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder

DAY = date(2026, 5, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    with made.store(tmp_path / "store") as opened:
        yield opened


def changes(folder: StoreFolder) -> dict[str, list[dict[str, str]]]:
    """Return the lists of changes by name."""
    paths = sorted((folder.path / "regions" / "changes").glob("*"))
    return {path.name: json.loads(path.read_text("utf-8"))["changes"] for path in paths}


def use(folder: StoreFolder, tmp_path: Path, text: str, *more: str) -> None:
    update_regions(folder, [written(tmp_path / "list", text), *more])


def test_each_requester_is_looked_up_once_in_a_cycle(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, [f"81.1.1.{number}" for number in range(30)])
    use(folder, tmp_path, "81.0.0.0/8 DE")
    label_requesters(folder)
    use(folder, tmp_path, "81.0.0.0/8 FR")
    seen = []
    for day in range(7):
        report = refresh_regions(folder, today=DAY + timedelta(days=day), cycle_days=7)
        assert (report.looked_up, report.changed) in ((4, 4), (5, 5))
        seen += [one["requester_id"] for one in changes(folder)[f"{DAY + timedelta(days=day)}.json"]]
        assert labels_of(folder, ids).count("FR") == len(seen)
    assert sorted(seen) == sorted(map(str, ids.tolist()))
    again = refresh_regions(folder, today=DAY + timedelta(days=7), cycle_days=7)
    assert (again.looked_up, again.changed, again.log) == (len(changes(folder)[f"{DAY}.json"]), 0, None)


def test_the_turn_of_a_requester_comes_every_ninety_days(tmp_path: Path, folder: StoreFolder) -> None:
    made.add_requesters(folder, [f"81.1.{number}.1" for number in range(180)])
    use(folder, tmp_path, "81.0.0.0/8 DE")
    label_requesters(folder)
    assert {refresh_regions(folder, today=DAY + timedelta(days=day)).looked_up for day in range(90)} == {2}
    assert changes(folder) == {}
    assert not (folder.path / "regions" / "changes").exists()


def test_changes_are_listed_without_addresses(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "82.1.1.1", "83.1.1.1", "10.0.0.1"])
    use(folder, tmp_path, "81.0.0.0/8 DE/Thüringen\n82.0.0.0/8 FR\n83.0.0.0/8 IT")
    label_requesters(folder)
    before = folder.ledger.snapshot().epoch
    use(folder, tmp_path, "81.0.0.0/8 AT\n82.0.0.0/8 FR")
    report = refresh_regions(folder, today=DAY, cycle_days=1)
    path = folder.path / "regions" / "changes" / "2026-05-04.json"
    assert report == RefreshReport(looked_up=4, changed=2, log=path)
    assert json.loads(path.read_text("utf-8")) == {
        "date": "2026-05-04",
        "changes": [
            {"requester_id": str(ids[0]), "old": "DE/Thüringen", "new": "AT"},
            {"requester_id": str(ids[2]), "old": "IT", "new": "unknown"},
        ],
    }
    assert labels_of(folder, ids) == ["AT", "FR", "unknown", "bogon"]
    assert folder.ledger.snapshot().epoch == before + 1
    assert verify(folder).found == []
    vacuum(folder, hours=0)
    assert path.is_file()


def test_a_second_run_of_a_day_adds_to_its_list(tmp_path: Path, folder: StoreFolder) -> None:
    (number,) = made.add_requesters(folder, ["81.1.1.1"]).tolist()
    for label in ("DE", "FR", "FR", "IT"):
        use(folder, tmp_path, f"81.0.0.0/8 {label}")
        label_requesters(folder)
        refresh_regions(folder, today=DAY, cycle_days=1)
    assert changes(folder) == {
        "2026-05-04.json": [
            {"requester_id": str(number), "old": "DE", "new": "FR"},
            {"requester_id": str(number), "old": "FR", "new": "IT"},
        ]
    }


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_make_one_list(
    batch: int, tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, [f"81.1.1.{number}" for number in range(8)])
    use(folder, tmp_path, "81.0.0.0/8 DE")
    label_requesters(folder)
    use(folder, tmp_path, "81.0.0.0/8 FR")
    whole = region_refresh.requesters
    monkeypatch.setattr(region_refresh, "requesters", lambda *args: whole(*args, most=batch))
    assert refresh_regions(folder, today=DAY, cycle_days=1).changed == 8
    assert [one["requester_id"] for one in changes(folder)["2026-05-04.json"]] == list(map(str, ids.tolist()))


def test_a_list_that_was_not_written_is_written_by_the_next_run(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, ["81.1.1.1", "82.1.1.1"])
    use(folder, tmp_path, "81.0.0.0/8 DE\n82.0.0.0/8 FR")
    label_requesters(folder)
    use(folder, tmp_path, "81.0.0.0/8 IT\n82.0.0.0/8 FR")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(region_refresh, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            refresh_regions(folder, today=DAY, cycle_days=1)
    assert (changes(folder), stored(folder)["81.1.1.1"][0]) == ({}, "IT")
    use(folder, tmp_path, "81.0.0.0/8 IT\n82.0.0.0/8 AT")
    for changed in (1, 0):
        assert refresh_regions(folder, today=DAY + timedelta(days=1), cycle_days=1).changed == changed
        assert {
            day: [(one["old"], one["new"]) for one in found] for day, found in changes(folder).items()
        } == {
            "2026-05-04.json": [("DE", "IT")],
            "2026-05-05.json": [("FR", "AT")],
        }


def test_whom_nobody_knows_any_more_keeps_an_answer(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, ["81.1.1.1", "82.1.1.1", "83.1.1.1"])
    cache = written(tmp_path / "ip_to_region.yaml", "81.1.1.1: DE\n82.1.1.1: FR\n83.1.1.1: IT\n")
    use(folder, tmp_path, "9.9.9.9", cache)
    label_requesters(folder)
    use(folder, tmp_path, "82.0.0.0/8 AT\n9.9.9.9", cache)
    assert refresh_regions(folder, today=DAY, cycle_days=1).changed == 1
    assert stored(folder) == {
        "81.1.1.1": ("DE", "addresses"),
        "82.1.1.1": ("AT", "list"),
        "83.1.1.1": ("IT", "addresses"),
    }
    # With ipinfo among the sources, it is asked for them: what a cache says is not of today.
    use(folder, tmp_path, "82.0.0.0/8 AT", cache, "ipinfo")
    places = {"81.1.1.1": {"country": "CH"}}
    with ipinfo_server(monkeypatch, made.ipinfo_answers(places)) as (web, client):
        report = refresh_regions(folder, today=DAY, cycle_days=1, client=client)
        assert (report.asked, report.changed) == (2, 2)
        assert stored(folder)["81.1.1.1"] == ("CH", "ipinfo")
        assert stored(folder)["83.1.1.1"] == ("unknown", "ipinfo")
        places["83.1.1.1"] = {"country": "IT"}
        refresh_regions(folder, today=DAY, cycle_days=1, client=client)
    assert stored(folder)["83.1.1.1"] == ("IT", "ipinfo")
    assert batches(web) == [["81.1.1.1", "83.1.1.1"]] * 2


def test_a_quota_keeps_the_labels_of_before(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [f"81.1.{number}.1" for number in range(150)]
    ids = made.add_requesters(folder, addresses)
    update_regions(folder, ["ipinfo"])
    with ipinfo_server(monkeypatch, ok_json({ip: {"country": "DE"} for ip in addresses})) as (_, client):
        ask_ipinfo(folder, client=client)
    script = [ok_json({ip: {"country": "FR"} for ip in addresses[:100]}), status(429)]
    with ipinfo_server(monkeypatch, script) as (_, client):
        report = refresh_regions(folder, today=DAY, cycle_days=1, client=client)
    assert (report.looked_up, report.asked, report.changed) == (150, 100, 100)
    assert "quota" in str(report.problem)
    assert labels_of(folder, ids) == ["FR"] * 100 + ["DE"] * 50
    assert len(changes(folder)["2026-05-04.json"]) == 100


def test_who_has_no_label_or_no_address_is_left_alone(tmp_path: Path, folder: StoreFolder) -> None:
    use(folder, tmp_path, "81.0.0.0/8 DE")
    before = made.add_requesters(folder, ["81.1.1.1"])
    label_requesters(folder)
    (folder.path / "private" / "ips.sqlite").unlink()
    after = made.add_requesters(folder, ["81.1.1.2"])
    use(folder, tmp_path, "81.0.0.0/8 FR")
    assert refresh_regions(folder, today=DAY, cycle_days=1) == RefreshReport()
    assert (labels_of(folder, before), labels_of(folder, after)) == (["DE"], [None])


def test_a_damaged_list_of_changes_stops_it_before_a_label_changes(
    tmp_path: Path, folder: StoreFolder
) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1"])
    use(folder, tmp_path, "81.0.0.0/8 DE")
    label_requesters(folder)
    use(folder, tmp_path, "81.0.0.0/8 FR")
    path = folder.path / "regions" / "changes" / "2026-05-04.json"
    path.parent.mkdir()
    for damage in ("{", "[]", '{"changes": 7}'):
        path.write_text(damage)
        with pytest.raises(TicklineError, match=r"2026-05-04\.json: is no list of changed regions"):
            refresh_regions(folder, today=DAY, cycle_days=1)
        assert labels_of(folder, ids) == ["DE"]


def test_a_cycle_has_a_day_at_least(folder: StoreFolder) -> None:
    assert refresh_regions(folder, today=DAY) == RefreshReport()
    with pytest.raises(UsageError, match="0 days are no cycle"):
        refresh_regions(folder, today=DAY, cycle_days=0)
