"""A tiny Llama as plain tensors with a hand-written layout: what methods see, without anything that derives it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from penjing.core import Axis, Entry, Layout, Norm, Work
from penjing.core.pattern import parse, resolve


@dataclass(frozen=True)
class Tensors:
    """A checkpoint in memory that remembers nothing of who read it."""

    values: Mapping[str, Tensor]
    config: Mapping[str, Any]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {n: tuple(t.shape) for n, t in self.values.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        return {n: t.dtype for n, t in self.values.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]


def layout_of(
    tensors: Tensors, patterns: Mapping[str, str], axes: list[Axis], reads: Mapping[str, tuple[int, ...]]
) -> Layout:
    """The layout that these patterns describe, with one multiply-add per weight of a matrix."""
    sizes = {a.name: a.size for a in axes}
    known = {n: resolve(parse(p), tensors.shapes[n], sizes, n) for n, p in patterns.items()}
    entries = tuple(
        Entry(path=e, value=1.0, moves={a.name: 1.0 for a in axes if e in a.entries})
        for e in dict.fromkeys(e for a in axes for e in a.entries)
    )
    return Layout(
        patterns=known, axes={a.name: a for a in axes}, reads=dict(reads), entries=entries, work=_work(known)
    )


def _work(patterns: Mapping[str, Any]) -> tuple[Work, ...]:
    from penjing.core.pattern import leaves

    work = []
    for name, pattern in patterns.items():
        if len(pattern) == 2 and "embed" not in name:
            found = list(leaves(pattern))
            constant = 1
            for leaf in found:
                constant *= 1 if leaf.name else leaf.size
            work.append(Work(constant, tuple(leaf.name for leaf in found if leaf.name), 1, name))
    return tuple(work)


def llama(
    *, blocks: int = 2, width: int = 16, neurons: int = 24, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[Tensors, Layout]:
    """Two key-value heads of two queries each, 4 dims a head, tied embeddings, 11 words."""
    heads, queries, dims, words = 2, 2, 4, 11
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Tensor] = {}
    patterns: dict[str, str] = {}
    reads: dict[str, tuple[int, ...]] = {}
    stream = {"state": "sensitive", "reason": "mean in model.norm", "entries": ("hidden_size",), "rotates": True}
    axes, norms = [Axis(name="residual", size=width, **stream)], list[Norm]()

    def add(name: str, shape: tuple[int, ...], pattern: str, reading: tuple[int, ...] = ()) -> None:
        values[name] = torch.randn(shape, generator=generator).to(dtype)
        patterns[name] = pattern
        if reading:
            reads[name] = reading

    add("model.embed_tokens.weight", (words, width), f"{words} residual")
    for i in range(blocks):
        start = f"model.layers.{i}."
        grid = f"(heads.{i} queries.{i} {dims})"
        add(start + "self_attn.q_proj.weight", (heads * queries * dims, width), f"{grid} residual", (1,))
        add(start + "self_attn.k_proj.weight", (heads * dims, width), f"(heads.{i} {dims}) residual", (1,))
        add(start + "self_attn.v_proj.weight", (heads * dims, width), f"(heads.{i} {dims}) residual", (1,))
        add(start + "self_attn.o_proj.weight", (width, heads * queries * dims), f"residual {grid}", (1,))
        add(start + "mlp.gate_proj.weight", (neurons, width), f"neurons.{i} residual", (1,))
        add(start + "mlp.up_proj.weight", (neurons, width), f"neurons.{i} residual", (1,))
        add(start + "mlp.down_proj.weight", (width, neurons), f"residual neurons.{i}", (1,))
        add(start + "input_layernorm.weight", (width,), "residual")
        readers = (*(f"self_attn.{n}_proj" for n in "qkv"), "mlp.gate_proj", "mlp.up_proj")
        norms.append(
            Norm(
                module=start + "input_layernorm", kind="rms", axis="residual", weight=start + "input_layernorm.weight",
                readers=tuple(f"{start}{n}.weight" for n in readers), foldable=True, alone=True,
            )
        )  # fmt: skip
        axes += [
            Axis(name=f"neurons.{i}", size=neurons, state="free", proofs=("graph",), entries=("intermediate_size",)),
            Axis(name=f"heads.{i}", size=heads, state="free", entries=("num_attention_heads", "num_key_value_heads")),
            Axis(name=f"queries.{i}", size=queries, state="free", entries=("num_attention_heads",)),
        ]
    add("model.norm.weight", (width,), "residual")
    tensors = Tensors(values, {"model_type": "llama", "intermediate_size": neurons})
    return tensors, replace(layout_of(tensors, patterns, axes, reads), norms=tuple(norms))
