"""A folder whose layers differ in width, one without attention, is trained, saved, tuned and written from."""

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from tests.surgery import tables

import penjing
from penjing.core import Keep, Plan, Replace, Spec
from penjing.surgery import stream, verify

WIDTHS = (Keep("neurons.0", tuple(range(20))), Keep("neurons.2", tuple(range(30))))
FIRST = Replace("model.layers.0.self_attn", Spec("nothing"))
PLANS = {
    "neurons": Plan((*WIDTHS, FIRST)),
    "heads too": Plan((*WIDTHS, Keep("heads.1", (0, 2)), FIRST)),
}
WRITE = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, place):
        ids = tables.tokens()[place % 2]
        return {"input_ids": ids, "labels": ids}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("uneven")
    tables.llama(place / "whole")
    checkpoint, layout = tables.opened(place / "whole")
    out = {}
    for name, plan in PLANS.items():
        told = verify(checkpoint, layout, plan, by_layer=True)
        out[name] = stream(checkpoint, layout, plan, place / name, verified=told)
    return out


def logits(module, ids=None):
    with torch.no_grad():
        return module(tables.tokens() if ids is None else ids).logits


@torch.no_grad()
def loss(module):
    return float(module(tables.tokens(), labels=tables.tokens()).loss)


@pytest.mark.parametrize("name", PLANS)
def test_a_padded_batch_is_written_on_with_the_cache_as_without(name, folders):
    opened = penjing.load(folders[name])
    ids = tables.tokens()
    mask = torch.ones_like(ids)
    ids[1, :4], mask[1, :4] = 0, 0
    whole, seen = ids, mask
    for _ in range(8):
        places = (seen.cumsum(-1) - 1).clamp(min=0)
        with torch.no_grad():
            out = opened(whole, attention_mask=seen, position_ids=places, use_cache=False).logits[:, -1:].argmax(-1)
        whole, seen = torch.cat([whole, out], 1), torch.cat([seen, torch.ones(2, 1, dtype=seen.dtype)], 1)
    assert torch.equal(opened.generate(ids, attention_mask=mask, **WRITE), whole)


def test_the_trainer_of_transformers_trains_it_and_what_it_saves_opens(folders, tmp_path):
    opened = penjing.load(folders["heads too"])
    before = loss(opened)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "runs"), max_steps=4, per_device_train_batch_size=2, learning_rate=1e-2, use_cpu=True,
        save_strategy="no", report_to=[], disable_tqdm=True, dataloader_pin_memory=False, seed=0,
    )  # fmt: skip
    trainer = transformers.Trainer(model=opened, args=arguments, train_dataset=Rows())
    trainer.train()
    trainer.save_model(str(tmp_path / "trained"))
    opened.eval()
    assert loss(opened) < before
    again = penjing.load(tmp_path / "trained")
    assert torch.equal(logits(again), logits(opened))
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "trained")


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks under the old name
@pytest.mark.parametrize(("name", "more"), [("neurons", {}), ("heads too", {"save_embedding_layers": False})])
def test_peft_tunes_it_saves_the_tuning_and_merges_it(name, more, folders, tmp_path):
    targets = ["q_proj", "v_proj", "up_proj", "down_proj"]
    tuned = get_peft_model(penjing.load(folders[name]), LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM"))
    for parameter_name, parameter in tuned.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter.data, generator=torch.Generator().manual_seed(0))
    tuned.eval()
    tuned.save_pretrained(tmp_path / "tuning", **more)
    again = PeftModel.from_pretrained(penjing.load(folders[name]), tmp_path / "tuning").eval()
    assert torch.equal(logits(again), logits(tuned))
    assert not torch.allclose(logits(tuned), logits(penjing.load(folders[name])), atol=1e-2)
    merged = again.merge_and_unload()
    torch.testing.assert_close(logits(merged), logits(tuned), rtol=1e-4, atol=1e-4)
    assert torch.equal(merged.generate(tables.tokens(), **WRITE), tuned.generate(input_ids=tables.tokens(), **WRITE))
