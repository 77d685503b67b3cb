"""Statistics of inputs, against the inputs themselves."""

import pytest
import torch
from torch import nn

from penjing.calibrate import collect
from penjing.calibrate.means import Means
from penjing.calibrate.statistics.input_second_moment import measure
from penjing.errors import DataError, UnsupportedError

ALL = frozenset({"input_energy", "input_mean", "input_second_moment"})


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Linear(5, 2, bias=False)

    def forward(self, x, scale=1.0):
        return self.second(self.drop(torch.relu(self.first(x)) * scale))

    def hidden(self, x):
        return torch.relu(self.first(x)).flatten(0, -2)


def naive(inputs):
    """Sums over samples, one at a time, in float64."""
    mean, energy, second = 0.0, 0.0, 0.0
    for x in inputs.double():
        mean, energy, second = mean + x, energy + x * x, second + torch.outer(x, x)
    return mean / len(inputs), energy / len(inputs), second / len(inputs)


def assert_equals_naive(stats, tensor, inputs):
    mean, energy, second = naive(inputs.detach())
    torch.testing.assert_close(stats[tensor, "input_mean"], mean.float())
    torch.testing.assert_close(stats[tensor, "input_energy"], energy.float())
    torch.testing.assert_close(stats[tensor, "input_second_moment"], second.float())


def test_means_equal_the_loop_over_batches_of_unlike_size():
    net = Net()
    batches = [torch.randn(4, 7, 3), torch.randn(1, 7, 3), torch.randn(2, 3, 3)]
    seen = []
    stats = collect(net, batches, {"second.weight": ALL, "first.weight": ALL}, progress=seen.append)
    assert_equals_naive(stats, "second.weight", torch.cat([net.hidden(b) for b in batches]))
    assert_equals_naive(stats, "first.weight", torch.cat([b.flatten(0, 1) for b in batches]))
    assert stats.samples == 4 * 7 + 7 + 2 * 3
    assert seen == [1, 2, 3]


def test_only_what_is_wanted_is_kept():
    stats = collect(Net(), [torch.randn(2, 3)], {"second.weight": frozenset({"input_mean"})})
    assert list(stats) == [("second.weight", "input_mean")]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,), lambda x: [x, 1.0], lambda x: {"x": x, "scale": 1.0}])
def test_a_batch_may_be_a_tensor_a_sequence_or_a_mapping(wrap):
    net, x = Net(), torch.randn(6, 3)
    assert_equals_naive(collect(net, [wrap(x)], {"second.weight": ALL}), "second.weight", net.hidden(x))


def test_convolutions_count_channels_at_every_place():
    conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    x = torch.randn(2, 3, 8, 7)
    stats = collect(conv, [x], {"2.weight": ALL})
    assert_equals_naive(stats, "2.weight", conv[:2](x).movedim(1, -1).flatten(0, 2))
    assert stats.samples == 2 * 6 * 5


def test_the_transposed_linear_of_transformers_is_measured():
    from transformers.pytorch_utils import Conv1D

    net, x = nn.Sequential(Conv1D(4, 3)), torch.randn(5, 3)
    assert_equals_naive(collect(net, [x], {"0.weight": ALL}), "0.weight", x)


def test_the_module_is_left_as_it_was():
    net = Net().train()
    before = {n: p.clone() for n, p in net.state_dict().items()}
    collect(net, [torch.randn(2, 3)], {"second.weight": ALL})
    assert net.training
    assert not net.second._forward_pre_hooks
    assert all(torch.equal(before[n], p) for n, p in net.state_dict().items())


def test_hooks_go_when_the_data_fails():
    net = Net()
    with pytest.raises(DataError):
        collect(net, [torch.full((2, 3), torch.nan)], {"first.weight": ALL, "second.weight": ALL})
    assert not net.first._forward_pre_hooks
    assert not net.second._forward_pre_hooks


