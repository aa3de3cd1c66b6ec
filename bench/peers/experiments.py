"""Reference values for test/golden/statistics.json, from scipy and statsmodels.

    pip install scipy statsmodels && python bench/peers/experiments.py > test/golden/statistics.json

Where no library has the estimator, it is computed from its definition and not from the formula under test: roots of the
test statistic, integrals over the mixture or the prior, a search for the least variance.
"""
import json

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import integrate, optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.weightstats import DescrStatsW

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
    """Fieller's interval: where the test of t - r c comes to its critical value; none when c cannot be told from 0."""
    if abs(c) <= critical * np.sqrt(vc):
        return {"relative": None, "relativeInterval": None}
    beyond = lambda r: (t - r * c) ** 2 - critical**2 * (vt + r * r * vc)
    ratio, ends = t / c, []
    for side in (-1, 1):
        step = 1e-3
        while beyond(ratio + side * step) < 0:
            step *= 2
        ends.append(optimize.brentq(beyond, ratio, ratio + side * step, xtol=1e-14, rtol=1e-14) - 1)
    return {"relative": ratio - 1, "relativeInterval": ends}


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


def influence(y, x):
    """What a unit adds to sum(y) / sum(x); to the mean of y where x is None."""
    return (y, y.mean()) if x is None else ((y - y.sum() / x.sum() * x) / x.mean(), y.sum() / x.sum())


def cuped(arms):
    """arms: (y, x or None, covariate y, covariate x or None) each; theta by search for the least summed variance."""
    parts = [(influence(y, x), influence(p, q)) for y, x, p, q in arms]
    spread = lambda theta: sum(np.var(u - theta * v, ddof=1) / len(u) for (u, _), (v, _) in parts)
    bracket = 2 * max(np.std(u, ddof=1) / np.std(v, ddof=1) for (u, _), (v, _) in parts)
    theta = optimize.minimize_scalar(spread, bounds=(-bracket, bracket), method="bounded", options={"xatol": 1e-12}).x
    p, q = (None if part[0] is None else np.concatenate(part) for part in list(zip(*arms))[2:])
    overall = p.mean() if q is None else p.sum() / q.sum()
    names = ("y", "x", "beforeY", "beforeX")
    return {
        "arms": [{name: part.tolist() for name, part in zip(names, arm) if part is not None} for arm in arms],
        "values": [value - theta * (before - overall) for (_, value), (_, before) in parts],
        "standardErrors": [np.std(u - theta * v, ddof=1) / np.sqrt(len(u)) for (u, _), (v, _) in parts],
    }


def ancova():
    """With arms of equal size the adjusted difference is the treatment's coefficient in a regression on arm and covariate."""
    before = rng.poisson(4, 80)
    treated = np.repeat([0, 1], 40)
    y = rng.poisson(1 + before + treated)
    fit = sm.OLS(y, np.column_stack([np.ones(80), treated, before])).fit()
    arms = [{"y": y[treated == a].tolist(), "beforeY": before[treated == a].tolist()} for a in (0, 1)]
    return {"arms": arms, "theta": fit.params[2], "difference": fit.params[1]}


def post_stratified(strata):
    """strata: the values of control and treatment each; means weighted by the share of all units."""
    total = sum(len(c) + len(t) for c, t in strata)
    weights = [(len(c) + len(t)) / total for c, t in strata]
    arms = [[DescrStatsW(stratum[a]) for stratum in strata] for a in (0, 1)]
    return {
        "strata": [[c.tolist(), t.tolist()] for c, t in strata],
        "values": [sum(w * d.mean for w, d in zip(weights, arm)) for arm in arms],
        "standardErrors": [np.sqrt(sum((w * d.std_mean) ** 2 for w, d in zip(weights, arm))) for arm in arms],
    }


def quantile(units, probability):
    """units: the rows of each unit. Share of rows at or below the quantile with HC1 error, read back as an interval; its width
    is as unsure as the share of rows within, which gives the degrees of freedom of its square (2 / squared relative error)."""
    rows = np.concatenate(units)
    at = lambda share: np.quantile(rows, min(max(share, 0), 1), method="inverted_cdf")
    value = at(probability)
    count = np.array([len(unit) for unit in units])
    share = lambda low, high: sm.WLS(
        np.array([((unit > low) & (unit <= high)).sum() for unit in units]) / count, np.ones(len(count)), weights=count
    ).fit(cov_type="HC1")
    error = share(-np.inf, value).bse[0]
    z = stats.norm.ppf(0.975)
    low, high = at(probability - z * error), at(probability + z * error)
    inside = share(low, high)
    return {
        "units": [unit.tolist() for unit in units],
        "probability": probability,
        "value": int(value),
        "standardError": (high - low) / (2 * z),
        "degrees": 2 / (2 / (len(count) - 1) + (2 * inside.bse[0] / inside.params[0]) ** 2),
    }


