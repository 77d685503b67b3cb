import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.evaluate.models import folder

from penjing.errors import MeasureError
from penjing.profiling.speed import Speed, Timings, compare_speed, comparing, ratios
from penjing.profiling.speed.jobs import fill, prepare
from penjing.running.children import Child, physical_cpus
from penjing.running.loading import load

TINY = Speed(tokens=16, context=16, rounds=5, steps=3, threads=1, timeout=60, warm=0.05, batch=3)


def synthetic(factor, noise, null=1.0, rounds=15, seed=0, drift=0.0):
    """Times of a base, a model `factor` as slow and a null `null` as slow, with noise and a machine that slows down."""
    g = torch.Generator().manual_seed(seed)

    def taken(mean):
        out = []
        for i in range(rounds):
            jitter = torch.randn(3, generator=g).abs() * noise
            out.append([mean * (1 + drift * i) * (1 + float(j)) for j in jitter])
        return out

    return Timings(
        seconds={"decode": {"base": taken(0.03), "small": taken(0.03 * factor)}}, null={"decode": taken(0.03 * null)}
    )


def test_a_real_gain_is_found():
    (found,) = ratios(synthetic(0.8, noise=0.02))
    assert found.value == pytest.approx(0.8, rel=0.02)
    assert found.details["interval"][0] <= 0.8 * 1.02
    assert found.details["null_interval"][0] <= found.details["null"] <= found.details["null_interval"][1]
    assert found.n == 15


def test_a_machine_that_slows_down_does_not_change_the_ratio():
    (found,) = ratios(synthetic(0.8, noise=0.02, drift=0.3))
    assert found.value == pytest.approx(0.8, rel=0.03)


def test_no_gain_is_withheld_and_says_why():
    (found,) = ratios(synthetic(1.0, noise=0.02))
    assert found.value is None
    assert "cannot be told from no change" in found.note


def test_a_gain_smaller_than_the_noise_is_withheld():
    (found,) = ratios(synthetic(0.97, noise=0.4))
    assert found.value is None


def test_a_null_that_is_off_withholds_a_large_gain():
    (found,) = ratios(synthetic(0.5, noise=0.01, null=1.2))
    assert found.value is None
    assert "same model run twice" in found.note


def test_noise_alone_is_rarely_shown_as_a_gain():
    shown = [ratios(synthetic(1.0, noise=0.05, seed=s))[0].value for s in range(60)]
    assert sum(v is not None for v in shown) <= 20
    assert all(abs(v - 1) < 0.05 for v in shown if v is not None)


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("models") / "a")


@pytest.fixture(scope="module")
def result(same):
    return compare_speed({"a": same, "b": same}, speed=TINY)


def test_the_same_folder_twice_gives_no_ratio_but_one(result):
    more = {"first_token_seconds_ratio", "batch_tokens_per_second_ratio"}
    assert {r.name for r in result.ratios} == {"prefill_ratio", "decode_ratio", *more}
    for ratio in result.ratios:
        low, high = ratio.details["interval"]
        assert ratio.value is None or low <= 1 <= high or abs(ratio.value - 1) < 0.3


def test_figures_have_count_spread_and_protocol(result):
    figures = {f.name: f for f in result.figures["b"]}
    assert figures["decode_seconds_per_token"].n == 15
    assert figures["prefill_seconds"].n == 10
    for name in ("decode_seconds_per_token", "prefill_seconds"):
        assert figures[name].value > 0
        assert figures[name].spread >= 0
        assert figures[name].details["least"] <= figures[name].value
        assert "threads=1" in figures[name].protocol
        assert "load_average_before" in figures[name].details
        assert figures[name].details["p10"] <= figures[name].value <= figures[name].details["p90"]


def test_the_first_token_and_a_batch_are_timed_in_some_rounds(result):
    figures = {f.name: f for f in result.figures["b"]}
    first, rate = figures["first_token_seconds"], figures["batch_tokens_per_second"]
    assert first.details["rounds"] == rate.details["rounds"] == 3
    assert first.n >= 30
    assert rate.value == pytest.approx(3 / figures["decode_seconds_per_token"].value, rel=0.9)
    assert "at-once=3" in rate.protocol
    assert len(result.timings.seconds["prefill"]["b"]) == 5


def test_energy_has_a_figure_or_says_why_not(result):
    (energy,) = [f for f in result.figures["a"] if f.name == "joules_per_token"]
    assert energy.value is not None or energy.note == "not measured: no readable energy counter"


