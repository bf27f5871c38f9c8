"""`make demo`: generates S3 access logs, a catalog and region snapshots, and runs everything over them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parent.parent / "demo"
RAW, STORE, OUT = DEMO / "raw", DEMO / "store", DEMO / "out"
MEASURES = ("total_bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")


def tickline(*arguments: str | Path) -> None:
    words = [str(argument) for argument in arguments]
    shown = " ".join(word.replace(f"{DEMO.parent}/", "") for word in words)
    print(f"\n$ tickline {shown}", flush=True)
    subprocess.run([sys.executable, "-m", "tickline", *words], check=True)


def differences(said: dict[str, Any], true: dict[str, Any]) -> list[str]:
    """Where the totals say something else than the generator, which knows what it wrote."""
    wrong = [
        f"{name} is no dataset of the generator" for name in said["datasets"] if name not in true["datasets"]
    ]
    pairs = [("the archive", said["archive"], true["archive"]["totals"])]
    pairs += [
        (name, said["datasets"].get(name, {}), found["totals"]) for name, found in true["datasets"].items()
    ]
    for name, ours, theirs in pairs:
        wrong += [
            f"{name}, {measure}: {ours.get(measure)}, but the truth is {theirs[measure]}"
            for measure in MEASURES
            if ours.get(measure) != theirs[measure]
        ]
    return wrong


def main() -> int:
    if not (RAW / "catalog.tsv").exists():
        tickline("fake", "access", RAW, "--bytes", "100MB", "--catalog")
    regions = [word for path in sorted((RAW / "regions").iterdir()) for word in ("--regions", path)]
    tickline(
        "access", "run", RAW, "--store", STORE, "--out", OUT, "--catalog", RAW / "catalog.tsv", *regions,
        "--settle", "0",
    )  # fmt: skip
    tickline(
        "access", "query", "--store", STORE, "--catalog", RAW / "catalog.tsv",
        "SELECT dataset, total_bytes_sent, number_of_requests, number_of_requesters FROM totals "
        "ORDER BY total_bytes_sent DESC LIMIT 10",
    )  # fmt: skip
    totals = json.loads((OUT / "totals.json").read_text(encoding="utf-8"))
    true = json.loads((RAW / "truth.json").read_text(encoding="utf-8"))["total"]["reduce"]["summaries"]
    wrong = differences(totals, true)
    print(
        "\n".join(wrong[:10]) or "\nthe totals of all datasets equal the generator's own, demo/raw/truth.json"
    )
    print(
        f"\nthe page          {OUT / 'report.html'}"
        f"\nthe tables        {OUT / 'summaries'}"
        f"\nthe store         {STORE}"
        f"\nraw logs          {RAW}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
