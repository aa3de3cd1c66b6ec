"""infinity-emb serving a bundle's own student.onnx, for the comparison in bench/backend/encoder.ts.

    pip install "infinity-emb[server]" requests onnxruntime tokenizers uvicorn uvloop httptools
    python bench/peers/embeddings_server.py models/default 7997

infinity-emb finds models by Hugging Face's conventions, which a bundle does not follow; so the model class is given here: the
same graph in onnxruntime with its default threads, the same tokenizer, and everything else (HTTP, queue, batching by length,
threads) is infinity-emb's own. Requests and answers are those of the OpenAI API, as for the service it is compared with.
"""
import importlib.metadata
import json
import os
import sys
from types import SimpleNamespace

os.environ["INFINITY_ANONYMOUS_USAGE_STATS"] = "0"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import onnxruntime
import uvicorn
from infinity_emb import EngineArgs
from infinity_emb.inference import select_model
from infinity_emb.infinity_server import create_server
from infinity_emb.transformer.abstract import BaseEmbedder
from infinity_emb.transformer.quantization.interface import quant_embedding_decorator
from tokenizers import Tokenizer

BUNDLE, PORT = sys.argv[1], int(sys.argv[2])


class Student(BaseEmbedder):
    def __init__(self, *, engine_args):
        self.engine_args = engine_args
        with open(os.path.join(BUNDLE, "manifest.json")) as file:
            manifest = json.load(file)
        self.session = onnxruntime.InferenceSession(
            os.path.join(BUNDLE, "student.onnx"), providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(os.path.join(BUNDLE, "tokenizer.json"))
        self.tokenizer.enable_truncation(manifest["maxTokens"])
        self.tokenizer.enable_padding()

    def encode_pre(self, sentences):
        rows = self.tokenizer.encode_batch([sentence.lower() for sentence in sentences])
        return {
            "input_ids": np.array([row.ids for row in rows], dtype=np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], dtype=np.int64),
        }

    def encode_core(self, features):
        return self.session.run(["embedding"], features)[0]

    @quant_embedding_decorator()
    def encode_post(self, embedding, skip_quanitzation=True):
        return embedding.astype(np.float32)

    def tokenize_lengths(self, sentences):
        return [len(sentence) for sentence in sentences]


select_model.get_engine_type_from_config = lambda args: SimpleNamespace(value=Student)

app = create_server(
    engine_args_list=[EngineArgs(model_name_or_path="default", engine="debugengine", batch_size=64, device="cpu")]
)
print(f"peer infinity-emb {importlib.metadata.version('infinity-emb')}", flush=True)
uvicorn.run(app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", log_level="error")