def test_peak_memory_is_of_the_model_and_not_of_the_interpreter(result):
    (memory,) = [f for f in result.figures["a"] if f.name == "peak_memory_bytes"]
    assert 0 < memory.value < 200e6
    assert memory.details["peak"] > memory.details["before"] > 50e6


def test_a_folder_that_does_not_load_says_what_the_worker_said(tmp_path):
    with pytest.raises(MeasureError, match=r"broken was not run: .*no config\.json"):
        compare_speed({"broken": tmp_path}, speed=TINY)


def test_too_many_tokens_for_the_positions_are_refused(same):
    with pytest.raises(MeasureError, match=r"a was not run: .*asked for 500 tokens.*the model has 96 positions"):
        compare_speed({"a": same}, speed=Speed(tokens=500, context=8, rounds=5, threads=1))


def test_a_model_of_recordings_is_timed_by_recordings(whisper):
    found = compare_speed({"a": whisper, "b": whisper}, speed=replace(TINY, energy="no"))
    figures = {f.name: f for f in found.figures["b"]}
    for name in ("prefill_seconds", "decode_seconds_per_token", "first_token_seconds", "batch_tokens_per_second"):
        assert figures[name].value > 0, name
    assert figures["prefill_seconds"].label == "Time to read the input"
    assert "input_features=8x100 context=8" in figures["decode_seconds_per_token"].protocol


def test_a_model_of_waves_is_timed_by_a_pass(ctc):
    found = compare_speed({"a": ctc}, speed=replace(TINY, energy="no"))
    figures = {f.name: f for f in found.figures["a"]}
    assert figures["prefill_seconds"].value > 0
    assert figures["prefill_seconds"].label == "Time per pass"
    assert "input_values=160000" in figures["prefill_seconds"].protocol
    assert figures["decode_seconds_per_token"].value is None


def test_an_encoder_with_a_decoder_reads_the_input_once_and_writes_with_a_cache(whisper):
    module = load(whisper, "cpu", "auto")
    with torch.inference_mode():
        loaded = prepare(module, "cpu", 8, 8)
        loaded.cache = fill(loaded)
        length = loaded.cache.get_seq_length()
        given = dict(loaded.inputs)
        given["decoder_input_ids"] = torch.cat([loaded.context, loaded.step], 1)
        whole = module(**given).logits[:, -1]
        step = module(
            decoder_input_ids=loaded.step, encoder_outputs=loaded.encoded, past_key_values=loaded.cache, use_cache=True
        ).logits[:, -1]
    assert length == 8
    torch.testing.assert_close(step, whole)


def test_models_that_do_not_fit_are_refused_before_loading(same, monkeypatch):
    monkeypatch.setattr("penjing.profiling.speed.comparing.available_bytes", lambda: 1000)
    with pytest.raises(MeasureError, match="must all be in memory"):
        compare_speed({"a": same}, speed=TINY)


class Clockwork:
    """Stands in for a child process: its times follow from its weights' number, and drift with every request."""

    requests = 0

    def __init__(self, name, settings, **_):
        self.name = name
        self.seconds = 0.01 * Path(settings["folder"]).stat().st_size / 1e6

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def greeting(self):
        memory = {"before": 0, "peak": 1, "anonymous_before": 0, "anonymous_peak": 1, "device_peak": None}
        versions = {"torch": "2", "transformers": "5"}
        return {"decodes": True, "images": False, "dtype": "float32", **versions, "memory": memory}

    def ask(self, job, repeats):
        Clockwork.requests += 1
        # The machine gets slower all the time, half as fast again at the end, and stumbles every seventh request.
        slow = 1 + 0.002 * Clockwork.requests + (0.8 if Clockwork.requests % 7 == 0 else 0)
        wobble = 1 + 0.01 * math.sin(12.9 * Clockwork.requests)
        return [self.seconds * slow * wobble] * repeats

    def warm(self, job):
        return [self.seconds]


@pytest.fixture
def clockwork(monkeypatch):
    monkeypatch.setattr(comparing, "Child", Clockwork)
    monkeypatch.setattr(Clockwork, "requests", 0)


def sized(path, size):
    path.write_bytes(b"x" * size)
    return path