def sequence(units, confidence, tuned):
    """Robbins' mixture from its definition: the |S| at which the integral of exp(l S - l^2 t / 2) over N(0, rho^2) is 1 / alpha."""
    alpha = 1 - confidence
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / tuned)
    def log_mixture(z):
        s = z * np.sqrt(units)
        # the exponent is largest at l = s / (units + 1 / rho^2): integrated around it, in units of its width
        peak, width = s / (units + rho**-2), (units + rho**-2) ** -0.5
        top = peak * s - peak**2 * units / 2 - peak**2 / (2 * rho**2)
        f = lambda u: np.exp(
            (l := peak + u * width) * s - l * l * units / 2 - l * l / (2 * rho**2) - top)
        return top + np.log(integrate.quad(f, -12, 12, epsabs=0, epsrel=1e-12)[0] * width / (rho * np.sqrt(2 * np.pi)))
    critical = optimize.brentq(lambda z: log_mixture(z) + np.log(alpha), 0.5, 30, xtol=1e-13)
    seen = 3.3
    return {"units": units, "confidence": confidence, "tunedUnits": tuned, "critical": critical,
            "z": seen, "pValue": min(1.0, np.exp(-log_mixture(seen)))}


def posterior(c, vc, t, vt, mean, deviation):
    ratio = t / c
    error = np.sqrt(vt + ratio**2 * vc) / c
    density = lambda e: stats.norm.pdf(ratio - 1, e, error) * stats.norm.pdf(e, mean, deviation)
    ends = [(mean if s < 0 else ratio - 1) for s in (-1, 1)]
    low, high = min(ends) - 12 * min(error, deviation), max(ends) + 12 * min(error, deviation)
    over = lambda f, a, b: integrate.quad(f, a, b, epsabs=0, epsrel=1e-11, limit=500, points=None)[0]
    mass = over(density, low, high)
    centre = over(lambda e: e * density(e), low, high) / mass
    spread = np.sqrt(over(lambda e: (e - centre) ** 2 * density(e), low, high) / mass)
    below = lambda p: optimize.brentq(lambda e: over(density, low, e) / mass - p, low, high, xtol=1e-13)
    return {
        "control": [c, vc], "treatment": [t, vt], "prior": {"mean": mean, "standardDeviation": deviation},
        "mean": centre, "standardDeviation": spread, "interval": [below(0.025), below(0.975)],
        "chancePositive": over(density, 0, high) / mass,
        "expectedLoss": over(lambda e: -e * density(e), low, 0) / mass,
    }


def planned(relative, baseline, deviation, share, confidence, power):
    """statsmodels counts the first group and the ratio of the second to it."""
    ratio = share / (1 - share)
    plan = NormalIndPower()
    effect = relative * baseline / deviation
    first = plan.solve_power(effect, None, 1 - confidence, power, ratio)
    return {
        "design": {"baseline": baseline, "deviation": deviation, "treatmentShare": share, "confidence": confidence},
        "relative": relative, "power": power, "units": first * (1 + ratio),
        "reached": [{"units": n, "power": plan.power(effect, n / (1 + ratio), 1 - confidence, ratio)}
                    for n in (100, 10_000, 1_000_000)],
    }


queries = [rng.integers(1, 30, n) for n in (60, 45)]
activity = [rng.integers(1, 20, n) for n in (70, 50)]
habits = [rng.beta(2, 5, n) for n in (70, 50)]
pairs = [(rng.binomial(a, h), a, rng.binomial(2 * a, h), 2 * a) for a, h in zip(activity, habits)]
groups = lambda sizes, rate: tuple(rng.poisson(rate, n) for n in sizes)
print(json.dumps({
    "made": {"by": "bench/peers/experiments.py", "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
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
    "cuped": [
        cuped([(y, None, p, None) for y, _, p, _ in pairs]),
        cuped([(y * 130_000, x, p, q) for y, x, p, q in pairs]),
        cuped([(y, x, p, None) for y, x, p, _ in pairs]),
    ],
    "ancova": ancova(),
    "postStratified": [
        post_stratified([groups((30, 25), 3), groups((12, 20), 9)]),
        post_stratified([groups((40, 60), 1), groups((9, 4), 30), groups((5, 5), 100)]),
    ],
    "quantile": [
        quantile([rng.integers(1, 400, n) + 50 * int(n) for n in rng.integers(1, 12, 60)], p) for p in (0.5, 0.95)
    ],
    "sequence": [sequence(*case) for case in ((200, 0.95, 10_000), (10_000, 0.95, 10_000), (1_000_000, 0.99, 5_000))],
    "posterior": [
        posterior(2.0, 0.001, 2.1, 0.0012, 0.0, 0.05),
        posterior(350.0, 16.0, 340.0, 25.0, 0.01, 0.02),
    ],
    "multiple": [
        {"pValues": p, "holm": multipletests(p, method="holm")[1].tolist(),
         "benjaminiHochberg": multipletests(p, method="fdr_bh")[1].tolist()}
        for p in ([0.04, 0.001, 0.03, 0.2], [0.5, 0.5, 0.9], rng.uniform(0, 0.1, 12).tolist())
    ],
    "power": [
        planned(0.01, 12.0, 40.0, 0.5, 0.95, 0.8),
        planned(0.004, 0.8, 2.4, 0.1, 0.99, 0.9),
        planned(0.2, 1.0, 1.0, 0.5, 0.95, 0.8),
    ],
}, indent=1))
