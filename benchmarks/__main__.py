"""Our own benchmarks, one after the other: `python -m benchmarks`, or by name: `python -m benchmarks families`."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "apply_vs_copy",
    "speed_ratio",
    "families",
    "keep_curve",
    "battery_overhead",
    "collect_overhead",
    "report_page",
    "serve_list",
    "roofline",
    "stacked",
    "openings",
    "look",
    "runtimes",
)


def main(wanted: list[str]) -> int:
    """Run the scripts named, or all; the exit code is that of the first that failed."""
    unknown = [n for n in wanted if n not in SCRIPTS]
    if unknown:
        print(f"no benchmark is named '{unknown[0]}'; there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    for name in wanted or SCRIPTS:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, str(Path(__file__).parent / f"{name}.py")], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
