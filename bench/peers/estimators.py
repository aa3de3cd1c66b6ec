"""Reference values for test/golden/statistics.json, from scipy and statsmodels.

    pip install scipy statsmodels && python bench/peers/estimators.py > test/golden/statistics.json
"""
import json

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats

rng = np.random.default_rng(20_26)


def student():
    tails = [(0.0, 3), (0.01, 1), (0.5, 2.5), (1.0, 1), (1.7, 17.31), (1.96, 1e6), (2.0, 8.4), (2.5, 40), (6.0, 30),
             (12.0, 250.75), (40.0, 12), (25.0, 1e5), (37.0, 5e6), (300.0, 80)]
    criticals = [(0.95, 1), (0.95, 2.2), (0.95, 7.9), (0.95, 30), (0.95, 1234.5), (0.99, 5), (0.8, 3.3), (0.9999, 11),
                 (0.95, 1e7)]
    return {
        "tails": [{"t": t, "df": df, "tail": stats.t.sf(t, df)} for t, df in tails],
        "criticals": [{"confidence": c, "df": df, "critical": stats.t.ppf(0.5 + c / 2, df)} for c, df in criticals],
    }


def chi_square():
    cases = [(0.0, 1), (0.1, 1), (3.841458820694124, 1), (10.0, 1), (100.0, 1), (1300.0, 1), (0.5, 2), (5.991464547107979, 2),
             (80.0, 2), (7.0, 3), (900.0, 3), (12.0, 6), (30.0, 7), (19.0, 19), (700.0, 19)]
    return [{"x": x, "df": df, "tail": stats.chi2.sf(x, df)} for x, df in cases]


def relative(c, vc, t, vt, critical):
    ratio = t / c
    margin = critical * np.sqrt(vt / c**2 + t**2 * vc / c**4)
    return {"relative": ratio - 1, "relativeInterval": [ratio - 1 - margin, ratio - 1 + margin]}


def welch(control, treatment):
    test = stats.ttest_ind(treatment, control, equal_var=False)
    interval = test.confidence_interval(0.95)
    vc, vt = np.var(control, ddof=1) / len(control), np.var(treatment, ddof=1) / len(treatment)
    return {
        "control": control.tolist(),
        "treatment": treatment.tolist(),
        "effect": {
            "absolute": treatment.mean() - control.mean(),
            "interval": [interval.low, interval.high],
            "pValue": test.pvalue,
            **relative(control.mean(), vc, treatment.mean(), vt, stats.t.ppf(0.975, test.df)),
        },
    }


def ratio(y, x):
    """sum(y) / sum(x) is a weighted mean of y / x; its heteroskedasticity-robust (HC1) error is the delta method's."""
    fit = sm.WLS(y / x, np.ones(len(x)), weights=x).fit(cov_type="HC1")
    return {"y": y.tolist(), "x": x.tolist(), "value": fit.params[0], "standardError": fit.bse[0]}


def sample_ratio(observed, weights):
    expected = np.sum(observed) * np.array(weights) / np.sum(weights)
    return {"observed": observed, "weights": weights, "pValue": stats.chisquare(observed, expected).pvalue}


queries = [rng.integers(1, 30, n) for n in (60, 45)]
print(json.dumps({
    "made": {"by": "bench/peers/estimators.py", "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
    "student": student(),
    "chiSquare": chi_square(),
    "welch": [
        welch(rng.poisson(3, 25), rng.poisson(4, 31)),
        welch(rng.integers(0, 2_000_000, 40), rng.integers(0, 2_600_000, 12)),
        welch(rng.poisson(0.2, 50), rng.poisson(0.3, 50)),
        welch(np.array([1, 2]), np.array([5, 9])),
        welch(rng.poisson(100, 400), rng.poisson(140, 300)),
    ],
    "ratio": [
        ratio(rng.binomial(queries[0], 0.1), queries[0]),
        ratio(rng.binomial(queries[1], rng.beta(2, 8, 45)), queries[1]),
        ratio(queries[0] * 150_000 + rng.integers(0, 900_000, 60), queries[0]),
    ],
    "sampleRatio": [
        sample_ratio([5000, 5100], [1, 1]),
        sample_ratio([95_000, 5_000], [95, 5]),
        sample_ratio([94_500, 5_500], [95, 5]),
        sample_ratio([821_588, 815_482], [1, 1]),
        sample_ratio([30_000, 33_000], [0.5, 0.5]),
        sample_ratio([1_000, 1_010, 2_100], [1, 1, 2]),
        sample_ratio([10, 20, 30, 40], [1, 2, 3, 4]),
    ],
}, indent=1))
