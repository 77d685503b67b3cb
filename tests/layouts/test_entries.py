"""Config entries and what moves with them, and the config that holds a smaller model."""

import pytest
from tests.layouts.zoo import ZOO

from penjing.core.pattern import cut, parse
from penjing.errors import PlanError
from penjing.layouts import from_config, hold
from penjing.layouts.config import alike
from penjing.layouts.config.counts import few_blocks
from penjing.layouts.config.paths import get, numbers, put
from penjing.layouts.config.sizes import solve
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.prove.small import shrunken

LLAMA = ZOO["llama"].config


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def llama():
    return from_config(LLAMA)


def both(kind, count):
    return {f"{kind}.{i}": count for i in range(2)}


def patterns(**texts):
    sizes = {"heads": 2, "queries": 3, "dims": 4, "residual": 8}
    return {t: cut(parse(p), sizes) for t, p in texts.items()}


def test_nested_entries_are_read_and_changed_by_path():
    config = {"a": {"depths": [1, 2]}, "b": 3, "eos_token_id": 5, "flag": True}
    assert dict(numbers(config)) == {"a.depths[0]": 1, "a.depths[1]": 2, "b": 3}
    changed = put(config, {"a.depths[1]": 7})
    assert get(changed, "a.depths[1]") == 7
    assert get(config, "a.depths[1]") == 2


def test_sizes_follow_from_shapes_where_these_tell():
    known = patterns(q="(heads queries dims) residual", k="(heads dims) residual", d="dims", h="heads")
    assert solve(known, {"q": (96, 5), "k": (16, 5), "d": (8,), "h": (2,)}) == {
        "dims": 8,
        "heads": 2,
        "residual": 5,
        "queries": 6,
    }


def test_sizes_do_not_follow_where_two_factors_may_have_moved():
    assert solve(patterns(k="(heads dims) residual"), {"k": (16, 8)}) is None


def test_equal_shapes_with_other_groups_are_told_apart():
    one = patterns(k="(heads dims) residual", h="dims")
    two = {"k": cut(parse("(a b) c"), {"a": 4, "b": 2, "c": 8}), "h": cut(parse("b"), {"b": 2})}
    assert alike.same(one, two) == "k"
    assert alike.same(one, {"k": cut(parse("(a b) c"), {"a": 2, "b": 4, "c": 8}), "h": cut(parse("b"), {"b": 4})}) == ""


def test_a_factor_that_shrank_to_one_is_paired_with_nothing():
    one = patterns(k="(heads dims) residual", q="(heads queries dims) residual")
    two = {"k": cut(parse("(a b) c"), {"a": 6, "b": 4, "c": 8}), "q": cut(parse("(a b) c"), {"a": 6, "b": 4, "c": 8})}
    assert alike.pair(one, two) == {"heads": "a", "dims": "b", "residual": "c", "queries": ""}


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("llama", {"num_hidden_layers"}),
        ("t5", {"num_layers", "num_decoder_layers"}),
        ("swin", {"depths[0]", "depths[1]"}),
        ("gemma2", {"num_hidden_layers"}),
    ],
)
def test_what_counts_blocks_is_found(name, entries):
    config = full_config(ZOO[name].config)
    assert {c.entry for c in few_blocks(config, build(config))[2]} == entries


def test_lists_with_one_item_per_block_are_found():
    config = full_config(ZOO["gemma2"].config)
    assert few_blocks(config, build(config))[2][0].per_block == ("layer_types",)


def test_entries_of_lists_that_became_shorter_are_no_longer_asked():
    more = {k: [n] * 4 for k, n in (("conv_dim", 16), ("conv_kernel", 3), ("conv_stride", 2))}
    config = full_config({**ZOO["wav2vec2"].config, **more, "num_feat_extract_layers": 4})
    small, _, found = few_blocks(config, build(config))
    assert len(small["conv_stride"]) == 2
    assert "num_feat_extract_layers" in {c.entry for c in found}


