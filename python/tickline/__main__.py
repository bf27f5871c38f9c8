"""``python -m tickline`` and the script `tickline`; ``--include`` prints the folder of the C++ headers."""

import gc
import sys


def main() -> None:
    """Answer ``--include`` without loading the command line, and hand everything else to it."""
    if sys.argv[1:] == ["--include"]:
        from tickline import include_dir

        sys.stdout.write(f"{include_dir()}\n")
        return
    # Commands are put together from tens of thousands of objects that all stay: to look through them after
    # every 700 new ones, as is the default, takes a tenth of a run that finds nothing new.
    gc.set_threshold(50_000, 10, 10)
    from tickline.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
