"""The chain of dandi_s3_log_parser 0.4.2, written anew: what `bench_store.py` compares the store with.

    python benchmarks/dandi_chain.py RAW WORK --catalog catalog.json.gz --regions labels.json

Three steps, each with the work and the pattern of reading and writing of the original:

1. reduce: every ``YYYY/MM/DD.log`` is read in blocks, decoded, split into lines; the short way by blanks, the
   long way by a regular expression; the rows are collected in memory and written as one TSV.
2. bin: every reduced TSV is read by pandas and grouped by key; each group is appended to the TSV of its key,
   one opened file and one small DataFrame at a time; two tracking files say what was begun and completed.
3. map: for each dataset and each of its assets the TSV of the key is read by pandas, every address is looked
   up in a dictionary by its salted SHA-1, the rows are sorted naturally by time and written as the TSV of the
   asset; then the sums by day, by asset and by region are written for the version and for the dataset.

Left out, all of which would only make it slower: checks of arguments by pydantic, progress bars, the client
of the archive (the catalog is a file here), versions but one (each is a pass of its own over the same TSVs),
the service lists and the request for each new address (the dictionary of labels is full from the start), and
writing that dictionary. Sums are added up in dictionaries, the cheapest way there is. It is one process, as
the last two steps of the original are; its first step can use several.

Time zones are dropped, and a line that raises is lost, as there. On clean lines the sums are exact, and only
with such ones is anything compared.
"""

import argparse
import datetime
import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

BUFFER_BYTES = 1_000_000_000
SALT = bytes.fromhex("00112233445566778899aabbccddeeff")
REDUCED_HEADER = "timestamp\tip_address\tobject_key\tbytes_sent\n"
OPERATION = "REST.GET.OBJECT"
_TOKENS = re.compile(r'"([^"]+)"|\[([^]]+)]|([^ ]+)')
_DIGITS = re.compile(r"(\d+)")
_QUOTED = re.compile(r' "[^"]*" ')


def hashed(address: str) -> str:
    """Return the name of an address in the dictionary of labels."""
    return hashlib.sha1(address.encode() + SALT, usedforsecurity=False).hexdigest()


# --- 1. reduce ---------------------------------------------------------------------------------------------


def _blocks(path: Path) -> Iterator[list[str]]:
    """Read a file in blocks of a third of the buffer; yield the whole lines of each."""
    size = BUFFER_BYTES // 3
    rest = ""
    with path.open("rb") as file:
        while block := file.read(size):
            lines = (rest + block.decode()).splitlines()
            rest = "" if block.endswith(b"\n") else lines.pop()
            yield lines
    if rest:
        yield [rest]


def _key(text: str) -> str | None:
    """Return the key, of a Zarr piece the first two parts; None where it is no blob and no Zarr."""
    parts = text.split("/")
    if parts[0] == "blobs":
        return text
    return "/".join(parts[:2]) if parts[0] == "zarr" else None


def _long_way(line: str) -> str | None:
    """Tokenise a line that the short way does not fit."""
    tokens = [first or second or third for first, second, third in _TOKENS.findall(line)]
    if len(tokens) > 26:
        tokens = [
            first or second or third for first, second, third in _TOKENS.findall(_QUOTED.sub(" - ", line))
        ]
    tokens += ["-"] * (26 - len(tokens) if len(tokens) in (24, 25) else 0)
    if len(tokens) != 26:
        raise ValueError(f"{len(tokens)} fields")
    if not tokens[9].isdigit():
        raise ValueError("status is no number")
    if tokens[9][0] != "2" or tokens[6] != OPERATION:
        return None
    key = _key(tokens[7])
    if key is None:
        return None
    when = datetime.datetime.strptime(tokens[2][:20], "%d/%b/%Y:%H:%M:%S").isoformat()  # noqa: DTZ007
    sent = "0" if tokens[11] == "-" else tokens[11]
    return f"{when}\t{tokens[3]}\t{key}\t{sent}\n"


