"""`make demo`: generates S3 access logs, reduces them, and shows what came out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

DEMO = Path(__file__).resolve().parent.parent / "demo"
RAW, REDUCED = DEMO / "raw", DEMO / "reduced"


def tickline(*arguments: str | Path) -> None:
    words = [str(argument) for argument in arguments]
    shown = " ".join(word.replace(f"{DEMO.parent}/", "") for word in words)
    print(f"\n$ tickline {shown}", flush=True)
    subprocess.run([sys.executable, "-m", "tickline", *words], check=True)


def top_keys(folder: Path) -> list[tuple[str, int, int]]:
    """The ten objects with the most bytes sent: key, requests, bytes."""
    requests, sent = Counter[str](), Counter[str]()
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(encoding="utf-8", errors="surrogateescape") as rows:
            next(rows, None)
            for row in rows:
                _, _, key, size = row.rstrip("\n").split("\t")
                requests[key] += 1
                sent[key] += int(size)
    return [(key, requests[key], size) for key, size in sent.most_common(10)]


def differences() -> list[str]:
    """Where the accounting says something else than the generator, which knows what it wrote."""
    said = json.loads((DEMO / "accounting.json").read_text(encoding="utf-8"))["total"]
    true = json.loads((RAW / "truth.json").read_text(encoding="utf-8"))["total"]["reduce"]
    names = ("accepted", "filtered", "rejected", "noted")
    return [
        f"{name}: {said[name]}, but the truth is {true[name]}" for name in names if said[name] != true[name]
    ]


def main() -> int:
    if not (RAW / "truth.json").exists():
        tickline("fake", "access", RAW, "--bytes", "100MB")
    tickline("access", "reduce", RAW, REDUCED, "--accounting", DEMO / "accounting.json", "--force")

    table = Table(title="the ten objects with the most bytes sent", title_justify="left")
    for heading, side in (("key", "left"), ("requests", "right"), ("bytes", "right")):
        table.add_column(heading, justify="left" if side == "left" else "right", overflow="fold")
    top = top_keys(REDUCED)
    if not top:
        print(f"{REDUCED} holds no rows", file=sys.stderr)
        return 1
    for key, count, size in top:
        table.add_row(key, f"{count:,}", f"{size:,}")
    console = Console()
    console.print()
    console.print(table)
    wrong = differences()
    print("\n".join(wrong) or "\nthe accounting equals the generator's own, demo/raw/truth.json")
    print(
        f"\nraw logs          {RAW}"
        f"\nreduced tables    {REDUCED}"
        f"\nthe accounting    {DEMO / 'accounting.json'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
