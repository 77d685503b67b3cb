"""GPT-2: positions that are learned, layer norms with biases, matrices that are stored [in out]."""

from collections.abc import Mapping
from typing import Any

from penjing.errors import ExportError
from penjing.exporters.gguf.content import GELU, Content, Piece, Shapes, transposed

TOP = {
    "token_embd.weight": "transformer.wte.weight",
    "position_embd.weight": "transformer.wpe.weight",
    "output_norm.weight": "transformer.ln_f.weight",
    "output_norm.bias": "transformer.ln_f.bias",
    "output.weight": "lm_head.weight",
}
PARTS = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds.

    Raises:
        ExportError: it is another than the first GPT-2 in its activation, scale or widths.
    """
    if config["activation_function"] not in ("gelu_new", "gelu_pytorch_tanh"):
        raise ExportError(f"the activation is '{config['activation_function']}', llama.cpp's 'gpt2' has gelu_new")
    if not config["scale_attn_weights"] or config["scale_attn_by_inverse_layer_idx"] or config["add_cross_attention"]:
        raise ExportError("scores are scaled in a way that llama.cpp's 'gpt2' does not know")
    count, hidden = int(config["n_layer"]), int(config["n_embd"])
    widths = [shapes.get(f"transformer.h.{k}.mlp.c_fc.bias", (0,))[0] for k in range(count)]
    heads = [shapes.get(f"transformer.h.{k}.attn.c_attn.bias", (0,))[0] for k in range(count)]
    for k in range(count):
        if widths[k] != widths[0] or heads[k] != 3 * hidden:
            raise ExportError(
                f"layer {k} has {widths[k]} neurons and {heads[k] // 3} values in its heads; llama.cpp's 'gpt2' needs "
                f"{widths[0]} and {hidden} in all layers"
            )
    pieces = [Piece(name=n, shape=shapes[s], source=s) for n, s in TOP.items() if s in shapes]
    for k in range(count):
        for part, source in PARTS.items():
            for what in ("weight", "bias"):
                stored = f"transformer.h.{k}.{source}.{what}"
                shape = shapes.get(stored, ())
                name = f"blk.{k}.{part}.{what}"
                if what == "weight" and not part.endswith("norm"):
                    pieces.append(Piece(name=name, shape=shape[::-1], source=stored, change=transposed))
                else:
                    pieces.append(Piece(name=name, shape=shape, source=stored))
    keys = {
        "block_count": count,
        "context_length": int(config["n_positions"]),
        "embedding_length": hidden,
        "feed_forward_length": widths[0],
        "attention.head_count": int(config["n_head"]),
        "attention.layer_norm_epsilon": float(config["layer_norm_epsilon"]),
        "vocab_size": shapes.get("transformer.wte.weight", (0,))[0],
    }
    # Masks that old files hold are no weights.
    masks = {f"transformer.h.{k}.attn.{name}" for k in range(count) for name in ("bias", "masked_bias")}
    unused = frozenset(masks & shapes.keys())
    return Content(architecture="gpt2", keys=keys, pieces=tuple(pieces), unused=unused, tolerance=GELU)
