"""Statistics on disk: found for the same facts, by no others, and never damaged."""

import pytest
import torch

from penjing.calibrate import Means
from penjing.errors import OutputError
from penjing.planning.statistics_cache import shelf, union

FACTS = {"model": "a", "data": "b"}
MEAN, ENERGY = frozenset({"input_mean"}), frozenset({"input_energy"})


def means(*keys):
    generator = torch.Generator().manual_seed(len(keys))
    return Means({k: torch.randn(5, generator=generator) for k in keys}, {k: 7 + i for i, k in enumerate(keys)})


def test_what_was_put_is_found_with_its_counts(tmp_path):
    kept = means(("w", "input_mean"), ("v", "input_mean"), ("w", "input_energy"))
    shelf(tmp_path, FACTS).put(kept)
    found, missing = shelf(tmp_path, FACTS).find({"w": MEAN | ENERGY, "v": MEAN | ENERGY, "u": MEAN})
    assert missing == {"v": ENERGY, "u": MEAN}
    assert found.counts == kept.counts
    assert all(torch.equal(found.values[k], v) for k, v in kept.values.items())


def test_one_file_holds_one_statistic(tmp_path):
    place = shelf(tmp_path, FACTS)
    place.put(means(("w", "input_mean"), ("v", "input_mean"), ("w", "input_energy")))
    place.put(means(("u", "input_mean")))
    assert sorted(p.name.split("-")[0] for p in place.folder.iterdir()) == ["input_energy", "input_mean", "input_mean"]
    assert place.find({"u": MEAN, "v": MEAN})[1] == {}


@pytest.mark.parametrize("other", [{"model": "c"}, {"data": "c"}, {"batch": 3}])
def test_other_facts_find_nothing(tmp_path, other):
    shelf(tmp_path, FACTS).put(means(("w", "input_mean")))
    assert shelf(tmp_path, {**FACTS, **other}).find({"w": MEAN})[1] == {"w": MEAN}


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "foreign", "text"])
def test_a_damaged_or_foreign_file_is_as_good_as_absent(tmp_path, harm):
    place, kept = shelf(tmp_path, FACTS), means(("w", "input_mean"))
    place.put(kept)
    (path,) = place.folder.iterdir()
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[-3] ^= 1
    elif harm == "foreign":
        other = shelf(tmp_path, {"model": "z"})
        other.put(kept)
        data = bytearray(next(other.folder.iterdir()).read_bytes())
    path.write_bytes({"cut": data[:-4], "empty": b"", "text": b"not a tensor file at all"}.get(harm, bytes(data)))
    found, missing = place.find({"w": MEAN})
    assert (found.values, missing) == ({}, {"w": MEAN})
    place.put(kept)
    assert torch.equal(place.find({"w": MEAN})[0].values["w", "input_mean"], kept.values["w", "input_mean"])


def test_a_journal_is_for_one_wish_and_is_no_result(tmp_path):
    place, wanted, half = shelf(tmp_path, FACTS), {"w": MEAN}, means(("w", "input_mean"))
    place.put_journal(wanted, half, 3)
    assert place.find(wanted)[1] == wanted
    assert place.journal({"w": ENERGY})[1] == 0
    again, done = place.journal(wanted)
    assert (done, again.counts) == (3, half.counts)
    again.move(("w", "input_mean"), torch.ones(5), 1)
    assert torch.equal(place.journal(wanted)[0].values["w", "input_mean"], half.values["w", "input_mean"])
    place.end_journal(wanted)
    assert place.journal(wanted)[1] == 0
    assert not list(place.folder.iterdir())


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "statistics").write_text("a file in the way")
    with pytest.raises(OutputError, match="statistics cannot be kept in"):
        shelf(tmp_path, FACTS).put(means(("w", "input_mean")))


def test_the_union_wants_what_any_wants():
    assert union({"w": MEAN}, {"w": ENERGY, "v": MEAN}) == {"w": MEAN | ENERGY, "v": MEAN}
