"""Reports as they come out of real runs, for the tests of this room."""

from penjing.core import Measurement, Report, Subject
from penjing.report.older import labelled

BLOCKS = "perplexity/1 blocks window=512 bos=True blocks=8 tokens=4096 predicted=4088 text=sha256:5d1c2f9a"
SPEED = "decode/1: 64 new tokens after 128, batch 1, float32, 2 threads, 11 interleaved repeats, median of the pairs"


def _m(name, value, unit, **more):
    return labelled(Measurement(name=name, value=value, unit=unit, **more))


def _sizes(parameters, macs):
    return (
        _m("parameters", parameters, "parameters", n=1, protocol="counted from the headers, tied weights once"),
        _m("bytes", parameters * 2.0, "bytes", n=1, protocol="the sum of the safetensors files"),
        _m("macs_per_token", macs, "multiply-adds", protocol="decode at 512 tokens of context"),
        _m("kv_cache_bytes_per_token", 23040, "bytes", protocol="two bytes a value"),
    )


def _quality(value, spread):
    return _m(
        "perplexity",
        value,
        "perplexity per token",
        n=4088,
        spread=spread,
        spread_kind="standard error",
        protocol=BLOCKS,
    )


def block_loss(blocks, tilt=1.0, dropped=()):
    """What each block's cut adds: the first and the last cost most, and some cost nothing."""
    added = [tilt * (0.004 + 0.08 / (1 + i) + 0.05 / (blocks - i)) if i % 7 != 3 else -0.002 for i in range(blocks)]
    worst = max(range(blocks), key=lambda i: added[i])
    return _m(
        "block_loss", added[worst], "nats per token", n=508, protocol="block_loss/1", note=f"by layers.{worst} alone",
        label="Largest loss that one block's cut adds", better="lower", group="quality",
        details={
            "blocks": [f"layers.{i}" for i in range(blocks)], "increase": added,
            "low": [a - 0.003 for a in added], "high": [a + 0.003 for a in added],
            "dropped": [i in dropped for i in range(blocks)],
        },
    )  # fmt: skip


def _times(decode, prefill, memory):
    return (
        _m(
            "decode_seconds_per_token",
            decode,
            "seconds per token",
            n=11,
            spread=decode * 0.02,
            spread_kind="inter-quartile range",
            protocol=SPEED,
        ),
        _m(
            "prefill_seconds",
            prefill,
            "seconds",
            n=11,
            spread=prefill * 0.03,
            spread_kind="inter-quartile range",
            protocol="512 tokens, batch 1",
        ),
        _m("peak_memory_bytes", memory, "bytes", n=3, protocol="peak resident memory of a fresh process"),
    )


def _llama_widths(neurons, blocks=30):
    widths = {"vocabulary": 49152, "residual": 576, "blocks": blocks}
    for i in range(blocks):
        widths[f"heads.{i}"] = 3
        widths[f"neurons.{i}"] = neurons(i) if callable(neurons) else neurons
    return widths


