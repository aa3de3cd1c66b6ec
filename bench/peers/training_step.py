"""One training step in PyTorch, timed, beside bench/training-step.ts: a BERT encoder with frozen words, mean pooling, squared L2 to a
target, gradient clipping and AdamW.

    pip install torch
    python bench/peers/training_step.py '{"layers": 4, "hidden": 384, "heads": 12, "inner": 1536, "words": 30522,
                                          "batch": 256, "tokens": 16, "threads": 2}'

For each line `VARIANT STEPS` on standard input, makes so many steps of a variant (eager, compiled; plain or fused AdamW) and answers with
a line of JSON: their milliseconds, or why the variant does not run here.
"""
import json
import sys
import time

sys.path.pop(0)  # this folder: its statistics.py would stand in for the standard library's

import torch
from torch import nn
from torch.nn import functional as F

VARIANTS = {
    "eager": {"fused": False, "compiled": False},
    "eager-fused": {"fused": True, "compiled": False},
    "compiled-fused": {"fused": True, "compiled": True},
}


class Layer(nn.Module):
    def __init__(self, hidden, heads, inner):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.up, self.down = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x, mask):
        batch, tokens, hidden = x.shape
        query, key, value = (
            project(x).view(batch, tokens, self.heads, hidden // self.heads).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.attention_norm(x + self.output(attended.transpose(1, 2).reshape(batch, tokens, hidden)))
        return self.output_norm(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self, layers, hidden, heads, inner, words, tokens):
        super().__init__()
        self.words = nn.Embedding(words, hidden)
        self.positions = nn.Embedding(64, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(hidden, heads, inner) for _ in range(layers))
        self.words.weight.requires_grad_(False)

    def forward(self, ids, mask):
        x = self.norm(self.words(ids) + self.positions(torch.arange(ids.shape[1])))
        allowed = mask[:, None, None, :].bool()
        for layer in self.layers:
            x = layer(x, allowed)
        weights = mask.to(x.dtype)
        pooled = (weights[:, None, :] @ x).squeeze(1) / weights.sum(1, keepdim=True)
        return F.normalize(pooled, dim=1)


def prepare(variant, spec):
    """A function that makes one step."""
    torch.manual_seed(1)
    batch, tokens = spec["batch"], spec["tokens"]
    model = Encoder(*(spec[name] for name in ("layers", "hidden", "heads", "inner", "words", "tokens"))).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=VARIANTS[variant]["fused"])
    forward = torch.compile(model) if VARIANTS[variant]["compiled"] else model
    ids = torch.randint(1000, spec["words"], (batch, tokens))
    mask = torch.ones(batch, tokens, dtype=torch.int64)
    target = F.normalize(torch.randn(batch, spec["hidden"]), dim=1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = (forward(ids, mask) - target).square().sum(1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return loss.item()

    return step


def main():
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    ready = {}
    print(json.dumps({"torch": torch.__version__, "variants": list(VARIANTS)}), flush=True)
    for line in sys.stdin:
        variant, steps = line.split()
        try:
            if variant not in ready:
                ready[variant] = prepare(variant, spec)
                ready[variant]()  # compiles, and warms up
            times = []
            for _ in range(int(steps)):
                began = time.perf_counter()
                ready[variant]()
                times.append((time.perf_counter() - began) * 1000)
            answer = {"ms": times}
        except Exception as error:  # a variant that the machine has no compiler for is no failure
            answer = {"failed": str(error).splitlines()[0] if str(error) else type(error).__name__}
        print(json.dumps(answer), flush=True)


main()
