/**
 * Planted bugs, each the kind that a trainer has shipped with: one place in the source, and the test
 * files of which at least one must turn red. The list is that of the project's plan; where its words
 * mean nothing here, the nearest fault stands for them and the name says so.
 */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  readonly tests: readonly string[];
}

const PACK = "model/pack.ts", ATTENTION = "gpu/kernels/attention_parts.ts";
const STEP = "trainer/optimizer_step.ts", TRAINER = "trainer/trainer.ts";

const MODEL: readonly Mutant[] = [
  {
    name: "labels not shifted",
    file: PACK,
    find: "const source = i === 0 ? before : begin + i - 1;",
    replace: "const source = begin + i;",
    tests: ["tests/model/label_shift_test.ts"],
  },
  {
    name: "prompt not masked: the first token of an answer is scored as part of it",
    file: PACK,
    find: "builder.score(whole, prompt.length + scoredFrom, begin, -1, row);",
    replace: "builder.score(whole, Math.max(1, prompt.length + scoredFrom - 1), begin, -1, row);",
    tests: ["tests/model/relations_test.ts", "tests/bench/work_test.ts"],
  },
  {
    name: "RMSNorm without the second term",
    file: "gpu/kernels/rms_norm.wgsl",
    find: "(at_dy(base + c) * gain(c) * inv - at_x(base + c) * scale);",
    replace: "(at_dy(base + c) * gain(c) * inv);",
    tests: ["tests/gpu/rms_norm_test.ts"],
  },
  {
    name: "eps outside the root",
    file: "gpu/kernels/rms_norm.wgsl",
    find: "1.0 / sqrt(mean + params.eps);",
    replace: "1.0 / (sqrt(mean) + params.eps);",
    tests: ["tests/gpu/rms_norm_test.ts"],
  },
  {
    name: "RoPE halves interleaved",
    file: "gpu/kernels/rope.wgsl",
    find: "let at = head * params.half * 2u + i;\n  let a = x[at];\n  let b = x[at + params.half];",
    replace: "let at = head * params.half * 2u + i;\n  let a = x[at];\n  let b = x[at + 1u];",
    tests: ["tests/gpu/rope_test.ts"],
  },
  {
    name: "K/V head index wrong",
    file: ATTENTION,
    find: 'place(v, "k", `min(j + ${u}u, end - 1u)`, "head / GROUP")',
    replace: 'place(v, "k", `min(j + ${u}u, end - 1u)`, "head % KV")',
    tests: ["tests/gpu/attention_test.ts"],
  },
  {
    name: "causal mask off by one",
    file: ATTENTION,
    find: "j + ${u}u < end && j + ${u}u <= t0 + ${i}u",
    replace: "j + ${u}u < end && j + ${u}u < t0 + ${i}u",
    tests: ["tests/gpu/attention_test.ts"],
  },
  {
    name: "what must not be seen is attended: rejected sees chosen",
    file: PACK,
    find: "const begin = builder.segment(ids, prefix, builder.at + ids.length);",
    replace: "const begin = builder.segment(ids, [start, builder.at], builder.at + ids.length);",
    tests: ["tests/model/relations_test.ts"],
  },
  {
    name: "softmax without max",
    file: "gpu/kernels/log_softmax.wgsl",
    find: "let highest = max(max(max(top.x, top.y), max(top.z, top.w)), state.x);",
    replace: "let highest = 0.0;",
    tests: ["tests/gpu/log_softmax_test.ts"],
  },
  {
    name: "a chunk of the head is lost",
    file: "model/head.ts",
    find: "for (const columns of this.#columns()) this.#addChunk(o, columns);",
    replace: "for (const columns of this.#columns().slice(0, 1)) this.#addChunk(o, columns);",
    tests: ["tests/model/split_long_test.ts"],
  },
];

const OPTIMIZER: readonly Mutant[] = [
  {
    name: "Adam's step from 0",
    file: "model/optimizer.ts",
    find: "Math.sqrt(1 - s.beta2 ** s.step)",
    replace: "Math.sqrt(1 - s.beta2 ** (s.step + 1))",
    tests: ["tests/gpu/optimizer_long_test.ts"],
  },
  {
    name: "weight decay coupled into the gradient",
    file: "gpu/kernels/optimizer.wgsl",
    find: "let g = at_gradient(id) * status[1];\n",
    replace: "let g = at_gradient(id) * status[1] + (1.0 - params.decay) * at_weight(id);\n",
    tests: ["tests/gpu/optimizer_long_test.ts"],
  },
  {
    name: "clip by value",
    file: "gpu/kernels/optimizer.wgsl",
    find: "let g = at_gradient(id) * status[1];\n",
    replace: "let g = clamp(at_gradient(id), vec4<f32>(-1.0), vec4<f32>(1.0));\n",
    tests: ["tests/gpu/optimizer_long_test.ts"],
  },
  {
    name: "NaN found by comparing a value with itself",
    file: "gpu/kernels/optimizer.wgsl",
    find: "let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u;",
    replace: "let finite = sum == sum;",
    tests: ["tests/gpu/optimizer_long_test.ts", "tests/model/limits_long_test.ts"],
  },
  {
    name: "scheduler one step late",
    file: "trainer/schedule.ts",
    find: "if (finished < warmupSteps) return finished",
    replace: "if (finished < warmupSteps) return Math.max(0, finished - 1)",
    tests: ["tests/trainer/schedule_test.ts"],
  },
];

