"""Strip-MLP."""

import pytest
import torch

from penjing.models import MODELS, create

FILE = MODELS.load("strip_mlp")


def test_a_strip_is_one_matrix_for_a_channel_of_each_group_over_three_rows():
    torch.manual_seed(0)
    strip = FILE.Strip(6, 4, 2, 3).double()
    torch.nn.init.normal_(strip.codes)
    x = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    coded = x.clone()
    for row in range(4):
        for column in range(4):
            coded[:, :, row, column] += strip.codes[column - row + 4]
    want = torch.zeros_like(x)
    weight = strip.mix.weight  # [each * W', W, 1, 3]
    for group in range(2):
        for j in range(3):
            for row in range(4):
                for out in range(4):
                    total = strip.mix.bias[4 * j + out].expand(2).clone()
                    for dh in (-1, 0, 1):
                        if 0 <= row + dh < 4:
                            for w in range(4):
                                total += weight[4 * j + out, w, 0, dh + 1] * coded[:, group * 3 + j, row + dh, w]
                    want[:, group * 3 + j, row, out] = total
    torch.testing.assert_close(strip(x), want)


def test_the_response_norm_is_over_channels():
    response = FILE.Response(3, 3)
    torch.nn.init.normal_(response.gamma)
    torch.nn.init.normal_(response.beta)
    x = torch.randn(2, 4, 5, 3)
    norm = x.flatten(1, 2).norm(dim=1)[:, None, None]
    want = response.gamma * x * norm / (norm.mean(-1, keepdim=True) + 1e-6) + response.beta + x
    torch.testing.assert_close(response(x), want)


def test_images_of_another_size_and_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="for 16 x 16 alone"):
        create("strip_mlp", "tiny")(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="do not make 4 groups"):
        FILE.Strip(6, 4, 4, 3)
