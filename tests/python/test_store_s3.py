"""A bucket that fails in the middle of an ingest: a sentence, an unharmed store, and the next run goes on."""

from pathlib import Path

import pytest

from python.access_support import log
from python.s3_support import answer, cut, fake_s3, hang_up, set_environment
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder

pytest.importorskip("boto3")


def take_in(store: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> IngestReport:
    set_environment(monkeypatch, endpoint, AWS_MAX_ATTEMPTS="2")
    return ingest(str(store), ["s3://logs/a/"], IngestOptions())


def rows(store: Path) -> int:
    with StoreFolder.open(store) as folder:
        assert verify(folder, sample=0).found == []
        return int(folder.ledger.rows("SELECT coalesce(sum(accepted), 0) FROM sources")[0][0])


FAULTS = {
    "403": [answer(403, "AccessDenied")] * 4,
    "404": [answer(404, "NoSuchKey")] * 4,
    "500": [answer(500, "InternalError")] * 4,
    "cut": [cut(100)] * 8,
    "hung up": [hang_up] * 8,
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_bucket_withholds_is_named_and_read_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    objects = {f"a/{number}.log": log(100 * number, 100 * number + 11) for number in range(3)}
    store = tmp_path / "store"
    # The listing answers, and then the first object does not.
    with fake_s3(objects, None, *FAULTS[name]) as server:
        report = take_in(store, server.url, monkeypatch)
        assert report.problems
        assert all(problem.hint for problem in report.problems)
        assert "s3://logs/a/" in str(report.problems[0])
        taken = rows(store)
        assert taken < 33
        server.faults.clear()
        again = take_in(store, server.url, monkeypatch)
        assert not again.problems
    assert rows(store) == 33
