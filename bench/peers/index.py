"""faiss-cpu HNSW and hnswlib over the same float32 files as ours, asked by bench/backend/index.ts.

    python index.py ADS QUERIES TRUTH OUT COUNT DIMENSION M EF_CONSTRUCTION

Reads the files of bench/backend/ad-vectors.ts, builds what is not there yet with all threads and keeps it in OUT, which holds
indexes of these ads alone. Says {"ready": {engine: version}} on stdout, then answers each line {"engine", "ef", "threads", "seconds"} of stdin with
{"recall", "queriesPerSecond"}: the whole batch of queries in one call, again until the seconds are over.

    pip install faiss-cpu hnswlib
"""

import json
import os
import sys
import time
from importlib.metadata import version

import faiss
import hnswlib
import numpy

ads_file, queries_file, truth_file, out = sys.argv[1:5]
count, dimension, m, ef_construction = (int(value) for value in sys.argv[5:])
K = 10
versions = {"faiss": version("faiss-cpu"), "hnswlib": version("hnswlib")}

queries = numpy.fromfile(queries_file, dtype=numpy.float32).reshape(-1, dimension)
truth = numpy.fromfile(truth_file, dtype=numpy.uint32).reshape(-1, K)


def read_ads():
    return numpy.fromfile(ads_file, dtype=numpy.float32, count=count * dimension).reshape(-1, dimension)


def log(line):
    print(line, file=sys.stderr, flush=True)


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Faiss:
    """IndexHNSWFlat, inner product."""

    def __init__(self):
        path = os.path.join(out, f"faiss-{versions['faiss']}-{count}-{m}-{ef_construction}.index")
        if not os.path.exists(path):
            log(f"faiss: building over {count} ads")
            index = faiss.IndexHNSWFlat(dimension, m, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = ef_construction
            index.add(read_ads())
            faiss.write_index(index, path + ".next")
            os.rename(path + ".next", path)
        self.index = faiss.read_index(path)

    def search(self, ef, threads):
        faiss.omp_set_num_threads(threads)
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, K)[1]


class Hnswlib:
    """Index('ip')."""

    def __init__(self):
        path = os.path.join(out, f"hnswlib-{versions['hnswlib']}-{count}-{m}-{ef_construction}.index")
        self.index = hnswlib.Index("ip", dimension)
        if not os.path.exists(path):
            log(f"hnswlib: building over {count} ads")
            self.index.init_index(count, M=m, ef_construction=ef_construction, random_seed=1)
            self.index.add_items(read_ads(), num_threads=-1)
            self.index.save_index(path + ".next")
            os.rename(path + ".next", path)
            self.index = hnswlib.Index("ip", dimension)
        self.index.load_index(path, max_elements=count)

    def search(self, ef, threads):
        self.index.set_ef(max(ef, K))
        return self.index.knn_query(queries, k=K, num_threads=threads)[0]


engines, memory = {}, {}
for name, make in (("faiss", Faiss), ("hnswlib", Hnswlib)):
    before = resident()
    engines[name] = make()
    memory[name] = resident() - before
print(json.dumps({"ready": versions, "memory": memory}), flush=True)

for line in sys.stdin:
    asked = json.loads(line)
    engine = engines[asked["engine"]]
    began, batches = time.perf_counter(), 0
    while batches == 0 or time.perf_counter() - began < asked["seconds"]:
        found = engine.search(asked["ef"], asked["threads"])
        batches += 1
    took = time.perf_counter() - began
    hits = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, truth))
    answer = {"recall": hits / truth.size, "queriesPerSecond": batches * len(queries) / took}
    print(json.dumps(answer), flush=True)
