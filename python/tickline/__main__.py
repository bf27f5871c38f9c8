"""``python -m tickline``: the command line; ``--include`` prints the folder of the C++ headers."""

import sys


def main() -> None:
    """Answer ``--include`` without loading the command line, and hand everything else to it."""
    if sys.argv[1:] == ["--include"]:
        from tickline import include_dir

        sys.stdout.write(f"{include_dir()}\n")
        return
    from tickline.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
