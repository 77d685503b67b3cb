"""What 8 and 4 bits cost SmolLM2-135M, whole and cut, and whether to cut before or after rounding.

    OMP_NUM_THREADS=1 python benchmarks/packed.py --work out/packed
    OMP_NUM_THREADS=1 python benchmarks/packed.py --work out/packed --order --heal 32768

The model, and the model cut to 0.75 of its neurons (`activation`, not healed), with their weights as packed folders
have them: `penjing export` holds a folder to these weights, so here they are put into the model, and none is written.
For the other order the weights of the whole model are rounded first, that model is cut by the same method, and what is
left is rounded again, as a folder would have it. With `--heal`, the cut is also healed (`penjing heal`: half the whole
model's logits, half the text's own loss; addresses and novels, as papers/healing-curves has them) and rounded then, by
itself: it is not trained on after that. Perplexity in float32 on the same blocks of the two texts that penjing
ships to judge on; the ratio to the same model in full is paired over blocks, with its 95 % interval (t). Megabytes are
those of a folder in float32 and in bfloat16, counted from the shapes.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from papers.assets.healing import training_text
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
"""What the weights are rounded to before the cut, where that comes first, and after healing."""
CHARACTERS = 3_000_000
"""Of addresses and of novels to heal on: more than any run reads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("out/packed"))
    parser.add_argument("--cut", type=Path, help="a folder cut so that is there already")
    parser.add_argument("--order", action="store_true", help="only the order, beside the models in full")
    parser.add_argument("--heal", type=int, metavar="TOKENS", help="heal the cut on so many tokens, too")
    parser.add_argument("--blocks", type=int, default=3, help="of each text")
    parser.add_argument("--window", type=int, default=256)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    if asked.heal is not None and asked.heal < 1:
        parser.error(f"found --heal {asked.heal}; needed one token or more")
    whole = as_folder(resolve(fetch_asset("smollm2")), cache_folder())
    cut = asked.cut or asked.work / "cut"
    _cut(whole, cut)
    ids = _blocks(whole, asked.blocks, asked.window)
    print("| model | weights | MB in f32 | MB in bf16 | speeches | novel | of the same in full |", flush=True)
    print("|---" * 7 + "|", flush=True)
    every(whole, "whole", ids, [] if asked.order else list(SCHEMES))
    base = every(cut, f"keep {KEEP}", ids, [FIRST] if asked.order else list(SCHEMES))
    if asked.heal:
        _healed(cut, asked.work / f"healed-{asked.heal}", whole, asked.heal)
        every(asked.work / f"healed-{asked.heal}", f"keep {KEEP}, healed", ids, [FIRST], base)
    first = asked.work / "rounded"
    _rounded(whole, first, SCHEMES[FIRST])
    _cut(first, asked.work / "rounded-cut")
    every(asked.work / "rounded-cut", f"{FIRST}, then keep {KEEP}", ids, [FIRST], base)


def every(folder: Path, name: str, ids: Tensor, schemes: Sequence[str], base: Tensor | None = None) -> Tensor:
    """The rows of one model, in full and in some schemes; ratios are to the `base`, or else to itself in full."""
    model: Any = load(folder, dtype=torch.float32)
    weights = _weights(folder)
    own = told(name, "in full", _size(folder, None), losses(model, ids), base)
    for stored in schemes:
        scheme = SCHEMES[stored]
        put(model, {n: rounded(w, bits=scheme.bits, group=scheme.group) for n, w in weights.items()})
        told(name, stored, _size(folder, scheme), losses(model, ids), own if base is None else base)
    return own


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


def _cut(folder: Path, out: Path) -> None:
    if not out.is_dir():
        penjing.shrink(folder, out, choice=penjing.Choice(method="activation", keep=KEEP), measure=False)


def _healed(folder: Path, out: Path, teacher: Path, tokens: int) -> None:
    """The cut model, trained for so many tokens."""
    if not out.is_dir():
        text = training_text(out.parent, CHARACTERS)
        how = penjing.Heal(
            method="logits", settings={"own": 0.5}, tokens=tokens, texts=(str(text),), teacher=str(teacher)
        )
        penjing.heal(folder, out, how=how, measure=False)


def _rounded(folder: Path, out: Path, scheme: Scheme) -> None:
    """The model in full, with the weights that its packed folder would stand for."""
    if not out.is_dir():
        model: Any = load(folder, dtype=torch.float32)
        put(model, {n: rounded(w, bits=scheme.bits, group=scheme.group) for n, w in _weights(folder).items()})
        model.save_pretrained(out)
        tokenizer(folder).save_pretrained(out)


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