def test_the_entries_of_llama(llama):
    found = {e.path: dict(e.moves) for e in llama.entries}
    assert found["intermediate_size"] == {"neurons.0": 1.0, "neurons.1": 1.0}
    assert found["num_attention_heads"] == {"queries.0": 1.0, "queries.1": 1.0}
    assert found["num_key_value_heads"] == both("heads", 1.0) | both("queries", -1.0)
    assert found["head_dim"]["value_dims.0"] == 1.0
    assert [a.entries for a in llama.axes.values() if a.kind == "residual"] == [("hidden_size",)]


def test_a_constant_that_moves_with_an_entry_is_named(llama):
    scaled = {e.path: e.scales for e in llama.entries}
    assert scaled["head_dim"] == ("model.layers.*.self_attn.scaling",)
    assert scaled["intermediate_size"] == ()


def test_blocks_are_an_axis(llama):
    assert llama.blocks[0].path == "model.layers"
    assert llama.axes["blocks"].state == "sensitive"


def test_equal_widths_are_held(llama):
    assert hold(LLAMA, llama, both("neurons", 24)) == {**LLAMA, "intermediate_size": 24}


def test_heads_and_queries_are_held_together(llama):
    new = hold(LLAMA, llama, both("heads", 1) | both("queries", 1))
    assert (new["num_attention_heads"], new["num_key_value_heads"]) == (1, 1)


def test_unequal_widths_name_the_entry_and_both_sizes(llama):
    with pytest.raises(
        PlanError,
        match=r"'intermediate_size' holds one size, but the plan leaves 2 in 'neurons.0' and 40 in 'neurons.1'",
    ):
        hold(LLAMA, llama, {"neurons.0": 2, "neurons.1": 40})


def test_head_sizes_alone_are_not_held(llama):
    with pytest.raises(PlanError, match="'head_dim' sets"):
        hold(LLAMA, llama, both("value_dims", 4))


def test_head_counts_that_stock_code_refuses_name_the_nearest():
    config = {**LLAMA, "num_attention_heads": 8, "num_key_value_heads": 4, "hidden_size": 64}
    with pytest.raises(PlanError, match=r"not a multiple of the number of attention heads.*nearest"):
        hold(config, from_config(config), both("heads", 3))


def test_too_few_experts_are_refused():
    config = ZOO["mixtral"].config
    layout = from_config(config)
    experts = [a for a in layout.axes.values() if a.kind == "experts"]
    with pytest.raises(PlanError, match="needs at least 2"):
        hold(config, layout, {a.name: 1 for a in experts})


def test_dropped_blocks_shorten_the_lists():
    config = ZOO["gemma2"].config
    full = full_config(config)
    new = hold(
        {**config, "layer_types": full["layer_types"]}, from_config(config), {"blocks": 1}, kept_blocks={"blocks": (1,)}
    )
    assert new["num_hidden_layers"] == 1
    assert new["layer_types"] == full["layer_types"][1:]


DINO = {
    "model_type": "dinov2", "architectures": ["Dinov2Model"], "hidden_size": 48, "num_attention_heads": 4,
    "num_hidden_layers": 4, "mlp_ratio": 2, "image_size": 28, "patch_size": 14,
}  # fmt: skip


def test_a_backbone_that_names_its_stages_has_blocks():
    """Its config says what each block gives, so the count of blocks alone cannot change."""
    layout = from_config(DINO)
    assert [(b.path, b.entry, b.size) for b in layout.blocks] == [("encoder.layer", "num_hidden_layers", 4)]


@pytest.mark.parametrize(
    ("given", "kept", "left"),
    [
        ([4], (0, 1, 3), [3]),
        ([2, 4], (0, 1, 3), [2, 3]),
        ([2, 4], (0, 2, 3), [1, 3]),
        ([0, 1, 2], (2, 3), [0]),
    ],
)
def test_dropped_blocks_renumber_the_stages(given, kept, left):
    full = full_config({**DINO, "out_features": ["stem" if not k else f"stage{k}" for k in given]})
    new = hold(full, from_config(full), {"blocks": len(kept)}, kept_blocks={"blocks": kept})
    assert new["num_hidden_layers"] == len(kept)
    assert new["stage_names"] == full["stage_names"][: len(kept) + 1]
    assert new["out_indices"] == left
    assert new["out_features"] == [full["stage_names"][k] for k in left]


