/** A logistic map from cosine to the probability of relevance (Platt, 1999), fitted by Newton's method on labelled scores. */

export interface Logistic {
  readonly slope: number;
  readonly intercept: number;
}

export interface LabelledScore {
  readonly score: number;
  readonly relevant: boolean;
}

const ROUNDS = 50;
/** Keeps the fit finite where the labels are separable. */
const RIDGE = 1e-6;

/** p = 1 / (1 + exp(-(slope score + intercept))) of greatest likelihood, with Platt's smoothed labels. */
export function fitLogistic(data: readonly LabelledScore[]): Logistic {
  const positives = data.filter(({ relevant }) => relevant).length;
  const yes = (positives + 1) / (positives + 2);
  const no = 1 / (data.length - positives + 2);
  // Centred scores keep the two coefficients nearly independent.
  const centre = data.reduce((sum, { score }) => sum + score, 0) / Math.max(1, data.length);
  let [a, b] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    let [ga, gb, haa, hab, hbb] = [RIDGE * a, RIDGE * b, RIDGE, 0, RIDGE];
    for (const { score, relevant } of data) {
      const x = score - centre;
      const p = 1 / (1 + Math.exp(-(a * x + b)));
      const error = p - (relevant ? yes : no);
      const weight = p * (1 - p);
      ga += error * x;
      gb += error;
      haa += weight * x * x;
      hab += weight * x;
      hbb += weight;
    }
    const determinant = haa * hbb - hab * hab;
    const [da, db] = [(ga * hbb - gb * hab) / determinant, (gb * haa - ga * hab) / determinant];
    a -= da;
    b -= db;
    if (Math.abs(da) + Math.abs(db) < 1e-10 * (1 + Math.abs(a) + Math.abs(b))) break;
  }
  return { slope: a, intercept: b - a * centre };
}
