"""Rules of reports and the calendars of exchanges: what they say, and what is refused with a sentence."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tickline.errors import TicklineError, UsageError
from tickline.pipelines.archive.report.calendar import Session, sessions_of
from tickline.pipelines.archive.report.rules import BUILT_IN, Rule, read_rule


def own(tmp_path: Path, text: str) -> Rule:
    path = tmp_path / "own.toml"
    path.write_text('extends = "finra-4590"\n' + text)
    return read_rule(str(path))


def utc(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp())


def test_the_rules_of_the_package_have_the_tolerances_of_their_texts() -> None:
    assert BUILT_IN == ("cat-6820", "finra-4590", "mifid-rts25")
    rules = {name: read_rule(name) for name in BUILT_IN}
    assert {name: rule.name for name, rule in rules.items()} == {name: name for name in BUILT_IN}
    tolerances = {name: rule.tolerance_s for name, rule in rules.items()}
    assert tolerances == {"cat-6820": 0.05, "finra-4590": 0.05, "mifid-rts25": 0.0001}
    years = {name: rule.retention_years for name, rule in rules.items()}
    assert years == {"cat-6820": 5, "finra-4590": 3, "mifid-rts25": 5}
    assert rules["cat-6820"].due == "03-15"
    for rule in rules.values():
        # Traceable sources are the user's own: no rule can name them.
        assert rule.sources is None
        assert dt.date.fromisoformat(rule.version) < dt.date(2026, 1, 1)
        assert all((rule.title, rule.citation, rule.text))


def test_a_rule_of_ones_own_lays_its_keys_over_those_it_extends(tmp_path: Path) -> None:
    rule = own(tmp_path, 'tolerance_s = 0.001\nsources = ["192.0.2.1", "2001:DB8::0:1", "PPS"]\n')
    assert rule == replace(
        read_rule("finra-4590"), name="own", tolerance_s=0.001, sources=("192.0.2.1", "2001:db8::1", "PPS")
    )
    (tmp_path / "further.toml").write_text('extends = "./own.toml"\nname = "further"\ngap_s = 60\n')
    assert read_rule(str(tmp_path / "further.toml")) == replace(rule, name="further", gap_s=60)


def test_what_a_report_shows_of_a_rule_are_plain_values(tmp_path: Path) -> None:
    shown = own(tmp_path, 'closed = [2026-03-06]\n[early]\n"2026-03-05" = "13:00"\n').as_json()
    assert shown["closed"] == ["2026-03-06"]
    assert shown["early"] == {"2026-03-05": "13:00"}
    assert shown["version"] == "2016-08-15"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tolerance_s = 0", "tolerance_s: 0 is no such number"),
        ("tolerance_s = true", "True is no such number"),
        ("tolerance_s = nan", "nan is no such number"),
        ("gap_s = 2.5", "gap_s: 2.5 is no such number. Write a whole number from 1 to 86400"),
        ("tolerance = 0.05", "tolerance: is no key that is known. Known are: extends, calendar"),
        ('version = "2016"', "version: '2016' is no date"),
        ('zone = "New York"', "zone: 'New York' is no time zone"),
        ('open = "9:30"', "open: '9:30' is no time of day"),
        ('open = "16:00"', "close: 16:00 is not after the open"),
        ('early = {"2026-11-27" = "09:00"}', "early: 09:00 is not after the open"),
        ('early = {"27.11." = "13:00"}', "early: '27.11.' is no date"),
        ("leap_seconds = [2026-12-31]", "leap_seconds: is no table"),
        ('leap_seconds = {"2026-12-31" = 1}', "leap_seconds.2026-12-31: 1 is no sign"),
        ('early = {"2026-11-27" = "1 pm"}', "early.2026-11-27: '1 pm' is no time of day"),
        ('closed = ["2026-11-26"]', "closed: holds something that is no date"),
        ("weekdays = [0]", "weekdays: is no list of days of the week"),
        ('sources = ["ntp.example.org"]', "sources: 'ntp.example.org' is no address"),
        ("sources = []", "sources: is an empty list"),
        ('due = "15 March"', "due: '15 March' is no day of a year"),
        ('title = ""', "title: is no text"),
        ("smear_ppm = 20", "smear_ppm: 20 is no such number. Write a number from 0.1 to 13.9"),
        ("stratum = 16", "stratum: 16 is no such number"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        own(tmp_path, text + "\n")
    assert message in str(error.value)
    assert "own.toml" in str(error.value)


def test_a_rule_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Known are: cat-6820, finra-4590, mifid-rts25"):
        read_rule("finra")
    with pytest.raises(UsageError, match="does not exist"):
        read_rule(str(tmp_path / "none.toml"))


def test_files_that_are_no_rules_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    for content, message in (
        (b"tolerance_s = ", "is no TOML"),
        (b"\xff", "is no text in UTF-8"),
        (b"tolerance_s = 0.05", "title: is missing"),
        (b'extends = "own.toml"', "extends itself"),
        (b"extends = 3", "is no name of a rule"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_rule(str(path))


def test_trading_hours_follow_summer_time() -> None:
    rule = read_rule("finra-4590")
    # Clocks go forward in New York on 8 March 2026, and back on 1 November.
    for day, open_s, close_s in (
        ("2026-03-06", "14:30", "21:00"),
        ("2026-03-09", "13:30", "20:00"),
        ("2026-10-30", "13:30", "20:00"),
        ("2026-11-02", "14:30", "21:00"),
    ):
        date = dt.date.fromisoformat(day)
        expected = Session(date, utc(f"{day} {open_s}"), utc(f"{day} {close_s}"))
        assert sessions_of(rule, date, date) == [expected]


def test_the_calendar_of_new_york_knows_closed_and_half_days() -> None:
    # From the exchange's own list for 2026 (holidays and early closings).
    closed = {"01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"}
    half = {"11-27", "12-24"}
    sessions = sessions_of(read_rule("finra-4590"), dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    dates = {session.date for session in sessions}
    first = dt.date(2026, 1, 1)
    weekdays = {day for n in range(365) if (day := first + dt.timedelta(days=n)).isoweekday() < 6}
    assert {f"{day:%m-%d}" for day in weekdays - dates} == closed
    short = {f"{one.date:%m-%d}" for one in sessions if one.close_s - one.open_s < 6.5 * 3600}
    assert short == half
    assert {one.close_s - one.open_s for one in sessions} == {3.5 * 3600, 6.5 * 3600}


def test_a_rule_may_have_days_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    rule = own(
        tmp_path,
        'calendar = "none"\nweekdays = [1, 6]\nclosed = [2026-03-07]\nopen = "00:00"\nclose = "24:00"\n'
        'zone = "Asia/Tokyo"\n[early]\n"2026-03-09" = "12:00"\n',
    )
    found = sessions_of(rule, dt.date(2026, 3, 2), dt.date(2026, 3, 9))
    assert found == [
        Session(dt.date(2026, 3, 2), utc("2026-03-01 15:00"), utc("2026-03-02 15:00")),
        Session(dt.date(2026, 3, 9), utc("2026-03-08 15:00"), utc("2026-03-09 03:00")),
    ]


def test_a_day_without_an_hour_is_as_long_as_it_is(tmp_path: Path) -> None:
    rule = own(tmp_path, 'calendar = "none"\nweekdays = [7]\nopen = "00:00"\nclose = "24:00"\n')
    [session] = sessions_of(rule, dt.date(2026, 3, 8), dt.date(2026, 3, 8))
    assert session.close_s - session.open_s == 23 * 3600


def test_without_the_package_a_calendar_is_asked_for_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    day = dt.date(2026, 3, 2)
    with pytest.raises(TicklineError, match=r"pip install 'tickline\[archive\]'.*calendar = \"none\""):
        sessions_of(read_rule("finra-4590"), day, day)


@pytest.mark.parametrize(
    ("name", "year", "message"),
    [
        ("XXXX", 2026, "'XXXX' is no calendar that is known"),
        ("XETR", 2015, "XETR is known from 2016 to"),
        ("XNYS", 2101, "XNYS is known from 1863 to"),
    ],
)
def test_calendars_end_somewhere(name: str, year: int, message: str) -> None:
    rule = replace(read_rule("finra-4590"), calendar=name)
    day = dt.date(year, 3, 2)
    with pytest.raises(UsageError, match=message):
        sessions_of(rule, day, day)