def test_a_config_that_says_nothing_of_stages_still_gives_its_last_one():
    new = hold(DINO, from_config(DINO), {"blocks": 3})
    assert (new["num_hidden_layers"], new["out_indices"]) == (3, [3])
    assert full_config(new) == full_config({**DINO, "num_hidden_layers": 3})


def test_heads_of_gpt2_are_held_by_no_config():
    config = ZOO["gpt2"].config
    with pytest.raises(PlanError, match=r"no stock config|'n_"):
        hold(config, from_config(config), both("heads", 2))


EQUAL = {**LLAMA, "hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 8}
THIRDS = {**LLAMA, "hidden_size": 36, "num_attention_heads": 9, "num_key_value_heads": 3}


def test_as_many_key_heads_as_query_heads_move_together_and_are_held():
    layout = from_config(EQUAL)
    assert layout.axes["heads.0"].entries == ("num_attention_heads", "num_key_value_heads")
    new = hold(EQUAL, layout, both("heads", 4))
    assert new == {**EQUAL, "num_attention_heads": 4, "num_key_value_heads": 4}


def test_a_refused_number_of_equal_heads_names_the_nearest():
    with pytest.raises(PlanError, match="nearest that opens is num_attention_heads = 4, num_key_value_heads = 4"):
        hold(EQUAL, from_config(EQUAL), both("heads", 5))


def test_heads_in_thirds_have_entries_and_are_held():
    layout = from_config(THIRDS)
    assert layout.axes["heads.0"].entries == ("num_key_value_heads",)
    new = hold(THIRDS, layout, both("heads", 1))
    assert (new["num_attention_heads"], new["num_key_value_heads"], new["head_dim"]) == (3, 1, 4)
    assert full_config(new)["head_dim"] == 4


def test_what_stock_code_would_derive_anew_is_written():
    new = hold(LLAMA, from_config(LLAMA), both("heads", 1))
    assert build(new).model.layers[0].self_attn.head_dim == 8


def test_an_entry_that_may_be_left_out_is_written_where_it_is_needed():
    config = ZOO["mixtral"].config
    new = hold(config, from_config(config), both("heads", 1))
    assert (new["head_dim"], new["num_attention_heads"], new["num_key_value_heads"]) == (8, 2, 1)


def test_a_cut_that_changes_a_constant_is_refused_and_names_it(llama):
    with pytest.raises(PlanError, match=r"head_dim = 4 instead of head_dim = 8.*self_attn.scaling"):
        hold(LLAMA, llama, both("value_dims", 4) | {"rotary": 2})


def test_the_width_of_the_residual_is_held_where_head_sizes_are_given(llama):
    config = {**LLAMA, "head_dim": 8}
    assert hold(config, llama, {"residual": 24}) == {**config, "hidden_size": 24}


def test_a_shrunken_model_keeps_equal_head_counts_equal():
    large = {"hidden_size": 1024, "intermediate_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 16}
    config = {**LLAMA, **large, "head_dim": 64}
    small = shrunken(config, from_config(config))
    assert small["num_attention_heads"] == small["num_key_value_heads"] < 16


def test_a_number_that_the_forward_pass_makes_of_a_width_is_compared():
    """Perceiver divides its scores by the root of a width that it reads off a tensor: no module holds that number."""
    config = {
        "model_type": "perceiver", "architectures": ["PerceiverForMaskedLM"], "vocab_size": 99, "d_model": 16,
        "d_latents": 32, "num_latents": 6, "num_blocks": 1, "num_self_attends_per_block": 1, "qk_channels": 32,
        "v_channels": 32, "num_self_attention_heads": 4, "num_cross_attention_heads": 4, "max_position_embeddings": 32,
    }  # fmt: skip
    layout = from_config(config)
    names = [a.name for a in layout.axes.values() if a.kind == "head_dims" and "qk_channels" in a.entries]
    with pytest.raises(PlanError, match=r"computes with another number \(div"):
        hold(config, layout, {a: layout.axes[a].size // 2 for a in names})
