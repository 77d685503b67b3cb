"""torch's multi-head attention with any number of heads, of any width: torch's own asserts that they fill its width.

It has the parameters of `torch.nn.MultiheadAttention` under their names, takes and gives what that does, and computes
by the sizes of the tensors that it holds. Fewer heads, or narrower ones, are so a plain module in memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from penjing.core.modules import Place
from penjing.errors import PlanError

AXES: dict[str, tuple[str, int]] = {}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many heads there are; how wide they are is told by the tensors."""

    heads: int

    def __post_init__(self) -> None:
        if type(self.heads) is not int or self.heads < 1:
            raise PlanError(f"attention has {self.heads!r} heads; a whole number from 1 was needed")


class Attention(torch.nn.MultiheadAttention):
    """Attention of `num_heads` heads whose widths are those of its tensors; `scale` multiplies queries by keys."""

    scale: float

    @classmethod
    def take(cls, part: torch.nn.Module, scale: float) -> None:
        """Let one of torch's compute by its tensors, at the scale that it was trained with; changes it."""
        part.__class__ = cls
        # torch's encoder then calls this forward, and no kernel of its own
        vars(part).update(scale=scale, _qkv_same_embed_dim=False)

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None, need_weights: bool = True,
        attn_mask: torch.Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:  # fmt: skip
        """What torch's gives: the output, and the weights of the heads, or None."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal is a hint, and the mask itself is needed: pass attn_mask")
        batched, place = query.dim() == 3, 0 if self.batch_first else 1
        given = (t if batched else t.unsqueeze(place) for t in (query, key, value))
        made = self.projected(*(t if self.batch_first else t.transpose(0, 1) for t in given))
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in made)
        if self.add_zero_attn:
            k, v = (torch.nn.functional.pad(t, (0, 0, 0, 1)) for t in (k, v))
        mask, rate = self.mask(attn_mask, key_padding_mask, q), self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * self.scale) @ k.transpose(2, 3)
            weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
            weights = torch.nn.functional.dropout(weights, rate)
            mixed = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, rate, scale=self.scale)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        out = out if self.batch_first else out.transpose(0, 1)
        if batched:
            return out, weights
        return out.squeeze(place), None if weights is None else weights.squeeze(0)

    def projected(self, *given: torch.Tensor) -> list[torch.Tensor]:
        """[batch positions heads*width] each: queries, keys and values, with what stands behind all keys."""
        weights, biases = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight], [None, None, None]
        wide = self.out_proj.weight.shape[1]
        if self.in_proj_weight is not None:
            each = (self.in_proj_weight.shape[0] - wide) // 2
            weights = self.in_proj_weight.split([each, each, wide])
        if self.in_proj_bias is not None:
            each = (self.in_proj_bias.shape[0] - wide) // 2
            biases = self.in_proj_bias.split([each, each, wide])
        out = [torch.nn.functional.linear(x, weights[i], biases[i]) for i, x in enumerate(given)]
        for i, more in ((1, self.bias_k), (2, self.bias_v)):
            if more is not None:
                out[i] = torch.cat([out[i], more.expand(out[i].shape[0], -1, -1)], 1)
        return out

    def mask(
        self, attn_mask: torch.Tensor | None, padding: torch.Tensor | None, q: torch.Tensor
    ) -> torch.Tensor | None:
        """What is added to scores, and broadcasts to [batch heads queries keys]; keys of its own are never masked."""
        found = []
        for given, of_keys in ((attn_mask, False), (padding, True)):
            if given is not None and given.dtype == torch.bool:
                given = torch.zeros_like(given, dtype=q.dtype).masked_fill(given, float("-inf"))
            if given is not None:
                wide = given.reshape(q.shape[0], 1, 1, -1) if of_keys else given
                found.append(wide.unflatten(0, (q.shape[0], -1)) if wide.dim() == 3 else wide)
        out = sum(found[1:], start=found[0]) if found else None
        more = (self.bias_k is not None) + bool(self.add_zero_attn)
        return torch.nn.functional.pad(out, (0, more)) if out is not None and more else out


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """Those that it has; they are cut, not brought.

    Raises:
        PlanError: always: cutting axes makes such attention.
    """
    raise PlanError(f"{old.path} loses heads by cutting axes; a plan keeps units of them instead of replacing it")


def build(old: nn.Module, settings: Settings) -> Attention:
    """A copy of torch's attention that computes by its tensors, of so many heads.

    Raises:
        PlanError: the old module is no attention of torch's.
    """
    if type(old) is not nn.MultiheadAttention:
        raise PlanError(f"a {type(old).__name__} is no MultiheadAttention of torch's; name one that is")
    from penjing.core.copies import copy_of

    new = copy_of(old)
    Attention.take(new, scale_of(old))
    if not isinstance(new, Attention):
        raise TypeError("a copy that was taken is an Attention")
    new.num_heads = settings.heads
    return new


def scale_of(part: nn.MultiheadAttention) -> float:
    """What attention multiplies the products of queries and keys by: that of its width before any cut."""
    return part.scale if isinstance(part, Attention) else part.head_dim**-0.5


@contextmanager
def freed(module: nn.Module) -> Iterator[None]:
    """For a while torch's attention in a module computes by the sizes of its tensors, so that all can be cut."""
    found = [m for m in module.modules() if type(m) is nn.MultiheadAttention]
    before, kernels = [dict(vars(m)) for m in found], torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(kernels and not found)  # an encoder packs rows for kernels of its own
        for part in found:
            Attention.take(part, scale_of(part))
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(kernels)
        for part, held in zip(found, before, strict=True):
            part.__class__ = nn.MultiheadAttention
            vars(part).clear()
            vars(part).update(held)


def fit(part: nn.MultiheadAttention) -> None:
    """Let attention whose tensors are no longer those of its width compute by them, at the scale it had; changes it."""
    if type(part) is nn.MultiheadAttention and not _is_whole(part):
        Attention.take(part, scale_of(part))
    if isinstance(part, Attention):
        part.embed_dim, wide = part.out_proj.weight.shape
        part.head_dim = wide // part.num_heads


def _is_whole(part: nn.MultiheadAttention) -> bool:
    """Whether its tensors are those that torch makes for its width and its count of heads."""
    wide = part.embed_dim
    own = {
        "in_proj_weight": (3 * wide, wide), "q_proj_weight": (wide, wide), "k_proj_weight": (wide, part.kdim),
        "v_proj_weight": (wide, part.vdim), "out_proj.weight": (wide, wide),
    }  # fmt: skip
    shapes = {name: tuple(t.shape) for name, t in part.named_parameters() if name in own}
    return part.num_heads * part.head_dim == wide and all(shape == own[name] for name, shape in shapes.items())
