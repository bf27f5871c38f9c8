"""Asking ipinfo: who is asked, what is made of the answers, and what a service that fails leaves."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python import regions_support as made
from python.http_support import (
    NOTHING,
    RUBBISH,
    SILENCE,
    Answer,
    Request,
    Script,
    http_server,
    ok,
    ok_json,
    redirect,
    status,
)
from python.regions_support import TOKEN, batches, ipinfo_answers, ipinfo_server, labels_of, stored, written
from tickline.clients.ipinfo import Ipinfo, IpinfoError, Place
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.forget import forget_addresses
from tickline.pipelines.access.regions.ipinfo import AskReport, ask_ipinfo
from tickline.pipelines.access.regions.regions import label_requesters, update_regions
from tickline.pipelines.access.verify.verify import verify
from tickline.progress import Progress
from tickline.store.folder import StoreFolder

PLACES: dict[str, dict[str, Any]] = {
    "81.1.1.1": {"country": "DE", "region": "Bavaria", "city": "Munich", "loc": "48.1,11.5"},
    "81.1.1.2": {"country": "FR"},
    "81.1.1.3": {"region": "Provence/Alpes"},
    "81.1.1.4": {"country": "", "region": ""},
    "81.1.1.5": {"country": "unknown"},
    "81.1.1.6": {"bogon": True},
    "2a00:1::9": {"ip": "2A00:0001::9", "country": "SE", "region": "Skåne\nCounty"},
}
LABELS = {
    "81.1.1.1": "DE/Bavaria",
    "81.1.1.2": "FR",
    "81.1.1.3": "Provence-Alpes",
    "81.1.1.4": "unknown",
    "81.1.1.5": "unknown",
    "81.1.1.6": "bogon",
    "2a00:1::9": "SE/Skåne County",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    with made.store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPINFO_CREDENTIALS", "IPINFO_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def epoch(folder: StoreFolder) -> int:
    return folder.ledger.snapshot().epoch


def many(count: int, net: int = 81) -> list[str]:
    return [f"{net}.2.{number // 250}.{number % 250}" for number in range(count)]


def everybody(country: str) -> Script:
    return lambda request: ok_json({ip: {"ip": ip, "country": country} for ip in request.json})


class Heard(Progress):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def reach(self, done: int, total: int) -> None:
        self.told.append((done, total))


# ---- who is asked, and what comes of it --------------------------------------------------------------------


def test_only_those_are_asked_for_whom_nobody_knows(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {
        "3.4.12.4": "Listed",
        "83.1.1.1": "AT",
        "192.0.2.7": "bogon",
        "fe80::1": "bogon",
        "-": "unknown",
    }
    made.add_requesters(folder, [*listed, *PLACES, "9.9.9.9"])
    database = made.mmdb(tmp_path / "city", {"83.0.0.0/8": made.place("AT")})
    update_regions(folder, ["ipinfo", f"Listed={written(tmp_path / 'list', '3.0.0.0/8')}", database])
    before = epoch(folder)
    heard = Heard()
    with ipinfo_server(monkeypatch, ipinfo_answers(PLACES)) as (web, client):
        report = ask_ipinfo(folder, client=client, progress=heard)
        assert ask_ipinfo(folder, client=client) == AskReport(), "nobody is asked for twice"
    assert report == AskReport(asked=8, placed=5, unknown=3, listed=5, left=0)
    assert batches(web) == [[*PLACES, "9.9.9.9"]]
    found = stored(folder)
    assert {address: label for address, (label, _) in found.items()} == {
        **listed,
        **LABELS,
        "9.9.9.9": "unknown",
    }
    assert {found[address][1] for address in (*PLACES, "9.9.9.9")} == {"ipinfo"}
    assert (found["-"], found["192.0.2.7"]) == (("unknown", None), ("bogon", None))
    assert epoch(folder) == before, "first labels change no number that was published"
    assert heard.told[-1] == (13, 13)
    assert verify(folder).found == []


def test_a_request_has_a_hundred_addresses_and_the_token(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, many(250))
    update_regions(folder, ["ipinfo"])
    monkeypatch.setenv("IPINFO_API_KEY", TOKEN)
    with ipinfo_server(monkeypatch, everybody("DE")) as (web, _):
        assert ask_ipinfo(folder).placed == 250
    assert [len(batch) for batch in batches(web)] == [100, 100, 50]
    assert [address for batch in batches(web) for address in batch] == many(250)
    assert {request.headers["authorization"] for request in web.requests} == {f"Bearer {TOKEN}"}
    assert {request.path for request in web.requests} == {"/batch"}


def test_a_limit_leaves_the_rest_for_the_next_run(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, many(150))
    update_regions(folder, ["ipinfo"])
    with ipinfo_server(monkeypatch, everybody("DE")) as (web, client):
        for limit, asked, left in ((0, 0, 150), (120, 120, 30), (120, 30, 0)):
            report = ask_ipinfo(folder, client=client, limit=limit)
            assert (report.asked, report.left, report.problem) == (asked, left, None)
    assert [len(batch) for batch in batches(web)] == [100, 20, 30]


def test_without_asking_they_are_undetermined_and_asked_later(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "81.1.1.4", "10.0.0.1"])
    update_regions(folder, ["ipinfo"])
    label_requesters(folder)
    assert labels_of(folder, ids) == ["undetermined", "undetermined", "bogon"]
    before = epoch(folder)
    with ipinfo_server(monkeypatch, ipinfo_answers(PLACES)) as (web, client):
        report = ask_ipinfo(folder, client=client)
    assert (report.asked, report.placed, report.unknown, report.left) == (2, 1, 1, 0)
    assert labels_of(folder, ids) == ["DE/Bavaria", "unknown", "bogon"]
    assert epoch(folder) > before, "numbers that were published with `undetermined` are void"
    assert batches(web) == [["81.1.1.1", "81.1.1.4"]]


def test_who_is_undetermined_is_looked_up_in_newer_lists_first(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, ["81.1.1.1", "81.1.1.2"])
    update_regions(folder, ["ipinfo"])
    label_requesters(folder)
    update_regions(folder, ["ipinfo", written(tmp_path / "list", "81.1.1.1 DE")])
    with ipinfo_server(monkeypatch, ipinfo_answers(PLACES)) as (web, client):
        assert ask_ipinfo(folder, client=client).listed == 1
    assert batches(web) == [["81.1.1.2"]]
    assert stored(folder) == {"81.1.1.1": ("DE", "list"), "81.1.1.2": ("FR", "ipinfo")}


def test_without_the_source_nobody_is_asked(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1"])
    update_regions(folder, [written(tmp_path / "list", "9.0.0.0/8")])
    with ipinfo_server(monkeypatch, RUBBISH) as (web, client):
        assert ask_ipinfo(folder, client=client) == AskReport()
        label_requesters(folder)
        assert labels_of(folder, ids) == ["unknown"]
        update_regions(folder, ["ipinfo"])
        forget_addresses(folder)
        assert ask_ipinfo(folder, client=client) == AskReport()
    assert web.requests == []
    with pytest.raises(UsageError, match="given to a service"):
        update_regions(folder, ["VPN=ipinfo"])


def test_who_cannot_be_asked_any_more_stays_undetermined(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.add_requesters(folder, ["81.1.1.1"])
    update_regions(folder, ["ipinfo"])
    label_requesters(folder)
    (folder.path / "private" / "ips.sqlite").unlink()
    after = made.add_requesters(folder, ["81.1.1.2"])
    (folder.path / "private" / "ips.sqlite").unlink()
    with ipinfo_server(monkeypatch, RUBBISH) as (web, client):
        report = ask_ipinfo(folder, client=client)
    assert (report.asked, report.left, report.problem, web.requests) == (0, 1, None, [])
    assert (labels_of(folder, before), labels_of(folder, after)) == (["undetermined"], ["missing"])


def test_relabel_keeps_what_ipinfo_said(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "81.1.1.2", "81.1.1.4"])
    update_regions(folder, ["ipinfo"])
    with ipinfo_server(monkeypatch, ipinfo_answers(PLACES)) as (_, client):
        ask_ipinfo(folder, client=client)
    update_regions(folder, ["ipinfo", written(tmp_path / "list", "81.1.1.2 IT")])
    assert label_requesters(folder, relabel=True).changed == 1
    assert labels_of(folder, ids) == ["DE/Bavaria", "IT", "unknown"]
    # Somebody who takes ipinfo out of the sources does not want its labels.
    update_regions(folder, [written(tmp_path / "list", "81.1.1.2 IT")])
    label_requesters(folder, relabel=True)
    assert labels_of(folder, ids) == ["unknown", "IT", "unknown"]


def test_summaries_follow_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb")
    from python.access_support import line
    from tickline.store.store import Store

    def by_region(store: Store) -> list[tuple[str, int]]:
        store.summarize()
        rows = store.query("SELECT DISTINCT region, number_of_requests FROM by_region ORDER BY region")
        return list(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))

    log = tmp_path / "a.log"
    log.write_text("".join(line(n, ip=f"81.1.1.{1 + n % 2}") + "\n" for n in range(6)), "utf-8")
    with Store(tmp_path / "store") as store:
        store.ingest(log, settle_s=0)
        store.update_regions("ipinfo")
        assert by_region(store) == [("undetermined", 6)]
        for country in ("DE", "FR"):
            with ipinfo_server(monkeypatch, everybody(country)) as (_, client), store.folder.writing():
                ask_ipinfo(store.folder, client=client, limit=1)
        assert by_region(store) == [("DE", 3), ("FR", 3)]


# ---- a service that fails ----------------------------------------------------------------------------------


def test_a_quota_leaves_the_rest_undetermined_and_the_next_run_goes_on(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, many(250))
    update_regions(folder, ["ipinfo"])
    answered: list[Request] = []

    def until_the_quota(request: Request) -> Answer:
        answered.append(request)
        return status(429) if len(answered) > 1 else ok_json({ip: {"country": "DE"} for ip in request.json})

    with ipinfo_server(monkeypatch, until_the_quota) as (web, client):
        report = ask_ipinfo(folder, client=client)
        assert (report.asked, report.placed, report.left) == (100, 100, 150)
        assert str(report.problem).startswith(
            "ipinfo.io: the quota of the token is used up. Run it again later"
        )
        assert len(web.requests) == 3, "tried once more, and then not for the third hundred"
        label_requesters(folder)  # as `summarize` does
        assert labels_of(folder, ids) == ["DE"] * 100 + ["undetermined"] * 150
        web.requests.clear()
        web.scripts["/batch"] = everybody("FR")
        report = ask_ipinfo(folder, client=client)
    assert (report.asked, report.placed, report.left, report.problem) == (150, 150, 0, None)
    assert [address for batch in batches(web) for address in batch] == many(250)[100:]
    assert labels_of(folder, ids) == ["DE"] * 100 + ["FR"] * 150


def _answer(value: Any) -> Script:
    return lambda request: ok_json(dict.fromkeys(request.json, value))


FAILING: dict[str, tuple[Script, str]] = {
    "quota": (status(429), "quota"),
    "server error": (status(500, b"hush"), "answered 500"),
    "unknown token": (status(401, b"hush"), "does not know the token.*IPINFO_CREDENTIALS"),
    "no batches": (status(403), "does not let this token"),
    "gone": (status(404), "answered 404"),
    "a page to log in": (RUBBISH, "cannot be understood"),
    "half": (ok(b'{"81.1.1.1": {"country": "DE"'), "cannot be understood"),
    "cut": (ok(b'{"81.1.1.1": {"country": "DE"}}', cut_after=12), "cannot be reached, or cut its answer"),
    "no word": (NOTHING, "cannot be reached, or cut its answer"),
    "silence": (SILENCE, "in time"),
    "a list": (ok_json([1, 2]), "cannot be understood"),
    "null": (ok_json(None), "cannot be understood"),
    "nobody": (ok_json({}), "cannot be understood"),
    "others": (ok_json({"9.9.9.9": {"country": "DE"}}), "cannot be understood"),
    "another address": (_answer({"ip": "9.9.9.9", "country": "DE"}), "cannot be understood"),
    "a text each": (_answer("DE"), "cannot be understood"),
    "null each": (_answer(None), "cannot be understood"),
    "no text": (_answer({"country": "DE", "region": 7}), "cannot be understood"),
    "country null": (_answer({"country": None}), "cannot be understood"),
    "an error each": (_answer({"status": 429, "error": {"title": "hush"}}), "cannot be understood"),
    "elsewhere": (redirect("/other"), "cannot be understood"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_service_that_fails_gets_a_sentence_and_nothing_is_taken(
    case: str, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ids = made.add_requesters(folder, ["81.1.1.1", "81.1.1.2"])
    update_regions(folder, ["ipinfo"])
    script, message = FAILING[case]
    with ipinfo_server(monkeypatch, script) as (web, client):
        web.scripts["/other"] = everybody("DE")
        report = ask_ipinfo(folder, client=client)
    assert (report.asked, report.placed, report.left) == (0, 0, 2)
    assert report.problem is not None
    said = str(report.problem)
    assert said.startswith("ipinfo.io: ")
    assert re.search(message, said)
    for secret in (TOKEN, "81.1.1", "9.9.9.9", "hush", web.url):
        assert secret not in said
    assert not any(secret in caplog.text for secret in (TOKEN, "81.1.1"))
    assert "/other" not in web.paths(), "addresses are sent to nobody else"
    label_requesters(folder)
    assert labels_of(folder, ids) == ["undetermined"] * 2


def test_what_is_left_out_of_an_answer_is_asked_again(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, ["81.1.1.1", "81.1.1.2", "81.1.1.3"])
    update_regions(folder, ["ipinfo"])
    partly = ok_json(
        {"81.1.1.2": {"country": "FR"}, "81.1.1.3": {"error": "x"}, "7.7.7.7": {"country": "DE"}}
    )
    with ipinfo_server(monkeypatch, [partly, RUBBISH]) as (web, client):
        report = ask_ipinfo(folder, client=client)
        assert (report.asked, report.placed, report.left) == (3, 1, 2)
        ask_ipinfo(folder, client=client)
    assert batches(web)[1] == ["81.1.1.1", "81.1.1.3"]


def test_a_failure_that_passes_is_tried_again_after_growing_pauses(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    script = [status(503), NOTHING, status(429), ok_json({"81.1.1.1": {"country": "DE"}})]
    with ipinfo_server(monkeypatch, script, retries=3, wait=waited.append) as (web, client):
        assert client.ask(["81.1.1.1"]) == {"81.1.1.1": Place("DE")}
    assert (waited, len(web.requests)) == ([1.0, 2.0, 4.0], 4)
    with ipinfo_server(monkeypatch, status(401), wait=waited.append) as (web, client):
        with pytest.raises(IpinfoError):
            client.ask(["81.1.1.1"])
        assert len(web.requests) == 1


def test_addresses_go_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server({"*": ok_json({})}) as other:
        for code in (301, 302, 307, 308):
            refused = pytest.raises(IpinfoError, match="cannot be understood")
            with ipinfo_server(monkeypatch, redirect(f"{other.url}/batch", code)) as (_, client), refused:
                client.ask(["81.1.1.1"])
        assert other.requests == []


def test_a_server_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        ipinfo_server(monkeypatch, Answer(drip=b"H"), whole_s=0.2, retries=0) as (_, client),
        pytest.raises(IpinfoError, match="did not answer in time"),
    ):
        client.ask(["81.1.1.1"])


def test_a_run_that_is_killed_keeps_what_was_answered(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.add_requesters(folder, many(300))
    update_regions(folder, ["ipinfo"])

    class Killed(BaseException):
        pass

    class Client:
        def __init__(self) -> None:
            self.calls = 0

        def ask(self, addresses: list[str]) -> dict[str, Place]:
            self.calls += 1
            if self.calls == 3:
                raise Killed
            return dict.fromkeys(addresses, Place("DE"))

    with pytest.raises(Killed):
        ask_ipinfo(folder, client=Client())  # type: ignore[arg-type]
    assert len(folder.ledger.unlabelled()) == 100
    with ipinfo_server(monkeypatch, everybody("DE")) as (web, client):
        ask_ipinfo(folder, client=client)
    assert batches(web) == [many(300)[200:]]


# ---- the token ---------------------------------------------------------------------------------------------


def test_without_a_token_a_sentence_and_nobody_is_lost(folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "10.0.0.1"])
    update_regions(folder, ["ipinfo"])
    report = ask_ipinfo(folder)
    assert (report.listed, report.left) == (1, 1)
    assert str(report.problem).startswith("IPINFO_CREDENTIALS: asking ipinfo.io needs a token. Set it")
    assert labels_of(folder, ids) == [None, "bogon"]


def test_a_text_that_is_no_token_is_refused_and_not_shown() -> None:
    for wrong in ("a b-hush", "hush\n", "", "hü-hush", "x" * 201):
        with pytest.raises(TicklineError, match="is no token") as raised:
            Ipinfo(wrong)
        assert "hush" not in str(raised.value)


def test_the_first_of_two_variables_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPINFO_API_KEY", "second")
    monkeypatch.setenv("IPINFO_CREDENTIALS", TOKEN)
    with http_server({"/batch": everybody("DE")}) as web:
        monkeypatch.setattr("ipinfo.handler.API_URL", web.url)
        Ipinfo.from_environment().ask(["81.1.1.1"])
    assert web.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_without_the_package_a_sentence_names_the_extra(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPINFO_CREDENTIALS", TOKEN)
    monkeypatch.setitem(sys.modules, "ipinfo", None)
    made.add_requesters(folder, ["81.1.1.1"])
    update_regions(folder, ["ipinfo"])
    assert "tickline[regions]" in str(ask_ipinfo(folder).problem)
