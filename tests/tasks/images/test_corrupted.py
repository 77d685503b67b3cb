"""Corruption accuracy: the grid is what a loop counts, pixels are made once, errors compare on the same pixels."""

from dataclasses import replace

import pytest
import torch
from tests.tasks.images.models import PLAIN, Net, images, stripes

from penjing.errors import DataError, MeasureError
from penjing.tasks.images import (
    Corrupted,
    CorruptedImages,
    corrupt,
    mean_corruption_error,
    of_corruptions,
    relative_corruption_error,
)
from penjing.tasks.images import corrupted_images as making
from penjing.tasks.task import Examined

KINDS, SEVERITIES = ("gaussian_noise", "frost", "contrast"), (1, 5)


def noisy(prepared):
    """A worse model: half of what the good one sees, and noise of its own."""
    return stripes(prepared) + 3 * torch.sin(prepared.sum((1, 2, 3)) * 40)[:, None] * torch.tensor([1.0, 0, -1])


def task(**options):
    return Corrupted(**{"images": images(30), "kinds": KINDS, "severities": SEVERITIES, "prepare": PLAIN, **options})


def examined(module, name="net"):
    return Examined(name=name, module=module)


@pytest.fixture(scope="module")
def both():
    shared = task()
    return shared, shared.run(examined(stripes)), shared.run(examined(noisy))


def test_the_grid_is_counted(both):
    shared, (main, clean), _ = both
    data = shared.images
    everything = torch.arange(30)
    shares = []
    for kind, row in zip(KINDS, main.details["grid"]["values"], strict=True):
        for severity, value in zip(SEVERITIES, row, strict=True):
            pixels = corrupt(data.pixels[everything], kind, severity, ids=data.ids)
            right = (stripes(PLAIN(pixels)).argmax(1) == data.labels).long().tolist()
            assert main.items[f"{kind}/{severity}"] == right
            assert value == pytest.approx(sum(right) / 30)
            shares.append(value)
    assert main.value == pytest.approx(sum(shares) / 6)
    assert main.details["grid"]["names"] == ["gaussian_noise", "frost*", "contrast"]
    assert main.details["grid"]["severities"] == [1, 5]
    assert main.spread == pytest.approx(float(torch.tensor(main.items["score"]).double().std()) / 30**0.5)
    assert (main.n, main.chance, clean.value, main.details["clean"]) == (30, 1 / 3, 1.0, 1.0)
    assert clean.name == "corruption_accuracy:clean"


def test_models_share_the_pixels_and_their_hash(both, monkeypatch):
    shared, (good, _), (bad, _) = both
    assert good.protocol == bad.protocol
    assert "pixels=sha256:" in good.protocol
    assert task().run(examined(stripes))[0].protocol == good.protocol
    assert task(seed=1).run(examined(stripes))[0].protocol != good.protocol
    monkeypatch.setattr(making, "corrupt", lambda *a, **k: pytest.fail("made again"))
    shared.run(examined(stripes))


def test_cells_that_do_not_fit_in_memory_are_made_again_the_same():
    data = images(9)
    held, fresh = CorruptedImages(data, KINDS), CorruptedImages(data, KINDS, memory=700)
    for kind, severity in held.cells:
        for made in (held, fresh, fresh, held):
            parts = [pixels for _, pixels in made.batches(kind, severity, batch=4)]
            assert torch.equal(torch.cat(parts), corrupt(data.pixels[torch.arange(9)], kind, severity, ids=data.ids))
    assert held.digest() == fresh.digest()


class Changing:
    """Pixels that are others each time, as files that are written to meanwhile."""

    shape = (4, 8, 8, 1)
    asked = 0

    def __getitem__(self, places):
        self.asked += 1
        return torch.full((len(places), 8, 8, 1), self.asked, dtype=torch.uint8)


def test_images_that_change_between_models_are_noticed():
    data = replace(images(4), pixels=Changing(), source="pictures/")
    made = CorruptedImages(data, ["contrast"], [1], memory=0)
    list(made.batches("contrast", 1, batch=4))
    with pytest.raises(MeasureError, match="files in pictures/ have changed"):
        list(made.batches("contrast", 1, batch=4))


def test_a_subset_has_the_same_corrupted_pixels():
    data = images(12)
    some = data.take(5, seed=0)
    whole = torch.cat([p for _, p in CorruptedImages(data, ["fog"], [3]).batches("fog", 3, batch=5)])
    part = torch.cat([p for _, p in CorruptedImages(some, ["fog"], [3]).batches("fog", 3, batch=5)])
    assert torch.equal(part, whole[[int(i) for i in some.ids]])


def errors(figure, kind):
    return sum(1 - v for s in SEVERITIES for v in figure.items[f"{kind}/{s}"])


def test_corruption_errors_over_a_reference_equal_the_loop(both):
    _, (good, _), (bad, _) = both
    found = mean_corruption_error(good, bad)
    assert found.value == pytest.approx(sum(errors(good, k) / errors(bad, k) for k in KINDS) / 3)
    assert found.details["each"]["frost"] == pytest.approx(errors(good, "frost") / errors(bad, "frost"))
    low, high = found.details["interval"]["low"], found.details["interval"]["high"]
    assert low <= found.value <= high
    assert found.value < 1
    wrong = [sum(1 - v for v in f.items["clean"]) * len(SEVERITIES) for f in (good, bad)]
    expected = [(errors(good, k) - wrong[0]) / (errors(bad, k) - wrong[1]) for k in KINDS]
    relative = relative_corruption_error(good, bad)
    if relative.value is None:
        assert "no more errors" in relative.note
    else:
        assert relative.value == pytest.approx(sum(expected) / 3)
    assert mean_corruption_error(bad, bad).value == 1.0


def test_a_reference_without_errors_gives_no_ratio():
    easy = task(kinds=("brightness",), severities=(1,))
    (good, _), (bad, _) = easy.run(examined(stripes)), easy.run(examined(noisy))
    assert good.value == 1.0
    found = mean_corruption_error(bad, good)
    assert found.value is None
    assert "no errors under brightness" in found.note


def test_figures_of_other_images_are_not_compared(both):
    _, (good, _), _ = both
    other = task(images=images(30, seed=5)).run(examined(stripes))[0]
    with pytest.raises(MeasureError, match="measure both with one Corrupted task"):
        mean_corruption_error(good, other)


def test_redundancy_reads_the_figure(both):
    _, _, (bad, _) = both
    found = of_corruptions(bad)
    assert found.names == KINDS
    assert sorted(n for g in found.groups for n in g) == sorted(KINDS)


def test_progress_reaches_all(both):
    shared, _, _ = both
    seen = []
    shared.run(examined(Net().eval()), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (210, 210)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


def test_the_key_follows_kinds_and_seed():
    assert task().key() == task(batch=3).key()
    assert len({task().key(), task(seed=2).key(), task(kinds=("fog",)).key(), task(severities=(1, 4)).key()}) == 4


@pytest.mark.parametrize("options", [{"kinds": ("rain",)}, {"kinds": ()}, {"severities": (0,)}, {"severities": ()}])
def test_unknown_kinds_are_refused_before_anything_runs(options):
    with pytest.raises(DataError, match="corruption"):
        task(**options)
