"""Texts cut into what is given and what is scored, in tokens, as lm-evaluation-harness cuts them.

Source: lm-evaluation-harness 0.4.13, `TemplateLM._encode_pair` and `loglikelihood`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penjing.errors import DataError, MeasureError

_AT_ONCE = 2048


@dataclass(frozen=True)
class Request:
    """Token numbers: how likely is `continuation` after `context`?"""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


def encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Request]:
    """One request per (context, continuation).

    Both are tokenised together and split after as many tokens as the context alone has; spaces at the context's end
    go to the continuation first. Special tokens are those that the tokenizer itself adds, unless the text already
    begins with its first one. An empty context becomes the prefix token.

    Raises:
        DataError: a continuation has no tokens of its own.
        MeasureError: a context is empty and the tokenizer has neither a beginning-of-text nor an end-of-text token.
    """
    out: list[Request] = []
    for start in range(0, len(pairs), _AT_ONCE):
        out += _encode(tokenizer, pairs[start : start + _AT_ONCE])
    return out


def _encode(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> list[Request]:
    moved = [_move_spaces(*pair) for pair in pairs]
    contexts = list(dict.fromkeys(c for c, _ in moved if c))
    known = dict(zip(contexts, token_ids(tokenizer, contexts), strict=True))
    wholes = token_ids(tokenizer, [c + a for c, a in moved if c])
    alone = token_ids(tokenizer, [a for c, a in moved if not c], special=False)
    with_context, without = iter(wholes), iter(alone)
    out = []
    for context, continuation in moved:
        if context:
            given = known[context]
            scored = next(with_context)[len(given) :]
        else:
            given, scored = (prefix_token(tokenizer),), next(without)
            if scored[:1] == given:
                scored = scored[1:]
        if not scored:
            raise DataError(
                f"the continuation '{continuation[:40]}' has no tokens of its own after '…{context[-40:]}'; "
                "leave empty choices out"
            )
        out.append(Request(given, scored))
    return out


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    bare = context.rstrip()
    if not bare:
        # A context of white space only has nothing to end in it: it stays as it is.
        return (context, continuation) if not context else ("", context + continuation)
    return bare, context[len(bare) :] + continuation


def token_ids(tokenizer: Any, texts: Sequence[str], *, special: bool | None = None) -> list[tuple[int, ...]]:
    """The token numbers of each text; `special` None: with the tokenizer's special tokens, unless it has them."""
    if not texts:
        return []
    first = first_token_text(tokenizer)
    bare = [special is False or (special is None and bool(first) and t.startswith(first)) for t in texts]
    out: list[tuple[int, ...]] = [()] * len(texts)
    for without in (False, True):
        places = [i for i, b in enumerate(bare) if b is without]
        if places:
            found = tokenizer(
                [texts[i] for i in places],
                add_special_tokens=not without,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
            for i, ids in zip(places, found, strict=True):
                out[i] = tuple(ids)
    return out


def first_token_text(tokenizer: Any) -> str:
    """The text of the prefix token, or an empty string when there is none."""
    token = _prefix(tokenizer)
    return "" if token is None else tokenizer.decode([token])


def prefix_token(tokenizer: Any) -> int:
    """The token that stands before a text that nothing precedes: beginning-of-text, else end-of-text.

    Raises:
        MeasureError: the tokenizer has neither.
    """
    token = _prefix(tokenizer)
    if token is None:
        raise MeasureError(
            "the tokenizer has neither a beginning-of-text nor an end-of-text token, so an empty context cannot be "
            "written; give the questions a context"
        )
    return token


def _prefix(tokenizer: Any) -> int | None:
    for name in ("bos_token_id", "eos_token_id"):
        token = getattr(tokenizer, name, None)
        if token is not None:
            return int(token)
    return None


def special_tokens(tokenizer: Any) -> str:
    """What the tokenizer puts around a text, for a protocol: `bos=1`, `bos=none`, `bos=1,eos=2`."""
    plain, whole = (list(token_ids(tokenizer, ["a"], special=s)[0]) for s in (False, None))
    at = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
    before, after = whole[:at], whole[at + len(plain) :]
    label = f"bos={','.join(map(str, before)) or 'none'}"
    return f"{label} eos={','.join(map(str, after))}" if after else label
