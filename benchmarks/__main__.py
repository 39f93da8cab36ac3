"""The command line: `python -m benchmarks --help`."""

import argparse
import sys
from pathlib import Path

from benchmarks.cases import selected
from benchmarks.contenders import CONTENDERS, OURS, available
from benchmarks.report import head, rows, summary
from benchmarks.run import Settings, run

DEFAULT_PEERS = ("torch", "torch-compile", "jax")


def parser() -> argparse.ArgumentParser:
    """What may be asked."""
    found = argparse.ArgumentParser("python -m benchmarks", description="Measure chainrule beside other libraries.",
                                    epilog="benchmarks/README.md tells how it measures and how to read the results.")
    found.add_argument("--only", metavar="PATTERN", help="cases with this in their name, or that match; several with commas")
    found.add_argument("--threads", default="1", metavar="N", help="of every contender; 1,2 measures all with 1, then with 2")
    found.add_argument("--peers", metavar="NAMES", help=f"default: those installed of {','.join(DEFAULT_PEERS)}; none for none")
    found.add_argument("--json", type=Path, metavar="FILE", help="write the results there, as they come")
    found.add_argument("--rounds", type=int, help="default 5")
    found.add_argument("--quick", action="store_true", help="a short round only: does it run?")
    found.add_argument("--device", default="cpu", help="cpu")
    found.add_argument("--list", action="store_true", help="print the names of all cases")
    return found


def contenders(peers: str | None) -> list[str]:
    """chainrule's contenders and the peers; ValueError for one that is unknown or not installed."""
    import chainrule

    ours = [name for name in OURS if name == "chainrule" or hasattr(chainrule, "compile")]
    if peers is None:
        return ours + [name for name in DEFAULT_PEERS if available(name)]
    chosen = [name for name in peers.split(",") if name not in ("", "none")]
    missing = [name for name in chosen if not available(name)]
    if missing:
        raise ValueError(f"--peers: {', '.join(missing)} cannot be imported; installed are "
                         + (", ".join(name for name in CONTENDERS if name not in OURS and available(name)) or "none"))
    return ours + [name for name in chosen if name not in OURS]


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.device != "cpu":
            raise ValueError(f"--device {options.device}: chainrule has no kernels for it yet; only cpu can be measured")
        cases = selected(options.only)
        threads = [int(n) for n in options.threads.split(",")]
        if min(threads) < 1:
            raise ValueError(f"--threads {options.threads}: the numbers must be at least 1")
        names = contenders(options.peers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(cases))
        return 0
    rounds, seconds = (1, 0.02) if options.quick else (5, 0.4)
    settings = Settings(names, threads, options.rounds or rounds, seconds, options.json)
    settings.say(f"{len(cases)} cases; contenders: {', '.join(names)}")
    results = run(cases, settings, lambda result: print(rows(result), flush=True))
    print(f"\n{head(results)}\n{summary(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
