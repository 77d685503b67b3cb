"""The folder is the registry."""

import subprocess
import sys
from importlib import metadata

import pytest

from penjing.errors import PenjingError
from penjing.planning import catalog


def test_names_are_those_of_the_files():
    assert {"activation", "l2_rows", "magnitude", "maw", "pon", "random", "vow"} <= set(catalog.names())
    assert catalog.names() == sorted(catalog.names())


def test_listing_imports_no_method():
    code = (
        "import sys; from penjing.planning import catalog; catalog.names(); "
        "sys.exit([m for m in sys.modules if m.startswith('penjing.methods.')] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", catalog.names())
def test_each_loads_with_card_and_settings(name):
    assert catalog.load(name).CARD.title
    names = {s.name for s in catalog.settings(name)}
    assert {"axes", "protect", "multiple", "allow"} <= names or {"tensors", "protect"} <= names


def test_settings_tell_type_and_default():
    seed = next(s for s in catalog.settings("random") if s.name == "seed")
    assert (seed.kind, seed.default) == ("int", 0)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(PenjingError, match=r"no method named 'magnitud'; did you mean 'magnitude'?"):
        catalog.load("magnitud")
    with pytest.raises(PenjingError, match="no method named 'xyz'; choose one of activation, "):
        catalog.load("xyz")


def test_building_takes_settings_and_refuses_others():
    method = catalog.build("maw", {"protect": ["neurons.0"], "multiple": 8})
    assert method.protect == ("neurons.0",)
    assert method == catalog.load("maw").Method(protect=("neurons.0",), multiple=8)
    with pytest.raises(PenjingError, match=r"method 'maw' has no setting 'multipel'; did you mean 'multiple'?"):
        catalog.build("maw", {"multipel": 8})


def test_two_families_may_not_share_a_name(tmp_path):
    for family in ("prune", "drop"):
        (tmp_path / family).mkdir()
        (tmp_path / family / "same.py").touch()
        (tmp_path / family / "__init__.py").touch()
    with pytest.raises(PenjingError, match=r"two methods are named 'same': in x\.drop\.same and in x\.prune\.same"):
        catalog.in_folder(tmp_path, "x")


def points(*pairs):
    return [metadata.EntryPoint(name, value, catalog.GROUP) for name, value in pairs]


def test_other_packages_add_methods(monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", lambda group: points(("theirs", "penjing.methods.prune.maw")))
    assert "theirs" in catalog.names()
    catalog.load.cache_clear()
    assert catalog.load("theirs").CARD.title == "MAW"
    catalog.load.cache_clear()


def test_other_packages_may_not_take_a_name(monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", lambda group: points(("maw", "elsewhere.maw")))
    with pytest.raises(PenjingError, match=r"are named 'maw': in penjing\.methods\.prune\.maw and in elsewhere\.maw"):
        catalog.names()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "has no CARD"),
        ("from penjing.methods.prune.maw import CARD", "has no dataclass Method"),
        ("from penjing.methods.prune.maw import CARD\nclass Method:\n    pass", "has no dataclass Method"),
        (
            "from penjing.methods.prune.activation import CARD\nfrom penjing.methods.prune.maw import Method",
            "needs statistics but does not say of which tensors",
        ),
    ],
)
def test_a_file_that_lacks_its_parts_is_refused(tmp_path, monkeypatch, body, message):
    name = f"partial_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(body, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "entry_points", lambda group: points(("partial", name)))
    with pytest.raises(PenjingError, match=message):
        catalog.load.__wrapped__("partial")
