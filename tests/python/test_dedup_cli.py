"""``tickline dedup``: byte-exact, in order, from files and pipes, and a sentence before memory runs out."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from python.access_support import command, environment, run
from reference.dedup_reference import split, unique, without_repeats
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.dedup import DedupOptions, dedup_files, memory_limit

# Not ru_maxrss, which begins with what the parent had.
TELL_PEAK = """
import atexit, pathlib, sys
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
from tickline.__main__ import main
main()
"""
BUFFERS = st.one_of(st.text("ab\n\r ").map(str.encode), st.binary().map(lambda data: b"-" + data))


def many_lines(count: int, length: int = 140) -> bytes:
    """Return distinct lines."""
    return b"".join(b"%0*d\n" % (length, i * 7919) for i in range(count))


@pytest.mark.parametrize("approximate", [False, True])
@settings(max_examples=50)
@given(buffers=st.lists(BUFFERS, min_size=1, max_size=4))
def test_what_is_written_is_what_the_reference_writes(
    tmp_path_factory: pytest.TempPathFactory, approximate: bool, buffers: list[bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    paths = [folder / f"cli-{approximate}-{number}" for number in range(len(buffers))]
    for path, buffer in zip(paths, buffers, strict=True):
        path.write_bytes(buffer)
    pieces: list[bytes] = []
    outcome = dedup_files([str(path) for path in paths], pieces.append, DedupOptions(approximate=approximate))
    assert b"".join(pieces) == without_repeats(buffers)
    assert outcome.lines == sum(len(split(buffer)) for buffer in buffers)
    assert outcome.different == len(unique(buffers))
    if not approximate:
        counted: list[bytes] = []
        dedup_files([str(path) for path in paths], counted.append, DedupOptions(count=True))
        assert b"".join(counted) == b"".join(b"%d\t%s\n" % (n, line) for line, n, _ in unique(buffers))


def test_a_file_without_repeats_comes_out_as_it_is(tmp_path: Path) -> None:
    text = many_lines(50_000) + b"\xff\0\x0b\r\n" + b"x" * 1_000_000 + b"\r\n\nunfinished"
    (tmp_path / "log").write_bytes(text)
    assert run("dedup", tmp_path / "log", check=0).stdout == text
    assert run("dedup", "--approximate", tmp_path / "log", check=0).stdout == text


def test_packed_files_pipes_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"b\na\n"))
    (tmp_path / "b.zst").write_bytes(zstandard.compress(b"c\nb\n"))
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", 'printf "d\\na\\n" > "$1"', "sh", tmp_path / "pipe"])
    files = [tmp_path / name for name in ("a.gz", "b.zst", "pipe")]
    done = run("dedup", *files, "-", stdin=b"e\nd", check=0)
    assert writer.wait() == 0
    assert done.stdout == b"b\na\nc\nd\ne\n"
    assert done.stderr == b""
    assert run("dedup", stdin=b"b\nb\na", check=0).stdout == b"b\na"
    assert run("dedup", "--count", stdin=gzip.compress(b"b\nb\na"), check=0).stdout == b"2\tb\n1\ta\n"


def test_lines_are_written_as_they_come() -> None:
    with subprocess.Popen(
        command("dedup"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for _ in range(2):
            running.stdin.write(many_lines(3))
            running.stdin.flush()
        assert running.stdout.read(3 * 141) == many_lines(3)
        # Whoever reads may go away, and then it ends without a word.
        running.stdout.close()
        running.stdin.write(b"something new\n")
        running.stdin.close()
        assert running.stderr is not None
        assert running.stderr.read() == b""
        assert running.wait() == 1


def test_approximate_says_its_odds(tmp_path: Path) -> None:
    done = run("dedup", "--approximate", stdin=b"a\nb\na\n", check=0)
    told = b"tickline: 2 different lines of 3; the chance that any was taken for another is 5.4e-20.\n"
    assert done.stderr == told
    assert run("dedup", "--approximate", "--quiet", stdin=b"a\n", check=0).stderr == b""


@pytest.mark.parametrize("option", [[], ["--approximate"], ["--count"]])
def test_it_gives_up_with_a_sentence_before_memory_runs_out(option: list[str], tmp_path: Path) -> None:
    # 70 MB are left for the lines: 170 bytes each, or 32 of fingerprints in the moment in which they grow.
    length = 9 if "--approximate" in option else 140
    feed = "import sys\nfor i in range(0, 3_500_000, 100_000):\n sys.stdout.buffer.write("
    feed += f"b''.join(b'%0{length}d\\n' % j for j in range(i, i + 100_000)))"
    with (
        (tmp_path / "out").open("wb") as out,
        (tmp_path / "told").open("wb") as told_file,
        subprocess.Popen([sys.executable, "-c", feed], stdout=subprocess.PIPE, stderr=told_file) as source,
    ):
        running = subprocess.run(
            [sys.executable, "-c", TELL_PEAK, "dedup", "--memory", "150MB", *option],
            stdin=source.stdout,
            stdout=out,
            stderr=told_file,
            env=environment(),
            check=False,
        )
        source.kill()
    told = (tmp_path / "told").read_text()
    assert running.returncode == 1, told
    assert "different lines before are all that 150 MB hold" in told
    assert "Use more --memory, " in told
    written = (tmp_path / "out").stat().st_size
    if option == ["--count"]:
        assert "Nothing was written" in told
        assert "uniq -c" in told
        assert written == 0
    else:
        assert "What was written is incomplete" in told
        assert ("--approximate" in told) == (option == [])
        assert "sort -u" in told
        assert written > 30_000_000
    peak = next(int(line.split()[1]) * 1024 for line in told.splitlines() if line.startswith("VmHWM:"))
    assert 60e6 < peak < 150e6


def test_repeats_need_no_memory(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(many_lines(1000) * 1500)
    assert run("dedup", "--memory", "150MB", tmp_path / "log", check=0).stdout == many_lines(1000)


def test_where_the_system_gives_no_memory_it_is_the_same_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    (tmp_path / "log").write_bytes(b"a\n")
    monkeypatch.setattr("tickline.pipelines.dedup.take_lines", no_memory)
    with pytest.raises(TicklineError, match="all that 2,000 MB hold"):
        dedup_files([str(tmp_path / "log")], bytearray().extend, DedupOptions())


def test_a_line_that_is_no_line_is_a_sentence(tmp_path: Path) -> None:
    with (tmp_path / "zeros").open("wb") as zeros:
        zeros.truncate(300_000_000)
    for option in ([], ["--count"], ["--approximate"]):
        done = run("dedup", *option, tmp_path / "zeros", check=1)
        assert "zeros: line 1 has 300,000,000 bytes" in done.stderr.decode()
        assert done.stdout == b""


def test_limits_of_memory() -> None:
    assert memory_limit("300MB") == 300_000_000
    assert memory_limit(None) <= 2_000_000_000
    with pytest.raises(UsageError, match="150MB"):
        memory_limit("10MB")
    with pytest.raises(UsageError, match="more than this machine has"):
        memory_limit("100000GB")


def test_a_missing_file_is_told_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\n")
    done = run("dedup", tmp_path / "log", tmp_path / "nothing", check=1)
    assert done.stdout == b""
    assert "nothing: does not exist" in done.stderr.decode()
    assert "is a folder" in run("dedup", tmp_path, check=1).stderr.decode()


def test_help_and_wrong_usage(tmp_path: Path) -> None:
    text = run("dedup", "--help", check=0).stdout.decode()
    for word in ("--count", "--approximate", "--memory", "tickline dedup monday.log.gz", "--quiet"):
        assert word in text
    assert "install-completion" not in text
    assert "dedup" in run("--help", check=0).stdout.decode()
    assert "No such option" in run("dedup", "--nonsense", check=2).stderr.decode()
    both = run("dedup", "--count", "--approximate", stdin=b"", check=2).stderr.decode()
    assert "--count: counts are written with their lines" in both
