"""A minimal vision transformer: with or without MLPs, its query and key one matrix or a symmetric one, its value none.

`query_key` is `separate`, `collapsed` (one matrix for both, of one head), `symmetric` (the half of one, for each head's
slice of the stream) or `symmetric_psd` (T T^T of a triangle T: a token is never less like itself). `value_output` is
`separate`, `collapsed` (one matrix, of one head) or `none` (what is attended is the stream itself). Norms come after
the sums.

Source: Bermeitinger et al., "Reducing the Transformer Architecture to a Minimum", arXiv:2410.13732. No official code
was found; counts are those of an independent reimplementation (A. Badaoui's, 2025), without the norm that it keeps idle
where there is no MLP: 2 x hidden fewer a layer. Triangles begin at 0.3 / sqrt(hidden), not at 1, at which nothing is
learnt.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from penjing.core.architecture import Architecture

QUERY_KEY = ("separate", "collapsed", "symmetric", "symmetric_psd")
VALUE_OUTPUT = ("separate", "collapsed", "none")


class Config(PreTrainedConfig):
    """The entries; without `mlp` a layer is its attention alone."""

    model_type = "minimal_transformer"

    image_size: int = 28
    num_channels: int = 1
    patch_size: int = 7
    hidden_size: int = 64
    num_hidden_layers: int = 6
    num_attention_heads: int = 1
    head_dim: int = 64
    query_key: str = "separate"
    value_output: str = "separate"
    mlp: bool = True
    intermediate_size: int = 64
    dropout: float = 0.1
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def checked(self) -> None:
        """Refuse what does not go together.

        Raises:
            ValueError: one of the entries does not fit.
        """
        for name, known in (("query_key", QUERY_KEY), ("value_output", VALUE_OUTPUT)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is '{getattr(self, name)}'; it is one of {', '.join(known)}")
        if "collapsed" in (self.query_key, self.value_output) and self.num_attention_heads != 1:
            raise ValueError(
                f"{self.num_attention_heads} heads collapsed would take a whole matrix each, more than they save; "
                "collapse models of one head"
            )
        sliced = self.query_key.startswith("symmetric") or self.value_output == "none"
        if sliced and self.num_attention_heads * self.head_dim != self.hidden_size:
            raise ValueError("heads that read slices of the stream must have its width together")
        if self.image_size % self.patch_size:
            raise ValueError(
                f"images of {self.image_size} have sides that a patch of {self.patch_size} does not divide"
            )


class Triangle(nn.Module):
    """A symmetric form a head: x_h A_h, with A_h = T T^T or (U + U^T) / 2 of a triangle; x [batch heads tokens d]."""

    def __init__(self, heads: int, dim: int, *, psd: bool) -> None:
        super().__init__()
        self.dim, self.psd = dim, psd
        self.entries = nn.Parameter(torch.empty(heads, dim * (dim + 1) // 2))

    def matrices(self) -> Tensor:
        """[heads dim dim], symmetric."""
        rows, columns = torch.tril_indices(self.dim, self.dim, device=self.entries.device)
        whole = self.entries.new_zeros(len(self.entries), self.dim, self.dim)
        whole = whole.index_put((torch.arange(len(whole), device=whole.device)[:, None], rows, columns), self.entries)
        return whole @ whole.mT if self.psd else (whole + whole.mT) / 2

    def forward(self, x: Tensor) -> Tensor:
        """As many features."""
        return x @ self.matrices()


class Attention(nn.Module):
    """Attention over all tokens of x [batch tokens hidden]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.num_attention_heads * config.head_dim
        self.dim = config.head_dim
        self.scale = config.head_dim**-0.5
        kind = config.query_key
        self.query = nn.Linear(size, size if kind == "collapsed" else inner) if kind in QUERY_KEY[:2] else None
        self.key = nn.Linear(size, inner) if kind == "separate" else None
        self.form = (
            Triangle(config.num_attention_heads, config.head_dim, psd=kind == "symmetric_psd")
            if kind.startswith("symmetric") else None
        )  # fmt: skip
        whole = config.value_output == "collapsed"
        self.value = nn.Linear(size, size if whole else inner) if config.value_output != "none" else None
        self.out = nn.Linear(inner, size) if config.value_output == "separate" else None
        self.joined = kind == "collapsed" or whole

    def forward(self, x: Tensor) -> Tensor:
        """As many features, [batch tokens hidden]."""
        q = self._split(x if self.query is None else self.query(x))
        if self.form is not None:
            q = self.form(q)
        k = self._split(x if self.key is None else self.key(x))
        v = self._split(x if self.value is None else self.value(x))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2).flatten(2)
        return seen if self.out is None else self.out(seen)

    def _split(self, x: Tensor) -> Tensor:
        """[batch heads tokens dim]; one head of a collapsed model has all that there is."""
        return x[:, None] if self.joined else x.unflatten(2, (-1, self.dim)).transpose(1, 2)


