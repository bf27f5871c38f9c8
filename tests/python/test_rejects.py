"""The list of rejected lines, its redaction, and the file of them that may be sent away."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python.access_support import OWNER, line, log, options, run
from tickline.errors import UsageError
from tickline.pipelines.access.reduce.anonymize import Anonymizer, export_rejects
from tickline.pipelines.access.reduce.reduce import reduce
from tickline.pipelines.access.reduce.rejects import MAX_TEXT_BYTES, escape, redact, unescape

URL = (
    "GET /k?X-Amz-Credential=AKIAEXAMPLE%2F20240501&X-Amz-Signature=0123abcdef"
    "&X-Amz-Security-Token=IQoJb3Jp//8 HTTP/1.1"
)
BAD_LINES = [
    line(1)[:200],
    line(2).replace("[01/May/2024", "[41/May/2024"),
    line(3).replace("REST.GET.OBJECT", "rest.get"),
    line(4).replace('"GET', "GET", 1),
    line(5, size="99999999999999999999999"),
    line(6)[:150] + line(7),
    line(8, ip="198.51.100.77").replace(' "-" "agent', f' "{URL}" "agent')[:-60] + '"x',
    "2001:db8::dead:beef and 10.20.30.40 are no log",
    "\x00\x01\tbinary \\ ü",
]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.log").write_bytes(log(0, 3) + "\n".join(BAD_LINES).encode() + b"\n" + log(3, 5))
    reduce(options(tmp_path / "raw", tmp_path / "out", rejects=str(tmp_path / "plain.tsv")))
    reduce(options(tmp_path / "raw", tmp_path / "out", rejects=str(tmp_path / "text.tsv"), with_text=True))
    return tmp_path


def cells(path: Path) -> list[list[str]]:
    return [text.split("\t") for text in path.read_text("utf-8").removesuffix("\n").split("\n")]


def test_every_rejected_line_is_listed_with_its_place(listed: Path) -> None:
    header, *found = cells(listed / "plain.tsv")
    assert header == ["source", "line", "offset", "length", "reason"]
    whole = (listed / "raw/a.log").read_bytes()
    assert [int(row[1]) for row in found] == list(range(4, 4 + len(BAD_LINES)))
    for row, text in zip(found, BAD_LINES, strict=True):
        assert row[0] == "a.log"
        assert whole[int(row[2]) :][: int(row[3])] == text.encode()


def test_no_text_is_written_unless_asked_for(listed: Path) -> None:
    assert OWNER not in (listed / "plain.tsv").read_text()
    assert OWNER in (listed / "text.tsv").read_text()


def test_secrets_and_addresses_are_not_in_the_text(listed: Path) -> None:
    text = (listed / "text.tsv").read_text("utf-8")
    for secret in (
        "AKIAEXAMPLE",
        "0123abcdef",
        "IQoJb3Jp",
        "198.51.100",
        "dead:beef",
        "10.20.30.40",
        "192.0.2",
    ):
        assert secret not in text
    assert "01/May/2024:00:00:01" in text
    assert len({len(row) for row in cells(listed / "text.tsv")}) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[06/Feb/2019:00:00:38 +0000]", "[06/Feb/2019:00:00:38 +0000]"),
        ("192.0.2.3", "000.0.0.0"),
        ("x=192.0.2.3&", "x=000.0.0.0&"),
        ("2001:db8::1", "0000:000::0"),
        ("/2001%3Adb8%3A%3A1/", "/0000%3A000%3A%3A0/"),
        ("::ffff:192.0.2.3", "::0000:000.0.0.0"),
        ("1:2:3:4:5:6:7:8", "0:0:0:0:0:0:0:0"),
        ("Mozilla/5.0 12:34:56", "Mozilla/5.0 12:34:56"),
        ("?x-amz-signature=ab%2Fc&a=1", "?x-amz-signature=XXXXXX&a=1"),
        ("X-Amz-Credential%3Dabc def", "X-Amz-Credential%3DXXX def"),
        ("AWSAccessKeyId=AKIA&Signature=abc%3D&Expires=1", "AWSAccessKeyId=XXXX&Signature=XXXXXX&Expires=1"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host"),
        ("X%2DAmz%252DSignature%25253Dabc", "X%2DAmz%252DSignature%25253DXXX"),
        ('{"X-Amz-Signature":"abc"}', '{"X-Amz-Signature":"XXX"}'),
        ("x-amz-security-token: abc", "x-amz-security-token: XXX"),
        ("%26Signature%3Dabc", "%26Signature%3DXXX"),
        ("AKIAIOSFODNN7EXAMPLE", "X" * 20),
        ("192%2E0%2E2%2E7 192%252E0%252E2%252E7", "000%2E0%2E0%2E0 000%252E0%252E0%252E0"),
        ("a..192.0.2.7.nip.io", "a..000.0.0.0.nip.io"),
        ("1.192.0.2.7", "0.000.0.0.0"),
        ("ec2-192-0-2-7.compute", "ec2-000-0-0-0.compute"),
        ("2024-05-01-00-12-33-0123456789ABCDEF", "2024-05-01-00-12-33-0123456789ABCDEF"),
        ("2001%25253Adb8%25253A%25253A1", "0000%25253A000%25253A%25253A0"),
    ],
)
def test_redaction(before: str, after: str) -> None:
    assert redact(before.encode()) == after.encode()


@given(st.binary(max_size=200))
def test_redaction_keeps_every_byte_in_its_place(data: bytes) -> None:
    assert len(redact(data)) == len(data)


@given(st.binary(max_size=200))
def test_a_cell_holds_any_bytes_and_gives_them_back(data: bytes) -> None:
    cell = escape(data)
    assert not set(cell) & set("\t\n\r\0")
    assert unescape(cell) == data


def test_a_long_text_is_capped_and_keeps_its_length(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x" * 200_000 + b"\n")
    reduce(options(tmp_path / "a.log", tmp_path / "out", rejects=str(tmp_path / "r.tsv"), with_text=True))
    row = cells(tmp_path / "r.tsv")[1]
    assert row[3] == "200000"
    assert len(row[5]) == MAX_TEXT_BYTES


def test_offsets_of_a_compressed_source_are_those_of_its_content(tmp_path: Path) -> None:
    data = log(0, 3000) + b"bad\n" + log(3000, 6000) + b"worse\n"
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(data))
    reduce(options(tmp_path / "a.log.gz", tmp_path / "out", rejects=str(tmp_path / "r.tsv")))
    found = [(int(row[1]), int(row[2])) for row in cells(tmp_path / "r.tsv")[1:]]
    assert found == [(3001, data.index(b"bad\n")), (6002, data.index(b"worse\n"))]


def test_the_exported_lines_fail_for_the_same_reasons_and_hold_nothing_of_the_old(listed: Path) -> None:
    for name in ("plain.tsv", "text.tsv"):
        out = listed / f"{name}.log"
        result = export_rejects(listed / name, out, raw=listed / "raw")
        assert (result.written, result.same_reason) == (len(BAD_LINES), len(BAD_LINES))
        text = out.read_bytes()
        assert [len(part) for part in text.split(b"\n")[:-1]] == [len(part.encode()) for part in BAD_LINES]
        for secret in (OWNER, "openlogs", "REQUEST00", "blobs", "AKIAEXAMPLE", "0123abcdef", "198.51",
        "dead:beef",
                       "192.0.2.", "10.20.30", "hostid", "agent"):  # fmt: skip
            assert secret.encode() not in text
        reduce(options(out, listed / "again", rejects=str(listed / "again.tsv")))
        assert [row[4] for row in cells(listed / "again.tsv")[1:]] == [
            row[4] for row in cells(listed / name)[1:]
        ]


def test_the_same_value_becomes_the_same_value_within_a_file_and_another_in_the_next() -> None:
    first, second = Anonymizer(), Anonymizer()
    one = first.line(line(1).encode()).split(b" ")
    two = first.line(line(2).encode()).split(b" ")
    assert one[:2] == two[:2]
    assert one[4] != two[4]
    assert second.line(line(1).encode()).split(b" ")[:2] != one[:2]


def test_what_makes_a_line_fail_is_kept() -> None:
    text = (
        f"{OWNER} bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 arn:aws:iam::123456789012:user/Joe "
        '3E57427F3EXAMPLE REST.GET.VERSIONING my/Key7 "GET /bücket?a=b HTTP/1.1" 403 AccessDenied 113 - 7 - '
        '"-" "S3Console/0.4" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuN SigV4 ECDHE-RSA-AES128-GCM-SHA256 '
        "AuthHeader bucket.s3.us-west-1.amazonaws.com TLSv1.2 - Yes"
    )
    made = Anonymizer(b"k" * 32).line(text.encode())
    assert len(made) == len(text.encode())
    tokens = made.split(b" ")
    for number, token in enumerate(text.encode().split(b" ")):
        if number in (2, 3, 7, 9, 11, 12, 13, 14, 15, 16, 17, 18, 20, 22, 24, 26, 27, 28):
            assert tokens[number] == token
        else:
            assert tokens[number] != token
            assert [byte in b'"-/.:?=+' for byte in tokens[number]] == [byte in b'"-/.:?=+' for byte in token]
    assert b"123456789012" not in made
    made.decode("utf-8")


@given(st.binary(max_size=300))
def test_any_bytes_keep_their_length_blanks_and_quotes(data: bytes) -> None:
    made = Anonymizer(b"k").line(data)
    assert len(made) == len(data)
    for byte in b' "[]\n':
        assert [place for place, value in enumerate(made) if value == byte] == [
            place for place, value in enumerate(data) if value == byte
        ]


def test_the_command_writes_the_file_and_says_what_it_holds(listed: Path) -> None:
    done = run(
        "access", "rejects", "export", listed / "text.tsv", "--out", listed / "x.log", "--anonymize", check=0
    )
    assert f"{len(BAD_LINES)} lines written".encode() in done.stdout
    more = ["--out", listed / "y.log", "--raw", listed / "raw"]
    done = run("access", "rejects", "export", listed / "plain.tsv", *more, check=0)
    assert b"use --anonymize" in done.stdout
    assert (listed / "y.log").read_bytes() == "\n".join(BAD_LINES).encode() + b"\n"


def test_a_list_without_texts_whose_source_is_gone_says_so(listed: Path) -> None:
    done = run(
        "access", "rejects", "export", listed / "plain.tsv", "--out", listed / "x.log", "--anonymize", check=0
    )
    assert b"0 lines written" in done.stdout
    assert b"a.log: does not exist" in done.stdout


def test_something_else_than_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"timestamp\tip_address\n")
    with pytest.raises(UsageError, match="no list of rejected lines"):
        export_rejects(tmp_path / "a.tsv", tmp_path / "out.log")
    assert not (tmp_path / "out.log").exists()
