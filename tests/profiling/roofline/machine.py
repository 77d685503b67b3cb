"""A machine whose speed is a formula: what calibration should find is then known."""

from penjing.profiling.roofline import calibrate

LAUNCH, PER_PRODUCT, PER_PASS, PER_OUTPUT = 2e-6, 2e-5, 3e-4, 2e-9
CACHE, FAST, SLOW, MACS = 20e6, 60e9, 12e9, 40e9


def bandwidth(working_set):
    return FAST if working_set <= CACHE else SLOW


def linear_seconds(asked):
    each = asked["inputs"] * asked["outputs"] * 4
    misfit = 1.3 if asked["outputs"] % 2 else 1.0
    work = asked["rows"] * asked["inputs"] * asked["outputs"] / MACS * misfit
    read = each / bandwidth(each * asked["count"])
    return asked["count"] * (LAUNCH + (read if asked["rows"] == 1 else max(work, read)))


def stock_seconds(asked):
    """Sum over the products of a Llama, plus what stock code adds: independent of the package's own description."""
    c, n = asked["config"], asked["tokens"]
    d, f, layers, v = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"], c["vocab_size"]
    matrices = [*[(d, d)] * (4 * layers), *[(d, f)] * (2 * layers), *[(f, d)] * layers, (d, v)]
    weights = 4 * (sum(i * o for i, o in matrices) + d * (2 * layers + 1))
    cache = 2 * layers * d * 4 * n
    rows, total = (1, weights + cache) if asked["what"] == "decode" else (n, weights)
    spent = PER_PASS + (len(matrices) + 2 * layers) * PER_PRODUCT
    for i, o in matrices:
        read = i * o * 4 / bandwidth(total)
        spent += (read if rows == 1 else max(read, rows * i * o / MACS)) + PER_OUTPUT * rows * o
    if asked["what"] == "decode":
        return spent + 3 * cache / bandwidth(total)
    return spent + 2 * layers * d * n * n / MACS


def measure(asked):
    if asked["job"] == "linear":
        return linear_seconds(asked)
    if asked["job"] == "attention":
        return LAUNCH + 2 * asked["heads"] * asked["width"] * asked["queries"] * asked["keys"] / MACS
    return stock_seconds(asked)


def profile(**settings):
    return calibrate(threads=1, measure=measure, keep=False, **settings)
