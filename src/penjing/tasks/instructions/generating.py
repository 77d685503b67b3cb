"""Greedy answers of a model to prompts, through its chat template where it has one."""

from collections.abc import Sequence

from penjing.errors import MeasureError
from penjing.tasks.generation import Reply, generate
from penjing.tasks.task import Examined, Progress


def uses_template(model: Examined) -> bool:
    """Whether prompts go through the tokenizer's chat template."""
    return bool(getattr(model.reader("instruction following"), "chat_template", None))


def respond(
    model: Examined, prompts: Sequence[str], *, new_tokens: int, batch: int | None, progress: Progress | None = None
) -> list[Reply]:
    """One greedy reply of at most `new_tokens` tokens for each prompt, in order; `progress` gets (done, all).

    Raises:
        MeasureError: the model gives no logits, or has no room for so many tokens.
        DataError: it has no tokenizer.
    """
    if not hasattr(getattr(model.module, "config", None), "vocab_size"):
        raise MeasureError(
            f"{model.name} is a {type(model.module).__name__} without a vocabulary; instruction following needs a "
            "causal language model of transformers"
        )
    texts = [_turn(model, p) for p in prompts] if uses_template(model) else list(prompts)
    return generate(model.module, model.tokenizer, texts, limit=new_tokens, batch=batch, progress=progress)


def _turn(model: Examined, prompt: str) -> str:
    """The prompt as the user's turn of a conversation, with the opening of the answer."""
    turn = [{"role": "user", "content": prompt}]
    return model.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
