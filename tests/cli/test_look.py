"""The second look at a model imports neither torch nor transformers, and says what the first one said."""

import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file
from tests.house.test_imports import modules_after
from typer.testing import CliRunner

from penjing.cli import app
from penjing.layouts import cache, from_config
from penjing.layouts.graph import trace

HEAVY = ("torch", "transformers", "numpy", "scipy")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def own(tiny, tmp_path):
    """A copy of the tiny model, to be changed."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((tiny / name).read_bytes())
    return folder


@pytest.fixture
def bare(tiny, tmp_path):
    """The config of the tiny model alone."""
    path = tmp_path / "config.json"
    path.write_bytes((tiny / "config.json").read_bytes())
    return path


def said(*words):
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def fresh(*words):
    """What a process of its own prints."""
    command = [sys.executable, "-c", "from penjing.cli import main; main()", *map(str, words)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def heavy_after(*words):
    """The heavy packages that a command imports, and the modules of penjing that trace."""
    code = f"import sys\nsys.argv = ['penjing', *{[str(w) for w in words]!r}]\nfrom penjing.cli import main\n"
    loaded = modules_after(code + "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code")
    return {m for m in loaded if m.split(".")[0] in HEAVY or m.startswith("penjing.layouts.graph")}


@pytest.fixture
def traces(monkeypatch):
    """Counts traces."""
    seen = []
    real = trace.trace
    monkeypatch.setattr("penjing.layouts.graph.infer.trace", lambda *a, **k: seen.append(a) or real(*a, **k))
    return seen


@pytest.mark.parametrize("command", ["look", "layout"])
@pytest.mark.parametrize("kind", ["own", "bare"])
def test_a_second_time_says_the_same_without_torch(command, kind, request):
    model = request.getfixturevalue(kind)
    first = said(command, model, "--json").encode()
    assert fresh(command, model, "--json") == first
    assert heavy_after(command, model) == set()


def test_a_layout_that_a_plan_left_is_enough_for_a_look(own):
    config = json.loads((own / "config.json").read_text())
    from_config(config, stored={n: tuple(t.shape) for n, t in load_file(own / "model.safetensors").items()})
    assert heavy_after("look", own) == set()


def test_the_first_look_traces_once_and_the_second_not_at_all(own, traces):
    said("look", own)
    assert len(traces) == 1
    said("look", own)
    said("layout", own)
    assert len(traces) == 1


def test_a_changed_config_is_looked_at_anew(bare, traces):
    before = json.loads(said("look", bare, "--json"))
    config = json.loads(bare.read_text())
    bare.write_text(json.dumps(config | {"intermediate_size": 96}))
    after = json.loads(said("look", bare, "--json"))
    assert after["parameters"] - before["parameters"] == 2 * 3 * 32 * 16
    assert len(traces) == 2


def test_changed_weights_are_looked_at_anew(own):
    said("look", own)
    weights = load_file(own / "model.safetensors")
    name = next(n for n in weights if n.endswith("down_proj.weight"))
    save_file({n: t[:, :-1].contiguous() if n == name else t for n, t in weights.items()}, own / "model.safetensors")
    result = CliRunner().invoke(app, ["look", str(own)])
    assert result.exit_code == 1
    assert "down_proj.weight" in result.stderr


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_another_version_is_looked_at_anew(bare, traces, package, monkeypatch):
    said("look", bare)
    real = cache.version
    monkeypatch.setattr(cache, "version", lambda p: "0.0.1" if p == package else real(p))
    said("look", bare)
    assert len(traces) == 2


def test_other_rules_are_looked_at_anew(bare, traces, monkeypatch):
    said("look", bare)
    monkeypatch.setattr(cache, "_rules", lambda: "other")
    said("look", bare)
    assert len(traces) == 2


def test_a_damaged_cache_is_written_anew(bare):
    first = said("look", bare, "--json")
    files = {p: p.read_bytes() for p in cache.folder().iterdir()}
    for path, whole in files.items():
        path.write_bytes(whole[: len(whole) // 2])
    assert said("look", bare, "--json") == first
    assert {p: p.read_bytes() for p in cache.folder().iterdir()} == files
