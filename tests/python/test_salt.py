"""The salt of the old caches: made of the first line of the first log, and read from the environment."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
import zstandard

from tickline.errors import SourceError, TicklineError
from tickline.pipelines.access.regions.salt import ENVIRONMENT, load_salt, make_salt


def old_salt(path: Path) -> str:
    """Do what get_hash_salt of dandi_s3_log_parser 0.4.2 does."""
    with path.open(encoding="utf-8") as file:
        return hashlib.sha1(bytes(file.readline(), "utf-8")).hexdigest()


def log(tmp_path: Path, content: bytes, name: str = "01.log") -> Path:
    path = tmp_path / "2019" / "10" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"8787a3c41bf7ce0d54359d9348ad5b08e16bd5bb8ae5aa4e1508b435773a066e bucket [x]\nsecond\n",
        b"one line\n",
        b"one line without an end",
        b"one line\r\nsecond\r\n",
        b"one line\rsecond",
        b"one\x0bline\x1c\xe2\x80\xa8still\n",
        b"gr\xc3\xbc\xc3\x9fe\n",
        b"x" * 3_000_00 + b"\nsecond\n",
    ],
)
def test_the_salt_is_that_of_the_old_program(content: bytes, tmp_path: Path) -> None:
    path = log(tmp_path, content)
    assert make_salt(tmp_path) == old_salt(path)


def test_a_salt_worked_out_by_hand(tmp_path: Path) -> None:
    log(tmp_path, b"abc\n")
    # printf 'abc\n' | sha1sum
    assert make_salt(tmp_path) == "03cfd743661f07975fa2f1220c5194cbaff48451"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_first_log_gives_the_same_salt(suffix: str, tmp_path: Path) -> None:
    content = b"abc\r\nsecond line\r\n"
    packed = gzip.compress(content) if suffix == ".gz" else zstandard.compress(content)
    log(tmp_path, packed, f"01.log{suffix}")
    assert make_salt(tmp_path) == "03cfd743661f07975fa2f1220c5194cbaff48451"


def test_a_first_log_that_is_no_use_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"2019/10/01\.log: is not there\..*first line"):
        make_salt(tmp_path)
    log(tmp_path, b"abc\n", "02.log")
    with pytest.raises(SourceError, match="is not there"):
        make_salt(tmp_path)
    log(tmp_path, b"")
    with pytest.raises(SourceError, match="has no first line"):
        make_salt(tmp_path)
    log(tmp_path, b"x" * (1 << 20) + b"y\n")
    with pytest.raises(SourceError, match="more than 1,048,576 bytes"):
        make_salt(tmp_path)
    log(tmp_path, b"").unlink()
    log(tmp_path, gzip.compress(b"abc")[:-9], "01.log.gz")
    with pytest.raises(SourceError, match="ends too early"):
        make_salt(tmp_path)


def test_the_salt_of_the_environment_is_hexadecimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, " 03CFd743661f\n")
    assert load_salt() == bytes([0x03, 0xCF, 0xD7, 0x43, 0x66, 0x1F])
    for wrong in ("", "  ", "03c", "no-hex-at-all"):
        monkeypatch.setenv(ENVIRONMENT, wrong)
        with pytest.raises(
            TicklineError, match=r"IP_HASH_SALT: .* not hexadecimal\. .*access salt RAW"
        ) as raised:
            load_salt()
        assert not wrong.strip() or wrong not in str(raised.value)
    monkeypatch.delenv(ENVIRONMENT)
    with pytest.raises(TicklineError, match=r"IP_HASH_SALT: .* not set"):
        load_salt()
