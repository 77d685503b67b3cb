"""Time and memory of a streamed width plan on a random sharded Llama, against a plain copy of the same bytes.

    python benchmarks/apply_vs_copy.py --gigabytes 4.2 --pairs 5

The copy reads every byte of the checkpoint, writes as many bytes as the result has, and syncs each file. Both sides
run interleaved, each time in a fresh process, with the checkpoint in the same state of the page cache. Memory is
anonymous only: the peak of `Anonymous` in /proc/self/smaps_rollup, sampled every 5 ms, less its value after torch
was imported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

PIECE = 8 << 20


def build(folder: Path, gigabytes: float, keep: float) -> None:
    """A Llama of about this size in bfloat16, sharded, written shard by shard, and a plan for it."""
    import torch
    from safetensors.torch import save_file

    from penjing.core import Keep, Plan
    from penjing.io import open_checkpoint
    from penjing.layouts import build as stock
    from penjing.layouts import from_config

    hidden = 2048 if gigabytes >= 1 else 512
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000, "hidden_size": hidden,
        "intermediate_size": 4 * hidden, "num_attention_heads": hidden // 64, "num_key_value_heads": hidden // 256,
        "head_dim": 64, "tie_word_embeddings": False, "num_hidden_layers": 1, "dtype": "bfloat16",
    }  # fmt: skip
    one = sum(p.numel() for p in stock(config).parameters())
    two = sum(p.numel() for p in stock({**config, "num_hidden_layers": 2}).parameters())
    config["num_hidden_layers"] = max(2, 1 + round((gigabytes * 5e8 - one) / (two - one)))
    shapes = {n: tuple(t.shape) for n, t in stock(config).state_dict().items()}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    shards: list[list[str]] = [[]]
    limit, room = gigabytes * 5e8 / 4, 0.0
    for name, shape in shapes.items():
        if room > limit:
            shards.append([])
            room = 0.0
        shards[-1].append(name)
        room += torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(0)
    places = {}
    for k, names in enumerate(shards):
        file = f"model-{k + 1:05d}-of-{len(shards):05d}.safetensors"
        places |= dict.fromkeys(names, file)
        tensors = {n: torch.randn(shapes[n], generator=generator).to(torch.bfloat16) for n in names}
        save_file(tensors, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with open_checkpoint(folder) as checkpoint:
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
    edits = []
    for axis in layout.match("neurons.*"):
        order = torch.randperm(axis.size, generator=generator)[: int(axis.size * keep)]
        edits.append(Keep(axis.name, tuple(sorted(order.tolist()))))
    plan = Plan(tuple(edits))
    (folder.parent / "plan.json").write_text(json.dumps([[e.axis, e.units] for e in plan if isinstance(e, Keep)]))


def anonymous() -> int:
    """Bytes of anonymous memory of this process."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Anonymous:"))


def measured(job: Callable[[], None]) -> dict[str, float]:
    """Wall seconds of a job and the most anonymous memory above what was there before, in bytes."""
    start = peak = anonymous()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    job()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return {"seconds": seconds, "anonymous_bytes": float(max(peak, anonymous()) - start)}


def copy(source: Path, out: Path, kept: int) -> None:
    """Read all, write `kept` bytes, sync each file."""
    out.mkdir()
    left = kept
    for path in sorted(source.glob("*.safetensors")):
        with path.open("rb") as reader, (out / path.name).open("wb") as writer:
            while data := reader.read(PIECE):
                writer.write(data[:left])
                left -= min(left, len(data))
            writer.flush()
            os.fsync(writer.fileno())


def surgery(source: Path, out: Path) -> Callable[[], None]:
    """The streamed plan, from opening the checkpoint to the finished folder; the layout comes from its cache."""
    from penjing.core import Keep, Plan
    from penjing.io import open_checkpoint
    from penjing.layouts import from_config
    from penjing.surgery import stream, verify

    edits = json.loads((source.parent / "plan.json").read_text())
    plan = Plan(tuple(Keep(axis, tuple(units)) for axis, units in edits))
    checkpoint = open_checkpoint(source)
    layout = from_config(checkpoint.config, stored=checkpoint.shapes)
    began = time.perf_counter()
    verified = verify(checkpoint, layout, plan)
    (source.parent / "verify_seconds.json").write_text(json.dumps(time.perf_counter() - began))
    return lambda: stream(checkpoint, layout, plan, out, verified=verified) and None


def one(mode: str, source: Path, out: Path, kept: int) -> None:
    """Run one side in this process and tell what it took."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    job = (lambda: copy(source, out, kept)) if mode == "copy" else surgery(source, out)
    sys.stdout.write(json.dumps(measured(job)))


def fresh(mode: str, source: Path, out: Path, kept: int) -> dict[str, float]:
    """The same in a fresh process; what it wrote is removed afterwards."""
    command = [sys.executable, __file__, "--run", mode, str(source), str(out), str(kept)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    size = sum(p.stat().st_size for p in out.glob("*.safetensors"))
    shutil.rmtree(out)
    return {**json.loads(told), "bytes": size}


def main() -> None:
    """Build, run the pairs, print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--keep", type=float, default=0.75)
    parser.add_argument("--run", nargs=4, metavar=("MODE", "SOURCE", "OUT", "BYTES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        mode, source, out, kept = options.run
        one(mode, Path(source), Path(out), int(kept))
        return
    with tempfile.TemporaryDirectory(prefix="apply-vs-copy-") as name:
        place = Path(name)
        source = place / "in"
        build(source, options.gigabytes, options.keep)
        kept = int(fresh("apply", source, place / "warm", 0)["bytes"])
        rows = [(fresh("copy", source, place / "c", kept), fresh("apply", source, place / "a", kept))
                for _ in range(options.pairs)]  # fmt: skip
        total = sum(p.stat().st_size for p in source.glob("*.safetensors"))
        largest = _largest(source)
        verify_seconds = json.loads((place / "verify_seconds.json").read_text())
    ratios = [a["seconds"] / c["seconds"] for c, a in rows]
    told = {
        "bytes_read": total,
        "bytes_written": kept,
        "copy_seconds": [c["seconds"] for c, _ in rows],
        "apply_seconds": [a["seconds"] for _, a in rows],
        "ratios": ratios,
        "median_ratio": median(ratios),
        "largest_tensor_bytes": largest,
        "anonymous_peak_bytes": max(a["anonymous_bytes"] for _, a in rows),
        "anonymous_goal_bytes": 200_000_000 + 2 * largest,
        "verify_seconds": verify_seconds,
        "memory": "peak of Anonymous in smaps_rollup during apply, less its value before",
    }
    lines = [f"{'pair':>4} {'copy s':>9} {'apply s':>9} {'ratio':>7} {'apply anon MB':>14}"]
    for k, ((c, a), ratio) in enumerate(zip(rows, ratios, strict=True)):
        lines.append(
            f"{k:>4} {c['seconds']:>9.2f} {a['seconds']:>9.2f} {ratio:>7.2f} {a['anonymous_bytes'] / 1e6:>14.0f}"
        )
    sys.stdout.write("\n".join(lines) + f"\nmedian ratio {told['median_ratio']:.2f}\n{json.dumps(told)}\n")


def _largest(source: Path) -> int:
    from penjing.io import open_checkpoint

    with open_checkpoint(source) as checkpoint:
        return max(t.length for t in checkpoint.tensors.values())


if __name__ == "__main__":
    main()
