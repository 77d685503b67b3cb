"""Derivatives, against a naive loop: one example, one objective, one backward at a time."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from penjing.calibrate import collect, objective, per_example
from penjing.calibrate.batches import run
from penjing.errors import DataError, UnsupportedError

SEPARATE = ("loss", "output")


def by_parameter(module, examples, tensor, name):
    """(mean derivative, mean squared derivative) over examples."""
    parameter = dict(module.named_parameters())[tensor]
    first, second = 0.0, 0.0
    for example in examples:
        parameter.requires_grad_(True)
        value = objective(name)(run(module, example), example)
        (g,) = torch.autograd.grad(value, parameter)
        first, second = first + g.double(), second + g.double() ** 2
    return (first / len(examples)).float(), (second / len(examples)).float()


def by_input(module, batches, layer, name, *, channels=False):
    """Mean over examples of |sum over positions of x * g| at a layer's input, which only that layer reads."""
    total, count = 0.0, 0
    for batch in batches:
        seen = []
        hook = layer.register_forward_pre_hook(lambda _, a, seen=seen: seen.append(a[0]))
        for p in module.parameters():
            p.requires_grad_(True)
        output = run(module, batch)
        hook.remove()
        (g,) = torch.autograd.grad(per_example(name)(output, batch).sum(), seen[0])
        product = (seen[0] * g).double()
        product = product.movedim(1, -1) if channels else product
        each = product.flatten(1, -2).sum(1) if product.ndim > 2 else product
        total, count = total + each.abs().sum(0), count + len(each)
    return (total / count).float()


def singles(batches):
    for batch in batches:
        if isinstance(batch, tuple):
            yield from [(x[None], y[None]) for x, y in zip(*batch, strict=True)]
        else:
            yield from batch.split(1)


TOKENS = [torch.arange(12).view(2, 6) % 23, torch.arange(18).view(3, 6) * 5 % 23]


