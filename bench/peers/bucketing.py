"""Reference vectors of the bucketing hash (shared/experiment.ts), from an implementation of its own.

FNV-1a over UTF-8 bytes (RFC 9923), then the finaliser of MurmurHash3 (fmix32); a bucket is floor(hash / 2^32 * 10000).
Any other language can check itself against them.

    python3 bench/peers/bucketing.py > test/golden/bucketing.json
"""
import json

BUCKETS = 10_000
MASK = 0xFFFFFFFF


def hash32(text: str) -> int:
    h = 0x811C9DC5
    for byte in text.encode("utf-8"):
        h = (h ^ byte) * 0x01000193 & MASK
    h = (h ^ h >> 16) * 0x85EBCA6B & MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & MASK
    return h ^ h >> 16


def bucket(salt: str, unit: str) -> int:
    return hash32(f"{salt}:{unit}") * BUCKETS >> 32


def arm(key: str, version: int, arms: list[tuple[str, float]], unit: str) -> str:
    salt = key if version == 1 else f"{key}.{version}"
    point = hash32(f"arm:{salt}:{unit}") / 2**32 * sum(weight for _, weight in arms)
    reached = 0.0
    for name, weight in arms:
        reached += weight
        if point < reached:
            return name
    return arms[-1][0]


# The same characters differ in UTF-16 units, code points and UTF-8 bytes; half of them are outside ASCII.
UNITS = [
    "", "a", "foobar", "unit-1", "UNIT-1", " ", "a b", "a:b", ":", "0", "00", "x" * 200,
    "ü", "u\u0308", "ß", "İ", "ı", "é", "日本語", "한국어", "ไทย", "العربية", "עברית", "हिन्दी",
    "می\u200cخواهم", "\u200b", "\ufeff", "\u0301", "👟", "👨\u200d👩\u200d👧", "🇬🇧", "𐐀", "\U0010ffff", "\uffff", "\x01",
    "5f2b7c1e-9a4d-4b3e-8c6f-0d1e2f3a4b5c", "Zq3v_9-kX0aB7cD1eF2gHi",
]
SALTS = ["layer:retrieval", "layer:a", "layer:aa", "domain", "share:exp-1", "share:exp-2"]
EXPERIMENTS = [
    ("exp-1", 1, [("control", 1), ("treatment", 1)]),
    ("exp-2", 1, [("control", 1), ("treatment", 1)]),
    ("exp-2", 2, [("control", 1), ("treatment", 1)]),
    ("uneven", 1, [("a", 0.7), ("b", 0.2), ("c", 0.1)]),
    ("rare", 1, [("most", 999), ("few", 1)]),
]

golden = {
    "about": "The bucketing hash: FNV-1a over UTF-8, then fmix32. Made by bench/peers/bucketing.py.",
    "hashes": [[text, text.encode("utf-8").hex(), hash32(text)] for text in UNITS],
    "buckets": [[salt, unit, bucket(salt, unit)] for salt in SALTS for unit in UNITS],
    "arms": [
        {"key": key, "version": version, "arms": arms, "units": [[unit, arm(key, version, arms, unit)] for unit in UNITS]}
        for key, version, arms in EXPERIMENTS
    ],
}
print(json.dumps(golden, indent=1))
