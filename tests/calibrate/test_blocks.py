"""Block by block gives what the whole model gives, in less memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from penjing.calibrate import collect, collect_by_blocks
from penjing.core import Blocks
from penjing.errors import DataError, UnsupportedError
from penjing.io import open_checkpoint

LARGE = 10**9
SAMPLED = frozenset({"input_second_moment", "input_mean", "input_magnitude"})


@pytest.fixture(scope="module")
def folders(llama, tmp_path_factory):
    from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    gpt2 = GPT2Config(vocab_size=23, n_embd=12, n_layer=3, n_head=3, n_positions=32, bos_token_id=0, eos_token_id=1)
    bert = BertConfig(
        vocab_size=23, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=32, pad_token_id=0,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("models")
    models = {"llama": llama, "gpt2": GPT2LMHeadModel(gpt2).eval(), "bert": BertForMaskedLM(bert).eval()}
    for name, model in models.items():
        model.save_pretrained(place / name)
    return place, models


WANTED = {
    "llama": ("model.layers", ["mlp.down_proj.weight", "self_attn.q_proj.weight"], ["lm_head.weight"],
              "model.norm.weight"),
    "gpt2": ("transformer.h", ["mlp.c_proj.weight", "attn.c_attn.weight"], [], "transformer.ln_f.weight"),
    "bert": ("bert.encoder.layer", ["output.dense.weight"], ["cls.predictions.transform.dense.weight"],
             "bert.embeddings.LayerNorm.weight"),
}  # fmt: skip


@pytest.mark.parametrize("memory", [LARGE, 14_000])
@pytest.mark.parametrize("name", WANTED)
def test_block_by_block_equals_the_whole(folders, tmp_path, name, memory):
    place, models = folders
    path, inside, outside, norm = WANTED[name]
    batches = [torch.arange(18).view(3, 6), torch.arange(12).view(2, 6) + 7, torch.ones(1, 4, dtype=torch.long)]
    count = len(models[name].get_submodule(path))
    wanted = {f"{path}.{i}.{t}": SAMPLED for i in range(count) for t in inside}
    wanted |= dict.fromkeys(outside, SAMPLED) | {norm: frozenset({"output_magnitude"})}
    wanted |= {f"{path}.{i}": frozenset({"block_cosine"}) for i in range(count)}
    whole = collect(models[name], batches, wanted)
    seen = []
    with open_checkpoint(place / name) as checkpoint:
        found = collect_by_blocks(
            checkpoint, [Blocks(axis="blocks", path=path, size=count)], batches, wanted, memory=memory,
            scratch=tmp_path, progress=lambda done, total: seen.append((done, total)),
        )  # fmt: skip
    assert set(found) == set(whole)
    assert found.samples == whole.samples
    for key in whole:
        torch.testing.assert_close(found[key], whole[key], rtol=1e-4, atol=1e-6)
    assert seen[-1] == (3 * count, 3 * count)
    assert bool(list(tmp_path.iterdir())) == (memory < LARGE)


def by_blocks(folders, tmp_path, **changes):
    place, _ = folders
    given = {
        "blocks": [Blocks(axis="blocks", path="model.layers", size=3)],
        "batches": [torch.arange(6).view(1, 6)],
        "wanted": {"model.layers.0.mlp.down_proj.weight": SAMPLED},
        "memory": LARGE,
    } | changes
    with open_checkpoint(place / "llama") as checkpoint:
        return collect_by_blocks(checkpoint, scratch=tmp_path, **given)


def test_what_cannot_go_block_by_block_is_refused(folders, tmp_path):
    wanted = {"lm_head.weight": frozenset({"loss_gradient"})}
    with pytest.raises(DataError, match=r"loss_gradient of lm_head.weight cannot be had block by block: a derivative"):
        by_blocks(folders, tmp_path, wanted=wanted)
    with pytest.raises(DataError, match=r"takes 7,040 bytes in float32, and the memory allowed is 1,000"):
        by_blocks(folders, tmp_path, memory=1000)
    with pytest.raises(UnsupportedError, match="needs one list of blocks, found no list of blocks"):
        by_blocks(folders, tmp_path, blocks=[])
    with pytest.raises(DataError, match="found no calibration data"):
        by_blocks(folders, tmp_path, batches=[])


CHILD = """
import json, sys, resource, torch
from pathlib import Path
from penjing.calibrate import collect_by_blocks
from penjing.core import Blocks
from penjing.io import open_checkpoint
import transformers.models.llama.modeling_llama
torch.set_num_threads(1)
folder, scratch, limit, way = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
status = dict(x.split(":", 1) for x in Path("/proc/self/status").read_text().splitlines() if ":" in x)
start = int(status["VmData"].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (start + limit, start + limit))
names = [f"model.layers.{i}.mlp.down_proj.weight" for i in range(14)]
wanted = {n: frozenset({"input_second_moment"}) for n in names}
batches = list(torch.arange(4 * 64).view(4, 64).remainder(100).split(2))
if way == "whole":
    from transformers import LlamaForCausalLM
    LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    held = [torch.zeros(1024, 1024) + i for i in range(14 * 8)]
else:
    found = collect_by_blocks(open_checkpoint(folder), [Blocks(axis="blocks", path="model.layers", size=14)], batches,
                              wanted, memory=limit, scratch=scratch)
    print(json.dumps([float(found[n, "input_second_moment"].trace()) for n in names]))
"""


@pytest.mark.nightly  # a process of its own under a limit, and its model on the disk
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the limit is one of Linux")
def test_a_model_twice_as_large_as_the_limit_is_measured_under_a_limit_of_the_kernel(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=512, hidden_size=768, intermediate_size=2048, num_hidden_layers=14, num_attention_heads=12,
        max_position_embeddings=128, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    size = (tmp_path / "model" / "model.safetensors").stat().st_size
    limit = 180_000_000
    assert size >= 2 * limit

    def child(way: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / way).mkdir()
        argv = [sys.executable, "-c", CHILD, str(tmp_path / "model"), str(tmp_path / way), str(limit), way]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    done = child("blocks")
    assert done.returncode == 0, done.stderr[-2000:]
    traces = json.loads(done.stdout)
    assert len(traces) == 14
    assert all(t > 0 for t in traces)
    whole = child("whole")
    assert whole.returncode != 0
    assert "memory" in whole.stderr.lower(), "the limit did not bind"
