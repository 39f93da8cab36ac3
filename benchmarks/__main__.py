"""The command line: `python -m benchmarks --help`."""

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import compare, table
from benchmarks.cases import selected
from benchmarks.contenders import CONTENDERS, ON_CUDA, OURS, available
from benchmarks.processes import ROOT
from benchmarks.report import head, rows, summary
from benchmarks.run import Settings, load, run

DEFAULT_PEERS = ("torch", "torch-compile", "jax")
CUDA_PEERS = ("cupy", "torch", "torch-compile")


def parser() -> argparse.ArgumentParser:
    """What may be asked."""
    found = argparse.ArgumentParser("python -m benchmarks", description="Measure chainrule beside other libraries.",
                                    epilog="benchmarks/README.md tells how it measures and how to read the results.")
    found.add_argument("--only", metavar="PATTERN", help="cases with this in their name, or that match; several with commas")
    found.add_argument("--threads", default="1", metavar="N", help="of every contender; 1,2 measures all with 1, then with 2")
    found.add_argument("--peers", metavar="NAMES", help=f"default: those installed of {','.join(DEFAULT_PEERS)}, or on a GPU of "
                       f"{','.join(CUDA_PEERS)}; none for none; there are "
                       f"{','.join(name for name in CONTENDERS if name not in OURS)}")
    found.add_argument("--json", type=Path, metavar="FILE",
                       help="write the results there, as they come; a GPU's go to benchmarks/results where nothing else is said")
    found.add_argument("--add", action="store_true", help="to what the file of --json has; a case measured again is replaced")
    found.add_argument("--plot", type=Path, metavar="FILE", help="draw the results: FILE.svg or .png, and more beside it")
    found.add_argument("--compare", type=Path, metavar="FILE", help="print what changed since these results")
    found.add_argument("--from", type=Path, metavar="FILE", dest="source", help="measure nothing: take the results of this file")
    found.add_argument("--table", type=Path, nargs="?", const=Path(), metavar="FILE",
                       help="measure nothing: make README.md's table anew, from this file or the one it names; of a GPU's "
                       "results that of docs/gpu.md")
    found.add_argument("--rounds", type=int, help="default 5")
    found.add_argument("--quick", action="store_true", help="a short round only: does it run?")
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="cuda: kernels and training steps on a GPU")
    found.add_argument("--within", type=float, metavar="SECONDS", default=float("inf"), help="begin no case after so many seconds")
    found.add_argument("--list", action="store_true", help="print the names of all cases")
    return found


def contenders(peers: str | None, device: str = "cpu") -> list[str]:
    """chainrule's contenders and the peers; ValueError for one that is unknown or not installed."""
    import chainrule

    if device == "cuda":
        kinds, ours, usual = ON_CUDA, ["chainrule", "chainrule-tiled"], CUDA_PEERS
    else:
        kinds, usual = CONTENDERS, DEFAULT_PEERS
        ours = [name for name in OURS if name == "chainrule" or hasattr(chainrule, "compile")]
    if peers is None:
        return ours + [name for name in usual if available(name, device)]
    chosen = [name for name in peers.split(",") if name not in ("", "none")]
    missing = [name for name in chosen if not available(name, device)]
    if missing:
        raise ValueError(f"--peers: {', '.join(missing)} cannot be imported; installed are "
                         + (", ".join(name for name in kinds if name not in ours and available(name, device)) or "none"))
    return ours + [name for name in chosen if name not in ours]


def results_on_cuda() -> Path:
    """benchmarks/results/DEVICE-DATE.json."""
    import chainrule

    device = re.sub("[^a-z0-9]+", "-", chainrule.cuda.get_device_name().lower()).strip("-")
    return ROOT / "benchmarks" / "results" / f"{device}-{time.strftime('%Y-%m-%d', time.gmtime())}.json"


def settings_of(options: argparse.Namespace) -> Settings:
    """What the options ask to be measured; ValueError for what cannot be."""
    on_cuda, json = options.device == "cuda", options.json
    if on_cuda:
        import chainrule

        if not chainrule.cuda.is_available():
            raise ValueError(f"--device cuda: {chainrule.cuda.why_not()}")
        json = json or results_on_cuda()
    words = options.threads.split(",")
    if not all(word.isdigit() and int(word) for word in words):
        raise ValueError(f"--threads {options.threads}: numbers that are at least 1, with commas between them")
    if options.add and not json:
        raise ValueError("--add needs the file of --json, to which it adds")
    if options.rounds is not None and options.rounds < 1:
        raise ValueError(f"--rounds {options.rounds}: at least 1")
    rounds, seconds = (1, 0.02) if options.quick else (5, 0.4)
    return Settings(contenders(options.peers, options.device), [0] if on_cuda else [int(word) for word in words],
                    options.rounds or rounds, seconds, json, options.add, options.device, options.within)


def rewrite_table(source: Path) -> None:
    """Make the README's table anew; ValueError where there is no file to make it from."""
    if source == Path():
        named = table.source_of(table.README.read_text(encoding="utf-8"))
        if named is None:
            raise ValueError("README.md has no table yet: name the file of results")
        source = named
    results = load(source)
    table.write(results, source)
    print(f"{table.page(results).relative_to(ROOT)} has the table of {source}")


def main(arguments: list[str] | None = None) -> int:
    """Do what was asked for; the exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.table is not None:
            rewrite_table(options.table)
            return 0
        cases, old = selected(options.only, options.device), load(options.compare) if options.compare else None
        if options.list:
            print("\n".join(f"{name:48} {case.title}" for name, case in cases.items()))
            return 0
        results = load(options.source) if options.source else measured(cases, settings_of(options))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{head(results)}\n{summary(results)}")
    if old is not None:
        print(f"\nSince {options.compare}:\n{compare.compared(old, results)}")
    if options.plot:
        from benchmarks import plot

        for path in plot.draw(results, options.plot):
            print(f"drawn: {path}")
    return 0


def measured(cases: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Run, and print each result as it comes."""
    settings.say(f"{len(cases)} cases; contenders: {', '.join(settings.contenders)}")
    return run(cases, settings, lambda result: print(rows(result), flush=True))


if __name__ == "__main__":
    sys.exit(main())
