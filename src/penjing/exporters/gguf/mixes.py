"""Which matrices of a layer take more bits, in the files whose types are mixes.

A mix takes the part of a layer (`attn_v`), its place among like parts, their number, and how many query heads share a
key, and gives how that matrix is stored; "" is as most.

Source: the rules of llama.cpp's own quantiser (`llama-quant.cpp`) without a measure of importance; of models with
experts none is written here.
"""

from collections.abc import Callable

Mix = Callable[[str, int, int, int], str]


def more_bits(place: int, count: int) -> bool:
    """Whether a layer bears less than others: the first and the last eighth, and every third between.

    >>> [place for place in range(16) if more_bits(place, 16)]
    [0, 1, 4, 7, 10, 13, 14, 15]
    """
    return place < count // 8 or place >= 7 * count // 8 or (place - count // 8) % 3 == 2


def _medium(part: str, place: int, count: int, group: int) -> str:
    del group
    return "q6_k" if part in ("attn_v", "ffn_down") and more_bits(place, count) else ""


def _q4_k_m(part: str, place: int, count: int, group: int) -> str:
    return "q5_k" if part == "attn_qkv" else _medium(part, place, count, group)


def _q5_k_m(part: str, place: int, count: int, group: int) -> str:
    return "q6_k" if part == "attn_qkv" else _medium(part, place, count, group)


def _q4_k_s(part: str, place: int, count: int, group: int) -> str:
    del group
    first = (part == "attn_v" and place < 4) or (part == "ffn_down" and place < count // 8)
    return "q5_k" if first else ""


def _q3_k_l(part: str, place: int, count: int, group: int) -> str:
    del place, count, group
    if part in ("attn_v", "ffn_down", "attn_output"):
        return "q5_k"
    return "q4_k" if part == "attn_qkv" else ""


def _q3_k_m(part: str, place: int, count: int, group: int) -> str:
    del group
    first = {"attn_v": 2, "ffn_down": count // 16}
    if part in first:
        return "q5_k" if place < first[part] else "q4_k"
    return "q4_k" if part in ("attn_output", "attn_qkv") else ""


def _q2_k(part: str, place: int, count: int, group: int) -> str:
    del place, count
    if part == "attn_v":
        return "q4_k" if group >= 4 else "q3_k"
    return "q3_k" if part in ("ffn_down", "attn_output") else ""


def _iq4(part: str, place: int, count: int, group: int) -> str:
    first = (part == "attn_v" and group >= 4) or (part == "ffn_down" and place < count // 8)
    return "q5_k" if first else ""


MIXES: dict[str, Mix] = {
    "q5_k_m": _q5_k_m, "q4_k_m": _q4_k_m, "q4_k_s": _q4_k_s, "q3_k_l": _q3_k_l, "q3_k_m": _q3_k_m, "q2_k": _q2_k,
    "iq4_nl": _iq4, "iq4_xs": _iq4,
}  # fmt: skip
"""Type of a file -> its mix; other types store all matrices of layers alike."""
