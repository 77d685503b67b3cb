"""Activity, magnitudes, blocks and recurrent layers, against what goes in and comes out."""

import pytest
import torch
from torch import nn

from penjing.calibrate import collect, find, known
from penjing.errors import DataError, UnsupportedError


def seen(module, layer, batch, *, output=False):
    """What a layer takes (or gives) for a batch."""
    out = []
    if output:
        hook = layer.register_forward_hook(lambda _, a, y: out.append(y))
    else:
        hook = layer.register_forward_pre_hook(lambda _, a: out.append(a[0]))
    with torch.no_grad():
        module(batch)
    hook.remove()
    return out[0]


def magnitude(examples):
    total = sum((x.abs().double().mean(0) ** 2 for x in examples), start=torch.zeros(1).double())
    return (total / len(examples)).sqrt().float()


def test_magnitudes_are_the_means_of_examples_under_a_root(llama):
    batches = [torch.arange(12).view(2, 6), torch.arange(6).view(1, 6) + 3]
    layer, norm = llama.model.layers[1].mlp.down_proj, llama.model.layers[1].input_layernorm
    reader, gain = "model.layers.1.mlp.down_proj.weight", "model.layers.1.input_layernorm.weight"
    wanted = {reader: frozenset({"input_magnitude"}), gain: frozenset({"output_magnitude"})}
    stats = collect(llama, batches, wanted)
    inputs = [row for b in batches for row in seen(llama, layer, b)]
    torch.testing.assert_close(stats[reader, "input_magnitude"], magnitude(inputs))
    outputs = [row for b in batches for row in seen(llama, norm, b, output=True)]
    torch.testing.assert_close(stats[gain, "output_magnitude"], magnitude(outputs))


def test_activity_is_the_share_of_inputs_that_are_not_zero(cnn):
    x = torch.randn(2, 2, 8, 8)
    stats = collect(cnn, [x], {"5.weight": frozenset({"input_activity"})})
    want = (seen(cnn, cnn[5], x).movedim(1, -1).flatten(0, 2) != 0).float().mean(0)
    torch.testing.assert_close(stats["5.weight", "input_activity"], want)
    assert bool(((want > 0) & (want < 1)).any())


@pytest.mark.parametrize("kind", ["zeros", "reflect"])
def test_windows_are_all_that_a_convolution_multiplies_place_by_place(kind):
    how = {"padding": (1, 2), "stride": (2, 1), "dilation": (1, 2), "padding_mode": kind}
    conv, x = nn.Conv2d(2, 5, (3, 2), bias=False, **how), torch.randn(3, 2, 7, 6)
    stats = collect(nn.Sequential(conv), [x[:1], x[1:]], {"0.weight": frozenset({"window_second_moment"})})
    moment = stats["0.weight", "window_second_moment"]
    weight = conv.weight.detach().flatten(1)
    outputs = conv(x).detach().movedim(1, -1).flatten(0, 2)
    torch.testing.assert_close(weight @ moment @ weight.T, outputs.T @ outputs / len(outputs))
    assert moment.shape == (12, 12)
    assert stats.samples == len(outputs)


def test_windows_of_grouped_and_of_strange_convolutions_are_not_known(cnn):
    class Odd(nn.Conv2d):
        def forward(self, input):
            return super().forward(input) * 2

    x = torch.randn(2, 2, 8, 8)
    for net, name in ((cnn, "3.weight"), (nn.Sequential(Odd(2, 3, 3)), "0.weight")):
        stats = collect(net, [x], {name: frozenset({"window_second_moment", "input_energy"})})
        assert stats[name, "window_second_moment"].shape == (0, 0)
        assert stats[name, "input_energy"].numel()


@pytest.mark.parametrize("most", [1, 10**9])
def test_windows_over_a_line_are_those_of_an_image_of_one_row(monkeypatch, most):
    monkeypatch.setattr("penjing.calibrate.layers.MOST", most)
    line, x = nn.Conv1d(2, 5, 3, padding=1, stride=2, dilation=2), torch.randn(3, 2, 9)
    image = nn.Conv2d(2, 5, (1, 3), padding=(0, 1), stride=(1, 2), dilation=(1, 2))
    asked = {"0.weight": frozenset({"window_second_moment"})}
    one, other = (collect(nn.Sequential(c), [b], asked) for c, b in ((line, x), (image, x[:, :, None])))
    torch.testing.assert_close(*(s["0.weight", "window_second_moment"] for s in (one, other)))
    assert one.samples == other.samples == 3 * line(x).shape[2]


