"""What few bits cost SmolLM2-135M, whole and cut: packed folders in transformers, GGUF in llama.cpp, and the order.

    OMP_NUM_THREADS=1 python benchmarks/packed.py --work out/packed

Perplexity on the same blocks of the two texts that penjing ships to judge on, of the model, of the model cut to 0.75 of
its neurons (`activation`, not healed), and of both in 8 and 4 bits; and of the model whose weights were rounded to 4
bits first and cut then, by the same method, and packed again. All is computed in float32. The ratio to the model in
full, of the same cut, is paired over blocks, with its 95 % interval (t). Bytes are those of the files as they are, and
as they would be with all that is not packed in bfloat16.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor

import penjing
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, tokenise
from penjing.exporters.packed.matrices import matrices
from penjing.exporters.packed.opened import open_module
from penjing.exporters.runtime import runner_of, size_of
from penjing.io import open_checkpoint
from penjing.io.assets import fetch_asset
from penjing.maths.quantise import rounded
from penjing.pipeline.file_figures import acting
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load, tokenizer

KEEP = 0.75
PACKED = ("int8", "int4:g32", "int4:g64")
FILES = ("gguf:q8_0", "gguf:q4_0")
FIRST = "int4:g32"
"""What the weights are rounded to before the cut, where that comes first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("out/packed"))
    parser.add_argument("--cut", type=Path, help="a cut folder that is there already")
    parser.add_argument("--blocks", type=int, default=3, help="of each text")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--files", action="store_true", help="GGUF files, too")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    whole = as_folder(resolve(fetch_asset("smollm2")), cache_folder())
    cut = asked.cut or _cut(whole, asked.work / "cut")
    ids = _blocks(whole, asked.blocks, asked.window)
    base: dict[str, Tensor] = {}
    print("| model | stored as | MB | MB, the rest in bf16 | speeches | novel | of the same in full |")
    print("|---" * 7 + "|")
    for name, folder in (("whole", whole), (f"keep {KEEP}", cut)):
        base[name] = told(name, "float32", folder, ids, None)
        for to in PACKED:
            packed = asked.work / f"{name.replace(' ', '-')}-{to.replace(':', '-')}"
            told(name, to, _exported(folder, to, packed), ids, base[name])
    first = _cut(_rounded(whole, asked.work / "rounded"), asked.work / "rounded-cut")
    packed = _exported(first, FIRST, asked.work / "rounded-cut-packed")
    told(f"{FIRST}, then keep {KEEP}", FIRST, packed, ids, base[f"keep {KEEP}"])
    for name, folder in (("whole", whole), (f"keep {KEEP}", cut)) if asked.files else ():
        for to in FILES:
            path = _exported(folder, to, asked.work / f"{name.replace(' ', '-')}-{to[5:]}.gguf")
            told(name, to, path, ids, base[name])


def told(name: str, stored: str, path: Path, ids: Tensor, base: Tensor | None) -> Tensor:
    """[texts blocks]: the loss of each block in nats; its row is printed."""
    losses = _losses(path, ids)
    cells = [f"{float(text.mean().exp()):.2f} ± {_error(text.exp()):.1f}" for text in losses]
    ratio = "1" if base is None else _ratio(losses.flatten() - base.flatten())
    sizes = f"{size_of(path) / 1e6:.0f} | {_in_half(path)}"
    print(f"| {name} | {stored} | {sizes} | {' | '.join(cells)} | {ratio} |", flush=True)
    return losses


@torch.no_grad()
def _losses(path: Path, ids: Tensor) -> Tensor:
    if path.is_file():
        with runner_of(path).open(path, context=ids.shape[-1], threads=1) as file:
            return _each(acting(file), ids)
    packed = "quantization_config" in json.loads((path / "config.json").read_text())
    model: Any = open_module(path, torch.float32) if packed else load(path, dtype=torch.float32)
    return _each(lambda given: model(input_ids=given, use_cache=False).logits, ids)


def _each(act: Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    out = []
    for block in ids.flatten(0, 1):
        logits = act(block[None])[0].float()
        out.append(torch.nn.functional.cross_entropy(logits[:-1], block[1:]))
    return torch.stack(out).view(ids.shape[:2])


def _ratio(apart: Tensor) -> str:
    half = float(student.ppf(0.975, len(apart) - 1)) * _error(apart)
    middle = float(apart.mean())
    low, high = (float(torch.tensor(middle + side * half).exp()) for side in (-1, 1))
    return f"{float(torch.tensor(middle).exp()):.3f} ({low:.3f} to {high:.3f})"


def _error(values: Tensor) -> float:
    return float(values.std() / len(values) ** 0.5)


def _in_half(path: Path) -> str:
    """Megabytes of the weights with two bytes for each number with a point; of a GGUF file, as it is."""
    if path.is_file():
        return f"{path.stat().st_size / 1e6:.0f}"
    with open_checkpoint(path) as checkpoint:
        sizes = [s.length * 2 // s.dtype.itemsize if s.dtype.is_floating_point else s.length
                 for s in checkpoint.tensors.values()]  # fmt: skip
    return f"{sum(sizes) / 1e6:.0f}"


def _blocks(folder: Path, count: int, window: int) -> Tensor:
    """[texts blocks window]: the beginnings of both texts."""
    read = tokenizer(folder)
    return torch.stack([
        tokenise(read_texts([p]), read)[: count * window].view(count, window) for p in shipped("evaluation")
    ])  # fmt: skip


def _cut(folder: Path, out: Path) -> Path:
    if not out.is_dir():
        penjing.shrink(folder, out, choice=penjing.Choice(method="activation", keep=KEEP, multiple=64), measure=False)
    return out


def _exported(folder: Path, to: str, path: Path) -> Path:
    if not path.exists():
        done = penjing.export(folder, to, path)
        print(f"<!-- {path.name}: {'; '.join(done.notes)} -->", flush=True)
    return path


def _rounded(folder: Path, out: Path) -> Path:
    """The model with each weight that would be packed at the nearest value that its codes stand for."""
    if not out.is_dir():
        with open_checkpoint(folder) as checkpoint:
            names = matrices(checkpoint.config, checkpoint.shapes).packed
        model: Any = load(folder, dtype=torch.float32)
        for name in names:
            weight = model.get_parameter(name).data
            weight.copy_(rounded(weight, bits=4, group=int(FIRST.rpartition("g")[2])))
        model.save_pretrained(out)
        tokenizer(folder).save_pretrained(out)
    return out


if __name__ == "__main__":
    main()
