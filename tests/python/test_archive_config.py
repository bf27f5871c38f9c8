"""`archive.toml`: what it may say, and the sentence for whatever else stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickline.errors import SourceError, UsageError
from tickline.pipelines.archive.config import Retention, parse_config, read_config

LEAST = """
node = "trade-07"
logs = ["/var/log/chrony"]
state = "/var/lib/tickline/archive"
store = "file:///srv/ntp-archive"
"""

FULL = """
node = "trade-07"
logs = ["/var/log/chrony", "/srv/chrony/log/"]
state = "/var/lib/tickline/archive"
store = "s3://compliance-logs/ntp/"
every = "15m"
if_ignored = "unique-keys"
endpoint = "https://s3.internal:9000"
region = "us-east-1"
[spool]
limit = "64MiB"
[upload]
timeout_s = 2.5
retries = 0
sse = "aws:kms"
kms_key = "alias/ntp"
tags = {team = "ntp"}
heartbeat = "12h"
recovery_days = 7
[retention]
mode = "COMPLIANCE"
years = 6
"""


def test_four_keys_are_enough_and_the_rest_has_the_defaults_that_are_documented() -> None:
    config = parse_config(LEAST)
    assert (config.node, config.store) == ("trade-07", "file:///srv/ntp-archive")
    assert config.logs == (Path("/var/log/chrony"),)
    assert (config.every_s, config.spool_limit, config.unique_keys) == (1800, 512_000_000, False)
    assert (config.upload.timeout_s, config.upload.retries) == (20, 3)
    assert (config.upload.heartbeat_s, config.upload.recovery_days) == (86400, 30)
    assert config.retention is None


def test_every_key_is_taken_as_it_stands_there() -> None:
    config = parse_config(FULL)
    assert config.logs == (Path("/var/log/chrony"), Path("/srv/chrony/log"))
    assert (config.store, config.endpoint, config.region) == (
        "s3://compliance-logs/ntp",
        "https://s3.internal:9000",
        "us-east-1",
    )
    assert (config.every_s, config.spool_limit, config.unique_keys) == (900, 64 * 2**20, True)
    assert (config.upload.sse, config.upload.kms_key) == ("aws:kms", "alias/ntp")
    assert (config.upload.tags, config.upload.timeout_s, config.upload.retries) == ({"team": "ntp"}, 2.5, 0)
    assert (config.upload.heartbeat_s, config.upload.recovery_days) == (43200, 7)
    assert config.retention == Retention("COMPLIANCE", 6)


def _without(key: str) -> str:
    return "\n".join(line for line in LEAST.splitlines() if not line.startswith(key))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        *((_without(key), key) for key in ("node", "logs", "state", "store")),
        (LEAST.replace('"trade-07"', '"a/b"'), "node"),
        (LEAST.replace('"trade-07"', '".."'), "node"),
        (LEAST.replace('"trade-07"', "7"), "node"),
        (LEAST.replace('["/var/log/chrony"]', "[]"), "logs"),
        (LEAST.replace('["/var/log/chrony"]', '["log"]'), "logs"),
        (LEAST.replace('["/var/log/chrony"]', '["/a", "/a/"]'), "logs"),
        (LEAST.replace("/var/lib", "var/lib"), "state"),
        (LEAST.replace("file://", "ftp://"), "store"),
        (LEAST.replace("file:///srv/ntp-archive", "s3://"), "store"),
        (LEAST.replace("file:///srv", "file://srv"), "store"),
        (LEAST + 'every = "half an hour"', "every"),
        (LEAST + 'every = "0s"', "every"),
        (LEAST + 'if_ignored = "overwrite"', "if_ignored"),
        (LEAST + "colour = 1", "colour"),
        (LEAST + "spool = 5", "spool"),
        (LEAST + '[spool]\nlimit = "much"', "spool.limit"),
        (LEAST + '[spool]\nlimit = "1kB"', "spool.limit"),
        (LEAST + "[spool]\nsize = 1", "spool.size"),
        (LEAST + "[upload]\ntimeout_s = 0", "upload.timeout_s"),
        (LEAST + "[upload]\nretries = true", "upload.retries"),
        (LEAST + "[upload]\nrecovery_days = 0", "upload.recovery_days"),
        (LEAST + '[upload]\nsse = "AES256"', "upload.sse"),
        (LEAST + '[upload]\ntags = {a = "b"}', "upload.tags"),
        (LEAST + '[retention]\nmode = "COMPLIANCE"\nyears = 6', "retention"),
        (LEAST + 'endpoint = "https://s3"', "endpoint"),
        (FULL.replace('"COMPLIANCE"', '"forever"'), "retention.mode"),
        (FULL.replace("years = 6", ""), "retention.years"),
        (FULL.replace("years = 6", "years = 0"), "retention.years"),
        (FULL.replace('"aws:kms"', '"AES256"'), "upload.kms_key"),
        (FULL.replace('{team = "ntp"}', "{team = 1}"), "upload.tags"),
        (FULL.replace("https://s3.internal:9000", "https://user:secret@s3"), "endpoint"),
        ("node = ", "archive.toml"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_a_sentence_that_names_the_key(text: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_config(text)
    assert caught.value.where is not None
    assert caught.value.where.endswith(place)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        read_config(tmp_path / "archive.toml")
    (tmp_path / "archive.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"archive\.toml"):
        read_config(tmp_path / "archive.toml")
