"""The true answers beside generated logs: counted while they are made, never read back from them."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from .archive import Keys
from .draws import I64, PAD
from .line import Line
from .rows import Batch
from .summaries import Summaries

DAY_MS = 86_400_000
TOP_KEYS = 1000


class Tally:
    """The answers for one file of logs, or for all of them."""

    def __init__(self) -> None:
        self.lines = 0
        self.bytes = 0
        self.shapes: Counter[str] = Counter()
        self.accepted = {"read": 0, "reduce": 0}
        self.filtered: dict[str, Counter[str]] = {"read": Counter(), "reduce": Counter()}
        self.rejected: dict[str, Counter[str]] = {"read": Counter(), "reduce": Counter()}
        self.noted: dict[str, Counter[str]] = {"read": Counter(), "reduce": Counter()}
        self.bytes_sent = {"read": 0, "reduce": 0}
        self.not_utf8: Counter[str] = Counter()
        self.days: dict[str, list[int]] = {}

    def add(self, other: Tally) -> None:
        """Add the answers of another tally."""
        self.lines += other.lines
        self.bytes += other.bytes
        self.shapes.update(other.shapes)
        self.not_utf8.update(other.not_utf8)
        for reading in ("read", "reduce"):
            self.accepted[reading] += other.accepted[reading]
            self.bytes_sent[reading] += other.bytes_sent[reading]
            self.filtered[reading].update(other.filtered[reading])
            self.rejected[reading].update(other.rejected[reading])
            self.noted[reading].update(other.noted[reading])
        for day, (requests, sent) in other.days.items():
            self.add_day(day, requests, sent)

    def add_day(self, day: str, requests: int, sent: int) -> None:
        """Add requests and bytes that the reduced log has for one day in UTC."""
        if requests:
            entry = self.days.setdefault(day, [0, 0])
            entry[0] += requests
            entry[1] += sent

    def as_dict(self) -> dict[str, Any]:
        """Return the answers as they stand in truth.json."""
        answer: dict[str, Any] = {"lines": self.lines, "bytes": self.bytes}
        for reading in ("read", "reduce"):
            answer[reading] = {
                "accepted": self.accepted[reading],
                "filtered": dict(sorted(self.filtered[reading].items())),
                "rejected": dict(sorted(self.rejected[reading].items())),
                "noted": dict(sorted(self.noted[reading].items())),
                "bytes_sent": self.bytes_sent[reading],
            }
        answer["read"]["invalid_utf8"] = dict(sorted(self.not_utf8.items()))
        answer["reduce"]["by_day"] = {
            day: {"requests": requests, "bytes": sent} for day, (requests, sent) in sorted(self.days.items())
        }
        answer["shapes"] = dict(sorted(self.shapes.items()))
        return answer


class Truth:
    """Takes batches and single lines, and keeps the answers by file, by day and by key."""

    def __init__(self, keys: Keys, stored_keys: int, summaries: Summaries | None = None) -> None:
        self._keys = keys
        self._summaries = summaries
        self._stored = stored_keys
        self._requests = np.zeros(stored_keys, dtype=np.int64)
        self._sent = np.zeros(stored_keys, dtype=np.int64)
        # Keys with numbers behind the stored ones are asked for once each, mostly.
        self._new: list[tuple[I64, I64]] = []
        self._other: dict[bytes, list[int]] = {}
        self.source = Tally()

    def add_batch(self, batch: Batch, count: int, left_out: I64, day: dt.date) -> None:
        """Count the clean rows of a batch but those that were replaced."""
        kept = np.ones(count, dtype=np.bool_)
        kept[left_out] = False
        sent = np.maximum(batch.bytes_sent, 0)
        succeeded = (batch.status >= 200) & (batch.status < 300)
        wanted = batch.is_get & succeeded & kept
        tally = self.source
        rows = int(kept.sum())
        tally.accepted["read"] += rows
        tally.bytes_sent["read"] += int(sent[kept].sum())
        tally.filtered["reduce"]["operation"] += int((kept & ~batch.is_get).sum())
        tally.filtered["reduce"]["status"] += int((kept & batch.is_get & ~succeeded).sum())
        key, amount = batch.key[wanted], sent[wanted]
        total = int(amount.sum())
        tally.accepted["reduce"] += len(key)
        tally.bytes_sent["reduce"] += total
        tally.add_day(day.isoformat(), len(key), total)
        if self._summaries is not None:
            downloaded = batch.status[wanted] == 200
            self._summaries.add_rows(day, key, batch.ip[wanted], amount, downloaded)
        stored = key < self._stored
        if not stored.all():
            self._new.append((key[~stored], amount[~stored]))
            key, amount = key[stored], amount[stored]
        self._requests += np.bincount(key, minlength=self._stored)
        # Exact, although in floats: no sum over one batch reaches 2**53 (largest object < 2**36).
        self._sent += np.bincount(key, weights=amount, minlength=self._stored).astype(np.int64)

    def add_line(self, line: Line) -> None:
        """Count one line that was made singly."""
        tally = self.source
        tally.shapes[line.shape] += 1
        sent = line.values["bytes_sent"]
        amount = sent if isinstance(sent, int) else 0
        for reading, (outcome, reason) in (("read", line.read()), ("reduce", line.reduce())):
            if outcome == "accepted":
                tally.accepted[reading] += 1
                tally.bytes_sent[reading] += amount
                tally.noted[reading].update(line.noted)
                if reading == "read":
                    tally.noted["read"]["invalid_utf8"] += len(line.not_utf8)
                    tally.not_utf8.update(line.not_utf8)
                else:
                    self._add_kept(line, amount)
            else:
                (tally.filtered if outcome == "filtered" else tally.rejected)[reading][reason] += 1

    def _add_kept(self, line: Line, amount: int) -> None:
        time_ms, key = line.values["time_ms"], line.values["key"]
        if not isinstance(time_ms, int) or not isinstance(key, bytes):
            raise TypeError(f"a line of shape {line.shape} is kept but has no time or no key")
        day = dt.date(1970, 1, 1) + dt.timedelta(days=time_ms // DAY_MS)
        self.source.add_day(day.isoformat(), 1, amount)
        if self._summaries is not None:
            self._summaries.add_row(day, line.key_number, line.values, amount)
        if 0 <= line.key_number < self._stored:
            self._requests[line.key_number] += 1
            self._sent[line.key_number] += amount
        elif line.key_number >= 0:
            self._new.append((np.array([line.key_number]), np.array([amount])))
        else:
            entry = self._other.setdefault(key, [0, 0])
            entry[0] += 1
            entry[1] += amount

    def finish_source(self) -> Tally:
        """Return the answers for the file just finished, and begin the next."""
        done, self.source = self.source, Tally()
        if self._summaries is not None:
            self._summaries.finish_source()
        for counter in (*done.filtered.values(), *done.noted.values()):
            for name in [name for name, count in counter.items() if not count]:
                del counter[name]
        return done

    def by_key(self) -> dict[str, Any]:
        """Return the keys of the reduced log: how many, a digest over all, and the most requested."""
        digest = hashlib.sha256()
        distinct = 0

        def ranked() -> Iterator[tuple[int, bytes, int]]:
            nonlocal distinct
            for key, requests, sent in self._sorted():
                digest.update(b"%s\t%i\t%i\n" % (key, requests, sent))
                distinct += 1
                yield -requests, key, sent

        top = heapq.nsmallest(TOP_KEYS, ranked())
        return {
            "distinct": distinct,
            "sha256": digest.hexdigest(),
            "top": [{"key": key.decode(), "requests": -count, "bytes": sent} for count, key, sent in top],
        }

    def _sorted(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield keys in the order of their bytes, without holding all their texts at once."""
        stored = np.flatnonzero(self._requests)
        new = [np.concatenate(part) for part in zip(*self._new, strict=True)] or [stored[:0], stored[:0]]
        numbers = np.concatenate([stored, new[0]]).astype(np.uint64)
        requests = np.concatenate([self._requests[stored], np.ones(len(new[0]), dtype=np.int64)])
        sent = np.concatenate([self._sent[stored], new[1]])
        bucket = np.concatenate(
            [self._keys.order(numbers[at : at + 65_536]) for at in range(0, len(numbers), 65_536)] or [stored]
        )
        order = np.argsort(bucket, kind="stable")
        ends = np.searchsorted(bucket[order], np.arange(Keys.ORDERS), side="right")
        begin = 0
        for at, end in enumerate(ends):
            part = order[begin:end]
            begin = int(end)
            found: dict[bytes, list[int]] = {}
            for text, more, amount in zip(
                self._keys.text(numbers[part]), requests[part].tolist(), sent[part].tolist(), strict=True
            ):
                entry = found.setdefault(text.tobytes().translate(None, bytes([PAD])), [0, 0])
                entry[0] += more
                entry[1] += amount
            found.update({key: entry for key, entry in self._other.items() if Keys.place(key) == at})
            for key in sorted(found):
                yield key, found[key][0], found[key][1]