def test_depthwise_convolutions_are_measured_by_input_channel(cnn):
    x = torch.randn(2, 2, 8, 8)
    asked = frozenset({"input_mean", "input_energy", "input_magnitude", "output_magnitude"})
    stats = collect(cnn, [x], {"3.weight": asked})
    before = seen(cnn, cnn[3], x).movedim(1, -1).flatten(1, 2)
    torch.testing.assert_close(stats["3.weight", "input_mean"], before.flatten(0, 1).mean(0))
    torch.testing.assert_close(stats["3.weight", "input_energy"], before.flatten(0, 1).square().mean(0))
    torch.testing.assert_close(stats["3.weight", "input_magnitude"], magnitude(list(before)))
    with pytest.raises(UnsupportedError, match="with 4 groups, for which there is no input_second_moment"):
        collect(cnn, [x], {"3.weight": frozenset({"input_second_moment"})})


def test_the_outputs_of_a_batch_norm_are_its_channels(cnn):
    x = torch.randn(2, 2, 8, 8)
    stats = collect(cnn, [x], {"1.weight": frozenset({"output_magnitude"})})
    want = magnitude(list(seen(cnn, cnn[1], x, output=True).movedim(1, -1).flatten(1, 2)))
    torch.testing.assert_close(stats["1.weight", "output_magnitude"], want)


def test_the_cosine_of_a_block_is_between_what_it_takes_and_gives(llama):
    ids = torch.arange(12).view(2, 6)
    stats = collect(llama, [ids], {"model.layers.2": frozenset({"block_cosine"})})
    x, y = seen(llama, llama.model.layers[2], ids), seen(llama, llama.model.layers[2], ids, output=True)
    y = y[0] if isinstance(y, tuple) else y
    want = sum(float(a @ b / a.norm() / b.norm()) for a, b in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True)) / 12
    assert float(stats["model.layers.2", "block_cosine"]) == pytest.approx(want, rel=1e-5)
    with pytest.raises(DataError, match=r"no block 'model.layer.2'; did you mean 'model.layers.2'"):
        collect(llama, [ids], {"model.layer.2": frozenset({"block_cosine"})})
    with pytest.raises(UnsupportedError, match="needed two of one shape"):
        collect(llama, [ids], {"lm_head": frozenset({"block_cosine"})})


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_layer_takes_its_own_outputs_one_step_later(batch_first):
    lstm = nn.LSTM(3, 4, batch_first=batch_first, bidirectional=True)
    x = torch.randn(2, 5, 3)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = lstm

        def forward(self, x):
            out, _ = self.cell(x if batch_first else x.transpose(0, 1))
            return out if batch_first else out.transpose(0, 1)

    asked = frozenset({"input_energy", "input_magnitude"})
    names = ("cell.weight_ih_l0", "cell.weight_hh_l0", "cell.weight_hh_l0_reverse")
    stats = collect(Net(), [x], dict.fromkeys(names, asked))
    with torch.no_grad():
        out = Net()(x)
    zero = torch.zeros(2, 1, 4)
    before = torch.cat([zero, out[:, :-1, :4]], 1)
    after = torch.cat([out[:, 1:, 4:], zero], 1)
    for name, took in zip(names, (x, before, after), strict=True):
        torch.testing.assert_close(stats[name, "input_energy"], took.flatten(0, 1).square().mean(0))
        torch.testing.assert_close(stats[name, "input_magnitude"], magnitude(list(took)))


