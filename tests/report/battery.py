"""A whole battery of four models, as the pipeline would hand it over: made-up figures of a believable shape."""

import random

from samples import PROVENANCE, _llama_widths, _m, _sizes, block_loss

from penjing.core import Measurement, Report, Subject

NAMES = ("SmolLM2-135M", "keep 0.9", "keep 0.75", "keep 0.5")
CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
KINDS = (
    "change_case:english_capital", "combination:repeat_prompt", "detectable_format:json_format",
    "detectable_format:number_bullet_lists", "keywords:existence", "keywords:forbidden_words",
    "length_constraints:number_words", "punctuation:no_comma", "startend:quotation",
)  # fmt: skip
SHARES = {
    "arithmetic": ((0.412, 0.301, 0.118, 0.021), 0.0, 500, "fragile"),
    "strategyqa": ((0.541, 0.533, 0.524, 0.507), 0.5, 687, "at chance"),
    "social_iqa": ((0.463, 0.449, 0.421, 0.362), 1 / 3, 700, "fragile"),
    "piqa": ((0.671, 0.668, 0.659, 0.642), 0.5, 1000, "robust"),
    "truthfulqa:mc2": ((0.377, 0.403, 0.425, 0.431), None, 817, "rising"),
}
CLASSES = {**{name: values[3] for name, values in SHARES.items()}, "perplexity:austen": "fragile", "ifeval": "rising"}


def items(share, n, seed):
    """Records of `n` items of which about `share` are right; the same items are hard for every model."""
    hard = [random.Random(f"{seed}{i}").random() for i in range(n)]
    return {
        "id": [f"item-{i:04d}" for i in range(n)],
        "correct": [int(h < share) for h in hard],
        "score": [round(share - h, 4) for h in hard],
    }


def error(share, n):
    return (share * (1 - share) / n) ** 0.5


def grid(place):
    clean, slope = (0.891, 0.887, 0.869, 0.802)[place], (0.052, 0.051, 0.066, 0.094)[place]
    values = []
    for i in range(len(CORRUPTIONS)):
        weight = 0.45 + ((i * 37) % 11) / 9
        values.append([round(max(0.08, clean - slope * weight * s), 4) for s in range(1, 6)])
    return {"corruptions": list(CORRUPTIONS), "severities": [1, 2, 3, 4, 5], "values": values}


def bins(place):
    lean = (0.02, 0.04, 0.09, 0.17)[place]
    sure = [0.05 + 0.1 * i for i in range(10)]
    right = [round(max(0.01, c - lean * (0.4 + c)), 3) for c in sure]
    return {"confidence": sure, "accuracy": right, "count": [0, 40, 60, 75, 90, 110, 120, 130, 160, 215]}


def curve(place):
    start, fall = (0.463, 0.449, 0.421, 0.362)[place], (0.5, 0.55, 0.65, 0.4)[place]
    across = [0, 0.02, 0.05, 0.1, 0.2]
    up = [round(0.333 + (start - 0.333) * (1 - fall * (x / 0.2) ** 0.6), 4) for x in across]
    ends = [0.019] * len(up)
    return {
        "x": across, "y": up, "x_name": "share of characters mistyped", "y_name": "accuracy",
        "low": [u - e for u, e in zip(up, ends, strict=True)], "high": [u + e for u, e in zip(up, ends, strict=True)],
    }  # fmt: skip


def followed(place):
    out = {}
    for i, name in enumerate(KINDS):
        strict = (7 + 3 * ((i * 5) % 4) + (i % 3) * place) % 25
        out[name] = {"n": 24, "strict": min(24, strict), "loose": min(24, strict + i % 3)}
    return out


