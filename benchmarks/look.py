"""What the first and the second `penjing look` of a config take: each a new process, the first with an empty cache.

    python -m benchmarks.look [--rounds 5] [--shape 135M --shape 7B --shape 70B] [--command look]

Wall seconds from the start of the process to its end, Python's own start included; seconds of processor time; and the
peak of resident memory. Medians over rounds, with the least and the most. The configs are written here: no weights are
needed. Beside them stands what `import torch` alone takes in a new process, as a yardstick of the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-5}
SHAPES = {
    "135M": {
        **LLAMA, "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 2048,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    },
    "7B": {
        **LLAMA, "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
        "tie_word_embeddings": False, "torch_dtype": "float16",
    },
    "70B": {
        **LLAMA, "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 8192,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "rope_theta": 500000.0,
    },
}  # fmt: skip
"""Shapes as of SmolLM2-135M, Llama-2-7B and Llama-3-70B."""

UNITS = {"wall": "s", "processor": "s", "peak": "MB"}
PENJING = "from penjing.cli import main; main()"


def once(code: str, words: list[str], cache: Path) -> dict[str, float]:
    """Wall seconds, processor seconds and peak memory of one new process."""
    env = {**os.environ, "PENJING_CACHE": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs; so must a clone be, once
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, env=env)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} ended with code {child.returncode}")
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kibibytes elsewhere
    return {"wall": wall, "processor": used.ru_utime + used.ru_stime, "peak": peak}


def rounds_of(wish: argparse.Namespace, home: Path) -> dict[tuple[str, str], list[dict[str, float]]]:
    """(what, which time) -> its rounds; shapes take turns, so that a busy minute falls on all of them."""
    out: dict[tuple[str, str], list[dict[str, float]]] = {}
    for k in range(wish.rounds):
        out.setdefault(("import torch", ""), []).append(once("import torch", [], home))
        for shape in wish.shape:
            config, cache = home / f"{shape}.json", home / f"cache-{shape}-{k}"
            config.write_text(json.dumps(SHAPES[shape]), encoding="utf-8")
            for which in ("first", "second"):
                out.setdefault((shape, which), []).append(once(PENJING, [wish.command, str(config)], cache))
    return out


def table(found: dict[tuple[str, str], list[dict[str, float]]]) -> str:
    """The medians as a table, the least and the most in brackets."""
    lines = ["| shape | time | wall, s | processor, s | peak memory, MB |", "|---|---|---:|---:|---:|"]
    for (shape, which), rounds in found.items():
        cells = []
        for key, unit in UNITS.items():
            column, digits = [r[key] for r in rounds], 0 if unit == "MB" else 2
            middle, least, most = statistics.median(column), min(column), max(column)
            cells.append(f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})")
        lines.append(f"| {shape} | {which} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", action="append", choices=list(SHAPES))
    parser.add_argument("--command", choices=["look", "layout"], default="look")
    wish = parser.parse_args()
    wish.shape = wish.shape or list(SHAPES)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        once(PENJING, ["--help"], Path(home))  # compiles what is not compiled yet
        found = rounds_of(wish, Path(home))
    print(table(found))
    print(f"\n{wish.rounds} rounds of penjing {wish.command}; load {before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
