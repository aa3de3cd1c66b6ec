"""Reference values for test/golden/optimizers.json: steps of each optimizer on fixed tensors and gradients.

AdamW, the moving average and, to the precision of its bfloat16 iteration, Muon are PyTorch's own. Lion (arXiv 2302.06675, algorithm 2) and
Muon's exact numbers (https://kellerjordan.github.io/posts/muon/, scaled as in arXiv 2502.16982) are the published rules in float64.

    pip install torch numpy && python bench/peers/optimizers.py > test/golden/optimizers.json
"""
import json

import numpy as np
import torch

STEPS = 8
rng = np.random.default_rng(3)

# Names tell what a parameter is: a hidden matrix in both orientations, a table, a bias.
SHAPES = {"wide.weight": (3, 5), "tall.weight": (6, 2), "embeddings.weight": (4, 3), "dense.bias": (5,)}
initial = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
gradients = [{name: rng.normal(size=shape) * (1 + step) for name, shape in SHAPES.items()} for step in range(STEPS)]
rates = [0.02 * (step + 1) / STEPS for step in range(STEPS)]


def decay_of(name, weight_decay):
    return weight_decay if len(SHAPES[name]) > 1 else 0.0


def torch_steps(optimizer, names):
    """Steps of a PyTorch optimizer, given a constructor from (parameter, decay is on)."""
    result = {}
    for name in names:
        parameter = torch.tensor(initial[name], requires_grad=True)
        opt = optimizer(parameter, name)
        for rate, gradient in zip(rates, gradients):
            opt.param_groups[0]["lr"] = rate
            parameter.grad = torch.tensor(gradient[name])
            opt.step()
        result[name] = parameter.detach().numpy()
    return result


def adamw(options):
    def make(parameter, name):
        return torch.optim.AdamW([parameter], betas=(options["beta1"], options["beta2"]), eps=options["epsilon"],
                                 weight_decay=decay_of(name, options["weightDecay"]))
    return torch_steps(make, SHAPES)


def lion(options):
    result = {}
    for name in SHAPES:
        theta, m = initial[name].copy(), np.zeros(SHAPES[name])
        for rate, gradient in zip(rates, gradients):
            g = gradient[name]
            update = np.sign(options["beta1"] * m + (1 - options["beta1"]) * g)
            theta = theta - rate * (update + decay_of(name, options["weightDecay"]) * theta)
            m = options["beta2"] * m + (1 - options["beta2"]) * g
        result[name] = theta
    return result


def newton_schulz(x):
    a, b, c = 3.4445, -4.7750, 2.0315
    transposed = x.shape[0] > x.shape[1]
    x = x.T if transposed else x
    x = x / max(np.linalg.norm(x), 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if transposed else x


def muon(options):
    result = {name: value for name, value in adamw(options).items() if not name.endswith("weight") or "embed" in name}
    for name in ("wide.weight", "tall.weight"):
        theta, m = initial[name].copy(), np.zeros(SHAPES[name])
        for rate, gradient in zip(rates, gradients):
            mu = options["momentum"]
            m = mu * m + (1 - mu) * gradient[name]
            update = newton_schulz((1 - mu) * gradient[name] + mu * m)
            theta = theta * (1 - rate * options["weightDecay"]) - rate * 0.2 * np.sqrt(max(theta.shape)) * update
        result[name] = theta

    def make(parameter, name):
        return torch.optim.Muon([parameter], momentum=options["momentum"], weight_decay=options["weightDecay"],
                                nesterov=True, adjust_lr_fn="match_rms_adamw")
    for name, theirs in torch_steps(make, ("wide.weight", "tall.weight")).items():
        # PyTorch iterates in bfloat16: the published rule in float64 must agree within that.
        moved = np.abs(result[name] - initial[name]).max()
        assert np.abs(theirs - result[name]).max() < 0.03 * moved, name
    return result


def average(trajectory_decay):
    """The moving average that PyTorch keeps of a parameter that an optimizer moves."""
    layer = torch.nn.Linear(2, 2, bias=False).double()
    averaged = torch.optim.swa_utils.AveragedModel(
        layer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(trajectory_decay))
    values, averages = [], []
    for step in range(STEPS):
        value = rng.normal(size=(2, 2))
        layer.weight.data = torch.tensor(value)
        averaged.update_parameters(layer)
        values.append(value.flatten().tolist())
        averages.append(averaged.module.weight.detach().flatten().tolist())
    return {"decay": trajectory_decay, "values": values, "averages": averages}


def schedules():
    """PyTorch's schedulers where it has them, behind a linear warm-up; wsd as published."""
    peak, warmup, total, floor, decay_share = 0.5, 4, 20, 0.1, 0.25

    def line(step, start):
        return floor + (1 - floor) * min(1, max(0, (total - step) / (total - start)))

    def torch_cosine(step):
        opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=total - warmup, eta_min=floor)
        for _ in range(min(step, total) - warmup):
            opt.step()
            scheduler.step()
        return scheduler.get_last_lr()[0]

    down = {
        "linear": lambda step: line(step, warmup),
        "cosine": torch_cosine,
        "constant": lambda step: 1.0,
        "wsd": lambda step: line(step, total - decay_share * total),
    }
    steps = [1, 2, 4, 5, 8, 12, 15, 16, 18, 20, 25]
    return {
        "settings": {"peak": peak, "warmupSteps": warmup, "totalSteps": total, "floor": floor, "decayShare": decay_share},
        "steps": steps,
        "rates": {name: [peak * (step / warmup if step < warmup else rule(step)) for step in steps]
                  for name, rule in down.items()},
    }


def listed(tensors):
    return {name: np.asarray(value).flatten().tolist() for name, value in tensors.items()}


moments = {"beta1": 0.9, "beta2": 0.98, "epsilon": 1e-6, "weightDecay": 0.1}
cases = [
    ("adamw", moments, adamw),
    ("adamw", {"beta1": 0.8, "beta2": 0.9, "epsilon": 1e-2, "weightDecay": 0.0}, adamw),
    ("lion", {"beta1": 0.9, "beta2": 0.99, "weightDecay": 0.3}, lion),
    ("muon", {**moments, "momentum": 0.95}, muon),
]
print(json.dumps({
    "made": {"by": "bench/peers/optimizers.py", "torch": torch.__version__.split("+")[0], "numpy": np.__version__},
    "shapes": SHAPES,
    "initial": listed(initial),
    "gradients": [listed(step) for step in gradients],
    "rates": rates,
    "cases": [{"optimizer": name, "options": options, "final": listed(rule(options))} for name, options, rule in cases],
    "average": average(0.8),
    "schedules": schedules(),
}, indent=1))
