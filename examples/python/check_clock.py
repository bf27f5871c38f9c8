"""How wrong is this machine's clock? Asks NTP servers, and says how sure the answer is. Sets nothing.

    python check_clock.py 0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org 3.pool.ntp.org

Exit code 0: the clock is within ``--limit``. 1: it is not, or nobody can say. 2: wrong usage.
"""

import argparse

import tickline as tl


def main() -> int:
    """Ask, print what every server said, and compare the clock with the limit."""
    parser = argparse.ArgumentParser(description="Compare this machine's clock with NTP servers.")
    parser.add_argument("servers", nargs="*", help="host, host:port or [v6]:port; four or more are best")
    parser.add_argument("--quorum", type=int, default=3, help="how many must agree (3)")
    parser.add_argument("--limit", type=float, default=0.05, help="how wrong the clock may be, in s (0.05)")
    options = parser.parse_args()
    if not options.servers:
        print("No servers were named, so nobody was asked. Name some: check_clock.py 0.pool.ntp.org ...")
        return 0

    result = tl.ntp.query(options.servers, quorum=options.quorum)
    for server in result.servers:
        told = f"{server.offset_ns / 1e6:+.3f} ms" if server.offset_ns is not None else server.why
        print(f"{server.name:<28} {server.verdict:<12} {told}")
    if result.offset_ns is None or result.error_ns is None:
        print(f"Nobody can say: {result.why}")
        return 1

    # The clock is surely right, surely wrong, or the servers are too far away to tell.
    limit_ns = round(options.limit * 1e9)
    worst_ns = abs(result.offset_ns) + result.error_ns
    print(f"UTC is {result.offset_ns / 1e6:+.3f} ms away, give or take {result.error_ns / 1e6:.3f} ms.")
    if worst_ns <= limit_ns:
        print(f"The clock is within {options.limit} s.")
        return 0
    sure = abs(result.offset_ns) - result.error_ns > limit_ns
    print(f"The clock is {'not' if sure else 'perhaps not'} within {options.limit} s.")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
