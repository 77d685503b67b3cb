"""The dynamic spectrum mixer."""

import pytest
import torch

from penjing.models import MODELS, create

FILE = MODELS.load("dynamic_spectrum_mixer")


def test_at_first_the_bands_weigh_one_and_the_mixer_is_its_two_layers_and_the_convolution():
    torch.manual_seed(0)
    mixer = create("dynamic_spectrum_mixer", "tiny").stages[0].blocks[0].mixer
    assert not mixer.weights.expand.weight.any()
    x = torch.randn(2, 6, 6, 12)
    entered = mixer.enter(x)
    want = mixer.leave(entered + mixer.local(entered.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    torch.testing.assert_close(mixer(x), want, atol=1e-5, rtol=1e-4)


def test_a_band_weighs_its_own_frequencies():
    torch.manual_seed(0)
    band = FILE.Band(5, 4, 3)
    x, spectrum = torch.randn(2, 6, 5, 5), torch.randn(2, 4, 6, 5)
    got = band(x, spectrum)
    energies = torch.zeros(2, 3)
    ring = [[min(2, int(3 * ((i / 6) ** 2 + (j / 5) ** 2) ** 0.5 / 2**0.5)) for j in range(5)] for i in range(6)]
    for r in range(3):
        of = [spectrum[:, :, i, j] for i in range(6) for j in range(5) if ring[i][j] == r]
        energies[:, r] = torch.log(1e-6 + torch.stack(of).square().mean((0, 2)))
    hidden = torch.nn.functional.gelu(band.reduce(torch.cat([x.mean((1, 2)), energies], 1)))
    weights = (2 * torch.sigmoid(band.expand(hidden))).view(2, 4, 3)
    for i in range(6):
        for j in range(5):
            torch.testing.assert_close(got[:, :, i, j], weights[:, :, ring[i][j]])


@pytest.mark.parametrize("generator", ["bank", "static", "none"])
def test_other_generators_run_on_maps_of_other_sizes(generator):
    model = create("dynamic_spectrum_mixer", "tiny", generator=generator)
    assert model(torch.randn(1, 3, 12, 12))[0].shape == model(torch.randn(1, 3, 16, 20))[0].shape == (1, 4)


def test_an_unknown_generator_is_refused():
    with pytest.raises(Exception, match="one of band, bank, static, none"):
        create("dynamic_spectrum_mixer", "tiny", generator="token")