def test_values_that_are_not_finite_are_refused_naming_the_first_tensor():
    with pytest.raises(DataError, match=r"the inputs of first.weight hold 2 values that are not finite"):
        collect(Net(), [torch.tensor([[1.0, torch.nan, torch.inf]])], {"second.weight": ALL, "first.weight": ALL})


def test_no_data_is_refused():
    with pytest.raises(DataError, match="found no calibration data"):
        collect(Net(), [], {"second.weight": ALL})


def test_a_layer_that_the_data_never_reaches_is_refused():
    net = Net()
    net.unused = nn.Linear(2, 2)
    with pytest.raises(DataError, match=r"the data never reached unused.weight"):
        collect(net, [torch.randn(2, 3)], {"unused.weight": ALL})


def test_fewer_samples_than_inputs_are_counted_and_allowed():
    assert collect(Net(), [torch.randn(2, 3)], {"second.weight": ALL}).samples == 2


def test_layers_without_a_rule_are_refused_by_name():
    for layer, kind in ((nn.Embedding(3, 4), "Embedding"), (nn.Conv1d(4, 4, 1, groups=2), "Conv1d")):
        with pytest.raises(UnsupportedError, match=f"the inputs of 0.weight cannot be measured: it belongs to {kind}"):
            collect(nn.Sequential(layer), [torch.zeros(1, 4, 4)], {"0.weight": ALL})


def test_a_tied_weight_is_measured_where_it_reads():
    net = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6, bias=False))
    net[1].weight = net[0].weight
    ids = torch.tensor([[0, 1, 5]])
    assert_equals_naive(collect(net, [ids], {"0.weight": ALL}), "0.weight", net[0](ids)[0])


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(DataError, match=r"no parameter 'second.wieght'; did you mean 'second.weight'"):
        collect(Net(), [torch.randn(2, 3)], {"second.wieght": ALL})
    with pytest.raises(DataError, match="statistic 'input_means' is not known; did you mean 'input_mean'"):
        collect(Net(), [torch.randn(2, 3)], {"second.weight": frozenset({"input_means"})})


def test_names_may_differ_between_file_and_module():
    stats = collect(
        Net(), [torch.randn(2, 3)], {"stored": frozenset({"input_mean"})}, names={"stored": "second.weight"}
    )
    assert list(stats) == [("stored", "input_mean")]


def test_many_small_batches_lose_nothing():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 4, generator=generator) + 3
    means = Means()
    for row in x.split(7):
        means.move(("w", "s"), measure(row), len(row))
    exact = x.double().T @ x.double() / len(x)
    # 2,858 roundings of 6e-8, at random.
    torch.testing.assert_close(means.values["w", "s"].double(), exact, rtol=1e-5, atol=0)


def test_bfloat16_inputs_are_summed_in_float32():
    net = Net().to(torch.bfloat16)
    stats = collect(net, [torch.ones(1, 3, dtype=torch.bfloat16)] * 1000, {"first.weight": ALL})
    assert stats["first.weight", "input_energy"].tolist() == [1.0, 1.0, 1.0]


def test_a_mean_that_begins_late_counts_what_came_before_as_nothing():
    means = Means()
    means.move(("w", "s"), None, 3)
    assert not means.values
    means.move(("w", "s"), torch.tensor([8.0]), 1)
    means.move(("w", "s"), None, 4)
    assert means.values["w", "s"].tolist() == [1.0]
    assert means.counts["w", "s"] == 8


def test_each_statistic_says_how_many_samples_it_has():
    class Pooled(Net):
        def forward(self, x):
            return self.second(torch.relu(self.first(x)).mean(1))

    wanted = {"first.weight": frozenset({"input_mean"}), "second.weight": frozenset({"input_mean"})}
    stats = collect(Pooled(), [torch.randn(4, 7, 3), torch.randn(2, 5, 3)], wanted)
    assert (stats.seen("first.weight", "input_mean"), stats.seen("second.weight", "input_mean")) == (38, 6)
    assert stats.samples == 6
