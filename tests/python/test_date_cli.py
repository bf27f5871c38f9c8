"""``tickline date``: arguments and standard input, to numbers and back; what is none is a sentence."""

from __future__ import annotations

import pytest

from python.access_support import run

SAMPLE = 1663667649353089024  # 1549411238.5 * 2^30


def lines(*arguments: object, stdin: bytes = b"") -> list[str]:
    done = run(*arguments, stdin=stdin, check=0)
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("arguments", [["date"], ["date", "--help"], ["date", "encode", "--help"]])
def test_there_is_help_with_examples(arguments: list[str]) -> None:
    done = run(*arguments)
    text = (done.stdout + done.stderr).decode()
    assert "Usage:" in text
    if arguments[-1] == "--help":
        assert done.returncode == 0
    if "encode" in arguments:
        assert f"tickline date encode 2019-02-06T00:00:38.5Z prints {SAMPLE}" in text
        assert "--unit" in text


def test_the_examples_of_the_help_are_true() -> None:
    assert lines("date", "encode", "2019-02-06T00:00:38.5Z") == [str(SAMPLE)]
    assert lines("date", "encode", "--unit", "ms", "1549411238500") == [str(SAMPLE)]
    assert lines("date", "decode", SAMPLE) == ["2019-02-06T00:00:38.500000000Z"]
    text = run("date", "decode", "--help", check=0).stdout.decode()
    assert f"--as ns {SAMPLE:#x}" in text
    assert lines("date", "decode", "--as", "ns", f"{SAMPLE:#x}") == ["1549411238500000000"]


def test_every_form_of_a_time_is_read() -> None:
    forms = ["2019-02-06 00:00:38.5", "1549411238.5", "2019-02-06T01:00:38.5+01:00"]
    assert lines("date", "encode", *forms) == [str(SAMPLE)] * 3
    assert lines("date", "encode", "[06/Feb/2019:00:00:38 +0000]") == [str(SAMPLE - 2**29)]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("iso", "2019-02-06T00:00:38.500000000Z"),
        ("chrony", "2019-02-06 00:00:38.500000000"),
        ("s3", "[06/Feb/2019:00:00:38 +0000]"),
        ("s", "1549411238.5"),
        ("ms", "1549411238500"),
        ("us", "1549411238500000"),
        ("ns", "1549411238500000000"),
    ],
)
def test_every_form_is_written(form: str, text: str) -> None:
    assert lines("date", "decode", "--as", form, SAMPLE) == [text]


def test_lines_of_standard_input_come_back_in_their_order() -> None:
    times = [f"2019-02-06T00:{minute:02d}:38.000000{minute:03d}Z" for minute in range(60)]
    numbers = lines("date", "encode", stdin="\r\n".join(times).encode())
    assert numbers == sorted(numbers, key=int)
    assert lines("date", "decode", stdin="\n".join(numbers).encode()) == times
    assert lines("date", "decode", stdin=b"") == []


def test_a_bad_line_is_named_after_the_good_ones_were_answered() -> None:
    done = run("date", "encode", stdin=b"1549411238.5\n1549411238.5\nsome\x1bthing\xff\n5\n", check=1)
    assert done.stdout.decode().splitlines() == [str(SAMPLE)] * 2
    text = done.stderr.decode()
    assert text.startswith(
        "tickline: standard input, line 3: 'some\\x1bthing\\udcff' is no time. Write it like"
    )
    done = run("date", "decode", stdin=f"{SAMPLE}\n\n".encode(), check=1)
    assert b"standard input, line 2: '' is no number" in done.stderr
    done = run("date", "decode", stdin=b"x" * 5_000_000, check=1)
    assert len(done.stderr) < 500


def test_a_bad_argument_is_named_and_nothing_is_printed() -> None:
    done = run("date", "encode", "1549411238.5", "2019-02-30T00:00:00", check=2)
    assert done.stdout == b""
    assert b"argument 2: '2019-02-30T00:00:00' is no time" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["encode", "1969-12-31T23:59:59Z"], "argument 1: ns = -1000000000 lies outside of FastDate64: 1970"),
        (["encode", "2600-01-01T00:00:00Z"], "2514-05-30T01:53:03.999999999"),
        (["decode", "18446744073709551616"], "no unsigned number of 64 bits"),
        (["decode", "1_000"], "is no number"),
        (["decode", "-5"], ""),
        (["decode", "0x"], "is no number"),
        (["decode", "9" * 5000], "is no number"),
        (["encode", "--unit", "h", "5"], "--unit: 'h' is none. Choose from: s, ms, us, ns."),
        (["decode", "--as", "rfc", "5"], "--as: 'rfc' is none. Choose from: iso, chrony, s3"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str) -> None:
    done = run("date", *arguments, check=2)
    assert done.stdout == b""
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
