"""How soon does `penjing serve` list 2,000 runs? Time to the first byte, the whole answer, and the drawn list.

    python benchmarks/serve_list.py

Writes 2,000 run folders in a temporary place, starts the real command in a process of its own, and asks for the list
cold (nothing read yet) and warm. With playwright and a Chromium on the path, also the time until the list is drawn in
the browser, and until a filter's answer is. The limit is one second.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

from penjing.core import Report, Subject
from penjing.evaluate.costs import PARAMETERS
from penjing.evaluate.perplexity import PERPLEXITY
from penjing.report.runs import RunWriter

LIMIT = 1.0
MODELS = ("SmolLM2-135M", "DINOv2-S", "EfficientNet-lite0", "Pythia-160M")
ENDS = {3: KeyboardInterrupt, 7: RuntimeError}


def report(number: int) -> Report:
    """Two models with the figures of a small run."""
    model, keep = MODELS[number % len(MODELS)], 0.5 + (number % 50) / 100
    sides = []
    for name, share in ((model, 1.0), (f"{model}-{keep:.2f}", keep)):
        figures = (
            replace(PARAMETERS, value=134e6 * (0.4 + 0.6 * share)),
            replace(PERPLEXITY, value=21.7 / share**1.5, n=4088, spread=0.5),
        )
        widths = {f"neurons.{i}": int(1536 * share) for i in range(30)}
        sides.append(Subject(name=name, source=f"models/{name}", figures=figures, widths=widths))
    return Report(title=f"{model}, run {number}", subjects=tuple(sides))


def fill(root: Path, count: int) -> None:
    """Write `count` run folders, of which some failed or were interrupted."""
    for number in range(count):
        name = f"{MODELS[number % len(MODELS)].lower()}-{number:04d}"
        try:
            with RunWriter(root / name, name, f"penjing shrink {name} -o out --seed {number}") as run:
                run.progress("measuring", number % 100, 100)
                run.report(report(number))
                if number % 40 in ENDS:
                    raise ENDS[number % 40]("the disk was full")
        except (KeyboardInterrupt, RuntimeError):
            continue


def ask(url: str) -> tuple[float, float, int]:
    """Seconds to the first byte and to the last, and the bytes."""
    begun = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        first = answer.read(1)
        reached = time.perf_counter() - begun
        rest = answer.read()
    return reached, time.perf_counter() - begun, len(first) + len(rest)


def drawn(url: str, chromium: str) -> dict[str, float]:
    """Seconds until the list is drawn in a browser, and until a filter has changed it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto("about:blank")
        begun = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_selector(".runs tbody tr:last-child")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        listed = time.perf_counter() - begun
        begun = time.perf_counter()
        page.fill("input[name=text]", "dinov2-s-0001")
        page.wait_for_selector(".runs tbody tr:first-child:last-child")
        filtered = time.perf_counter() - begun
        browser.close()
    return {"drawn": listed, "filtered": filtered}


def measure(root: Path) -> dict[str, float]:
    """All figures, in seconds, from the real command."""
    command = [sys.executable, "-c", "from penjing.cli import main; main()", "serve", str(root), "--json"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            told = "".join(iter(server.stdout.readline, "}\n")) + "}" if server.stdout else "{}"
            url = json.loads(told)["url"]
            found = {"started": time.perf_counter() - begun}
            found["cold_first_byte"], found["cold_whole"], _ = ask(url)
            time.sleep(1)
            found["warm_first_byte"], found["warm_whole"], size = ask(url)
            found["megabytes"] = size / 1e6
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            if chromium:
                found |= drawn(url, chromium)
        finally:
            server.terminate()
    return found


def main() -> int:
    """Print the figures; fail when one is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--keep", type=Path, help="leave the runs here, to look at")
    parser.add_argument("--json", type=Path, help="write the figures here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        root = asked.keep or Path(where)
        fill(root, asked.runs)
        found = measure(root)
    for name, value in found.items():
        print(f"{name:16} {value:8.3f}")
    if asked.json:
        asked.json.write_text(json.dumps({"runs": asked.runs, "seconds": found}, indent=1) + "\n")
    slow = [n for n in ("cold_whole", "warm_whole", "drawn") if found.get(n, 0) > LIMIT]
    print(f"over {LIMIT} s: {', '.join(slow)}" if slow else f"all within {LIMIT} s")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
