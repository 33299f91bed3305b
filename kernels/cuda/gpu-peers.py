#!/usr/bin/env python3
"""gpu-peers.py times PyTorch with transformers at the shapes of quadrant's presets, on one GPU.

    python3 gpu-peers.py [--prompt 128] [--gen 64] [--batch 1] [--repeats 3] [--models ...]

Weights are random, bf16. Each peer prints one JSON line: the seconds of reading the prompt and of
every decode step of every repetition, by CUDA events, and how the step ran: "graph" (recorded once
as a CUDA graph, with a static cache), or "eager" where the model cannot be recorded. A peer that
cannot be built or run prints a line with "error", so that nothing is missing silently.
"""
import argparse
import json
import sys

import torch
import transformers
from transformers import GPTNeoXConfig, MambaConfig, MixtralConfig, AutoModelForCausalLM
from transformers.cache_utils import StaticCache

NEOX = dict(vocab_size=50304, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
            rotary_pct=0.25, max_position_embeddings=4096, hidden_act="gelu", use_parallel_residual=True)
MIXTRAL = dict(vocab_size=50304, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=12,
               intermediate_size=2048, num_local_experts=8, num_experts_per_tok=1, max_position_embeddings=4096,
               tie_word_embeddings=True)
MAMBA = dict(vocab_size=50280, hidden_size=768, num_hidden_layers=24, state_size=16, conv_kernel=4, expand=2,
             time_step_rank=48, tie_word_embeddings=True)
PEERS = {
    "pythia-160m": (GPTNeoXConfig, NEOX, True),
    "transformer-moe-130m": (MixtralConfig, MIXTRAL, True),
    "mamba-130m": (MambaConfig, MAMBA, False),
}


def timed(work):
    """seconds of what work puts on the stream, and its value"""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    value = work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3, value


class Attention:
    """A transformer that decodes with a static cache; a step is a graph if it can be one."""

    def __init__(self, model, batch, length):
        self.model, self.batch = model, batch
        self.cache = StaticCache(config=model.config, max_cache_len=length)
        self.ids = torch.zeros(batch, 1, dtype=torch.long, device="cuda")
        self.at = torch.zeros(1, dtype=torch.long, device="cuda")
        self.graph = None

    def forward(self, ids, at):
        out = self.model(input_ids=ids, past_key_values=self.cache, cache_position=at, position_ids=at[None].expand(self.batch, -1),
                         use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].argmax(-1, keepdim=True)

    def prefill(self, ids):
        self.cache.reset()
        return self.forward(ids, torch.arange(ids.shape[1], device="cuda"))

    def step(self):
        self.ids.copy_(self.forward(self.ids, self.at))
        self.at.add_(1)

    def record(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        self.graph = graph

    def begin(self, first, prompt):
        self.ids.copy_(first)
        self.at.fill_(prompt)

    def next(self):
        self.graph.replay() if self.graph else self.step()


class State:
    """A Mamba that carries its state in the library's own cache."""

    def __init__(self, model, batch, length):
        self.model, self.graph, self.cache, self.ids, self.at = model, None, None, None, None

    def prefill(self, ids):
        out = self.model(input_ids=ids, use_cache=True)
        self.cache = out.cache_params
        return out.logits[:, -1].argmax(-1, keepdim=True)

    def record(self):
        raise NotImplementedError("the cache is made by the prompt")

    def begin(self, first, prompt):
        self.ids, self.at = first, torch.tensor([prompt], device="cuda")

    def next(self):
        out = self.model(input_ids=self.ids, cache_params=self.cache, cache_position=self.at, use_cache=True)
        self.ids, self.at = out.logits[:, -1].argmax(-1, keepdim=True), self.at + 1


@torch.inference_mode()
def measure(name, o):
    config, sizes, attends = PEERS[name]
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config(**sizes), dtype=torch.bfloat16).eval()
    run = (Attention if attends else State)(model, o.batch, o.prompt + o.gen + 8)
    ids = torch.randint(0, sizes["vocab_size"], (o.batch, o.prompt), device="cuda")
    first = run.prefill(ids)
    run.begin(first, o.prompt)
    how, why = "graph", None
    try:
        run.record()
    except Exception as e:  # what cannot be recorded runs as it is, and the line says so
        how, why = "eager", f"{type(e).__name__}: {e}"[:200]
        torch.cuda.synchronize()
    prefill, steps = [], []
    for r in range(o.repeats + 1):
        s, first = timed(lambda: run.prefill(ids))
        run.begin(first, o.prompt)
        own = [timed(run.next)[0] for _ in range(o.gen - 1)]
        if r:  # the first warms up
            prefill.append(s)
            steps += own
    line = dict(peer="transformers " + config.__name__.removesuffix("Config"), model=name, step=how, dtype="bf16", batch=o.batch, prompt=o.prompt,
                gen=o.gen, parameters=sum(p.numel() for p in model.parameters()), prefill_s=prefill, token_s=steps,
                device=torch.cuda.get_device_name(), torch=torch.__version__, transformers=transformers.__version__)
    if why:
        line["why_eager"] = why
    return line


def main():
    p = argparse.ArgumentParser()
    for flag, value in dict(prompt=128, gen=64, batch=1, repeats=3).items():
        p.add_argument("--" + flag, type=int, default=value)
    p.add_argument("--models", default=",".join(PEERS))
    o = p.parse_args()
    failed = False
    for name in o.models.split(","):
        try:
            line = measure(name, o)
        except Exception as e:
            line, failed = dict(model=name, error=f"{type(e).__name__}: {e}"[:300]), True
        print(json.dumps(line), flush=True)
        torch.cuda.empty_cache()
    sys.exit(failed)


if __name__ == "__main__":
    main()
