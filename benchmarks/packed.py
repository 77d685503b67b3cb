"""What 8 and 4 bits cost SmolLM2-135M, whole and cut, and whether to cut before or after rounding.

    OMP_NUM_THREADS=1 python benchmarks/packed.py --work out/packed

The model, and the model cut to 0.75 of its neurons (`activation`, not healed), with their weights as packed folders
have them: `penjing export` holds a folder to these weights, so here they are put into the model, and none is written.
For the other order the weights of the whole model are rounded first, the same neurons are cut from it, and what is left
is rounded again, as a folder would have it. Perplexity in float32 on the same blocks of the two texts that penjing
ships to judge on; the ratio to the same model in full is paired over blocks, with its 95 % interval (t). Megabytes are
those of a folder in float32 and in bfloat16, counted from the shapes.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from scipy.stats import t as student
from torch import Tensor, nn

import penjing
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, tokenise
from penjing.exporters.packed.matrices import matrices
from penjing.exporters.packed.scheme import Scheme
from penjing.io import open_checkpoint
from penjing.io.assets import fetch_asset
from penjing.maths.quantise import rounded, words
from penjing.running.source import as_folder, resolve
from penjing.running.stock import load, tokenizer

KEEP = 0.75
SCHEMES = {
    "int8": Scheme(bits=8), "int4:g64": Scheme(bits=4, group=64), "int4:g32": Scheme(bits=4, group=32),
}  # fmt: skip
FIRST = "int4:g32"
"""What the weights are rounded to before the cut, where that comes first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("out/packed"))
    parser.add_argument("--cut", type=Path, help="a folder cut so that is there already")
    parser.add_argument("--blocks", type=int, default=3, help="of each text")
    parser.add_argument("--window", type=int, default=256)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    whole = as_folder(resolve(fetch_asset("smollm2")), cache_folder())
    cut = asked.cut or asked.work / "cut"
    if not cut.is_dir():
        penjing.shrink(whole, cut, choice=penjing.Choice(method="activation", keep=KEEP), measure=False)
    ids = _blocks(whole, asked.blocks, asked.window)
    print("| model | weights | MB in f32 | MB in bf16 | speeches | novel | of the same in full |", flush=True)
    print("|---" * 7 + "|", flush=True)
    full = {n: t.clone() for n, t in _weights(whole).items()}
    every(whole, "whole", ids)
    every(cut, f"keep {KEEP}", ids, first=full)


def every(folder: Path, name: str, ids: Tensor, first: Mapping[str, Tensor] | None = None) -> None:
    """The rows of one model: in full, in each scheme, and, with the weights that come `first`, in the other order."""
    model: Any = load(folder, dtype=torch.float32)
    weights = _weights(folder)
    base = told(name, "in full", _size(folder, None), losses(model, ids), None)
    for stored, scheme in SCHEMES.items():
        put(model, {n: rounded(w, bits=scheme.bits, group=scheme.group) for n, w in weights.items()})
        told(name, stored, _size(folder, scheme), losses(model, ids), base)
    if first is not None:
        scheme = SCHEMES[FIRST]
        before = {n: rounded(w, bits=scheme.bits, group=scheme.group) for n, w in first.items()}
        left = {n: _same_units(before[n], first, weights, n) for n in weights}
        put(model, left)
        told(f"{FIRST}, then {name}", "cut only", ("", ""), losses(model, ids), base)
        put(model, {n: rounded(w, bits=scheme.bits, group=scheme.group) for n, w in left.items()})
        told(f"{FIRST}, then {name}", FIRST, _size(folder, scheme), losses(model, ids), base)


@torch.no_grad()
def put(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put these weights into the model."""
    for name, weight in weights.items():
        model.get_parameter(name).copy_(weight)


@torch.no_grad()
def losses(model: Any, ids: Tensor) -> Tensor:
    """[texts blocks]: the mean loss of each block in nats."""
    out = []
    for block in ids.flatten(0, 1):
        logits = model(input_ids=block[None], use_cache=False).logits[0]
        out.append(torch.nn.functional.cross_entropy(logits[:-1], block[1:]))
    return torch.stack(out).view(ids.shape[:2])


def told(name: str, stored: str, size: tuple[str, str], found: Tensor, base: Tensor | None) -> Tensor:
    """The losses, once their row is printed: perplexity ± its standard error over blocks, and the ratio to the base."""
    cells = [f"{float(text.mean().exp()):.2f} ± {_error(text.exp()):.1f}" for text in found]
    ratio = "1" if base is None else _ratio((found - base).flatten())
    print(f"| {name} | {stored} | {' | '.join(size)} | {' | '.join(cells)} | {ratio} |", flush=True)
    return found


def _same_units(rows: Tensor, first: Mapping[str, Tensor], cut: Mapping[str, Tensor], name: str) -> Tensor:
    """Of a matrix of the whole model the rows or columns that are in the cut one: those of the same weights."""
    if cut[name].shape == first[name].shape:
        return rows
    whole, left = (first[name], cut[name]) if len(cut[name]) < len(first[name]) else (first[name].T, cut[name].T)
    places = {tuple(row): i for i, row in enumerate(whole[:, :16].tolist())}
    kept = torch.tensor([places[tuple(row)] for row in left[:, :16].tolist()])
    return rows[kept] if len(cut[name]) < len(first[name]) else rows[:, kept]


def _weights(folder: Path) -> dict[str, Tensor]:
    """The matrices that are packed."""
    with open_checkpoint(folder) as checkpoint:
        return {n: checkpoint[n].float() for n in matrices(checkpoint.config, checkpoint.shapes).packed}


def _size(folder: Path, scheme: Scheme | None) -> tuple[str, str]:
    """Megabytes of the weights on disk, with four bytes and with two for each number with a point."""
    codes = points = 0
    with open_checkpoint(folder) as checkpoint:
        packed = matrices(checkpoint.config, checkpoint.shapes).packed if scheme is not None else ()
        for name, shape in checkpoint.shapes.items():
            if scheme is None or name not in packed:
                points += torch.Size(shape).numel()
            else:
                codes += 4 * shape[0] * words(shape[1], scheme.bits)
                points += shape[0] * (shape[1] // (scheme.group or shape[1]))
    return f"{(codes + 4 * points) / 1e6:.0f}", f"{(codes + 2 * points) / 1e6:.0f}"


def _ratio(apart: Tensor) -> str:
    half = float(student.ppf(0.975, len(apart) - 1)) * _error(apart)
    low, middle, high = (float(torch.tensor(float(apart.mean()) + side * half).exp()) for side in (-1, 0, 1))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _error(values: Tensor) -> float:
    return float(values.std() / len(values) ** 0.5)


def _blocks(folder: Path, count: int, window: int) -> Tensor:
    """[texts blocks window]: the beginnings of both texts."""
    read = tokenizer(folder)
    texts = [tokenise(read_texts([p]), read)[: count * window] for p in shipped("evaluation")]
    return torch.stack([t.view(count, window) for t in texts])


if __name__ == "__main__":
    main()
