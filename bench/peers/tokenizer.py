"""Reference ids for test/golden/tokenizer.json, from Hugging Face's tokenizers.

    pip install tokenizers && python bench/peers/tokenizer.py

A BERT tokenizer with a vocabulary of its own, trained on the queries below, and what it makes of them: words in and out of the
vocabulary, accents, scripts, signs, emoji, very long words. Queries are as the normaliser leaves them.
"""
import json
import os
import random

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.join(os.path.dirname(__file__), "../../test/golden")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """red blue green running walking shoes shoe boots women's men's kids leather woollen wool socks for with under cheap best
waterproof stainless steel kettle electric 5.5 1/2 10 4x xl c++ c# at&t -20 °c o'neill self-cleaning café crème größe façade señor
naïve smörgåsbord łódź čaj ελληνικά κρασί русский чай 日本 茶 中文 鞋子 カメラ 한국 차 עברית قهوة چای नमस्ते हिन्दी ไทย tiếng việt
👟 👨‍👩‍👧 ❤️ 🇩🇪 ½ ² № ™ €20 $5 50% a.b.c foo@bar.com https://shop.example/x?q=1 re-heat/re-use "quoted" (brackets) [sep] ##ing""".split()


def queries():
    rng = random.Random(4)
    with open(os.path.join(ROOT, "text.json"), encoding="utf-8", errors="surrogatepass") as file:
        golden = [case[3] for case in json.load(file)["cases"]]
    mixed = [" ".join(rng.choices(WORDS, k=rng.randint(1, 7))) for _ in range(300)]
    glued = ["".join(rng.choices(WORDS, k=rng.randint(2, 5))) for _ in range(100)]
    long = ["x" * 99, "x" * 100, "x" * 101, "shoes" * 40, "日本" * 60, "- " * 50]
    texts = [text for text in golden + mixed + glued + long if not any(0xD800 <= ord(char) < 0xE000 for char in text)]
    return list(dict.fromkeys(texts))


def main():
    texts = queries()
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIAL, continuing_subword_prefix="##", show_progress=False)
    tokenizer.train_from_iterator(texts[::2], trainer)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    golden = {
        "source": f"tokenizers {tokenizers.__version__}, BertNormalizer, BertPreTokenizer, WordPiece",
        "tokenizer": json.loads(tokenizer.to_str()),
        "cases": [[text, tokenizer.encode(text).ids] for text in texts],
    }
    with open(os.path.join(ROOT, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


main()
