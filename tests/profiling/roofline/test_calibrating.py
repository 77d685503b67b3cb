"""Calibration finds what a machine of known speed does, and keeps it."""

import json

import pytest
from tests.profiling.roofline import machine

from penjing.profiling.roofline import calibrate, find, save
from penjing.profiling.roofline.profile import from_json, path


@pytest.fixture(scope="module")
def found():
    return machine.profile()


def test_bandwidth_follows_the_working_set(found):
    assert found.bytes_per_second(4e6) == pytest.approx(machine.FAST, rel=0.02)
    assert found.bytes_per_second(1e12) == pytest.approx(machine.SLOW, rel=0.02)
    assert machine.SLOW < found.bytes_per_second(24e6) < machine.FAST


def test_products_between_the_grid_take_what_the_machine_takes(found):
    for shape in ((8, 300, 1700), (48, 1000, 1000), (256, 4096, 640)):
        asked = {"rows": shape[0], "inputs": shape[1], "outputs": shape[2], "count": 1}
        true = machine.linear_seconds(asked) - machine.LAUNCH
        assert found.linear_seconds(*shape) == pytest.approx(true, rel=0.05)


def test_odd_widths_cost_what_was_seen_and_round_ones_nothing(found):
    assert found.misfit("outputs", 1009, 64) == pytest.approx(1.3, rel=0.01)
    assert found.misfit("inputs", 1009, 64) == pytest.approx(1.0, rel=0.01)
    assert found.misfit("outputs", 1024, 64) == 1


def test_what_stock_code_adds_is_found(found):
    assert found.launch == pytest.approx(machine.LAUNCH, rel=0.02)
    assert found.per_product == pytest.approx(machine.PER_PRODUCT, rel=0.05)
    assert found.per_pass == pytest.approx(machine.PER_PASS, rel=0.05)
    assert found.per_output == pytest.approx(machine.PER_OUTPUT, rel=0.2)


def test_the_error_is_of_shapes_that_were_not_used(found):
    assert found.error["shapes"] == len(found.error["ratios"]) == 12
    assert found.error["within_quarter"] == 1
    assert found.error["models"]["prefill"] == pytest.approx(1, rel=0.05)
    assert found.error["models"]["decode"] == pytest.approx(1, rel=0.05)
    assert "100% of 12 held-out products within 25 %" in found.summary()


def test_a_machine_that_cannot_be_predicted_says_so():
    """One held-out width is four times as slow as all that was calibrated with."""

    def fickle(asked):
        held_out = asked["job"] == "linear" and (asked["inputs"], asked["outputs"]) == (900, 900)
        return machine.measure(asked) * (4 if held_out else 1)

    found = calibrate(threads=1, measure=fickle, keep=False)
    assert found.error["within_quarter"] == pytest.approx(9 / 12)


def test_progress_ends_where_it_said():
    told = []
    machine.profile(progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == len(told)


def test_a_profile_is_kept_by_machine_threads_and_dtype(found, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    assert find(threads=1) is None
    save(found)
    again = find(threads=1)
    assert again is not None
    assert again.linear_seconds(8, 300, 1700) == found.linear_seconds(8, 300, 1700)
    assert find(threads=2) is None
    assert find(threads=1, dtype="bfloat16") is None
    assert from_json(json.loads(json.dumps(found.to_json()))).summary() == found.summary()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 1}', '{"version": 0}'])
def test_a_damaged_profile_is_none(found, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    save(found)
    path(1, "float32").write_text(damage)
    assert find(threads=1) is None


def test_the_real_process_answers_every_kind_of_question(tmp_path, monkeypatch):
    from penjing.profiling.roofline import points
    from penjing.running.children import Child

    settings = {"threads": 1, "cpus": [], "dtype": "float32"}
    with Child("calibration", settings, timeout=100, module="penjing.profiling.roofline.worker") as child:
        child.greeting()
        for asked in (
            points.linear(4, 64, 32, seconds=0.001),
            points.attention(8, 8),
            points.stock(points.TINY, 2, "decode", 8),
            points.stock(points.TINY, 2, "prefill", 8),
        ):
            (seconds,) = child.request({**asked, "for": 0.001})["seconds"]
            assert 0 < seconds < 1
