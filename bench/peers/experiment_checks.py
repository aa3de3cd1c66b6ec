"""Reference values for test/golden/experiment-checks.json: exact and sequential sample-ratio tests, calendars, paired designs.

    pip install scipy tzdata && python bench/peers/experiment_checks.py > test/golden/experiment-checks.json
"""
import itertools
import json
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import scipy
from scipy import special, stats

rng = np.random.default_rng(5)


def ln_gamma():
    return [{"x": x, "lnGamma": special.gammaln(x)} for x in (1e-3, 0.3, 1, 1.5, 2, 9.99, 16, 33.3, 1e3, 12_345.678, 1e7)]


def exact(counts, weights):
    n, shares = sum(counts), np.array(weights) / np.sum(weights)
    if len(counts) == 2:
        p = stats.binomtest(counts[0], n, shares[0]).pvalue
    else:
        law = stats.multinomial(n, shares)
        every = (c for c in itertools.product(range(n + 1), repeat=len(counts)) if sum(c) == n)
        seen = law.pmf(counts)
        p = sum(q for q in map(law.pmf, every) if q <= seen * (1 + 1e-7))
    return {"counts": counts, "weights": weights, "pValue": p}


def sequential(looks, weights, concentration=10_000):
    """The Bayes factor as a ratio of two distributions of the counts: Dirichlet-multinomial over multinomial."""
    shares = np.array(weights) / np.sum(weights)
    ln = [
        stats.dirichlet_multinomial(concentration * shares, sum(counts)).logpmf(counts)
        - stats.multinomial(sum(counts), shares).logpmf(counts)
        for counts in looks
    ]
    return {
        "looks": looks,
        "weights": weights,
        "lnBayesFactors": ln,
        "pValues": np.minimum(1, np.exp(-np.maximum.accumulate(ln))).tolist(),
    }


def running(daily):
    return np.cumsum(daily, axis=0).tolist()


def days(zone, first, count):
    """Midnights of the calendar by zoneinfo, as UTC milliseconds; a day begins at its first existing local time."""
    tz = ZoneInfo(zone)

    def start(day):
        at = datetime(day.year, day.month, day.day, tzinfo=tz)
        # A midnight that does not exist maps to an instant of the evening before: the clock jumps there.
        return at if at.astimezone(timezone.utc).astimezone(tz).date() == day else at + timedelta(hours=1)

    begin = date.fromisoformat(first)
    starts = [int(start(begin + timedelta(days=i)).timestamp() * 1000) for i in range(count + 1)]
    return {
        "zone": zone,
        "days": [
            {"day": (begin + timedelta(days=i)).isoformat(), "fromMs": starts[i], "hours": (starts[i + 1] - starts[i]) / 3.6e6}
            for i in range(count)
        ],
    }


def paired(control, treatment):
    test = stats.ttest_1samp(np.array(treatment) - np.array(control), 0)
    interval = test.confidence_interval(0.95)
    return {
        "control": control,
        "treatment": treatment,
        "absolute": float(np.mean(np.array(treatment) - np.array(control))),
        "interval": [interval.low, interval.high],
        "pValue": test.pvalue,
    }


print(json.dumps({
    "made": {"by": "bench/peers/experiment_checks.py", "scipy": scipy.__version__},
    "lnGamma": ln_gamma(),
    "exact": [
        exact([8, 0], [1, 1]),
        exact([3, 0], [1, 1]),
        exact([40, 8], [99, 1]),
        exact([30, 1], [9, 1]),
        exact([5, 1, 0], [1, 1, 1]),
        exact([12, 2, 3], [8, 1, 1]),
        exact([9, 1, 1, 0], [4, 2, 1, 1]),
    ],
    "sequential": [
        sequential(running([[5_000, 5_100], [5_050, 4_990], [5_020, 5_011]]), [1, 1]),
        sequential(running([[95_000, 5_000], [94_100, 5_480], [94_800, 5_260]]), [95, 5]),
        sequential(running([[100_000, 99_000]] * 8), [1, 1]),
        sequential(running([[310, 290, 600], [295, 280, 660]]), [1, 1, 2]),
    ],
    "days": [
        days("Europe/Berlin", "2026-03-28", 3),
        days("Europe/Berlin", "2026-10-24", 3),
        days("America/New_York", "2026-11-01", 2),
        days("Australia/Lord_Howe", "2026-04-04", 3),
        days("America/Santiago", "2026-09-05", 3),
        days("Asia/Kolkata", "2026-03-29", 2),
        days("UTC", "2026-03-29", 2),
    ],
    "paired": [
        paired(rng.poisson(30, 12).tolist(), rng.poisson(34, 12).tolist()),
        paired(rng.integers(0, 2_000_000, 40).tolist(), rng.integers(0, 2_600_000, 40).tolist()),
        paired([1, 2], [5, 9]),
    ],
}, indent=1))