PROVENANCE = {
    "method": "activation",
    "settings": {"repair": "least squares", "damping": 0.01},
    "budget": {"keep": 0.75},
    "axes": ["neurons.*"],
    "multiple": 64,
    "seed": 0,
    "calibration": {
        "text": "speeches.txt",
        "tokens": 65536,
        "sha256": "3b1f0c6a9d2e4f578899aabbccddeeff00112233445566778899aabbccddeeff",
    },
    "evaluation": {
        "text": "held-out.txt",
        "sha256": "9e107d9d372bb6826bd81d3542a419d69e107d9d372bb6826bd81d3542a419d6",
    },
    "source": {
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
    "architecture": "LlamaForCausalLM",
    "versions": {"penjing": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "python": "3.12.4"},
    "machine": "2 cores, x86_64, 8 GB, Linux",
    "command": "penjing shrink smollm2 -o smollm2-small --keep 0.75",
}

FULL = Report(
    title="SmolLM2-135M-Instruct, shrunk",
    subjects=(
        Subject(
            name="SmolLM2-135M",
            source="models/smollm2",
            figures=(*_sizes(134_515_008, 134.5e6), _quality(21.7, 0.46), *_times(0.0412, 1.93, 812e6)),
            widths=_llama_widths(1536),
        ),
        Subject(
            name="SmolLM2-135M-0.75",
            source="models/smollm2-small",
            figures=(*_sizes(114_608_448, 114.6e6), _quality(34.8, 0.81), block_loss(30), *_times(0.0352, 1.61, 731e6)),
            widths=_llama_widths(1152),
        ),
    ),
    ratios=(
        _m(
            "decode_ratio",
            0.853,
            "times the original's seconds",
            n=11,
            spread=0.016,
            spread_kind="width of the 95 % interval",
            protocol=SPEED,
            details={
                "subject": "SmolLM2-135M-0.75",
                "interval": [0.845, 0.861],
                "null": 1.001,
                "null_interval": [0.995, 1.007],
                "predicted": 0.861,
                "predicted_from": "bytes read per token",
            },
        ),
        _m("prefill_ratio", 0.834, "ratio", n=11, spread=0.021, details={"null": 0.998, "null_spread": 0.013}),
    ),
    notes=(
        "The source weights were 4-bit once: the figures of the original are those of the dequantised weights",
        "Perplexities compare only under the same protocol and the same text",
    ),
    provenance=PROVENANCE,
)

WHY = "the A/A null (0.94 to 1.07) is wider than the effect (0.96); measure on a quiet machine"

WITHHELD = Report(
    title="SmolLM2-135M-Instruct, shrunk on a busy machine",
    subjects=(
        Subject(
            name="before",
            source="models/smollm2",
            figures=(
                *_sizes(134_515_008, 134.5e6),
                _m("perplexity", None, "perplexity per token", note="no text was given; name files with --text"),
                _m("decode_seconds_per_token", None, "seconds", note="withheld: " + WHY),
            ),
            widths=_llama_widths(1536),
        ),
        Subject(
            name="after",
            source="models/smollm2-small",
            figures=(
                *_sizes(110_000_000, 110e6),
                _m("perplexity", None, "perplexity per token", note="no text was given; name files with --text"),
                _m("decode_seconds_per_token", None, "seconds", note="withheld: " + WHY),
            ),
            widths=_llama_widths(lambda i: 640 + 32 * ((i * 7) % 23)),
        ),
    ),
    ratios=(_m("decode_ratio", None, "ratio", note=WHY, details={"subject": "after", "null": [0.94, 1.07]}),),
)


def _other(name, parameters, ppl, neurons):
    figures = (*_sizes(parameters, parameters), _quality(ppl, ppl * 0.023))
    return Subject(name=name, source=f"models/{name}", figures=figures, widths=_llama_widths(neurons))


FOUR = Report(
    title="Four ways to keep three quarters",
    subjects=(
        _other("SmolLM2-135M", 134_515_008, 21.7, 1536),
        _other("activation, keep 0.9", 126_552_384, 25.6, 1382),
        _other("activation, keep 0.75", 114_608_448, 34.8, 1152),
        _other("activation, keep 0.5", 94_701_888, 79.0, 768),
        _other("maw, keep 0.75", 114_608_448, 1466.0, 1152),
    ),
    provenance={**PROVENANCE, "method": "several"},
    notes=FULL.notes,
)


def _net(widths, accuracy, seconds):
    parameters = sum(9 * a * b for a, b in zip([1, *widths.values()], widths.values(), strict=False))
    return (
        _m("parameters", parameters, "parameters"),
        _m("macs_per_sample", parameters * 196.0, "multiply-adds"),
        _m(
            "accuracy",
            accuracy,
            "fraction",
            n=10000,
            spread=0.003,
            spread_kind="standard error",
            chance=0.1,
            protocol="top-1 on 10 000 held-out images",
        ),
        _m("seconds_per_sample", seconds, "seconds", n=21, spread=seconds * 0.01, spread_kind="inter-quartile range"),
    )


_BEFORE = {"channels.0": 32, "channels.1": 64, "channels.2": 128, "channels.3": 128, "hidden": 256}
_AFTER = {"channels.0": 24, "channels.1": 40, "channels.2": 72, "channels.3": 56, "hidden": 128}

CNN = Report(
    title="A small network for clothes",
    subjects=(
        Subject(name="net", source="net.pt", figures=_net(_BEFORE, 0.912, 0.00213), widths=_BEFORE),
        Subject(name="net, keep 0.5", source="net-small.pt", figures=_net(_AFTER, 0.899, 0.00094), widths=_AFTER),
    ),
    provenance={
        "method": "magnitude",
        "budget": {"keep": 0.5},
        "load": 'import penjing\n\nmodel = penjing.load("net-small")',
    },
)

ALONE = Report(title="What SmolLM2 can do", subjects=FULL.subjects[:1], provenance=PROVENANCE)

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"

HOSTILE = Report(
    title=EVIL,
    subjects=(
        Subject(
            name=EVIL, source=EVIL, widths={f"{EVIL}.0": 4, f"{EVIL}.1": 4},
            figures=(_m("parameters", 100, "parameters", protocol=EVIL, note=EVIL), _m(EVIL, 1.0, EVIL, note=EVIL)),
        ),
        Subject(
            name=EVIL + "2" * 80, source=EVIL, widths={f"{EVIL}.0": 2, f"{EVIL}.1": 3},
            figures=(_m("parameters", 50, "parameters", protocol=EVIL, note=EVIL), _m(EVIL, None, EVIL, note=EVIL)),
        ),
    ),
    notes=(EVIL,),
    provenance={EVIL: {EVIL: EVIL}, "architecture": EVIL},
)  # fmt: skip

DEEP = Report(
    title="One hundred and twenty blocks",
    subjects=(
        Subject(name="before", source="a", figures=_sizes(70e9, 70e9), widths=_llama_widths(28672, 120)),
        Subject(
            name="after",
            source="b",
            figures=_sizes(51e9, 51e9),
            widths=_llama_widths(lambda i: 9000 + 150 * abs(60 - i), 112),
        ),
    ),
)

ALL = {
    "full": FULL, "withheld": WITHHELD, "four": FOUR, "cnn": CNN, "alone": ALONE, "hostile": HOSTILE, "deep": DEEP,
}  # fmt: skip
