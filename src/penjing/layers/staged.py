"""Image classifiers in stages: each makes the map smaller, and what is left of it at the end is judged."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput


class StagedForImageClassification(PreTrainedModel):
    """Pixels [batch channels height width] to logits [batch labels].

    `make(i, rates)` gives stage i, from one map [batch C H W] to the next, with a block for each rate of stochastic
    depth. The config has `depths`, `hidden_sizes`, `drop_path_rate`, `layer_norm_eps` and the number of labels.
    """

    base_model_prefix = ""
    main_input_name = "pixel_values"
    _no_split_modules = ["Block"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, config: Any, make: Callable[[Any, int, Sequence[float]], nn.Module]) -> None:
        super().__init__(config)
        rates = torch.linspace(0, config.drop_path_rate, sum(config.depths), device="cpu").tolist()
        starts = [sum(config.depths[:i]) for i in range(len(config.depths))]
        self.stages = nn.ModuleList(
            make(config, i, rates[start : start + depth])
            for i, (start, depth) in enumerate(zip(starts, config.depths, strict=True))
        )
        self.norm = nn.LayerNorm(config.hidden_sizes[-1], eps=config.layer_norm_eps)
        self.classifier = nn.Linear(config.hidden_sizes[-1], int(config.num_labels or 1))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=self.config.initializer_range)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.LayerNorm, nn.Conv2d)):
            module.reset_parameters()

    def pooled(self, x: Tensor) -> Tensor:
        """[batch C] of the last map [batch C H W]: the mean of its normed places."""
        return self.norm(x.permute(0, 2, 3, 1)).mean((1, 2))

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> ImageClassifierOutput:
        """Logits, and with `labels` [batch] the loss.

        Raises:
            ValueError: a map of a stage has sides that it cannot take.
        """
        x = pixel_values
        for stage in self.stages:
            x = stage(x)
        logits = self.classifier(self.pooled(x))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)
