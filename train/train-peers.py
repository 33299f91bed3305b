#!/usr/bin/env python3
"""train-peers.py times training steps of PyTorch on a processor, at the shapes of quadrant's tiny presets.

    apt-get install --no-install-recommends python3-torch libopenblas0-openmp      # Debian
    OPENBLAS_CORETYPE=SkylakeX ATEN_CPU_CAPABILITY=avx512 python3 train-peers.py --threads 2

Plain PyTorch, fp32, as one would write it: products are torch's, a scan is a loop over tokens or, with
chunks, doublings within chunks; experts are a loop over their tokens. A step is forward, backward,
clipping and AdamW. Each model prints one JSON line with the seconds of every step after two that
are not counted. Compare with

    quadrant train --model tiny-… --batch 16 --context 256
"""
import argparse
import json
import math
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

VOCAB, WIDTH = 256, 128


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.gain


class MLP(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 2 * hidden, bias=False), nn.Linear(hidden, WIDTH, bias=False)

    def forward(self, x):
        gate, value = self.up(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class Experts(nn.Module):
    """Eight experts; Sinkhorn chooses one for each token, its sigmoid scales."""

    def __init__(self, hidden, experts=8):
        super().__init__()
        self.router = nn.Linear(WIDTH, experts)
        self.experts = nn.ModuleList(MLP(hidden) for _ in range(experts))

    @torch.no_grad()
    def bias(self, logits):
        x = 2 * logits
        b = -torch.logsumexp(x, 0)
        for _ in range(2):  # as many as it takes here
            row = torch.logsumexp(x + b, 1, keepdim=True)
            b = -torch.logsumexp(x - row, 0)
        return b

    def forward(self, x):
        shape, x = x.shape, x.flatten(0, 1)
        logits = self.router(x)
        chosen = (2 * logits.detach() + self.bias(logits.detach())).argmax(1)
        gate = torch.sigmoid(logits.gather(1, chosen[:, None]))
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            at = (chosen == e).nonzero()[:, 0]
            out = out.index_add(0, at, expert(x[at]) * gate[at])
        return out.view(shape)


class Attention(nn.Module):
    def __init__(self, context, heads=4):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        half = WIDTH // heads // 2
        angle = torch.arange(context)[:, None] * 10000 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())
        self.register_buffer("later", torch.full((context, context), -math.inf).triu(1))

    def turn(self, x):
        a, b = x.chunk(2, -1)
        return torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), -1)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (y.view(n, t, self.heads, -1).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        q, k = self.turn(q), self.turn(k)
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + self.later, -1)
        return self.out((p @ v).transpose(1, 2).reshape(n, t, WIDTH))


def scan_by_token(a, b, c):
    h, ys = torch.zeros_like(a[:, 0]), []
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        ys.append((h * c[:, t, None]).sum(-1))
    return torch.stack(ys, 1)


def scan_in_chunks(a, b, c, length=32):
    h, ys = torch.zeros_like(a[:, 0]), []
    for t in range(0, a.shape[1], length):
        decay, state = a[:, t:t + length], b[:, t:t + length]
        step = 1
        while step < decay.shape[1]:
            state = torch.cat((state[:, :step], state[:, step:] + decay[:, step:] * state[:, :-step]), 1)
            decay = torch.cat((decay[:, :step], decay[:, step:] * decay[:, :-step]), 1)
            step *= 2
        all = state + decay * h[:, None]
        h = all[:, -1]
        ys.append(torch.einsum("btdn,btn->btd", all, c[:, t:t + length]))
    return torch.cat(ys, 1)


SCANS = {"token": scan_by_token, "chunks": scan_in_chunks}


class Mamba(nn.Module):
    def __init__(self, scan, inner=256, state=16, conv=4, rank=8):
        super().__init__()
        self.scan, self.rank, self.state = SCANS[scan], rank, state
        self.into, self.out = nn.Linear(WIDTH, 2 * inner, bias=False), nn.Linear(inner, WIDTH, bias=False)
        self.conv = nn.Conv1d(inner, inner, conv, groups=inner, padding=conv - 1)
        self.x, self.dt = nn.Linear(inner, rank + 2 * state, bias=False), nn.Linear(rank, inner)
        self.a_log = nn.Parameter(torch.arange(1., state + 1).log().repeat(inner, 1))
        self.d = nn.Parameter(torch.ones(inner))

    def forward(self, x):
        u, z = self.into(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., :x.shape[1]].transpose(1, 2))
        dt, b, c = self.x(u).split((self.rank, self.state, self.state), -1)
        dt = F.softplus(self.dt(dt))
        decay = torch.exp(dt[..., None] * -self.a_log.exp())
        y = self.scan(decay, (dt * u)[..., None] * b[:, :, None], c) + self.d * u
        return self.out(y * F.silu(z))


class Model(nn.Module):
    def __init__(self, mixers):
        super().__init__()
        self.embed, self.mixers = nn.Embedding(VOCAB, WIDTH), nn.ModuleList(mixers)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.norms, self.last = nn.ModuleList(Norm() for _ in mixers), Norm()

    def forward(self, ids):
        x = self.embed(ids)
        for norm, mixer in zip(self.norms, self.mixers):
            x = x + mixer(norm(x))
        return self.last(x) @ self.embed.weight.T


def models(context, scan):
    return {
        "tiny-transformer": lambda: [m for _ in range(5) for m in (Attention(context), MLP(320))],
        "tiny-mamba": lambda: [Mamba(scan) for _ in range(8)],
        "tiny-transformer-moe": lambda: [m for _ in range(5) for m in (Attention(context), Experts(320))],
        "tiny-mamba-moe": lambda: [m for _ in range(4) for m in (Mamba(scan), Experts(304))],
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--context", type=int, default=256)
    p.add_argument("--steps", type=int, default=5)
    p.add_argument("--models", default="tiny-transformer,tiny-mamba,tiny-transformer-moe,tiny-mamba-moe")
    p.add_argument("--scan", choices=sorted(SCANS), default="chunks")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    for name in o.models.split(","):
        model = Model(models(o.context, o.scan)[name]())
        opt = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
        seconds = []
        for _ in range(2 + o.steps):
            ids = torch.randint(VOCAB, (o.batch, o.context + 1))
            begin = time.perf_counter()
            opt.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1)
            opt.step()
            seconds.append(time.perf_counter() - begin)
        print(json.dumps({
            "peer": f"torch {torch.__version__}", "model": name, "scan": o.scan if "mamba" in name else "", "threads": o.threads,
            "parameters": sum(w.numel() for w in model.parameters()), "tokens_per_s": round(o.batch * o.context / statistics.median(seconds[2:])),
            "step_s": [round(s, 4) for s in seconds[2:]],
        }), flush=True)


if __name__ == "__main__":
    sys.exit(main())
