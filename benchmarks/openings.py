"""How often a whole shrink with measuring opens the models, how long it takes, and its memory at most.

    python -m benchmarks.openings [--tiny] [--before SRC] [--no-speed] [--threads 1] [--json FILE]

The model is SmolLM2-135M, or with --tiny a random one of some 2 million weights. Each side is a process of its own with
an empty cache; --before is the `src` folder of another revision, which is run as well, after ours. An opening is a call
of the stock loader, in this process or in one that it starts; memory is the proportional set size of all of them
together, looked at ten times a second. Figures that are not times are held to be the same on both sides. What only
later revisions show (answers to prompts, blocks one by one) is left out, so that both sides do the same.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
TIMED = ("seconds", "per_second", "memory", "prefill", "decode", "energy")

HOOK = '''
"""Note each call of the stock loader; imported by every Python process that has this folder on its path."""
import importlib.abc, importlib.util, json, os, sys

class _Loader(importlib.abc.Loader):
    def __init__(self, inner):
        self.inner = inner
    def create_module(self, spec):
        return self.inner.create_module(spec)
    def exec_module(self, module):
        self.inner.exec_module(module)
        kind = module.PreTrainedModel
        before = kind.from_pretrained.__func__
        def noting(cls, name, *args, **kwargs):
            with open(os.environ["OPENINGS"], "a", encoding="utf-8") as file:
                file.write(json.dumps([os.path.basename(str(name)), os.getpid()]) + "\\n")
            return before(cls, name, *args, **kwargs)
        kind.from_pretrained = classmethod(noting)

class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "transformers.modeling_utils":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = _Loader(spec.loader)
        return spec

if "OPENINGS" in os.environ:
    sys.meta_path.insert(0, _Finder())
'''

INSIDE = """
import json, sys, torch, penjing
from penjing.evaluate import to_json
torch.set_num_threads(int(sys.argv[3]))
settings = json.loads(sys.argv[4])
try:
    from penjing.pipeline.request import Measure
    later = {k: False for k in ("answers", "by_block") if k in Measure.__dataclass_fields__}
    settings["measure"] = Measure(speed=settings.pop("speed"), **later)
except ImportError:  # a revision in which it was a keyword
    pass
done = penjing.shrink(sys.argv[1], sys.argv[2], **settings)
print("REPORT" + json.dumps([to_json(s) for s in done.report.subjects]))
"""


def tiny(place: Path) -> Path:
    """A random Llama with a tokenizer of the 256 bytes."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(vocab=letters, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(place)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(place)
    return place


def memory(parent: int) -> tuple[int, int]:
    """(bytes of a process and of all that it started, bytes of itself)."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {parent}
    while more := {p for p, above in parents.items() if above in family} - family:
        family |= more
    sizes = {}
    for pid in family:
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes[pid] = next((int(r.split()[1]) * 1024 for r in rows if r.startswith("Pss:")), 0)
    return sum(sizes.values()), sizes.get(parent, 0)


def one(src: Path, model: Path, wish: argparse.Namespace) -> dict[str, object]:
    """What a whole shrink by the code in a folder takes."""
    settings = {"rows": 8, "length": 128} if wish.tiny else {}
    settings |= {"keep": 0.75, "speed": wish.speed}
    with TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "hook").mkdir()
        (place / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
        env = {
            **os.environ, "PYTHONPATH": f"{place / 'hook'}:{src}", "PENJING_CACHE": str(place / "cache"),
            "OPENINGS": str(place / "openings"), "OMP_NUM_THREADS": str(wish.threads), "HF_HUB_OFFLINE": "1",
        }  # fmt: skip
        command = [sys.executable, "-c", INSIDE, str(model), str(place / "out"), str(wish.threads)]
        began, most, own = time.perf_counter(), 0, 0
        spent = _processor_seconds()
        with subprocess.Popen(
            [*command, json.dumps(settings)], env=env, cwd=place, stdout=subprocess.PIPE, text=True
        ) as run:
            while run.poll() is None:
                together, alone = memory(run.pid)
                most, own = max(most, together), max(own, alone)
                time.sleep(0.1)
            said = run.stdout.read() if run.stdout else ""
        seconds, spent = time.perf_counter() - began, _processor_seconds() - spent
        if run.returncode:
            raise SystemExit(f"the shrink by {src} ended with code {run.returncode}")
        rows = [json.loads(line) for line in (place / "openings").read_text(encoding="utf-8").splitlines()]
    report = json.loads(said.rpartition("REPORT")[2])
    here = Counter(name for name, pid in rows if pid == run.pid)
    every = Counter(name for name, _ in rows)
    return {
        "openings": {("result" if n == "out" else "original"): c for n, c in every.items()},
        "in this process": {("result" if n == "out" else "original"): c for n, c in here.items()},
        "seconds": seconds, "processor_seconds": spent, "peak_bytes": most, "peak_bytes_of_the_process": own,
        "figures": [{k: v for k, v in r.items() if isinstance(v, int | float)} for r in report],
    }  # fmt: skip


def _processor_seconds() -> float:
    """What processes that have ended took of the processors: steadier than the clock where others run too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--before", type=Path, help="the src folder of another revision")
    parser.add_argument("--no-speed", dest="speed", action="store_false")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    wish = parser.parse_args()
    with TemporaryDirectory() as scratch:
        if wish.tiny:
            model = tiny(Path(scratch) / "model")
        else:
            from penjing.io.assets import fetch_asset

            model = fetch_asset("smollm2")
        out: dict[str, dict[str, object]] = {"now": one(ROOT / "src", model, wish)}
        if wish.before:
            out["before"] = one(wish.before.resolve(), model, wish)
    figures = [side.pop("figures") for side in out.values()]
    told: dict[str, object] = {**out, "load": [round(v, 1) for v in os.getloadavg()]}
    if wish.before:
        now, before = out["now"], out["before"]
        compared = ("seconds", "processor_seconds", "peak_bytes", "peak_bytes_of_the_process")
        told["now over before"] = {k: round(now[k] / before[k], 3) for k in compared}
        told["figures that differ"] = differing(*figures)
    print(json.dumps(told, indent=1))
    if wish.json:
        wish.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def differing(now: list[dict[str, float]], before: list[dict[str, float]]) -> list[str]:
    """Names of figures that are not the same on both sides, but for times and memory."""
    out = []
    for i, (one_, other) in enumerate(zip(now, before, strict=True)):
        for key in sorted(one_.keys() | other.keys()):
            if not any(t in key for t in TIMED) and one_.get(key) != other.get(key):
                out.append(f"{'original' if not i else 'result'} {key}: {other.get(key)} before, {one_.get(key)} now")
    return out


if __name__ == "__main__":
    main()