@pytest.mark.parametrize("name", SEPARATE)
def test_a_llama_is_differentiated_as_one_example_at_a_time(llama, name):
    down, gain = "model.layers.1.mlp.down_proj.weight", "model.layers.0.input_layernorm.weight"
    kinds = frozenset(f"{name}_{k}" for k in ("gradient", "fisher", "taylor"))
    stats = collect(llama, TOKENS, {down: kinds, gain: kinds - {f"{name}_taylor"}})
    for tensor in (down, gain):
        first, second = by_parameter(llama, list(singles(TOKENS)), tensor, name)
        torch.testing.assert_close(stats[tensor, f"{name}_gradient"], first, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(stats[tensor, f"{name}_fisher"], second, rtol=1e-3, atol=1e-8)
    want = by_input(llama, TOKENS, llama.model.layers[1].mlp.down_proj, name)
    torch.testing.assert_close(stats[down, f"{name}_taylor"], want, rtol=1e-3, atol=1e-6)
    assert stats.samples == 5


def test_batches_of_unlike_size_weigh_as_their_examples(mlp):
    batches = [(torch.randn(n, 3), torch.randint(4, (n,))) for n in (1, 4, 2)]
    wanted = {"2.weight": frozenset({"loss_gradient", "loss_fisher", "loss_taylor"})}
    stats = collect(mlp, batches, wanted)
    first, second = by_parameter(mlp, list(singles(batches)), "2.weight", "loss")
    torch.testing.assert_close(stats["2.weight", "loss_gradient"], first)
    torch.testing.assert_close(stats["2.weight", "loss_fisher"], second)
    torch.testing.assert_close(stats["2.weight", "loss_taylor"], by_input(mlp, batches, mlp[2], "loss"))


def test_the_entropy_joins_the_examples_of_a_batch(vit):
    images = [torch.randn(4, 1, 8, 8), torch.randn(3, 1, 8, 8)]
    layer = vit.vit.layers[1].mlp.fc2 if hasattr(vit.vit, "layers") else vit.vit.encoder.layer[1].output.dense
    tensor = next(n for n, p in vit.named_parameters() if p is layer.weight)
    stats = collect(vit, images, {tensor: frozenset({"entropy_taylor", "entropy_gradient", "entropy_fisher"})})
    torch.testing.assert_close(
        stats[tensor, "entropy_taylor"], by_input(vit, images, layer, "entropy"), rtol=1e-3, atol=1e-6
    )
    first, second = 0.0, 0.0
    for batch in images:
        for i in range(len(batch)):
            (g,) = torch.autograd.grad(per_example("entropy")(vit(batch), batch)[i], layer.weight)
            first, second = first + g / 7, second + g**2 / 7
    torch.testing.assert_close(stats[tensor, "entropy_gradient"], first, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(stats[tensor, "entropy_fisher"], second, rtol=1e-3, atol=1e-7)


def test_convolutions_have_one_value_for_each_input_channel(cnn):
    batches = [(torch.randn(3, 2, 7, 8), torch.tensor([0, 2, 1]))]
    taylor = frozenset({"loss_taylor"})
    stats = collect(cnn, batches, {"3.weight": taylor, "5.weight": taylor})
    for place in (3, 5):  # 3 is depthwise
        want = by_input(cnn, batches, cnn[place], "loss", channels=True)
        torch.testing.assert_close(stats[f"{place}.weight", "loss_taylor"], want, rtol=1e-4, atol=1e-7)


def test_objectives_and_forward_statistics_go_together(llama):
    q, head = "model.layers.0.self_attn.q_proj.weight", "lm_head.weight"
    together = {
        q: frozenset({"loss_taylor", "output_gradient", "input_mean"}),
        head: frozenset({"entropy_gradient", "loss_taylor", "output_fisher"}),
    }
    found = collect(llama, TOKENS, together)
    for tensor, statistics in together.items():
        for statistic in statistics:
            alone = collect(llama, TOKENS, {tensor: frozenset({statistic})})
            torch.testing.assert_close(found[tensor, statistic], alone[tensor, statistic])
    assert found.samples == 30


def test_only_a_layers_own_use_of_its_input_counts():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.a(x) + 2 * self.b(x)

    net, x = Fork(), torch.randn(4, 3)
    stats = collect(net, [x], {"a.weight": frozenset({"output_taylor"}), "b.weight": frozenset({"output_taylor"})})
    for name, factor in (("a", 1), ("b", 2)):
        want = (x * getattr(net, name).weight.mean(0) * factor).abs().mean(0)
        torch.testing.assert_close(stats[f"{name}.weight", "output_taylor"], want)


def test_a_weight_used_twice_has_the_sum_of_its_derivatives():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    x = torch.randn(4, 3)
    stats = collect(net, [x], {"0.weight": frozenset({"output_gradient"})})
    (want,) = torch.autograd.grad(net(x).mean(), net[0].weight)
    torch.testing.assert_close(stats["0.weight", "output_gradient"], want)
    with pytest.raises(UnsupportedError, match="it belongs to Linear, Linear"):
        collect(net, [x], {"0.weight": frozenset({"output_taylor"})})


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_weights_are_differentiated_where_no_hook_reaches(kind):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = kind(3, 4, num_layers=2, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.cell(x)[0][:, -1])

    net, x, y = Net().eval(), torch.randn(3, 5, 3), torch.tensor([0, 1, 1])
    names = ("cell.weight_ih_l0", "cell.weight_hh_l0", "cell.weight_ih_l1", "cell.weight_hh_l1")
    stats = collect(net, [(x, y)], {n: frozenset({"loss_taylor"}) for n in names})
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(per_example("loss")(net(leaf), (leaf, y)).sum(), leaf)
    torch.testing.assert_close(stats[names[0], "loss_taylor"], (leaf * g).sum(1).abs().mean(0).detach())
    assert all(len(stats[n, "loss_taylor"]) == 4 and bool((stats[n, "loss_taylor"] > 0).all()) for n in names[1:])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_entropy_is_differentiated_by_what_each_example_makes_of_recurrent_weights(kind, batch_first):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = kind(3, 4, num_layers=2, batch_first=batch_first), nn.Linear(4, 2)

        def forward(self, x):
            out = self.cell(x if batch_first else x.transpose(0, 1))[0]
            return self.head(out[:, -1] if batch_first else out[-1])

    class Steps(nn.Module):
        """The same, step by step, noting what each weight takes in."""

        def forward(self, x):
            cells = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}
            for level in range(2):
                cell = cells[kind](x.shape[2], 4)
                cell.load_state_dict({n: getattr(net.cell, f"{n}_l{level}") for n in cell.state_dict()})
                h, c, outs = torch.zeros(len(x), 4), torch.zeros(len(x), 4), []
                for t in range(x.shape[1]):
                    u, s = (v.clone() if v.requires_grad else v.clone().requires_grad_() for v in (x[:, t], h))
                    took[f"cell.weight_ih_l{level}"].append(u)
                    took[f"cell.weight_hh_l{level}"].append(s)
                    if kind is nn.GRU:  # its state also goes on past the weight
                        inner = F.linear(u, cell.weight_ih, cell.bias_ih)
                        outer = F.linear(s, cell.weight_hh, cell.bias_hh)
                        r, z = ((inner[:, k : k + 4] + outer[:, k : k + 4]).sigmoid() for k in (0, 4))
                        h = (1 - z) * (inner[:, 8:] + r * outer[:, 8:]).tanh() + z * h
                    else:
                        h, c = cell(u, (s, c)) if kind is nn.LSTM else (cell(u, s), c)
                    outs.append(h)
                x = torch.stack(outs, 1)
            return net.head(x[:, -1])

    net, x = Net().eval(), torch.randn(3, 5, 3)
    names = [f"cell.weight_{w}_l{i}" for i in range(2) for w in ("ih", "hh")]
    asked = frozenset({"entropy_taylor", "entropy_gradient"})
    stats = collect(net, [x], dict.fromkeys(names, asked) | {"head.weight": frozenset({"entropy_taylor"})})
    took = {n: [] for n in names}
    value = per_example("entropy")(Steps()(x), x).sum()
    for name in names:
        found = torch.autograd.grad(value, took[name], retain_graph=True)
        each = sum(u.detach() * g for u, g in zip(took[name], found, strict=True))
        torch.testing.assert_close(stats[name, "entropy_taylor"], each.abs().mean(0), rtol=1e-4, atol=1e-7)
    (want,) = torch.autograd.grad(per_example("entropy")(net(x), x).mean(), net.cell.weight_hh_l0)
    torch.testing.assert_close(stats["cell.weight_hh_l0", "entropy_gradient"], want, rtol=1e-4, atol=1e-7)


def test_a_packed_sequence_has_no_examples_to_tell_apart():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            packed = nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True)
            return self.head(self.cell(packed)[1][0][-1])

    with pytest.raises(DataError, match="cell was given PackedSequence for 2 examples"):
        collect(Net(), [torch.randn(2, 5, 3)], {"cell.weight_hh_l0": frozenset({"entropy_taylor"})})


