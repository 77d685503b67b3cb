"""MAXIM."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import penjing
from penjing.core import Budget
from penjing.errors import CheckpointError
from penjing.layers.channel_attention import ChannelAttention
from penjing.layers.multi_axis import AxisMLP, CrossGate, MultiAxis, Positions, parts, whole
from penjing.layers.u_stage import resized
from penjing.layouts import from_module
from penjing.layouts.costs import macs
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove.proofs import prove
from penjing.models import MODELS, create

FILE = MODELS.load("maxim")
TWO = {
    "num_stages": 2, "num_scales": 2, "hidden_sizes": [6, 10], "grid_sides": [2, 2], "block_sides": [2, 2],
    "image_size": 8,
}  # fmt: skip


@given(rows=st.integers(1, 3), columns=st.integers(1, 3), height=st.integers(1, 3), width=st.integers(1, 4))
def test_parts_are_the_rectangles_and_come_together_again(rows, columns, height, width):
    x = torch.randn(2, rows * height, columns * width, 3)
    cut = parts(x, height, width)
    for n in range(rows * columns):
        r, c = n // columns * height, n % columns * width
        assert torch.equal(cut[:, n], x[:, r : r + height, c : c + width].reshape(2, -1, 3))
    assert torch.equal(whole(cut, height, width, rows * height, columns * width), x)


@given(cells=st.tuples(st.integers(1, 3), st.integers(1, 3)), side=st.integers(1, 3), grid=st.booleans())
def test_positions_are_mixed_in_blocks_or_across_the_grid(cells, side, grid):
    mix, x = Positions(side, grid=grid), torch.randn(1, side * cells[0], side * cells[1], 2)
    want = torch.zeros_like(x)
    for r in range(side * cells[0]):
        for c in range(side * cells[1]):
            for k in range(side**2):
                y, z = divmod(k, side)
                if grid:  # the same place of every cell
                    i = r // cells[0] * side + c // cells[1]
                    other = x[0, y * cells[0] + r % cells[0], z * cells[1] + c % cells[1]]
                else:  # every place of the same block
                    i = r % side * side + c % side
                    other = x[0, r // side * side + y, c // side * side + z]
                want[0, r, c] += mix.weights.weight[i, k].detach() * other
            want[0, r, c] += mix.weights.bias[i].detach()
    torch.testing.assert_close(mix(x), want, rtol=1e-4, atol=1e-5)


def test_a_map_that_the_grid_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="a map of 6 x 5 has no grid of 3 x 3"):
        Positions(3, grid=True)(torch.zeros(1, 6, 5, 1))


def test_one_place_moves_its_block_and_its_grid_and_nothing_else():
    torch.manual_seed(0)
    x = torch.randn(1, 6, 6, 5)
    y = x.clone()
    y[0, 1, 4] = torch.randn(5)
    for grid, reached in ((True, {(r, c) for r in (1, 3, 5) for c in (0, 2, 4)}), (False, None)):
        layer = AxisMLP(5, 7, 3, grid=grid)
        moved = (layer(x) - layer(y)).abs().amax(-1)[0] > 1e-7
        found = {(int(r), int(c)) for r, c in moved.nonzero()}
        assert found == (reached or {(r, c) for r in (0, 1, 2) for c in (3, 4, 5)})


def test_a_gate_that_mixes_to_zero_lets_u_through():
    layer, x = AxisMLP(5, 7, 2, grid=False), torch.randn(1, 4, 4, 5)
    nn.init.zeros_(layer.mix.weights.weight)
    nn.init.zeros_(layer.mix.weights.bias)
    torch.testing.assert_close(layer(x), x + layer.out(layer.act(layer.gate(layer.norm(x)))))


def test_a_branch_of_width_zero_is_left_out():
    layer = MultiAxis(6, (0, 5), (3, 4), (2, 2))
    assert [axis.mix.grid for axis in layer.axes] == [False]
    assert layer(torch.randn(1, 6, 4, 4)).shape == (1, 6, 4, 4)


def test_channels_are_weighed_by_the_mean_over_places():
    layer, x = ChannelAttention(5, 2).double(), torch.randn(2, 5, 3, 4, dtype=torch.float64)
    for b in range(2):
        mean = torch.stack([x[b, c].mean() for c in range(5)])
        hidden = (layer.down.weight[..., 0, 0] @ mean + layer.down.bias).clamp(min=0)
        weights = 1 / (1 + torch.exp(-(layer.up.weight[..., 0, 0] @ hidden + layer.up.bias)))
        torch.testing.assert_close(layer(x)[b], x[b] * weights[:, None, None])


def test_a_cross_gate_is_its_formula_and_y_is_in_x():
    torch.manual_seed(0)
    layer = CrossGate(4, (3, 5), (4, 4), (2, 3, 4, 5), (2, 2), up=True).double()
    x, y = torch.randn(1, 3, 4, 4, dtype=torch.float64), torch.randn(1, 5, 2, 2, dtype=torch.float64)
    new_x, new_y = layer(x, y)
    a, b = layer.to_x(x).permute(0, 2, 3, 1), layer.to_y(layer.up(y)).permute(0, 2, 3, 1)
    inner_a, inner_b = layer.act(layer.in_x(layer.norm_x(a))), layer.act(layer.in_y(layer.norm_y(b)))
    want_y = layer.out_y(inner_b * layer.gate_x(inner_a)) + b
    want_x = layer.out_x(inner_a * layer.gate_y(inner_b)) + want_y + a
    torch.testing.assert_close(new_y, want_y.permute(0, 3, 1, 2))
    torch.testing.assert_close(new_x, want_x.permute(0, 3, 1, 2))


def test_the_bias_of_spatial_gates_starts_at_one():
    gate = create("maxim", "tiny").stages[0].skips[0].gate_x
    assert all((mix.weights.bias == 1).all() for mix in gate.mixes)


def test_resizing_to_half_averages_by_a_triangle():
    for place, want in ((3, [0.0, 3.0, 1.0, 0.0]), (0, [3 / 0.875, 0.0, 0.0, 0.0])):  # at the edge the rest is as one
        x = torch.zeros(1, 1, 1, 8)
        x[..., place] = 8.0
        torch.testing.assert_close(resized(x.expand(1, 1, 8, 8), (4, 4))[0, 0, 1], torch.tensor(want))


def test_one_set_of_weights_serves_every_size_of_its_multiple():
    model = create("maxim", "tiny", **TWO)
    assert model.config.multiple == 8
    for rows, columns in ((8, 8), (16, 24)):
        with torch.no_grad():
            assert model(torch.rand(1, 3, rows, columns)).reconstruction.shape == (1, 3, rows, columns)
    with pytest.raises(ValueError, match="must be multiples"):
        model(torch.rand(1, 3, 8, 12))


def test_the_loss_counts_every_stage_and_scale_and_reaches_every_weight():
    torch.manual_seed(0)
    model = create("maxim", "tiny", **TWO).train()
    x = torch.rand(1, 3, 8, 8)
    out = model(x, labels=x)
    out.loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert FILE.difference(x, x) == pytest.approx(1e-3, rel=1e-3)


def test_a_network_whose_heads_are_zero_gives_its_input():
    model = create("maxim", "tiny", **TWO)
    x = torch.rand(1, 3, 8, 8)
    for stage in model.stages:
        for head in stage.heads:
            nn.init.zeros_(getattr(head, "image", head).weight)
            nn.init.zeros_(getattr(head, "image", head).bias)
    with torch.no_grad():
        assert torch.equal(model(x).reconstruction, x)
        assert model(x, labels=x).loss == pytest.approx(4e-3, rel=1e-3)


@pytest.mark.parametrize("widths", [[3], [3] * 99])
def test_a_list_of_another_length_is_refused(widths):
    with pytest.raises(ValueError, match="conv_sizes lists"):
        FILE.Model(FILE.Config(**{**FILE.CARD.sizes["tiny"], "conv_sizes": widths}))


def published(config):
    """(name, shape) of every weight of the authors' network, in the order in which their code makes it."""
    sizes, levels = config.hidden_sizes, range(len(config.hidden_sizes))
    down, scales = list(reversed(levels)), range(config.num_scales)
    ratio = iter(range(999))

    def layer(name, *shape):
        yield f"{name}/kernel", shape
        yield f"{name}/bias", shape[-1:]

    def norm(name, size):
        yield f"{name}/scale", (size,)
        yield f"{name}/bias", (size,)

    def squeeze(name, c):
        yield from layer(f"{name}/Conv_0", 1, 1, c, c // 4)
        yield from layer(f"{name}/Conv_1", 1, 1, c // 4, c)

    def axes(name, i):
        c = sizes[i]
        yield from norm(f"{name}/LayerNorm_in", c)
        yield from layer(f"{name}/in_project", c, 2 * c)
        for own, side in (("Grid", config.grid_sides[i]), ("Block", config.block_sides[i])):
            yield from norm(f"{name}/{own}GmlpLayer/LayerNorm", c)
            yield from layer(f"{name}/{own}GmlpLayer/in_project", c, 2 * c)
            yield from norm(f"{name}/{own}GmlpLayer/{own}GatingUnit/intermediate_layernorm", c)
            yield from layer(f"{name}/{own}GmlpLayer/{own}GatingUnit/Dense_0", side**2, side**2)
            yield from layer(f"{name}/{own}GmlpLayer/out_project", c, c)
        yield from layer(f"{name}/out_project", 2 * c, c)

    def cross(name, i, x, y, up):
        c = sizes[i]
        if up:
            yield from layer(f"{name}/ConvTranspose_0", 2, 2, y, c)
        yield from layer(f"{name}/Conv_0", 1, 1, x, c)
        yield from layer(f"{name}/Conv_1", 1, 1, c if up else y, c)
        for of in "xy":
            yield from norm(f"{name}/LayerNorm_{of}", c)
            yield from layer(f"{name}/in_project_{of}", c, c)
            yield from layer(f"{name}/out_project_{of}", c, c)
            gate = f"{name}/SplitHeadMultiAxisGating_{of}"
            yield from norm(f"{gate}/LayerNorm_in", c)
            yield from layer(f"{gate}/in_project", c, 2 * c)
            yield from layer(f"{gate}/Dense_0", config.grid_sides[i] ** 2, config.grid_sides[i] ** 2)
            yield from layer(f"{gate}/Dense_1", config.block_sides[i] ** 2, config.block_sides[i] ** 2)
            yield from layer(f"{gate}/out_project", 2 * c, c)

    def encoder(name, i, inputs):
        c = sizes[i]
        yield from layer(f"{name}/Conv_0", 1, 1, inputs, c)
        for g in range(config.num_groups):
            yield from axes(f"{name}/SplitHeadMultiAxisGmlpLayer_{g}", i)
            block = f"{name}/channel_attention_block_1{g}"
            yield from norm(f"{block}/LayerNorm", c)
            yield from layer(f"{block}/conv1", 3, 3, c, c)
            yield from layer(f"{block}/conv2", 3, 3, c, c)
            yield from squeeze(f"{block}/channel_attention", c)

    def gathered(i, order):
        for j in order:
            yield from layer(f"UpSampleRatio_{next(ratio)}/Conv_0", 1, 1, sizes[j], sizes[i])

    for s in range(config.num_stages):
        at = f"stage_{s}_"
        for i in scales:
            yield from layer(f"{at}input_conv_{i}", 3, 3, 3, sizes[i])
            if s:
                yield from cross(f"{at}input_fuse_sam_{i}", i, sizes[i], sizes[i], False)
        for i in levels:
            name = f"{at}encoder_block_{i}"
            yield from encoder(name, i, sizes[max(i - 1, 0)] + (sizes[i] if i in scales else 0))
            if s:
                yield from cross(f"{name}/cross_gating_block", i, sizes[i], sizes[i], False)
            yield from layer(f"{name}/Conv_1", 4, 4, sizes[i], sizes[i])
        c = sizes[-1]
        for b in range(config.num_bottlenecks):
            yield from layer(f"{at}global_block_{b}/input_proj", 1, 1, c, c)
            for g in range(config.num_groups):
                yield from axes(f"{at}global_block_{b}/SplitHeadMultiAxisGmlpLayer_{g}", levels[-1])
                block = f"{at}global_block_{b}/channel_attention_block_1_{g}"
                yield from norm(f"{block}/LayerNorm", c)
                yield from layer(f"{block}/channel_mixing/Dense_0", c, c)
                yield from layer(f"{block}/channel_mixing/Dense_1", c, c)
                yield from squeeze(f"{block}/channel_attention", c)
        for i in down:
            yield from gathered(i, levels)
            above = sizes[min(i + 1, levels[-1])]
            yield from cross(f"{at}cross_gating_block_{i}", i, len(levels) * sizes[i], above, True)
        for i in down:
            yield from gathered(i, down)
            name = f"{at}decoder_block_{i}"
            yield from layer(f"{name}/ConvTranspose_0", 2, 2, sizes[min(i + 1, levels[-1])], sizes[i])
            yield from encoder(f"{name}/UNetEncoderBlock_0", i, (1 + len(levels)) * sizes[i])
        for i in scales:
            if s == config.num_stages - 1:
                yield from layer(f"{at}output_conv_{i}", 3, 3, sizes[i], 3)
            else:
                head = f"{at}supervised_attention_module_{i}"
                yield from layer(f"{head}/Conv_0", 3, 3, sizes[i], sizes[i])
                yield from layer(f"{head}/Conv_1", 3, 3, sizes[i], 3)
                yield from layer(f"{head}/Conv_2", 3, 3, 3, sizes[i])


def released(**settings):
    config = FILE.Config(**{**FILE.CARD.sizes["tiny"], **TWO, "hidden_sizes": [8, 12], **settings})
    shapes = dict(published(config))
    return config, {f"opt/target/{name}": torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("settings", [{}, {"num_scales": 1, "num_groups": 2}, {"num_stages": 3, "num_bottlenecks": 2}])
def test_released_weights_have_a_place_each_and_fill_the_model(settings):
    config, state = released(**settings)
    model = FILE.Model(config)
    model.load_state_dict(FILE.from_released(state, config))
    assert sum(v.numel() for v in state.values()) == sum(p.numel() for p in model.parameters())
    theirs = torch.cat([v.flatten() for v in state.values()]).sort().values
    assert torch.equal(theirs, torch.cat([p.detach().flatten() for p in model.parameters()]).sort().values)


def test_released_layers_compute_what_the_authors_layers_do():
    config, state = released()
    out = FILE.from_released(state, config)
    up = state["opt/target/stage_1_decoder_block_0/ConvTranspose_0/kernel"]  # [2 2 in out]
    x = torch.randn(12)
    want = torch.einsum("abio,i->oab", up.flip(0, 1), x)
    layer = nn.ConvTranspose2d(12, 8, 2, 2, bias=False)
    layer.weight.data = out["stages.1.ups.1.weight"]
    torch.testing.assert_close(layer(x[None, :, None, None])[0], want)
    joint = state["opt/target/stage_0_encoder_block_0/SplitHeadMultiAxisGmlpLayer_0/in_project/kernel"]
    axes = "stages.0.encoders.0.groups.0.0"
    assert torch.equal(out[f"{axes}.inputs.0.weight"], joint[:, :8].T)
    assert torch.equal(out[f"{axes}.inputs.1.weight"], joint[:, 8:].T)
    coarse = state["opt/target/UpSampleRatio_4/Conv_0/kernel"]  # the first of what the coarsest decoder gathers
    assert torch.equal(out["stages.0.gather_skips.0.inputs.1.weight"], coarse.movedim((-1, -2), (0, 1)))


def test_released_weights_of_another_size_are_refused():
    config, state = released()
    key = "opt/target/stage_0_input_conv_0/kernel"
    for changed, found in (
        ({key: None}, "'stage_0_input_conv_0/kernel' is missing"),
        ({key: torch.zeros(3, 3, 3, 5)}, "gives the shape"),
        ({"opt/target/more/bias": torch.zeros(1)}, "'more/bias' has no place"),
    ):
        given = {k: v for k, v in {**state, **changed}.items() if v is not None}
        with pytest.raises(CheckpointError, match=found):
            FILE.from_released(given, config)


@pytest.mark.nightly
def test_every_free_axis_of_two_stages_of_two_levels_is_proved():
    model = create("maxim", "tiny", **{**TWO, "num_scales": 1})
    inputs = example(model, device="cpu")
    layout = prove(model, inputs, layout=from_module(model, inputs))
    free = [axis for axis in layout.axes.values() if axis.state == "free"]
    assert len(free) > 50
    assert all("graph" in axis.proofs for axis in free)


@pytest.mark.nightly
def test_cut_to_half_of_its_multiply_adds_it_opens_again(tmp_path):
    model = create("maxim", "tiny", **{**TWO, "num_stages": 1, "num_scales": 1, "conv_sizes": [60] * 4})
    model.save_pretrained(tmp_path / "whole")
    before = macs(from_module(model, example(model, device="cpu")))
    budget = Budget(macs=before // 2)
    penjing.shrink(tmp_path / "whole", tmp_path / "half", method="magnitude", budget=budget, measure=False)
    small = penjing.load(tmp_path / "half")
    assert macs(from_module(small, example(small, device="cpu"))) <= before // 2
    assert small(**example(small, device="cpu")).reconstruction.shape == (2, 3, 8, 8)
