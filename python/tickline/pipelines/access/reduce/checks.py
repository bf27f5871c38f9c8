"""What `reduce` refuses before it begins: names that do not fit together, and lists over somebody's logs."""

from pathlib import Path

from tickline.discovery import Found
from tickline.errors import UsageError
from tickline.pipelines.access.reduce.options import ReduceOptions

__all__ = ["check_output", "identity", "is_folder_output", "refuse_lost_files"]


def is_folder_output(options: ReduceOptions) -> bool:
    """Tell whether OUT is the root of a tree: always, unless it can only be meant as a file."""
    if options.out == "-" or options.raw == "-":
        return False
    out = Path(options.out)
    if options.raw_path.is_dir() or options.out.endswith("/") or out.is_dir():
        return True
    return not (out.exists() or options.out.endswith(options.suffix))


def check_output(options: ReduceOptions, tree: bool) -> None:
    """Refuse a RAW and an OUT that do not fit together.

    Raises
    ------
    UsageError
        The message says what to name instead.
    """
    for name, path in (("RAW", options.raw), ("OUT", options.out)):
        if not path:
            raise UsageError("its name is empty", where=name)
    out = Path(options.out)
    if tree and out.exists() and not out.is_dir():
        raise UsageError("is a file, but RAW is a folder", where=options.out, hint="Name a folder as OUT.")
    if not tree and options.out != "-" and (out.is_dir() or options.out.endswith("/")):
        hint = "Name a file as OUT, or - for standard output."
        raise UsageError("is a folder, but standard input gives one table", where=options.out, hint=hint)
    if options.raw_path.is_dir() and options.out == "-":
        hint = "Name a folder as OUT, or a single log as RAW."
        raise UsageError("RAW is a folder: its outputs do not fit into one stream", where="OUT", hint=hint)
    same = out.exists() and identity(out) == identity(options.raw_path)
    if not tree and "-" not in (options.raw, options.out) and same:
        raise UsageError("RAW and OUT are the same file", where=options.out, hint="Choose another OUT.")


def refuse_lost_files(options: ReduceOptions, sources: list[Found], tree: bool) -> None:
    """Refuse to write over a source, or over a log that was given where OUT belongs.

    Raises
    ------
    UsageError
        A list or the output would take the place of something that is not an earlier one.
    """
    out = Path(options.out)
    if not tree and options.out != "-" and not options.force and _is_other_file(out, options.suffix):
        hint = f"Name a folder or a *{options.suffix} file as OUT, or use --force to write over this one."
        raise UsageError("exists, and is no output of an earlier run", where=options.out, hint=hint)
    lists = {"accounting": options.accounting, "rejects": options.rejects}
    taken = {identity(Path(found.path)) for found in sources if found.path != "-"} - {None}
    names = {} if tree or options.out == "-" else {str(out.absolute()): "OUT"}
    for option, name in lists.items():
        if name is None:
            continue
        path = Path(name)
        if name in ("", "-"):
            raise UsageError("it needs the name of a file", where=option)
        if identity(path) in taken:
            raise UsageError(f"{name} is one of the logs to read", where=option, hint="Choose another name.")
        if not options.force and _is_other_list(path, option):
            hint = "Choose another name, or use --force to write over this file."
            raise UsageError(f"{name} exists, and is no earlier list of this kind", where=option, hint=hint)
        other = names.setdefault(str(path.absolute()), option)
        if other != option:
            raise UsageError(f"{name} is also given as {other}", where=option, hint="Choose another name.")


def _is_other_file(path: Path, suffix: str) -> bool:
    return path.is_file() and path.stat().st_size > 0 and path.suffix != suffix


def _is_other_list(path: Path, option: str) -> bool:
    """Tell whether the file there is something that was never written as this list: a log, most likely."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        return not file.read(7).startswith(b"{" if option == "accounting" else b"source\t")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from all others; None if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