def test_zeros_read_as_no_change_on_a_machine_that_drifts(tmp_path, clockwork):
    dense, zeroed = (sized(tmp_path / n, 2_000_000) for n in ("dense", "zeroed"))
    found = compare_speed({"dense": dense, "zeroed": zeroed}, speed=Speed(rounds=15, threads=1))
    assert len(found.ratios) == 4
    for ratio in found.ratios:
        assert ratio.value is None or abs(ratio.value - 1) < 0.05
        assert ratio.value is not None or ratio.note.startswith("withheld")


def test_a_smaller_model_reads_as_faster_on_the_same_machine(tmp_path, clockwork):
    dense, small = sized(tmp_path / "dense", 2_000_000), sized(tmp_path / "small", 1_000_000)
    found = {r.name: r for r in compare_speed({"d": dense, "s": small}, speed=Speed(rounds=15, threads=1)).ratios}
    assert found["decode_ratio"].value == pytest.approx(0.5, rel=0.05)
    assert found["prefill_ratio"].value == pytest.approx(0.5, rel=0.05)
    assert found["first_token_seconds_ratio"].value == pytest.approx(0.5, rel=0.15)
    assert found["batch_tokens_per_second_ratio"].value == pytest.approx(2, rel=0.15)


def test_models_one_after_the_other_would_have_shown_a_gain_that_is_none(tmp_path):
    """What the turns are for: the same drift, taken in sequence, makes the second of two equal models slower."""
    Clockwork.requests = 0
    one, two = (Clockwork(n, {"folder": sized(tmp_path / n, 2_000_000)}) for n in "ab")
    first = [min(one.ask("decode", 3)) for _ in range(100)]
    second = [min(two.ask("decode", 3)) for _ in range(100)]
    assert sum(second) / sum(first) > 1.1


@pytest.mark.nightly  # times decide it
def test_half_the_weights_zeroed_is_not_faster(tmp_path):
    """The null test: what is stored as zeros is read and multiplied like all else."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=512, hidden_size=384, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    module = LlamaForCausalLM(config)
    module.save_pretrained(tmp_path / "dense")
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(torch.rand(weight.shape) < 0.5)
    module.save_pretrained(tmp_path / "zeroed")
    folders = {n: tmp_path / n for n in ("dense", "zeroed")}
    found = compare_speed(folders, speed=Speed(tokens=64, context=64, rounds=15, threads=1, more=False))
    for ratio in found.ratios:
        assert ratio.value is None or abs(ratio.value - 1) < 0.05, ratio


def settings(path):
    return {
        "folder": str(path), "device": "cpu", "dtype": "auto", "threads": 1, "cpus": [], "tokens": 8, "context": 8,
    }  # fmt: skip


def test_a_killed_child_is_an_error_with_its_code(same):
    with Child("model", settings(same), timeout=60) as child:
        child.greeting()
        assert len(child.ask("decode", 2)) == 2
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(MeasureError, match="ended with code -9 while"):
            child.ask("decode", 2)


def test_a_child_that_is_silent_is_an_error(same):
    with (
        Child("model", settings(same), timeout=0.01) as child,
        pytest.raises(MeasureError, match="no answer"),
    ):
        child.greeting()


def test_a_child_is_gone_after_its_block(same):
    with Child("model", settings(same), timeout=60) as child:
        pid = child.pid
    assert not alive(pid)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


PARENT = """
import sys
from pathlib import Path
from penjing.running import children
from penjing.profiling.speed import comparing as speed
born = []
class Tracked(children.Child):
    def __init__(self, *a, **k):
        super().__init__(*a, **k)
        print(self.pid, flush=True)
speed.Child = Tracked
forever = speed.Speed(tokens=8, context=8, rounds=10**6, threads=1, limit=1e9, warm=0.0)
speed.compare_speed({"a": Path(sys.argv[1])}, speed=forever,
    progress=lambda d, n: print("round", flush=True))
"""


def hear_interrupts():
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.nightly)])
def test_no_child_outlives_the_parent(same, ending):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(same)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        preexec_fn=hear_interrupts,
    )  # fmt: skip
    pids = []
    for line in parent.stdout:
        if line.strip() == "round":
            break
        pids.append(int(line))
    parent.send_signal(ending)
    parent.wait(timeout=30)
    parent.stdout.close()
    assert len(pids) == 2
    until = time.monotonic() + 20
    while any(alive(p) for p in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(p) for p in pids)


def test_cpus_are_some_this_process_may_use():
    found = physical_cpus()
    assert found
    assert set(found) <= os.sched_getaffinity(0)
