"""Names: kind, then block numbers, then only the words that are needed."""

import random

import pytest
import torch
from torch import nn

from penjing.layouts.graph.infer import infer
from penjing.layouts.graph.names import Fact, assign


def fact(kind, *tensors, writer=None, place=(0, 0)):
    return Fact(kind, tensors, writer or tensors[0], place)


def test_the_block_number_follows_the_kind():
    facts = [fact("neurons", f"model.layers.{i}.mlp.up.weight", f"model.layers.{i}.mlp.down.weight") for i in range(3)]
    assert assign(facts) == ["neurons.0", "neurons.1", "neurons.2"]


def test_nested_lists_give_several_numbers():
    facts = [fact("heads", f"enc.stages.{s}.blocks.{b}.q.weight") for s in range(2) for b in range(2)]
    assert assign(facts) == ["heads.0.0", "heads.0.1", "heads.1.0", "heads.1.1"]


def test_what_spans_blocks_has_no_number():
    assert assign([fact("residual", "model.layers.0.q.weight", "model.layers.1.q.weight")]) == ["residual"]


def test_without_blocks_the_writing_module_gives_the_name():
    facts = [
        fact("neurons", "fc1.weight", "fc2.weight"),
        fact("neurons", "fc2.weight", "fc3.weight", writer="fc2.weight"),
    ]
    assert assign(facts) == ["neurons.fc1", "neurons.fc2"]


def test_two_attentions_in_a_block_are_told_apart_by_words():
    facts = [
        fact(
            "heads", "model.encoder.layers.0.self_attn.q_proj.weight", "model.encoder.layers.0.self_attn.k_proj.weight"
        ),
        fact(
            "heads", "model.decoder.layers.0.self_attn.q_proj.weight", "model.decoder.layers.0.self_attn.k_proj.weight"
        ),
        fact("heads", "model.decoder.layers.0.cross.q_proj.weight", "model.decoder.layers.0.cross.k_proj.weight"),
    ]
    assert assign(facts) == ["heads.0.encoder.self_attn", "heads.0.decoder.self_attn", "heads.0.decoder.cross"]


def test_words_are_the_same_in_blocks_that_only_one_side_has():
    facts = [fact("heads", f"encoder.layers.{i}.q.weight", f"encoder.layers.{i}.k.weight") for i in range(3)]
    facts += [fact("heads", f"decoder.layers.{i}.q.weight", f"decoder.layers.{i}.k.weight") for i in range(1)]
    names = assign(facts)
    assert all(n.split(".")[2] == "encoder" for n in names[:3])


def test_names_do_not_depend_on_the_order():
    facts = [fact("neurons", f"layers.{i}.{m}.up.weight") for i in range(3) for m in ("a", "b")]
    facts += [fact("kernel", f"layers.{i}.conv.weight", place=(p, 0)) for i in range(3) for p in (2, 3)]
    named = dict(zip(facts, assign(facts), strict=True))
    shuffled = list(facts)
    random.Random(0).shuffle(shuffled)
    assert dict(zip(shuffled, assign(shuffled), strict=True)) == named
    assert len(set(named.values())) == len(facts)


def test_names_of_fewer_blocks_are_among_those_of_more():
    def blocks(count):
        return [
            fact(k, f"m.layers.{i}.{p}.weight") for i in range(count) for k, p in (("heads", "q"), ("neurons", "up"))
        ]

    assert set(assign(blocks(2))) < set(assign(blocks(5)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 20), nn.Linear(20, 8)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Stack(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.embed, self.blocks, self.head = (
            nn.Embedding(11, 8),
            nn.ModuleList(Block() for _ in range(depth)),
            nn.Linear(8, 3),
        )

    def forward(self, ids):
        h = self.embed(ids)
        for block in self.blocks:
            h = block(h)
        return self.head(h)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_kinds_are_read_off_the_graph(depth):
    layout = infer(Stack(depth), (torch.zeros(2, 7, dtype=torch.long),))
    assert list(layout.axes) == ["vocabulary", "residual", *(f"neurons.{i}" for i in range(depth)), "outputs"]
    assert layout.axes["residual"].state == "sensitive"
    assert layout.axes["vocabulary"].reason == "looked up by number in embed"


def test_norms_tell_who_reads_them():
    layout = infer(Stack(2), (torch.zeros(2, 7, dtype=torch.long),))
    assert [(n.module, n.kind, n.readers, n.foldable) for n in layout.norms] == [
        (f"blocks.{i}.norm", "layer", (f"blocks.{i}.up.weight",), True) for i in range(2)
    ]
    assert [w.tensor for w in layout.writers] == ["embed.weight", "blocks.0.down.weight", "blocks.1.down.weight"]
    assert {w.through for w in layout.writers} == {"plain"}


class Post(Stack):
    """The norm's output is also added to, and the head is tied to the embedding."""

    def __init__(self):
        super().__init__(1)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        h = self.norm(self.embed(ids))
        return self.head(self.norm(self.blocks[0](h)))


def test_a_norm_with_other_users_is_not_foldable():
    layout = infer(Post(), (torch.zeros(2, 7, dtype=torch.long),))
    assert {n.module: n.foldable for n in layout.norms} == {"norm": False, "blocks.0.norm": True}
    assert layout.aliases == {"head.weight": "embed.weight"}
