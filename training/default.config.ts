/** The recipe's settings, each with its meaning. Copy this file, change it, and run `npm run recipe -- --config FILE`. */
import type { RecipeSettings } from './config.ts';

const config: RecipeSettings = {
  /** Name of the student in answers, logs and the manifest. */
  name: 'default-4x384-int8',

  /** Decides every random choice. Same seed, same data, same machine: same student, byte for byte. */
  seed: 1,

  /** Threads of the numeric runtime; 0 takes one a core. */
  threads: 0,

  /** What the student and the floors are trained on: 'cpu', 'webgpu' or 'cuda'; the CPU where that cannot start. */
  device: 'cpu',

  teacher: {
    /**
     * The encoder that is fine-tuned into the teacher: a folder with config.json, model.safetensors and tokenizer.json, or a Hugging Face
     * repository. Or a teacher that is adapted: { endpoint: { url, model, ... } } or { vectors: folder }, with its `dimension` projected
     * where that is set beside it.
     */
    from: 'sentence-transformers/all-MiniLM-L6-v2',
    /** Whether it reads oracle context beside the query, where the dataset has it. The student never does. */
    context: true,
  },

  data: {
    /** The dataset folder, as `npm run market` writes it; `preset` and `sources` map other files (docs/recipe.md). */
    folder: '.harness/market',
    /** Share of bad rows a file may have before it is refused. */
    maxBadShare: 0.001,
    /** Share of general text among the training texts; without it the student forgets what the market never asks. */
    generalShare: 0.3,
    /**
     * Parts that the training texts are dealt into; one is in memory at a time, with its vectors (1.5 kB per text at
     * 384 dimensions).
     */
    parts: 16,
  },

  /** Phase 1: the teacher, both towers, on clicked pairs. */
  finetune: {
    /** Optimizer steps of `batch` clicked pairs each; 0 takes the teacher as it is. */
    steps: 160,
    batch: 128,
    /** 'adamw', 'lion' or 'muon'; schedule ('linear', 'cosine', 'constant', 'wsd') and ema may be set beside it, and accumulate in the other phases. */
    optimizer: 'adamw',
    learningRate: 1e-4,
    warmupSteps: 16,
    finalRate: 0.05,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    clipNorm: 1,
    checkpointEvery: 10,
    /** Tokens that go through the encoder at a time: bounds memory, whatever the batch (GradCache). */
    chunkTokens: 2_048,
    /** Whether the word table is trained too. */
    trainWords: false,
    /** Share of the queries shown with their context; the others teach it to read a bare query too. */
    contextShare: 0.85,
    /** Logits are cosines divided by it; where `learnTemperature` is set, it is where training starts. */
    temperature: 0.05,
    learnTemperature: false,
    /** What beats the clicked ad by more than this cosine is taken for a missed positive. */
    falseNegativeMargin: 0.1,
    /** Whether other queries, and other positives, are negatives too. */
    sameTower: false,
    /** Hard negatives a pair, drawn from the `depth` best ads that the teacher scores below `cap` times the clicked one. */
    negatives: { perQuery: 1, depth: 15, cap: 0.95 },
  },

  /** Phase 1 of a teacher behind an endpoint or on disk: a low-rank residual on its frozen vectors. A checkpoint has `finetune` instead. */
  adapt: {
    /** Optimizer steps; 0 takes the vectors as they are. */
    steps: 1_000,
    batch: 256,
    optimizer: 'adamw',
    learningRate: 1e-3,
    warmupSteps: 50,
    finalRate: 0.02,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    clipNorm: 1,
    checkpointEvery: 100,
    /** Dimensions of the residual of queries, and of that of ads. */
    rank: 32,
    /** Mined negatives drawn for each query. */
    hardNegatives: 1,
    temperature: 0.05,
    falseNegativeMargin: 0.1,
    /** Weight of the squared distance from the vectors as they were. */
    anchor: 0.1,
  },

  student: {
    /**
     * 'teacher' (a pruned copy), { checkpoint: folder or repository }, or { scratch: an encoder's config.json }, with `tokenizer`, the path
     * of a tokenizer.json, beside it where the teacher has none.
     */
    from: 'teacher',
    /**
     * Sizes it shrinks to, one after the other, each for a share of the alignment steps: layers, and feed-forward units
     * per layer. One entry prunes in one jump.
     */
    stages: [
      { layers: 5, share: 0.15 },
      { layers: 4, share: 0.2 },
      { layers: 4, intermediate: 1_024, share: 0.2 },
      { layers: 4, intermediate: 768, share: 0.45 },
    ],
    /**
     * Which layers stay: 'importance' (largest change of the states on calibration text, measured again for each stage)
     * or 'even'.
     */
    select: 'importance',
    /** Longest query, in tokens; longer ones are cut. */
    maxTokens: 64,
  },

  /** Phase 2: the student learns the teacher's query vectors. */
  align: {
    /** Optimizer steps of `batch` texts each, over all stages. */
    steps: 1_200,
    batch: 256,
    /** 'l2', 'cosine', 'kernel', or 'kl', which has a `temperature`. */
    objective: 'l2',
    /** Lengths at which a cut vector must search as well, beside the full one. */
    matryoshka: [],
    optimizer: 'adamw',
    /** Peak learning rate, reached after the warm-up, then falling in a line to `finalRate` of it. */
    learningRate: 5e-4,
    warmupSteps: 100,
    finalRate: 0.02,
    /** AdamW. Biases and gains are never decayed. */
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    /** Largest global norm of a gradient. */
    clipNorm: 1,
    /** Whether the word table is trained too: 47 MB of state more a step for a 30,522-word table. */
    trainWords: true,
    /** Steps between checkpoints: what a killed run repeats at most. */
    checkpointEvery: 100,
  },

  /** Phase 3: the student against the teacher's frozen ad vectors, on clicked pairs. */
  refine: {
    /** Optimizer steps of `batch` clicked pairs each; 0 leaves the phase out. */
    steps: 3_600,
    batch: 256,
    /** Learns what is rare in fewer steps than 'adamw', which it uses for tables, biases and gains. */
    optimizer: 'muon',
    momentum: 0.95,
    learningRate: 5e-4,
    warmupSteps: 40,
    finalRate: 0.02,
    weightDecay: 0.01,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-6,
    clipNorm: 1,
    checkpointEvery: 100,
    /** Whether the word table is trained too. */
    trainWords: true,
    /** Logits are cosines divided by it. */
    temperature: 0.05,
    /**
     * Weight of the divergence from what the teacher, with its real inputs, would choose among the batch's ads: clicks say which ad was
     * attractive, the teacher how well each fits. 0 leaves it out.
     */
    distillation: 1,
    /** An ad that beats the clicked one by more than this cosine is taken for a missed positive. */
    falseNegativeMargin: 0.1,
    /**
     * `perQuery` hard negatives per pair, drawn from the `depth` best ads that score below `cap` times the clicked
     * one's cosine; found again with the student as it then is every `refreshEvery` steps (0: never).
     */
    negatives: { perQuery: 1, depth: 15, cap: 0.95, refreshEvery: 400 },
    /**
     * Shares of the queries that are shown with a typo, and without one of four or more words, so that the student
     * learns to read past both.
     */
    noise: { typos: 0.25, dropped: 0.25 },
    /** Queries a cluster, where batches are unions of clusters of near queries; 0 batches at random. */
    clusters: 0,
    /**
     * Draws queries together that share clicked ads; weight 0 leaves it out, at most `perAd` queries are remembered per
     * ad.
     */
    coClicks: { weight: 0, perAd: 16 },
  },

  /**
   * Runs of phase 3 from where it ended, each with the settings of `refine` except for these. The student is the mean
   * of their weights and of those they began from: better than any of them, and it keeps more of what nobody clicked
   * on. [] leaves it at the refined student.
   */
  harden: [
    {
      steps: 1_200,
      learningRate: 3e-4,
      warmupSteps: 40,
      noise: { typos: 0.5, dropped: 0.5 },
      /** General texts beside the queries of a batch, held to the teacher's vectors with this weight of the squared distance. */
      replay: { texts: 64, weight: 1 },
    },
    { steps: 1_000, learningRate: 3e-4, warmupSteps: 40, noise: { typos: 0.5, dropped: 0.5 } },
  ],

  /** What every student is measured against, beside BM25. */
  floors: {
    /** Token vectors of the teacher, reduced to `dimension` by PCA, weighted by frequency (sif), then trained; no layers. */
    static: { dimension: 256, sif: 1e-3, alignSteps: 400, refineSteps: 400, learningRate: 3e-3 },
    /** Contrastive training alone, without phases 1 and 2; 0 leaves it out. */
    naive: { steps: 300 },
  },

  export: {
    /** Largest int8 weight: 63 gives the same vectors on processors without VNNI, 127 is a little finer with it. */
    weightLimit: 63,
    /** Training texts on which activation ranges are measured before int8; 0 leaves activations as they are. */
    calibrationTexts: 256,
    /** Whether the bundle holds the student in fp16 too, for GPUs: they have no kernels for the int8 graph. */
    fp16: false,
    /** Whether the bundle holds the data's words, by which typos are corrected before the student reads a query. */
    spelling: true,
    /** Queries of the log, the most asked first, that are served by the teacher's own vector; 0 for none. */
    headQueries: 2_000,
  },

  evaluate: {
    /** Resamples behind each 95 % interval. */
    bootstrapSamples: 1_000,
    /** Queries timed at batch 1. */
    speedTexts: 400,
    /** Validation queries that the quality curve is measured on, at each checkpoint; 0 draws none. */
    curveQueries: 500,
  },
};

export default config;