def test_frozen_and_trained_parameters_are_left_as_they_were(mlp):
    for i, p in enumerate(mlp.parameters()):
        p.requires_grad_(i % 2 == 0)
    before = [p.requires_grad for p in mlp.parameters()]
    x = (torch.randn(2, 3), torch.tensor([1, 0]))
    collect(mlp, [x], {"2.bias": frozenset({"loss_gradient"}), "4.weight": frozenset({"loss_taylor"})})
    assert [p.requires_grad for p in mlp.parameters()] == before
    assert all(p.grad is None for p in mlp.parameters())
    with pytest.raises(DataError):
        collect(mlp, [torch.randn(2, 3)], {"2.bias": frozenset({"loss_gradient"})})
    assert [p.requires_grad for p in mlp.parameters()] == before


def test_an_objective_of_ones_own_may_give_a_mean_or_one_value_each(mlp):
    batches, wanted = [torch.randn(3, 3), torch.randn(1, 3)], {"0.weight": frozenset({"loss_gradient", "loss_fisher"})}
    each = collect(mlp, batches, wanted, objective_of=lambda out, _: out.square().sum(1))
    mean = collect(mlp, batches, wanted, objective_of={"loss": lambda out, _: out.square().sum(1).mean()})
    for key in each:
        torch.testing.assert_close(each[key], mean[key])
    with pytest.raises(DataError, match="gave 2 values for 3 examples"):
        collect(mlp, batches, wanted, objective_of=lambda out, _: out[:2, 0])


def test_the_temperature_of_the_entropy_can_be_chosen(mlp):
    batch, wanted = torch.randn(3, 3), {"2.weight": frozenset({"entropy_gradient", "entropy_fisher"})}
    each = per_example("entropy", inverse_temperature=2.0)
    stats = collect(mlp, [batch], wanted, objective_of={"entropy": each})
    mlp.requires_grad_(True)
    found = [torch.autograd.grad(each(mlp(batch), batch)[i], mlp[2].weight)[0] for i in range(3)]
    torch.testing.assert_close(stats["2.weight", "entropy_gradient"], sum(found) / 3)
    torch.testing.assert_close(stats["2.weight", "entropy_fisher"], sum(g**2 for g in found) / 3)


def test_derivatives_that_are_not_finite_are_refused(mlp):
    with pytest.raises(DataError, match=r"the derivatives by 0.weight hold 18 values that are not finite"):
        collect(
            mlp, [torch.randn(2, 3)], {"0.weight": frozenset({"loss_gradient"})},
            objective_of=lambda out, _: (out - out).sum(1).sqrt(),
        )  # fmt: skip
