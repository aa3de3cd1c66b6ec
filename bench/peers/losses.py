"""Reference values for test/golden/losses.json: the losses written out term by term, and their gradients by PyTorch.

    pip install torch && python bench/peers/losses.py > test/golden/losses.json
"""
import json
import math

import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)

BATCH, DOCUMENTS, DIM = 5, 8, 6
NO_NEGATIVE = -1e4


def contrastive(q, d, bias, temperature, margin, same_tower, symmetric):
    """InfoNCE of Qwen3-Embedding (arXiv 2506.05176, equation 1), one term of the denominator after the other."""
    loss = 0
    for i in range(BATCH):
        s = q[i] @ d[i]
        terms = [s / temperature]

        def add(similarity, known):
            if similarity.item() <= s.item() + margin:
                terms.append(similarity / temperature + known)

        for j in range(len(d)):
            if j != i:
                add(q[i] @ d[j], bias[i, j])
        if same_tower:
            for j in range(BATCH):
                if j != i:
                    add(q[i] @ q[j], bias[i, j])
                    add(d[i] @ d[j], bias[i, j])
        forward = torch.logsumexp(torch.stack(terms), 0) - s / temperature
        if symmetric:
            terms = [s / temperature]
            for j in range(BATCH):
                if j != i:
                    add(d[i] @ q[j], bias[j, i])
            backward = torch.logsumexp(torch.stack(terms), 0) - s / temperature
            loss = loss + (forward + backward) / 2
        else:
            loss = loss + forward
    return loss / BATCH


q = F.normalize(torch.randn(BATCH, DIM), dim=1)
# Positives near their queries, and some that a query likes better than its own: the false-negative rule has work to do.
d = F.normalize(torch.cat([0.6 * q + 0.5 * torch.randn(BATCH, DIM), torch.randn(DOCUMENTS - BATCH, DIM)]), dim=1)
d[5] = F.normalize(q[2] + 0.05 * torch.randn(DIM), dim=0)
q[4] = F.normalize(q[3] + 0.1 * torch.randn(DIM), dim=0)
bias = torch.zeros(BATCH, DOCUMENTS)
bias[0, 3] = bias[1, 6] = NO_NEGATIVE


def case(name, **options):
    queries, documents = q.clone().requires_grad_(), d.clone().requires_grad_()
    scale = torch.tensor(math.log(1 / options["temperature"]), requires_grad=True)
    margin = options["falseNegativeMargin"]
    loss = contrastive(queries, documents, bias, torch.exp(-scale), margin, options["sameTower"], options["symmetric"])
    loss.backward()
    return {
        "name": name,
        "options": options,
        "loss": loss.item(),
        "gradients": {
            "queries": queries.grad.flatten().tolist(),
            "documents": documents.grad.flatten().tolist(),
            "logitScale": scale.grad.item(),
        },
    }


def contrastive_cases():
    plain = {"temperature": 0.05, "falseNegativeMargin": 0.1, "sameTower": False, "symmetric": False}
    return [
        case("query to document", **plain),
        case("no mask", **{**plain, "falseNegativeMargin": 2}),
        case("a margin of zero", **{**plain, "falseNegativeMargin": 0}),
        case("same tower", **{**plain, "sameTower": True, "temperature": 0.1}),
        case("both directions", **{**plain, "symmetric": True, "temperature": 0.2}),
        case("everything", **{**plain, "sameTower": True, "symmetric": True, "temperature": 0.02}),
    ]


def cosine(s, t, _):
    return (1 - F.cosine_similarity(s, t)).mean()


def l2(s, t, _):
    return ((s - t) ** 2).sum(1).mean()


def kernel(s, t, _):
    own, given = (s @ t.T).flatten(), (t @ t.T).flatten()
    return 1 - own @ given / (own.norm() * given.norm())


def kl(s, t, temperature):
    own, given = F.log_softmax(s @ t.T / temperature, dim=1), F.log_softmax(t @ t.T / temperature, dim=1)
    return F.kl_div(own, given, log_target=True, reduction="batchmean")


student = F.normalize(torch.randn(BATCH, DIM), dim=1)
teacher = F.normalize(student + 0.4 * torch.randn(BATCH, DIM), dim=1)


def objective_case(name, objective, dimensions):
    s = student.clone().requires_grad_()
    lengths = [*dimensions, DIM]
    cut = [(F.normalize(s[:, :n], dim=1), F.normalize(teacher[:, :n], dim=1)) if n < DIM else (s, teacher) for n in lengths]
    loss = sum(objective(a, b, 0.1) for a, b in cut) / len(lengths)
    loss.backward()
    return {"objective": name, "dimensions": dimensions, "loss": loss.item(), "gradient": s.grad.flatten().tolist()}


print(json.dumps({
    "made": {"by": "bench/peers/losses.py", "torch": torch.__version__.split("+")[0]},
    "contrastive": {
        "batch": BATCH, "documents": DOCUMENTS, "dim": DIM,
        "queryVectors": q.flatten().tolist(), "documentVectors": d.flatten().tolist(), "bias": bias.flatten().tolist(),
        "cases": contrastive_cases(),
    },
    "objectives": {
        "batch": BATCH, "dim": DIM, "temperature": 0.1,
        "student": student.flatten().tolist(), "teacher": teacher.flatten().tolist(),
        "cases": [objective_case(name, objective, dimensions) for dimensions in ([], [2, 4])
                  for name, objective in (("l2", l2), ("cosine", cosine), ("kernel", kernel), ("kl", kl))],
    },
}, indent=1))