const LOSSES: readonly Mutant[] = [
  {
    name: "chosen and rejected swapped",
    file: "losses/margin.ts",
    find:
      "(chosen.policy[i] - chosen.reference[i]) -\n      (rejected.policy[i] - rejected.reference[i]);",
    replace:
      "(rejected.policy[i] - rejected.reference[i]) -\n      (chosen.policy[i] - chosen.reference[i]);",
    tests: ["tests/modes/beta_dpo_test.ts", "tests/modes/risk_test.ts"],
  },
  {
    name: "beta missing in the gradient",
    file: "losses/pair_formulas.ts",
    find: "    options.label_smoothing as number,\n  );\n  return ofMargin(loss, beta * slope);",
    replace: "    options.label_smoothing as number,\n  );\n  return ofMargin(loss, slope);",
    tests: ["tests/losses/pair_losses_test.ts"],
  },
  {
    name: "tau updated in warm-up",
    file: "losses/risk.ts",
    find: "return { state: { ...state, warmupCount, warmupBuffer: collected } };",
    replace:
      "return { state: { ...state, warmupCount, warmupBuffer: collected, tau: quantile(margins, 0.5) } };",
    tests: ["tests/modes/risk_test.ts"],
  },
  {
    name: "p_hat counts > for >=",
    file: "losses/risk.ts",
    find: "margin >= tau",
    replace: "margin > tau",
    tests: ["tests/modes/risk_test.ts"],
  },
  {
    name: "sample deviation for population",
    file: "losses/running_stats.ts",
    find: "const divisor = values.length - ddof;",
    replace: "const divisor = values.length - Math.max(1, ddof);",
    tests: ["tests/losses/beta_dpo_test.ts", "tests/modes/beta_dpo_test.ts"],
  },
  {
    name: "eval updates state",
    file: "losses/run_mode.ts",
    find: "state: context.training ? call(",
    replace: "state: context ? call(",
    tests: ["tests/losses/run_mode_test.ts"],
  },
];

const TRAINING: readonly Mutant[] = [
  {
    name: "mean instead of sum of log-probabilities",
    file: "trainer/decision_set.ts",
    find: "    sums[a] = sum;\n",
    replace: "    sums[a] = sum / (offsets[a + 1] - offsets[a]);\n",
    tests: ["tests/trainer/score_set_test.ts", "tests/trainer/trainer_test.ts"],
  },
  {
    name: "1/accumulation missing",
    file: STEP,
    find: "tokenSeeds(scored, outcome.seeds, 1 / context.accumulation);",
    replace: "tokenSeeds(scored, outcome.seeds, 1);",
    tests: ["tests/trainer/trainer_test.ts"],
  },
  {
    name: "random numbers' place not saved",
    file: TRAINER,
    find: "this.#microStep = state?.microStep ?? 0;",
    replace: "this.#microStep = 0;",
    tests: ["tests/trainer/resume_test.ts"],
  },
  {
    name: "sampler position not saved",
    file: TRAINER,
    find: "      position: state?.sampler,\n",
    replace: "",
    tests: ["tests/trainer/resume_test.ts"],
  },
  {
    name: "mode state not saved",
    file: TRAINER,
    find: "(state?.mode.state ?? firstState(mode, modeOptions)) as Json;",
    replace: "firstState(mode, modeOptions) as Json;",
    tests: ["tests/trainer/resume_test.ts"],
  },
];

const FILES: readonly Mutant[] = [
  {
    name: "temporary file without fsync",
    file: "trainer/atomic_write.ts",
    find: '    await attempt("sync", path, () => file.sync());\n',
    replace: "",
    tests: ["tests/trainer/checkpoint_test.ts"],
  },
  {
    name: "rename before fsync",
    file: "trainer/atomic_write.ts",
    find:
      '    await attempt("sync", temporary, () => operations.syncFolder(temporary));\n    await attempt("rename", temporary, () => operations.rename(temporary, path));\n',
    replace:
      '    await attempt("rename", temporary, () => operations.rename(temporary, path));\n    await attempt("sync", path, () => operations.syncFolder(path));\n',
    tests: ["tests/trainer/checkpoint_test.ts"],
  },
  {
    name: "short write ignored",
    file: "trainer/atomic_write.ts",
    find: "    done += written;\n",
    replace: "    done += bytes.length;\n",
    tests: ["tests/trainer/checkpoint_test.ts"],
  },
  {
    name: "uncaptured GPU error only logged",
    file: "gpu/device.ts",
    find: "this.#error ??= (event as GPUUncapturedErrorEvent).error.message;",
    replace: "console.error((event as GPUUncapturedErrorEvent).error.message);",
    tests: [
      "tests/gpu/program_test.ts",
      "tests/gpu/compile_test.ts",
      "tests/model/limits_long_test.ts",
    ],
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...MODEL,
  ...OPTIMIZER,
  ...LOSSES,
  ...TRAINING,
  ...FILES,
];
