"""The folder is the registry."""

import sys
from importlib import metadata

import pytest

from penjing.core.registry import Registry
from penjing.errors import PenjingError

PLAIN = """
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Thing:
    size: int = 3
    names: tuple[str, ...] = ()

    def make(self):
        return self.size
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """The folder of a package `room_<test>.things`, with two things of one file each and one that is a folder."""
    package = f"room_{request.node.name.split('[')[0]}"
    things = tmp_path / package / "things"
    things.mkdir(parents=True)
    (tmp_path / package / "__init__.py").write_text("raise RuntimeError('listing imported the room')\n", "utf-8")
    for name in ("anvil", "bellows"):
        (things / f"{name}.py").write_text(PLAIN, "utf-8")
    (things / "crane").mkdir()
    (things / "crane" / "__init__.py").write_text(PLAIN, "utf-8")
    (things / "crane" / "hook.py").touch()
    (things / "_shared.py").touch()
    (things / "__init__.py").touch()
    (things / "notes.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])
    yield things
    for module in [m for m in sys.modules if m.split(".")[0] == package]:
        del sys.modules[module]


def registry(folder, **more):
    (folder.parent / "__init__.py").write_text("", "utf-8")
    return Registry(f"{folder.parent.name}.things", kind="thing", attribute="Thing", calls=("make",), **more)


def plug_in(monkeypatch, *pairs):
    """Installed packages that register (name, module)."""
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [metadata.EntryPoint(name, value, group) for name, value in pairs]
    )


def test_names_are_those_of_files_and_folders_and_nothing_is_imported(folder):
    listed = Registry(f"{folder.parent.name}.things", kind="thing")
    assert listed.names() == ["anvil", "bellows", "crane"]
    assert listed.places()["crane"] == ("", f"{folder.parent.name}.things.crane")
    assert folder.parent.name not in sys.modules


def test_a_nested_registry_has_a_family_for_each(folder):
    (folder / "tools").mkdir()
    (folder / "tools" / "tongs.py").write_text(PLAIN, "utf-8")
    found = registry(folder, nested=True)
    assert found.names() == ["hook", "tongs"]
    assert found.places()["tongs"] == ("tools", f"{folder.parent.name}.things.tools.tongs")
    assert found.build("tongs").make() == 3


def test_a_family_has_no_private_ones(folder):
    (folder / "_old").mkdir()
    (folder / "_old" / "saw.py").touch()
    assert registry(folder, nested=True).names() == ["hook"]


def test_loading_imports_one_file(folder):
    registry(folder).load("anvil")
    loaded = {m.rpartition(".")[2] for m in sys.modules if m.startswith(f"{folder.parent.name}.things.")}
    assert loaded == {"anvil"}


def test_settings_tell_type_and_default(folder):
    size, names = registry(folder).settings("anvil")
    assert (size.name, size.kind, size.default) == ("size", "int", 3)
    assert (names.name, names.kind, names.default) == ("names", "tuple[str, ...]", ())


def test_building_takes_settings_and_makes_tuples_of_lists(folder):
    built = registry(folder).build("crane", {"names": ["a"], "size": 4})
    assert (built.size, built.names) == (4, ("a",))


def test_building_refuses_what_is_no_setting(folder):
    with pytest.raises(PenjingError, match=r"thing 'anvil' has no setting 'sise'; did you mean 'size'\?; it has size"):
        registry(folder).build("anvil", {"sise": 4})


def test_building_asks_for_what_has_no_default(folder):
    (folder / "anvil.py").write_text(PLAIN.replace("size: int = 3", "size: int"), "utf-8")
    with pytest.raises(PenjingError, match="thing 'anvil' needs the setting 'size'"):
        registry(folder).build("anvil")


def test_an_unknown_name_suggests_the_nearest(folder):
    with pytest.raises(PenjingError, match="no thing named 'anvl'; did you mean 'anvil'"):
        registry(folder).load("anvl")
    with pytest.raises(PenjingError, match="no thing named 'xyz'; choose one of anvil, bellows, crane"):
        registry(folder).load("xyz")
    with pytest.raises(PenjingError, match="no tool named 'xyz'; there are none"):
        Registry(f"{folder.parent.name}.tools", kind="tool").load("xyz")


def test_other_packages_add_theirs(folder, monkeypatch):
    (folder.parents[1] / f"theirs_{folder.parent.name}.py").write_text(PLAIN, "utf-8")
    plug_in(monkeypatch, ("theirs", f"theirs_{folder.parent.name}"))
    found = registry(folder)
    assert found.names() == ["anvil", "bellows", "crane", "theirs"]
    assert found.build("theirs").make() == 3


def test_two_of_one_name_are_refused_naming_both_and_the_rest_works(folder, monkeypatch):
    plug_in(monkeypatch, ("anvil", "elsewhere.anvil"))
    found, package = registry(folder), folder.parent.name
    with pytest.raises(PenjingError, match=f"named 'anvil': in {package}.things.anvil and in elsewhere.anvil; names"):
        found.load("anvil")
    assert set(found.load_all().modules) == {"bellows", "crane"}
    assert "anvil" in found.names()
    assert "anvil" not in found.places()


def test_one_that_cannot_be_imported_is_named_and_costs_no_other(folder, monkeypatch):
    (folder / "bellows.py").write_text("import a_package_that_is_not_there\n", "utf-8")
    plug_in(monkeypatch, ("absent", "nowhere_at_all"))
    modules, failed = registry(folder).load_all()
    assert set(modules) == {"anvil", "crane"}
    assert "No module named 'a_package_that_is_not_there'" in str(failed["bellows"])
    assert "thing 'absent' (nowhere_at_all) cannot be imported" in str(failed["absent"])


def test_a_syntax_error_is_named_too(folder):
    (folder / "bellows.py").write_text("def\n", "utf-8")
    with pytest.raises(PenjingError, match=r"'bellows' .* cannot be imported \(SyntaxError"):
        registry(folder).load("bellows")


@pytest.mark.parametrize(
    "body", ["", "class Thing:\n    def make(self): ...\n", PLAIN.replace("def make", "def made"), "Thing = 3\n"]
)
def test_a_file_that_lacks_its_parts_is_refused(folder, body):
    (folder / "anvil.py").write_text(body, "utf-8")
    with pytest.raises(PenjingError, match=r"'anvil' \(.*\) has no dataclass Thing with make\(\.\.\.\); define it"):
        registry(folder).load("anvil")


def test_a_registry_may_ask_for_more(folder):
    found = registry(folder, check=lambda module: "" if hasattr(module, "CARD") else "has no CARD; write one")
    with pytest.raises(PenjingError, match="has no CARD; write one"):
        found.load("anvil")
