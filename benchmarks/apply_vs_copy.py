"""Time and memory of a streamed width plan on a random sharded Llama, against a plain copy of the same bytes.

    python benchmarks/apply_vs_copy.py --gigabytes 4.2 --pairs 5

Two copies read every byte of the checkpoint, write as many bytes as the result has, and sync each file: one through a
reused buffer, one inside the kernel (copy_file_range; the bytes that are not kept are read through the buffer). The
faster one by its median is what apply is held to, since apply copies untouched tensors inside the kernel as well. On a
file system that shares blocks, kernel copies cost nothing on either side and the ratio says little.

Each side runs in a fresh process, the order turning from round to round, the checkpoint warm in the page cache.
`stream` is the writing alone; `whole` also opens the checkpoint, takes the layout from its cache and verifies the
plan (imports are left out). Apply syncs behind the writing, the copies at the end of each file.

Memory is measured in a run of its own, because sampling slows whatever is timed: the peak of `Anonymous` in
/proc/self/smaps_rollup, sampled, less its value after the imports. Peaks shorter than a sample can be missed.
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


def peak_of(job: Callable[[], object]) -> dict[str, float]:
    """The most anonymous memory above what was there before, in bytes, and how often it was looked at."""
    start = peak = anonymous()
    done = threading.Event()
    looks = 0

    def watch() -> None:
        nonlocal peak, looks
        while not done.wait(0.002):
            peak, looks = max(peak, anonymous()), looks + 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    job()
    done.set()
    watcher.join()
    return {"anonymous_bytes": float(peak - start), "samples": float(looks)}


def copy(source: Path, out: Path, kept: int, *, in_kernel: bool) -> None:
    """Read all, write `kept` bytes, sync each file."""
    out.mkdir()
    buffer = memoryview(bytearray(PIECE))
    left = kept
    for path in sorted(source.glob("*.safetensors")):
        reader = os.open(path, os.O_RDONLY)
        writer = os.open(out / path.name, os.O_WRONLY | os.O_CREAT)
        while in_kernel and left and (got := os.copy_file_range(reader, writer, min(left, 1 << 28))):
            left -= got
        while got := os.readv(reader, [buffer]):
            view = buffer[: min(left, got)]
            left -= len(view)
            while len(view):
                view = view[os.write(writer, view) :]
        os.fsync(writer)
        os.close(reader)
        os.close(writer)


def surgery(source: Path, out: Path) -> dict[str, float]:
    """Seconds of the whole job, from opening the checkpoint to the finished folder, and of the writing in it."""
    from penjing.core import Keep, Plan
    from penjing.io import open_checkpoint
    from penjing.layouts import from_config
    from penjing.surgery import stream, verify

    edits = json.loads((source.parent / "plan.json").read_text())
    plan = Plan(tuple(Keep(axis, tuple(units)) for axis, units in edits))
    began = time.perf_counter()
    checkpoint = open_checkpoint(source)
    layout = from_config(checkpoint.config, stored=checkpoint.shapes)
    verified = verify(checkpoint, layout, plan)
    middle = time.perf_counter()
    if os.environ.get("APPLY_VS_COPY_MEMORY"):
        return peak_of(lambda: stream(checkpoint, layout, plan, out, verified=verified))
    stream(checkpoint, layout, plan, out, verified=verified)
    ended = time.perf_counter()
    return {"whole": ended - began, "stream": ended - middle}


def one(mode: str, source: Path, out: Path, kept: int) -> None:
    """Run one side in this process and tell what it took."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    if mode == "apply":
        told = surgery(source, out)
    else:
        began = time.perf_counter()
        copy(source, out, kept, in_kernel=mode == "kernel copy")
        told = {"whole": time.perf_counter() - began}
    sys.stdout.write(json.dumps(told))


def fresh(mode: str, source: Path, out: Path, kept: int, *, memory: bool = False) -> dict[str, float]:
    """The same in a fresh process; what it wrote is removed afterwards."""
    command = [sys.executable, __file__, "--run", mode, str(source), str(out), str(kept)]
    environment = {**os.environ, **({"APPLY_VS_COPY_MEMORY": "1"} if memory else {})}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    size = sum(p.stat().st_size for p in out.glob("*.safetensors"))
    shutil.rmtree(out)
    return {**json.loads(told), "bytes": size}


def rounds(source: Path, kept: int, count: int) -> dict[str, list[float]]:
    """Seconds of each side in each round; the order turns, so that no side is always first."""
    modes = ["copy", "kernel copy", "apply"]
    seconds: dict[str, list[float]] = {"copy": [], "kernel copy": [], "stream": [], "whole": []}
    for k in range(count):
        for mode in modes[k % 3 :] + modes[: k % 3]:
            found = fresh(mode, source, source.parent / f"{mode} {k}", kept)
            if abs(found["bytes"] - kept) > 0:
                raise SystemExit(f"{mode} wrote {found['bytes']} bytes, not {kept}: the sides are not alike")
            if mode == "apply":
                seconds["stream"].append(found["stream"])
                seconds["whole"].append(found["whole"])
            else:
                seconds[mode].append(found["whole"])
    return seconds


def main() -> None:
    """Build, run the rounds, print a table and JSON."""
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
        source = Path(name) / "in"
        build(source, options.gigabytes, options.keep)
        memory = fresh("apply", source, source.parent / "memory", 0, memory=True)
        kept = int(memory["bytes"])
        seconds = rounds(source, kept, options.pairs)
        total = sum(p.stat().st_size for p in source.glob("*.safetensors"))
        largest = _largest(source)
    held_to = min(("copy", "kernel copy"), key=lambda m: median(seconds[m]))
    ratios = {k: [a / c for a, c in zip(seconds[k], seconds[held_to], strict=True)] for k in ("stream", "whole")}
    told = {
        "bytes_read": total,
        "bytes_written": kept,
        "seconds": seconds,
        "held_to": held_to,
        "ratios": ratios,
        "median_ratio": {k: median(v) for k, v in ratios.items()},
        "largest_tensor_bytes": largest,
        "anonymous_peak_bytes": memory["anonymous_bytes"],
        "anonymous_samples": memory["samples"],
        "anonymous_goal_bytes": 200_000_000 + 2 * largest,
    }
    lines = [f"{'round':>5} " + " ".join(f"{m + ' s':>14}" for m in seconds)]
    lines += [f"{k:>5} " + " ".join(f"{v[k]:>14.2f}" for v in seconds.values()) for k in range(options.pairs)]
    lines.append(f"held to: {held_to}; median ratio {told['median_ratio']['stream']:.2f} writing alone, "
                 f"{told['median_ratio']['whole']:.2f} with opening, layout and verify")  # fmt: skip
    lines.append(f"anonymous peak {memory['anonymous_bytes'] / 1e6:.0f} MB in {memory['samples']:.0f} samples")
    sys.stdout.write("\n".join(lines) + f"\n{json.dumps(told)}\n")


def _largest(source: Path) -> int:
    from penjing.io import open_checkpoint

    with open_checkpoint(source) as checkpoint:
        return max(t.length for t in checkpoint.tensors.values())


if __name__ == "__main__":
    main()
