"""Methods are the files of their folder."""

from importlib import metadata

import pytest

from penjing.core.registry import Registry
from penjing.errors import PenjingError
from penjing.methods import METHODS, _from_a_score, _wrong

WANTS_ONLY = """
from dataclasses import dataclass
from penjing.methods.prune.taylor import CARD

@dataclass(frozen=True)
class Method:
    def wants(self, layout):
        return None
"""


def test_names_are_those_of_the_files():
    assert {"activation", "l2_rows", "magnitude", "maw", "pon", "random", "vow"} <= set(METHODS.names())
    assert METHODS.names() == sorted(METHODS.names())


@pytest.mark.parametrize("name", METHODS.names())
def test_each_loads_with_card_and_settings(name):
    assert METHODS.load(name).CARD.title
    names = {s.name for s in METHODS.settings(name)}
    assert {"axes", "protect", "multiple", "allow"} <= names or {"tensors", "protect"} <= names or "ends" in names


def test_building_takes_settings_and_refuses_others():
    method = METHODS.build("maw", {"protect": ["neurons.0"], "multiple": 8})
    assert method == METHODS.type_of("maw")(protect=("neurons.0",), multiple=8)
    assert METHODS.build("maw", {"protect": "neurons.0"}) == METHODS.type_of("maw")(protect=("neurons.0",))
    with pytest.raises(PenjingError, match=r"method 'maw' has no setting 'multipel'; did you mean 'multiple'?"):
        METHODS.build("maw", {"multipel": 8})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("from penjing.methods.prune.taylor import Method", "has no CARD"),
        ("from penjing.methods.prune.taylor import CARD, score", "has no dataclass Method with wants"),
        ("from penjing.methods.prune.maw import CARD", "has no dataclass Method with wants"),
        (WANTS_ONLY, "has a Method without plan"),
    ],
)
def test_a_file_that_lacks_its_parts_is_refused(tmp_path, monkeypatch, body, message):
    name = f"partial_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(body, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = metadata.EntryPoint("partial", name, "penjing.methods")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    parts = {"attribute": "Method", "calls": ("wants",), "supply": _from_a_score}
    found = Registry("penjing.methods", kind="method", nested=True, check=_wrong, **parts)
    with pytest.raises(PenjingError, match=message):
        found.load("partial")