@pytest.mark.parametrize(("kind", "given"), [(nn.LSTM, False), (nn.LSTM, True), (nn.GRU, True), (nn.RNN, False)])
def test_inner_levels_of_recurrent_layers_are_those_of_layers_run_one_after_another(kind, given):
    g = torch.Generator().manual_seed(3)
    stacked = kind(3, 4, num_layers=3, batch_first=True, bidirectional=True)
    singles = [kind(3 if i == 0 else 8, 4, batch_first=True, bidirectional=True) for i in range(3)]
    for i, single in enumerate(singles):
        single.load_state_dict({n: getattr(stacked, n.replace("_l0", f"_l{i}")) for n in single.state_dict()})
    state = torch.randn(6, 2, 4, generator=g)
    x = torch.randn(2, 5, 3, generator=g)
    start = [(state, -state) if kind is nn.LSTM else state] if given else []
    asked = frozenset({"input_energy", "input_magnitude"})
    names = [f"0.{w}_l{i}{back}" for w in ("weight_ih", "weight_hh") for i in range(3) for back in ("", "_reverse")]
    before = torch.random.get_rng_state()

    class Net(nn.ModuleList):
        def forward(self, x):
            return self[0](x, *start)[0]

    stats = collect(Net([stacked]), [x], dict.fromkeys(names, asked))
    assert torch.equal(torch.random.get_rng_state(), before)
    taken = x
    for i, single in enumerate(singles):
        own = state[2 * i : 2 * i + 2]
        with torch.no_grad():
            out = single(taken, (own, -own) if kind is nn.LSTM else own)[0] if given else single(taken)[0]
        first = own if given else torch.zeros(2, 2, 4)
        hidden = {"": torch.cat([first[0, :, None], out[:, :-1, :4]], 1),
                  "_reverse": torch.cat([out[:, 1:, 4:], first[1, :, None]], 1)}  # fmt: skip
        for back, steps in hidden.items():
            for name, took in ((f"0.weight_ih_l{i}{back}", taken), (f"0.weight_hh_l{i}{back}", steps)):
                torch.testing.assert_close(stats[name, "input_energy"], took.flatten(0, 1).square().mean(0))
                torch.testing.assert_close(stats[name, "input_magnitude"], magnitude(list(took)))
        taken = out


def test_what_goes_into_the_last_product_of_torchs_attention_is_measured():
    part, x = nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(2, 5, 8)
    encoder = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True))
    encoder[0].self_attn = part
    stats = collect(encoder, [x], {"0.self_attn.out_proj.weight": frozenset({"input_mean"})})
    q, k, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in (x @ part.in_proj_weight.T).chunk(3, -1))
    mixed = (torch.softmax(q @ k.transpose(2, 3) / 2, -1) @ v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(stats["0.self_attn.out_proj.weight", "input_mean"], mixed.flatten(0, 1).mean(0))
    assert type(part) is nn.MultiheadAttention


def test_what_attention_of_ones_own_multiplies_itself_is_refused():
    class Own(nn.MultiheadAttention):
        pass

    module = nn.Sequential(Own(8, 2, batch_first=True))
    with pytest.raises(UnsupportedError, match="whose weight MultiheadAttention multiplies without calling it"):
        collect(module, [torch.randn(2, 5, 8)], {"0.out_proj.weight": frozenset({"input_mean"})})


def test_rows_that_do_not_divide_into_examples_are_refused():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Linear(2, 3)

        def forward(self, x):
            return x + self.bias(torch.ones(1, 2))

    with pytest.raises(UnsupportedError, match="come in 1 rows for 4 examples"):
        collect(Table(), [torch.randn(4, 3)], {"bias.weight": frozenset({"input_magnitude"})})


def test_the_first_layer_with_nan_is_named(llama):
    weight = llama.model.layers[1].mlp.up_proj.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight[3, 2] = torch.nan
    try:
        with pytest.raises(
            DataError, match=r"lm_head.weight hold .* begin in the output of model.layers.1.mlp.up_proj"
        ):
            collect(llama, [torch.arange(6).view(1, 6)], {"lm_head.weight": frozenset({"input_mean"})})
    finally:
        with torch.no_grad():
            weight.copy_(before)


def test_what_a_model_refuses_is_told_with_its_shape(vit):
    with pytest.raises(DataError, match=r"ViTForImageClassification cannot take a batch of float32 \[2, 1, 9, 9\]"):
        collect(vit, [torch.randn(2, 1, 9, 9)], {"classifier.weight": frozenset({"input_mean"})})


ALONG = ("span", "sublayer")


def test_each_known_statistic_is_collected(llama):
    head, block = "lm_head.weight", "model.layers.0"
    of_layers = frozenset(s for s in known() if find(s).reads not in (*ALONG, "block", "windows", "targets"))
    of_blocks = frozenset(s for s in known() if find(s).reads in ("block", "span"))
    of_parts = frozenset(s for s in known() if find(s).reads == "sublayer")
    parts = {f"{block}.self_attn": of_parts, f"{block}.mlp": of_parts}
    stats = collect(llama, [torch.arange(12).view(2, 6)], {head: of_layers, block: of_blocks, **parts})
    assert {statistic for _, statistic in stats} == of_layers | of_blocks | of_parts
    assert len(of_layers) >= 15
    assert all(stats[key].dtype == torch.float32 and bool(stats[key].isfinite().all()) for key in stats)
