"""Energy counters, on a fake tree and a fake GPU library."""

import sys
from types import SimpleNamespace

import pytest

from penjing.profiling import energy


def domain(root, folder, name, microjoules, largest=1_000_000):
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    return path / "energy_uj"


@pytest.fixture
def tree(tmp_path):
    """Two packages, one with cores and memory inside it, a platform domain and a second path to a package."""
    (tmp_path / "intel-rapl").mkdir()
    return {
        "root": tmp_path,
        "package-0": domain(tmp_path, "intel-rapl:0", "package-0", 100),
        "core": domain(tmp_path, "intel-rapl:0:0", "core", 100),
        "dram": domain(tmp_path, "intel-rapl:0:1", "dram", 900_000),
        "package-1": domain(tmp_path, "intel-rapl:1", "package-1", 100),
        "psys": domain(tmp_path, "intel-rapl:2", "psys", 100),
        "mmio": domain(tmp_path, "intel-rapl-mmio:0", "package-0", 100),
    }


def test_packages_and_memory_are_counted_and_nothing_twice(tree):
    assert sorted(c.name for c in energy.counters(tree["root"])) == ["dram", "package-0", "package-1"]


def test_a_counter_that_starts_again_goes_on(tree):
    (dram,) = [c for c in energy.counters(tree["root"]) if c.name == "dram"]
    tree["dram"].write_text("950000")
    assert dram.joules() == pytest.approx(0.05)
    tree["dram"].write_text("20000")  # 50 000 to the largest value, and 20 000 more
    assert dram.joules() == pytest.approx(0.12)
    tree["dram"].write_text("30000")
    assert dram.joules() == pytest.approx(0.13)


def test_without_a_tree_or_the_right_to_read_there_is_no_counter(tmp_path, tree):
    assert energy.counters(tmp_path / "none") == []
    for name in ("package-0", "package-1", "dram"):
        tree[name].unlink()
    assert energy.counters(tree["root"]) == []


def test_idle_power_is_taken_off_and_both_are_told(tree):
    counters = energy.counters(tree["root"])
    now = [0.0]

    def spend(seconds, package):
        now[0] += seconds
        tree["package-0"].write_text(str(int(tree["package-0"].read_text()) + package))

    idle = energy.watts(counters, lambda: spend(10.0, 200_000), clock=lambda: now[0])
    assert idle.total == pytest.approx(0.02)

    def work():
        spend(5.0, 400_000)
        return 10, 5.0

    found = energy.measured(counters, work, unit="token", idle=idle, clock=lambda: now[0])
    assert found.value == pytest.approx((0.4 - 5 * 0.02) / 10)
    assert found.details["joules_per_with_idle"] == pytest.approx(0.04)
    assert found.details["idle_watts"] == pytest.approx(0.02)
    assert found.name == "joules_per_token"
    assert found.n == 10
    assert "package-0" in found.protocol
    assert "estimated" not in found.protocol + found.note


def test_a_gpu_is_counted_through_its_library():
    seen = SimpleNamespace(joules=5000, closed=False, index=None)
    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda i: setattr(seen, "index", i) or "handle",
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: seen.joules,
        nvmlShutdown=lambda: setattr(seen, "closed", True),
    )
    (gpu,) = energy.counters(energy.Path("/nowhere"), device="cuda:1", nvml=library)
    seen.joules = 7500
    assert gpu.joules() == 2.5
    assert gpu.name == "gpu-1"
    assert seen.index == 1
    gpu.close()
    assert seen.closed


def test_a_gpu_without_its_library_is_not_counted(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy.counters(tmp_path, device="cuda") == []


def test_no_counter_is_no_figure():
    found = energy.missing("image")
    assert found.value is None
    assert found.note == "not measured: no readable energy counter"


def test_an_estimate_says_that_it_is_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    monkeypatch.setattr(energy.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    found = energy.measured([], lambda: (100, 2.0), unit="token", idle=None)
    assert found.value == pytest.approx(2 * energy.CORE_WATTS * 2.0 / 100)
    assert found.note.startswith("estimated, not measured")
    assert found.details["estimated"] is True


def test_no_estimate_is_made_of_a_gpu():
    assert energy.measured([], lambda: (1, 1.0), unit="token", idle=None, device="cuda").value is None