def figures(place):
    """All figures of one model."""
    parameters = (134_515_008, 126_552_384, 114_608_448, 94_701_888)[place]
    out = list(_sizes(parameters, float(parameters)))
    for text, values in (("union", (21.7, 25.6, 34.8, 79.0)), ("austen", (30.2, 36.9, 55.1, 148.0))):
        value = values[place]
        out.append(
            _m(
                f"perplexity:{text}", value, "perplexity per token", n=4088, spread=value * 0.021,
                spread_kind="standard error", protocol=f"perplexity/1 blocks window=512 text=sha256:5d1c2f{text}",
                items={"id": [f"{text}-{i}" for i in range(8)], "nll": [value / 9 + i / 50 for i in range(8)]},
            )
        )  # fmt: skip
    for name, (values, chance, n, _) in SHARES.items():
        out.append(
            _m(
                name, values[place], "accuracy", n=n, spread=error(values[place], n), spread_kind="standard error",
                chance=chance, protocol=f"choice/1 normalised=bytes shots=0 data=sha256:{n:08x}",
                items=items(values[place], n, name), details={"curve": curve(place)} if name == "social_iqa" else {},
            )
        )  # fmt: skip
    shares = (
        ("ifeval", (0.155, 0.181, 0.224, 0.198)[place], None, {"kinds": followed(place)}, 216),
        ("ece", (0.031, 0.048, 0.094, 0.171)[place], None, {"bins": bins(place)}, 1000),
        ("corrupted_accuracy", (0.741, 0.739, 0.694, 0.573)[place], 0.1, {"grid": grid(place)}, 10000),
    )
    for name, value, chance, details, n in shares:
        out.append(
            _m(
                name, value, "fraction", n=n, spread=error(value, n), spread_kind="standard error", chance=chance,
                details=details, protocol=f"{name}/1", items=items(value, min(n, 400), name),
            )
        )  # fmt: skip
    out.append(_m("decode_seconds_per_token", (0.0412, 0.0391, 0.0352, 0.0301)[place], "seconds per token", n=11))
    dropped = [24, 25] if place == 3 else []
    out += [block_loss(30, float(place), dropped)] if place else []
    out.append(_m("depth", 30 - len(dropped), "count", details={"dropped": dropped}))
    shares = {str(i): (0.02 * place) * (i % 7) for i in range(30)}
    out.append(_m("sparsity", sum(shares.values()) / 30, "fraction", details={"places": shares}))
    return tuple(out)


def differences():
    """What the comparisons hand over: one measurement per figure and model."""
    out = []
    for name, (values, _, n, sort) in SHARES.items():
        for place in (1, 2, 3):
            move, half = values[place] - values[0], 1.96 * error(values[0], n) * 0.8
            clear = abs(move) > half
            verdict = "no difference shown" if not clear else "better" if move > 0 else "worse"
            details = {
                "subject": NAMES[place], "base": NAMES[0], "interval": [move - half, move + half],
                "p": 0.0004 if clear else 0.41, "p_holm": 0.006 if clear else 1.0,
                "flips": {"lost": 30 * place, "won": 12}, "verdict": verdict, "class": sort,
            }  # fmt: skip
            out.append(
                _m(f"{name}_difference", move, "accuracy", n=n, details=details, protocol="paired bootstrap/1 10000")
            )
    for name, sort in CLASSES.items():
        out.append(Measurement(name=f"{name}_class", value=None, unit="", details={"figure": name, "class": sort}))
    return tuple(out)


def widths(place):
    kept = _llama_widths((1536, 1382, 1152, 768)[place])
    gone = {"24", "25"} if place == 3 else set()
    kept["blocks"] = 28 if place == 3 else 30
    return {axis: size for axis, size in kept.items() if axis.rpartition(".")[2] not in gone}


BATTERY = Report(
    title="SmolLM2-135M and three shrunk versions",
    subjects=tuple(
        Subject(name=name, source=f"models/{name}", figures=figures(i), widths=widths(i))
        for i, name in enumerate(NAMES)
    ),
    ratios=differences(),
    notes=("The source weights were 4-bit once: the figures of the original are those of the dequantised weights",),
    provenance={
        **PROVENANCE,
        "recipe": {"task": "battery", "shots": 0, "limit": None},
        "seeds": [0, 1, 2],
        "commands": ["penjing shrink smollm2 -o keep-0.75 --keep 0.75", "penjing compare smollm2 keep-0.75"],
    },
)