class Layer(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)) if there is one; x [batch tokens hidden]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        self.norm1 = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.mlp = (
            nn.Sequential(nn.Linear(size, wide), nn.GELU(), nn.Linear(wide, size)) if config.mlp else None
        )  # fmt: skip
        self.norm2 = nn.LayerNorm(size, eps=config.layer_norm_eps) if config.mlp else None

    def forward(self, x: Tensor) -> Tensor:
        """The stream, [batch tokens hidden]."""
        x = self.norm1(x + self.dropout(self.attention(x)))
        if self.mlp is None or self.norm2 is None:
            return x
        return self.norm2(x + self.dropout(self.mlp(x)))


class MinimalTransformerForImageClassification(PreTrainedModel):
    """Pixels [batch channels side side] to logits [batch labels]."""

    config_class = Config
    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Layer"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        config.checked()
        size, patches = config.hidden_size, (config.image_size // config.patch_size) ** 2
        self.patches = nn.Conv2d(config.num_channels, size, config.patch_size, config.patch_size)
        self.first = nn.Parameter(torch.empty(1, 1, size))
        self.positions = nn.Parameter(torch.empty(1, patches + 1, size))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.classifier = nn.Linear(size, int(config.num_labels or 1))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.LayerNorm, nn.Conv2d)):
            module.reset_parameters()
        elif isinstance(module, Triangle):
            nn.init.normal_(module.entries, std=0.3 / self.config.hidden_size**0.5)
        elif isinstance(module, MinimalTransformerForImageClassification):
            nn.init.normal_(module.first, std=self.config.initializer_range)
            nn.init.normal_(module.positions, std=self.config.initializer_range)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageClassifierOutput:
        """Logits, and with `labels` [batch] the loss."""
        x = self.patches(pixel_values).flatten(2).transpose(1, 2)
        x = self.dropout(torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.positions)
        for layer in self.layers:
            x = layer(x)
        logits = self.classifier(x[:, 0])
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


Model = MinimalTransformerForImageClassification

_MNIST: dict[str, dict[str, Any]] = {
    "mnist": {},
    "mnist-collapsed": {"query_key": "collapsed"},
    "mnist-collapsed-no-value": {"query_key": "collapsed", "value_output": "none"},
    "mnist-no-mlp": {"mlp": False},
    "mnist-no-mlp-collapsed": {"mlp": False, "query_key": "collapsed"},
    "mnist-no-mlp-symmetric": {"mlp": False, "query_key": "symmetric"},
    "mnist-no-mlp-symmetric-4": {"mlp": False, "query_key": "symmetric", "num_attention_heads": 4, "head_dim": 16},
    "mnist-no-mlp-collapsed-no-value": {"mlp": False, "query_key": "collapsed", "value_output": "none"},
}

CARD = Architecture(
    title="Minimal transformer",
    paper="arXiv:2410.13732",
    sizes={name: {"num_labels": 10, **entries} for name, entries in _MNIST.items()}
    | {
        "cifar10": {"num_labels": 10, "image_size": 32, "num_channels": 3, "patch_size": 8},
        "tiny": {
            "image_size": 6, "patch_size": 3, "num_channels": 2, "hidden_size": 12, "num_hidden_layers": 2,
            "num_attention_heads": 3, "head_dim": 4, "intermediate_size": 20, "num_labels": 4,
        },
    },
    auto=("AutoModelForImageClassification",),
    parameters={
        "mnist": 156_298, "mnist-collapsed": 131_338, "mnist-collapsed-no-value": 81_418,
        "mnist-no-mlp": 106_378 - 768, "mnist-no-mlp-collapsed": 81_418 - 768,
        "mnist-no-mlp-symmetric": 68_938 - 768, "mnist-no-mlp-symmetric-4": 59_722 - 768,
        "mnist-no-mlp-collapsed-no-value": 31_498 - 768, "cifar10": 165_450,
    },
    licence="no official code was found",
)  # fmt: skip
