"""Half of the weights of every block set to 0 with LLM Compressor, by Wanda or SparseGPT, over given rows of tokens."""

from typing import Any

import torch
from datasets import Dataset
from figures import main, measured, synced
from llmcompressor import oneshot
from llmcompressor.modifiers.pruning import SparseGPTModifier, WandaPruningModifier
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

MODIFIERS = {"wanda": WandaPruningModifier, "sparsegpt": SparseGPTModifier}


def reader() -> PreTrainedTokenizerFast:
    """A tokenizer that is asked for and never used: the data are numbers already."""
    words = Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`model`, `out`, `keep`, `method`, `pipeline` ("basic", "sequential"), `rows` of tokens -> the figures."""
    rows = told["rows"]
    with measured() as out:
        model = LlamaForCausalLM.from_pretrained(told["model"], dtype=torch.float32)
        data = Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(r) for r in rows]})
        recipe = MODIFIERS[told["method"]](
            sparsity=1 - told["keep"], mask_structure="0:0", targets=["Linear"], ignore=["re:.*lm_head"]
        )
        oneshot(
            model=model, dataset=data, recipe=recipe, max_seq_length=len(rows[0]), num_calibration_samples=len(rows),
            processor=reader(), pipeline=told["pipeline"], shuffle_calibration_samples=False,
        )  # fmt: skip
        model.save_pretrained(told["out"], save_compressed=False)
        synced(told["out"])
    return dict(out)


main(job, "llmcompressor")