def _row(line: str, excluded: dict[str, bool]) -> str | None:
    """Reduce one line: the short way by the places of its fields, else the long one."""
    fields = line.split(" ")
    address = fields[4]
    if excluded[address] is True or fields[7] != OPERATION:
        return None
    key = _key(fields[8])
    if key is None:
        return None
    behind = line.split('" ')[1].split(" ")
    status, sent = behind[0], behind[2]
    if len(status) == 3 and status.isdigit() and status[0] != "2":
        return None
    if len(behind) != 7 or not status.isdigit() or not sent.isdigit():
        return _long_way(line)
    when = datetime.datetime.strptime(fields[2][1:], "%d/%b/%Y:%H:%M:%S").isoformat()  # noqa: DTZ007
    return f"{when}\t{address}\t{key}\t{sent}\n"


def reduce_log(raw: Path, reduced: Path) -> int:
    """Reduce one log; return how many lines raised and were lost."""
    excluded: dict[str, bool] = defaultdict(bool)
    rows = []
    lost = 0
    for lines in _blocks(raw):
        for line in lines:
            try:
                row = _row(line, excluded)
            except (ValueError, IndexError):
                lost += 1
                continue
            if row is not None:
                rows.append(row)
    reduced.parent.mkdir(parents=True, exist_ok=True)
    with reduced.open("w") as file:
        if rows:
            file.write(REDUCED_HEADER)
            file.writelines(rows)
    return lost


def reduce_all(raw: Path, reduced: Path) -> int:
    """Reduce all logs that are not reduced yet."""
    lost = 0
    for log in sorted(path for path in raw.rglob("*.log") if path.stem.isdigit()):
        out = reduced / log.relative_to(raw).with_suffix(".tsv")
        if not out.exists():
            lost += reduce_log(log, out)
    return lost


# --- 2. bin ------------------------------------------------------------------------------------------------


def _tracked(started: Path, completed: Path) -> set[str]:
    if started.exists() != completed.exists():
        raise FileNotFoundError("one of the tracking files is missing: clean the folder and start again")
    if not started.exists():
        started.touch()
        completed.touch()
    names = set(completed.read_text().splitlines())
    if names != set(started.read_text().splitlines()):
        raise ValueError("an earlier run was interrupted: clean the folder and start again")
    return names


def bin_all(reduced: Path, binned: Path) -> None:
    """Append the rows of every reduced log that is not binned yet to the TSVs of their keys."""
    binned.mkdir(parents=True, exist_ok=True)
    started = binned / "binned_log_file_paths_started.txt"
    completed = binned / "binned_log_file_paths_completed.txt"
    known = _tracked(started, completed)
    for path in sorted(path for path in reduced.rglob("*.tsv") if str(path) not in known):
        if path.stat().st_size:
            table = pd.read_csv(path, sep="\t", header=0)
            groups = {key: group for key, group in table.groupby("object_key")}  # noqa: C416
            with started.open("a") as file:
                file.write(f"{path}\n")
            for key, group in groups.items():
                _append(binned / f"{key}.tsv", group)
        else:
            with started.open("a") as file:
                file.write(f"{path}\n")
        with completed.open("a") as file:
            file.write(f"{path}\n")


