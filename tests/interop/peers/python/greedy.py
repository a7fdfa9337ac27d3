"""The greedy continuation by plain transformers: greedy.py DIR COUNT PROMPT.. prints a JSON list of {prompt, tokens}."""

import json
import sys

import torch
from transformers import AutoTokenizer, LlamaForCausalLM

folder, count, prompts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
model.generation_config.eos_token_id = model.config.eos_token_id = None  # it writes past the end
answers = []
with torch.inference_mode():
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        out = model.generate(ids, max_new_tokens=count, do_sample=False, pad_token_id=0)
        answers.append({"prompt": prompt, "prompt_ids": ids[0].tolist(), "tokens": out[0, ids.shape[1] :].tolist()})
print(json.dumps(answers))
