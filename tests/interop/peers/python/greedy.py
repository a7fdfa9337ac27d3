"""The greedy continuation by transformers: greedy.py DIR COUNT f32|f16 PROMPT.. prints a JSON list of {prompt, tokens}.

With f16, keys and values are rounded to it, as our cache keeps them; f32 is plain transformers.
"""

import json
import sys

import torch
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.models.llama import modeling_llama


def round_cache(model) -> None:
    rotate = modeling_llama.apply_rotary_pos_emb

    def rotate_and_round(*arguments, **options):
        query, key = rotate(*arguments, **options)
        return query, key.half().float()

    modeling_llama.apply_rotary_pos_emb = rotate_and_round
    for layer in model.model.layers:
        layer.self_attn.v_proj.register_forward_hook(lambda module, inputs, value: value.half().float())


folder, count, cache, prompts = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
model.generation_config.eos_token_id = model.config.eos_token_id = None  # it writes past the end
if cache == "f16":
    round_cache(model)
answers = []
with torch.inference_mode():
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out = model.generate(ids, max_new_tokens=count, do_sample=False, pad_token_id=0)
        answers.append({"prompt": prompt, "prompt_ids": ids[0].tolist(), "tokens": out[0, ids.shape[1] :].tolist()})
print(json.dumps(answers))
