"""Reference values for test/golden/encoders.json, from transformers and torch.

    pip install torch transformers && python bench/peers/encoders.py > encoders.json

Tiny checkpoints, whose weights come from a formula that the test repeats: element i of a tensor is uniform in [-0.5, 0.5) from a
32-bit mix of the FNV-1a hash of its name and of i; gains of norms are 1 + half of that, other vectors half of that. With
--minilm DIR (a sentence-transformers/all-MiniLM-L6-v2 checkpoint) its vectors are computed too; without, they are kept as they are.
"""
import argparse
import json
import math
import os

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = os.path.join(os.path.dirname(__file__), "../../test/golden/encoders.json")
TEXTS = ["red running shoes", "wool", "a kettle made of steel, with a lid", "Café chairs 4x, größe XL", "WOMEN'S shoes: 鞋!",
         "how do i clean white running shoes at home"]
PROMPT = "Instruct: Given a query, retrieve ads\nQuery:"
GENERAL_TEXTS = ["red running shoes for men", "a metallic kettle", "wool socks", "how to make the best espresso at home", "x"]


def fnv1a(name):
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(name, count):
    """In [-0.5, 0.5): the finaliser of MurmurHash3 over hash + i * golden ratio."""
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + fnv1a(name)) & 0xFFFFFFFF
    x ^= x >> np.uint64(16)
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> np.uint64(16)
    return x.astype(np.float64) / 2**32 - 0.5


def weight(name, shape):
    values = uniform(name, math.prod(shape))
    if len(shape) == 1:
        values = values / 2 + (1 if "norm" in name.lower() and name.endswith("weight") else 0)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(model):
    names = {name: list(tensor.shape) for name, tensor in model.state_dict().items() if tensor.dtype == torch.float32}
    model.load_state_dict({name: weight(name, shape) for name, shape in names.items()}, strict=False)
    return names


def rounded(x, digits=7):
    return [float(f"{value:.{digits}g}") for value in np.asarray(x, dtype=np.float64).ravel()]


def word_pieces():
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_pairs():
    """In the form of Qwen's tokenizer.json: NFC, a split by a pattern, bytes, and one closing token."""
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([*TEXTS, PROMPT], trainer)
    closing = processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), closing])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


BERT = dict(model_type="bert", hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
            max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12, hidden_act="gelu", pad_token_id=0)
QWEN3 = dict(model_type="qwen3", hidden_size=16, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
             intermediate_size=24, max_position_embeddings=128, rms_norm_eps=1e-6, rope_theta=1_000_000, rope_scaling=None,
             hidden_act="silu", attention_bias=False, use_sliding_window=False, sliding_window=None, tie_word_embeddings=True)


def load(config):
    if config["model_type"] == "bert":
        return transformers.BertModel(transformers.BertConfig.from_dict({**config}), add_pooling_layer=False)
    return transformers.Qwen3Model(transformers.Qwen3Config.from_dict({**config}))


def batch(tokenizer, texts):
    rows = [tokenizer.encode(text).ids for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return rows, ids, mask


def pooled(hidden, mask, mode):
    if mode == "mean":
        vectors = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    else:
        at = mask.sum(1) - 1 if mode == "last" else torch.zeros(len(hidden), dtype=torch.long)
        vectors = hidden[torch.arange(len(hidden)), at]
    return torch.nn.functional.normalize(vectors, dim=1)


def layer_states(model, ids, mask):
    """After the embeddings and after each layer; transformers reports the last one with the final norm applied, so a hook reads it."""
    seen = []
    layers = model.encoder.layer if hasattr(model, "encoder") else model.layers
    first = layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out[0] if isinstance(out, tuple) else out)) for layer in layers]
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    for hook in [first, *hooks]:
        hook.remove()
    return seen, hidden


def gradient(model, ids, mask, mode):
    target = torch.from_numpy(uniform("target", len(ids) * 16).astype(np.float32).reshape(len(ids), 16))
    vectors = pooled(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask, mode)
    loss = ((vectors - target) ** 2).sum(1).mean()
    model.zero_grad()
    loss.backward()
    return {
        "loss": loss.item(),
        # Of each parameter: the norm of its gradient, and the gradient's first row.
        "norms": {name: rounded(p.grad.norm().item())[0] for name, p in model.named_parameters()},
        "rows": {name: rounded(p.grad if p.dim() == 1 else p.grad[0], 5) for name, p in model.named_parameters() if "embed" not in name},
    }


def tiny(name, config, tokenizer, modes, prompt=""):
    config = {**config, "vocab_size": tokenizer.get_vocab_size()}
    model = load(config).eval()
    names = fill(model)
    model.set_attn_implementation("eager")
    rows, ids, mask = batch(tokenizer, TEXTS)
    states, hidden = layer_states(model, ids, mask)
    query_rows, query_ids, query_mask = batch(tokenizer, [prompt + text for text in TEXTS])
    queries = model(input_ids=query_ids, attention_mask=query_mask).last_hidden_state
    return {
        "name": name,
        "config": config,
        "tokenizer": json.loads(tokenizer.to_str()),
        "prompt": prompt,
        "tensors": names,
        "texts": TEXTS,
        "ids": rows,
        "promptedIds": query_rows,
        # [layers + 1][unmasked tokens of all texts, one after the other, x hidden]
        "states": [rounded(state[mask.bool()].detach(), 6) for state in states],
        "vectors": {mode: rounded(pooled(hidden, mask, mode).detach()) for mode in modes},
        "promptedVectors": {mode: rounded(pooled(queries, query_mask, mode).detach()) for mode in modes},
        "gradient": gradient(model, ids, mask, modes[0]),
    }


def minilm(folder):
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    model = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval().float()
    rows, ids, mask = batch(tokenizer, GENERAL_TEXTS)
    with torch.no_grad():
        vectors = pooled(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask, "mean")
    return {
        "checkpoint": "sentence-transformers/all-MiniLM-L6-v2",
        "texts": GENERAL_TEXTS,
        "ids": rows,
        "vectors": [rounded(vector, 6) for vector in vectors],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm")
    folder = parser.parse_args().minilm
    if folder:
        real = minilm(folder)
    else:
        with open(GOLDEN) as file:
            real = json.load(file)["real"]
    print(json.dumps({
        "source": f"bench/peers/encoders.py: torch {torch.__version__}, transformers {transformers.__version__}, float32",
        "tiny": [
            tiny("bert", BERT, word_pieces(), ["mean", "cls"]),
            tiny("qwen3", QWEN3, byte_pairs(), ["last", "mean"], PROMPT),
        ],
        "real": real,
    }, ensure_ascii=False))


if __name__ == "__main__":
    main()
