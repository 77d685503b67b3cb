"""The neurons of every MLP with Torch-Pruning: load, prune by magnitude or Taylor, save."""

from typing import Any

import torch
import torch_pruning as tp
from figures import main, measured, synced
from transformers import LlamaForCausalLM


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`model`, `out`, `keep`, `importance` ("magnitude", "taylor"), `rows` of tokens -> the figures and the width."""
    importance = {"magnitude": tp.importance.GroupMagnitudeImportance, "taylor": tp.importance.GroupTaylorImportance}
    with measured() as out:
        model = LlamaForCausalLM.from_pretrained(told["model"], dtype=torch.float32)
        model.config.use_cache = False
        rows = torch.tensor(told["rows"])
        # Only gate and up may lose outputs, so that the neurons of the MLP are the one thing that is cut.
        kept = [m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and not n.endswith("gate_proj")]
        kept = [m for m in kept if not any(m is b.mlp.up_proj for b in model.model.layers)]
        pruner = tp.pruner.BasePruner(
            model, rows[:1, :16], importance=importance[told["importance"]](), pruning_ratio=1 - told["keep"],
            ignored_layers=[*kept, model.model.embed_tokens],
        )  # fmt: skip
        if told["importance"] == "taylor":
            for part in rows.split(1):
                (model(input_ids=part, labels=part).loss / len(rows)).backward()
        pruner.step()
        model.zero_grad()
        widths = {b.mlp.down_proj.in_features for b in model.model.layers}
        if len(widths) != 1 or model.lm_head.in_features != model.config.hidden_size:
            raise ValueError(f"more than the neurons was cut: widths {sorted(widths)}")
        model.config.intermediate_size = widths.pop()
        model.save_pretrained(told["out"])
        synced(told["out"])
    return {**out, "width": model.config.intermediate_size}


main(job, "torch-pruning")
