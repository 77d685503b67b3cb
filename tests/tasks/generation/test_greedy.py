import pytest
import torch
from tests.evaluate.language import TEXT, model, tokenizer

from penjing.errors import MeasureError
from penjing.tasks.generation import generate

PROMPTS = ["The sky", "Which of these is an animal? A. stone", "12 + 34 =", "It"]


def naive(module, prompt, limit, stops=()):
    """One token after the other, the whole text run anew for each."""
    ids = tokenizer()(prompt)["input_ids"]
    new = []
    while len(new) < limit:
        with torch.no_grad():
            token = int(module(torch.tensor([ids + new])).logits[0, -1].argmax())
        if token == 1:
            break
        new.append(token)
        text = tokenizer().decode(new)
        if any(s in text for s in stops):
            return min((text.partition(s)[0] for s in stops), key=len)
    return tokenizer().decode(new, skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "mamba"])
def test_equals_the_loop(kind):
    replies = generate(model(kind), tokenizer(), PROMPTS, limit=12, batch=3)
    assert [r.text for r in replies] == [naive(model(kind), p, 12) for p in PROMPTS]


def test_equals_the_stock_generator():
    module = model()
    for prompt, reply in zip(PROMPTS, generate(module, tokenizer(), PROMPTS, limit=20), strict=True):
        ids = torch.tensor([tokenizer()(prompt)["input_ids"]])
        made = module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
        assert reply.text == tokenizer().decode(made[0, ids.shape[1] :], skip_special_tokens=True)


def test_stops_end_a_reply_before_them():
    free = generate(model(), tokenizer(), PROMPTS, limit=20)
    stops = sorted({r.text[4:6] for r in free if len(r.text) > 6})
    assert stops
    stopped = generate(model(), tokenizer(), PROMPTS, limit=20, stops=stops)
    for before, after, prompt in zip(free, stopped, PROMPTS, strict=True):
        assert not any(s in after.text for s in stops)
        assert before.text.startswith(after.text)
        assert after.text == naive(model(), prompt, 20, stops)
    assert {r.ended for r in stopped} == {"stop"}
    assert sum(r.tokens for r in stopped) < sum(r.tokens for r in free)


class Scripted:
    """A model that says what it is told to, whatever it is given."""

    def __init__(self, text, forever):
        self.script = tokenizer()(text)["input_ids"]
        self.forever = forever

    def __call__(self, tokens):
        said = tokens.shape[1] - self.start
        logits = torch.zeros(*tokens.shape, 300)
        logits[:, -1, self.script[said] if said < len(self.script) else self.forever] = 1
        return logits


def scripted(text, forever):
    made = Scripted(text, forever)
    made.start = len(tokenizer()("Go")["input_ids"])
    return made


def test_a_reply_that_never_ends_is_cut_at_the_limit():
    (reply,) = generate(scripted("so", tokenizer()("x")["input_ids"][0]), tokenizer(), ["Go"], limit=9)
    assert reply.ended == "limit"
    assert reply.tokens == 9
    assert reply.text.startswith("soxxx")


def test_the_end_token_ends_a_reply_and_is_not_in_it():
    (reply,) = generate(scripted(" blue.", 1), tokenizer(), ["Go"], limit=20)
    assert (reply.text, reply.ended) == (" blue.", "end")


def test_a_stop_over_several_tokens_is_seen():
    (reply,) = generate(scripted("one\n\nQuestion: two", 1), tokenizer(), ["Go"], limit=40, stops=["Question:"])
    assert (reply.text, reply.ended) == ("one\n\n", "stop")


def test_a_stop_that_is_a_special_token_ends_too():
    made = scripted("one", 0)
    (reply,) = generate(made, tokenizer(), ["Go"], limit=9, stops=["<s>"])
    assert (reply.text, reply.ended) == ("one", "end")


def test_prompts_too_long_lose_their_beginning():
    module = model(positions=24)
    short, long = generate(module, tokenizer(), ["The sky", TEXT], limit=8)
    assert (short.truncated, long.truncated) == (False, True)
    tail = tokenizer()(TEXT)["input_ids"][-16:]
    ids = torch.tensor([tail])
    made = module.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
    assert long.text == tokenizer().decode(made[0, 16:], skip_special_tokens=True)


def test_a_limit_without_room_for_the_prompt_is_refused():
    with pytest.raises(MeasureError, match="replies of 24 tokens were asked for, the model has 24 positions"):
        generate(model(positions=24), tokenizer(), ["The sky"], limit=24)
    with pytest.raises(MeasureError, match="replies of 0 tokens"):
        generate(model(), tokenizer(), ["The sky"], limit=0)


def test_nan_logits_are_refused():
    with pytest.raises(MeasureError, match="NaN logits while writing"):
        generate(lambda t: torch.full((*t.shape, 300), torch.nan), tokenizer(), ["Go"], limit=3)


def test_an_empty_prompt_begins_with_the_prefix_token():
    (reply,) = generate(model(), tokenizer(), [""], limit=5)
    (same,) = generate(model(), tokenizer(), ["<s>"], limit=5)
    assert reply.text == same.text


def test_progress_ends_at_all():
    seen = []
    generate(model(), tokenizer(), PROMPTS, limit=2, batch=3, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(3, 4), (4, 4)]