def _append(path: Path, group: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    rows = group[["timestamp", "bytes_sent", "ip_address"]]
    rows.to_csv(path, mode="a", sep="\t", header=new, index=False)


# --- 3. map ------------------------------------------------------------------------------------------------


class Mapping:
    """Reads the TSVs of a dataset's assets and writes its summaries."""

    def __init__(self, binned: Path, mapped: Path, labels: dict[str, str]) -> None:
        self._binned = binned
        self._mapped = mapped
        self._labels = labels

    def _region(self, address: str) -> str:
        return "unknown" if address == "unknown" else self._labels[hashed(address)]

    def _binned_path(self, content: str, path: str) -> Path:
        if ".zarr" in PurePosixPath(path).suffixes:
            return self._binned / "zarr" / f"{content}.tsv"
        return self._binned / "blobs" / content[:3] / content[3:6] / f"{content}.tsv"

    def dataset(self, folder: Path, assets: list[tuple[str, str]]) -> bool:
        """Map one dataset with one version; return whether anybody asked for anything of it."""
        by_day: dict[str, int] = defaultdict(int)
        by_region: dict[str, int] = defaultdict(int)
        by_asset: dict[str, int] = defaultdict(int)
        out = self._mapped / folder / "draft"
        for number, (content, path) in enumerate(assets):
            binned = self._binned_path(content, path)
            if not binned.exists():
                continue
            table = pd.read_csv(binned, sep="\t", header=0)
            table["region"] = [self._region(address) for address in table["ip_address"]]
            times = [_natural(when) for when in table["timestamp"]]
            order = sorted(range(len(times)), key=times.__getitem__)
            table = table[["timestamp", "bytes_sent", "region"]].iloc[order].reset_index(drop=True)
            out.mkdir(parents=True, exist_ok=True)
            # The original calls it as the asset, and writes over another of the same name.
            table.to_csv(out / f"{number}.tsv", sep="\t", header=True, index=True)
            columns = (table["timestamp"].tolist(), table["bytes_sent"].tolist(), table["region"].tolist())
            for when, sent, region in zip(*columns, strict=True):
                by_day[when[:10]] += sent
                by_region[region] += sent
                by_asset[path] += sent
        if not by_day:
            return False
        for stem in (out / "version_summary", self._mapped / folder / "dandiset_summary"):
            _write(f"{stem}_by_day.tsv", "date", sorted(by_day.items()))
            for name, column, sums in (("region", "region", by_region), ("asset", "asset_path", by_asset)):
                most_first = sorted(sums.items(), key=lambda item: -item[1])
                _write(f"{stem}_by_{name}.tsv", column, most_first)
        return True


def _natural(text: str) -> list[str | int]:
    """Return a key to sort by that takes digits for numbers, as natsort does."""
    return [int(part) if part.isdigit() else part for part in _DIGITS.split(text)]


def _write(path: str, column: str, rows: list[tuple[str, int]]) -> None:
    pd.DataFrame(rows, columns=[column, "bytes_sent"]).to_csv(path, sep="\t", index=False)


def map_all(binned: Path, mapped: Path, catalog: Path, labels: Path) -> None:
    """Map all datasets of a catalog; ``datasets.json`` says which folder is whose."""
    with gzip.open(catalog) as packed:
        owners = json.load(packed)
    datasets: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for content, paths in owners.items():
        # What is no content id is beyond the original.
        if "/" not in content:
            for dataset, path in paths.items():
                datasets[dataset].append((content, path))
    mapping = Mapping(binned, mapped, json.loads(labels.read_text()))
    # Names may be anything here; the original has only numbers.
    folders = {dataset: f"{number:06d}" for number, dataset in enumerate(sorted(datasets))}
    asked = {
        name: folder for name, folder in folders.items() if mapping.dataset(Path(folder), datasets[name])
    }
    (mapped / "datasets.json").write_text(json.dumps(asked))


def main() -> None:
    """Run the chain."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--catalog", type=Path, required=True)
    parser.add_argument(
        "--regions", type=Path, required=True, help="JSON: label by salted hash of the address"
    )
    parser.add_argument(
        "--step", choices=("reduce", "bin", "map"), action="append", help="default: all three"
    )
    arguments = parser.parse_args()
    steps = arguments.step or ["reduce", "bin", "map"]
    work = arguments.work
    if "reduce" in steps and (lost := reduce_all(arguments.raw, work / "reduced")):
        print(f"{lost} lines raised an error and were lost")
    if "bin" in steps:
        bin_all(work / "reduced", work / "binned")
    if "map" in steps:
        map_all(work / "binned", work / "mapped", arguments.catalog, arguments.regions)


if __name__ == "__main__":
    main()
