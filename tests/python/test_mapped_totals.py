"""Totals and tables of the archive from a mapped tree on disk: the old program's own, or ours."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.mapped.summaries import (
    field,
    natural_key,
    read_sums,
    rows_of,
    write_archive_summaries,
)
from tickline.pipelines.access.mapped.totals import totals_of, write_archive_totals, write_dataset_totals
from tickline.pipelines.access.state import lock

DAYS = "dandiset_summary_by_day.tsv"
REGIONS = "dandiset_summary_by_region.tsv"
WRITERS = [write_archive_summaries, write_dataset_totals, write_archive_totals]


def _dandiset(mapped: Path, name: str, days: dict[str, int], regions: dict[str, int]) -> None:
    (mapped / name / "draft").mkdir(parents=True)
    for file, column, sums in ((DAYS, "date", days), (REGIONS, "region", regions)):
        rows = "".join(f"{text}\t{number}\n" for text, number in sums.items())
        (mapped / name / file).write_text(f"{column}\tbytes_sent\n{rows}")


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    """Return a tree of two dandisets, as the old program leaves it, and a file that is none of its own."""
    _dandiset(
        tmp_path,
        "000003",
        {"2022-03-16": 1746, "2022-05-04": 512},
        {"AWS/us-east-2": 1234, "GCP/us-central1": 512, "unknown": 512},
    )
    _dandiset(
        tmp_path,
        "000013",
        {"2021-04-24": 43, "2022-05-04": 100},
        {"US/Ohio": 100, "AWS/us-east-10": 40, "VPN": 2, "GitHub": 1},
    )
    (tmp_path / "notes.txt").write_text("not ours")
    return tmp_path


def test_tables_of_the_archive_are_sums_in_natural_order(mapped: Path) -> None:
    written = write_archive_summaries(mapped)
    assert [path.name for path in written] == ["archive_summary_by_day.tsv", "archive_summary_by_region.tsv"]
    assert (mapped / "archive_summary_by_day.tsv").read_text() == (
        "date\tbytes_sent\n2021-04-24\t43\n2022-03-16\t1746\n2022-05-04\t612\n"
    )
    assert (mapped / "archive_summary_by_region.tsv").read_text() == (
        "region\tbytes_sent\nAWS/us-east-2\t1234\nAWS/us-east-10\t40\nGCP/us-central1\t512\n"
        "GitHub\t1\nUS/Ohio\t100\nVPN\t2\nunknown\t512\n"
    )


def test_totals_repeat_the_old_countries_or_count_real_ones(mapped: Path) -> None:
    write_dataset_totals(mapped, "strict")
    path = mapped / "all_dandiset_totals.json"
    # As json.dump writes it. AWS/us-east-2 is in the country US, GCP/us-central1 in GCP.
    assert path.read_text() == (
        '{"000003": {"total_bytes_sent": 2258, "number_of_unique_regions": 3, '
        '"number_of_unique_countries": 2}, '
        '"000013": {"total_bytes_sent": 143, "number_of_unique_regions": 4, "number_of_unique_countries": 1}}'
    )
    write_dataset_totals(mapped, "fixed")
    assert json.loads(path.read_text()) == {
        "000003": {
            "total_bytes_sent": 2258,
            "number_of_unique_regions": 2,
            "number_of_unique_countries": 0,
        },
        "000013": {"total_bytes_sent": 143, "number_of_unique_regions": 2, "number_of_unique_countries": 1},
    }


def test_totals_of_the_archive_are_those_of_its_tables(mapped: Path) -> None:
    write_archive_summaries(mapped)
    assert write_archive_totals(mapped, "strict") == [mapped / "archive_totals.json"]
    assert (mapped / "archive_totals.json").read_text() == (
        '{"total_bytes_sent": 2401, "number_of_unique_regions": 7, "number_of_unique_countries": 2}'
    )


@pytest.mark.parametrize(
    ("labels", "strict", "fixed"),
    [
        (["AWS/eu-west-1", "AWS/eu-west-2"], (2, 1), (2, 0)),
        (["AWS/GLOBAL", "GCP/global"], (2, 2), (2, 0)),
        (["VPN", "GitHub", "unknown", "bogon", "missing"], (5, 0), (0, 0)),
        (["DE/Bayern", "DE/Berlin", "FR"], (3, 2), (3, 2)),
        # The old program stops at these two.
        (["Bavaria", "IT/Trentino-Alto Adige/S\u00fcdtirol"], (2, 1), (1, 1)),
        ([], (0, 0), (0, 0)),
    ],
)
def test_regions_and_countries(labels: list[str], strict: tuple[int, int], fixed: tuple[int, int]) -> None:
    regions = dict.fromkeys(labels, 1)
    for compat, expected in (("strict", strict), ("fixed", fixed)):
        found = totals_of(regions, compat)
        assert tuple(found.values()) == (len(labels), *expected), compat


def test_nothing_is_written_twice(mapped: Path) -> None:
    for write in WRITERS:
        assert write(mapped)
        assert write(mapped) == []


def test_line_ends_of_another_system_do_no_harm(mapped: Path) -> None:
    write_archive_summaries(mapped)
    before = (mapped / "archive_summary_by_region.tsv").read_bytes()
    for path in mapped.glob("*/*.tsv"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert write_archive_summaries(mapped) == []
    assert (mapped / "archive_summary_by_region.tsv").read_bytes() == before


def test_folders_are_called_by_their_dandisets_where_names_say_so(mapped: Path) -> None:
    _dandiset(mapped, "%2E%2E%2Fup", {"2022-01-01": 5}, {"VPN": 5})
    (mapped / "names.tsv").write_text(
        "file\tdandiset\tversion\tasset_path\n%2E%2E%2Fup\t../up\t\t\n%2E%2E%2Fup/x_nwb.tsv\t../up\tdraft\tx.nwb\n"
    )
    write_dataset_totals(mapped)
    assert list(json.loads((mapped / "all_dandiset_totals.json").read_text())) == [
        "../up",
        "000003",
        "000013",
    ]
    # Somebody else's file of that name says nothing.
    (mapped / "names.tsv").write_text("%2E%2E%2Fup\t../up\n")
    write_dataset_totals(mapped)
    assert "%2E%2E%2Fup" in json.loads((mapped / "all_dandiset_totals.json").read_text())


DAMAGES = {
    "is missing": (None, "does not exist"),
    "is empty": (b"", "does not name the columns"),
    "has another header": (b"country\tbytes_sent\nVPN\t1\n", "line 1 does not name the columns"),
    "is cut in a line": (b"region\tbytes_sent\nAWS/us-east-2\t1234\nGCP/us-ce", "line 3 has no end"),
    "is cut in a number": (b"region\tbytes_sent\nAWS/us-east-2\t12", "line 2 has no end"),
    "is cut between lines": (
        b"region\tbytes_sent\nAWS/us-east-2\t1234\n",
        "2258 bytes by day and 1234 by region",
    ),
    "has a column too many": (b"region\tbytes_sent\nVPN\t1\t2\n", "line 2 has 3 columns, not 2"),
    "has a blank line": (b"region\tbytes_sent\n\n", "line 2 has 0 columns, not 2"),
    "has no number": (b"region\tbytes_sent\nVPN\t1e3\n", "line 2 has no number of bytes"),
    "has a negative number": (b"region\tbytes_sent\nVPN\t-3\n", "line 2 has no number of bytes"),
    "has too large a number": (b"region\tbytes_sent\nVPN\t18446744073709551616\n", "line 2 has no number"),
    "has no region": (b"region\tbytes_sent\n\t5\n", "line 2 has no region"),
    "has a quote too many": (b'region\tbytes_sent\n"VPN\t5\n', "cannot be read"),
    "is no text": (b"region\tbytes_sent\n\xff\t5\n", "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_table_nothing_is_written(mapped: Path, damage: str) -> None:
    content, says = DAMAGES[damage]
    path = mapped / "000003" / REGIONS
    path.unlink() if content is None else path.write_bytes(content)
    before = {found: found.read_bytes() for found in mapped.rglob("*.*") if found.is_file()}
    for write in (write_archive_summaries, write_dataset_totals):
        with pytest.raises(SourceError) as caught:
            write(mapped)
        assert says in str(caught.value)
        assert "000003" in str(caught.value)
    after = {found: found.read_bytes() for found in mapped.rglob("*.*") if found.is_file()}
    assert after == before


def test_a_day_that_is_none_is_refused(mapped: Path) -> None:
    (mapped / "000003" / DAYS).write_text("date\tbytes_sent\n2022-3-16\t2258\n")
    with pytest.raises(SourceError, match="line 2 has no date"):
        write_archive_summaries(mapped)


def test_totals_of_the_archive_need_both_of_its_tables(mapped: Path) -> None:
    with pytest.raises(SourceError, match=r"archive_summary_by_day\.tsv: does not exist"):
        write_archive_totals(mapped)
    write_archive_summaries(mapped)
    path = mapped / "archive_summary_by_region.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(SourceError, match="2401 bytes by day and 1889 by region"):
        write_archive_totals(mapped)
    assert not (mapped / "archive_totals.json").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_is_none_is_refused_and_not_made(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="is no folder"):
        write(tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_an_archive_without_dandisets_has_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no dandisets"):
        write_archive_summaries(tmp_path)
    with pytest.raises(UsageError, match="holds no dandisets"):
        write_dataset_totals(tmp_path)
    assert not (tmp_path / "all_dandiset_totals.json").exists()


def test_two_runs_do_not_write_at_once(mapped: Path) -> None:
    descriptor = lock(mapped)
    try:
        with pytest.raises(TicklineError, match="another run is writing"):
            write_archive_summaries(mapped)
    finally:
        os.close(descriptor)


def test_sums_beyond_64_bits_are_refused(mapped: Path) -> None:
    for name in ("a", "b"):
        _dandiset(mapped, name, {"2022-01-01": 2**63}, {"VPN": 2**63})
    with pytest.raises(SourceError, match="2\\*\\*64"):
        write_archive_summaries(mapped)


def test_digits_sort_as_numbers() -> None:
    names = ["a1", "a01b", "a2", "a10", "a", "AWS/eu-west-10", "AWS/eu-west-9", "9", "10", "", "b"]
    ordered = ["", "9", "10", "AWS/eu-west-9", "AWS/eu-west-10", "a", "a1", "a01b", "a2", "a10", "b"]
    assert sorted(names, key=natural_key) == ordered
    # Longer than what int() takes.
    assert natural_key("1" * 9999) < natural_key("2" * 9999) < natural_key("1" * 10_000)


@given(st.lists(st.text("aZ\u00fcu\u030809\u0663-/ ", max_size=6)), st.integers())
def test_the_natural_order_does_not_depend_on_the_order_before(texts: list[str], seed: int) -> None:
    mixed = texts[:]
    random.Random(seed).shuffle(mixed)
    keys = [natural_key(text) for text in sorted(texts, key=natural_key)]
    assert keys == [natural_key(text) for text in sorted(mixed, key=natural_key)]


@given(st.dictionaries(st.text(min_size=1).filter(str.isprintable), st.integers(0, 2**64 - 1)))
def test_a_written_table_reads_back(tmp_path_factory: pytest.TempPathFactory, sums: dict[str, int]) -> None:
    path = tmp_path_factory.getbasetemp() / "table.tsv"
    path.write_bytes(b"".join(rows_of("region", sums.items())))
    assert read_sums(path, "region") == sums


def test_only_what_would_break_a_line_is_quoted() -> None:
    assert field("a b,'c") == "a b,'c"
    assert field('say "hi"') == '"say ""hi"""'
    assert field("a\tb") == '"a\tb"'
