"""Blocks left out by llama.cpp's quantiser (`--prune-layers`) and by penjing: are the files the same, and do they open?

    npm install --ignore-scripts --prefix out/npm @node-llama-cpp/linux-x64@3.22.1
    python benchmarks/prune_layers.py --library out/npm

No Python wheel was found to have `llama-quantize`; that npm package has the library it is made of, built for Linux,
and this calls its C function. Two random Llamas are cut, one of equal layers and one of layers that differ in width:
penjing cuts the checkpoint and exports it, llama.cpp prunes the exported file of the whole model. Tensors and entries
are compared, and both files are opened and run in llama.cpp.
"""

import argparse
import ctypes
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import penjing
from penjing.core import Keep, Plan
from penjing.errors import PenjingError
from penjing.exporters.llama.model import LlamaModel
from penjing.io import open_checkpoint
from penjing.layouts import from_config
from penjing.surgery import stream, verify

BLOCKS, GONE = 5, (1, 2)
PROMPT = [5, 17, 3, 80, 41, 2, 9, 33]
UNEVEN = Plan(tuple(Keep(f"neurons.{k}", tuple(range(32 + 16 * k))) for k in range(BLOCKS - 1)))


class Wishes(ctypes.Structure):
    """llama.cpp's parameters of its quantiser, as that version has them."""

    _fields_ = (
        ("threads", ctypes.c_int32), ("kind", ctypes.c_int32), ("output", ctypes.c_int32), ("rows", ctypes.c_int32),
        ("flags", ctypes.c_bool * 8), ("matrix", ctypes.c_void_p), ("entries", ctypes.c_void_p),
        ("types", ctypes.c_void_p), ("prune", ctypes.c_void_p),
    )  # fmt: skip


def pruned(library: Path, source: Path, out: Path) -> None:
    """Write the file without the blocks, in float32, by llama.cpp."""
    names = [next(library.rglob(f"{stem}.so")) for stem in ("libggml-base", "libggml.*", "libllama.*")]
    *_, llama = [ctypes.CDLL(str(name), mode=ctypes.RTLD_GLOBAL) for name in names]
    llama.llama_model_quantize_default_params.restype = Wishes
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Wishes)]
    llama.llama_backend_init()
    wishes = llama.llama_model_quantize_default_params()
    gone = (ctypes.c_int32 * (len(GONE) + 1))(*GONE, -1)
    wishes.threads, wishes.kind, wishes.prune = 1, 0, ctypes.addressof(gone)
    if llama.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(wishes)):
        raise SystemExit(f"llama.cpp did not prune {source}")


def cut(folder: Path, plan: Plan, out: Path) -> Path:
    """The folder that a plan leaves, whose layers may differ."""
    with open_checkpoint(folder) as checkpoint:
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
        told = verify(checkpoint, layout, plan, by_layer=True)
        return stream(checkpoint, layout, plan, out, verified=told)


def compared(ours: Path, theirs: Path) -> dict[str, Any]:
    """Whether names and values of tensors are equal, which entries differ, and what llama.cpp says of their file."""
    from gguf import GGUFReader

    one, other = GGUFReader(ours), GGUFReader(theirs)
    a, b = ({t.name: t.data for t in f.tensors} for f in (one, other))
    differ = [k for k in one.fields if k != "general.name" and one.fields[k].contents() != other.fields[k].contents()]
    same = a.keys() == b.keys() and all((a[n] == b[n]).all() for n in a)
    out: dict[str, Any] = {"tensors equal": same, "entries that differ": differ}
    with LlamaModel(ours, context=64) as model:
        wanted = model.logits(PROMPT)
    try:
        with LlamaModel(theirs, context=64) as model:
            return {**out, "largest difference of logits": float((model.logits(PROMPT) - wanted).abs().max())}
    except PenjingError as error:
        return {**out, "llama.cpp says": str(error).rpartition(": ")[2]}


def main() -> None:
    """Make both models, cut both ways, print."""
    from transformers import LlamaConfig, LlamaForCausalLM

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", type=Path, required=True, help="a folder that has libllama somewhere")
    asked = parser.parse_args()
    shape = LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=BLOCKS, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=160,
    )  # fmt: skip
    kept = Plan((Keep("blocks", tuple(k for k in range(BLOCKS) if k not in GONE)),))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        LlamaForCausalLM(shape).save_pretrained(place / "even")
        folders = {"layers alike": place / "even", "layers that differ": cut(place / "even", UNEVEN, place / "uneven")}
        for told, folder in folders.items():
            whole, ours, theirs = (place / f"{folder.name}-{end}.gguf" for end in ("whole", "ours", "theirs"))
            penjing.export(folder, "gguf:f32", whole)
            penjing.export(cut(folder, kept, place / f"{folder.name}-cut"), "gguf:f32", ours)
            pruned(asked.library, whole, theirs)
            sys.stdout.write(f"{told}: {json.dumps(compared(ours, theirs))}\n")


if __name__ == "__main__":
    main()
