/**
 * The engine behind the trainer: a decoder on the GPU that scores token sequences, adds their
 * gradients and takes optimizer steps. Read-backs: one a `score`, which also brings the outcome of the
 * optimizer step before it.
 */
import type { Gpu } from "../gpu/device.ts";
import { GpuError } from "../gpu/error.ts";
import { f32Bits, type Program, type View } from "../gpu/program.ts";
import { tuningName } from "../gpu/tuning.ts";
import { blendSlabs } from "./blend.ts";
import type {
  EngineCounters,
  NamedTensor,
  OptimizerSettings,
  QueuedUpdate,
  ScoreExtras,
  TokenizedExample,
  TokenLogps,
  TrainingEngine,
} from "./engine.ts";
import { ModelError } from "./error.ts";
import type { Architecture } from "./architecture.ts";
import { generate, type GenerateOptions } from "./generate.ts";
import { buildParts, destroyParts, type EngineParts } from "./llama_parts.ts";
import { adapterList, initAdapter, type LoraSettings } from "./lora.ts";
import type { MemoryPlan, MemoryRequest } from "./memory.ts";
import type { Optimizer } from "./optimizer.ts";
import {
  answerOffsets,
  checkPack,
  type Pack,
  packExamples,
  planChunks,
  scoredLength,
  withSeeds,
} from "./pack.ts";
import { parameterList } from "./param_table.ts";
import { STATUS_BYTES } from "./pending_update.ts";
import { type Kept, takeResults } from "./score_results.ts";

/** Raised when a kernel's arithmetic changes: cached reference values are then computed again. */
const ENGINE_VERSION = 1;

const LEAST_LOGPS_BYTES = 1 << 16;

/** Adapters, and the seed that they start with. */
export interface LoraOptions extends LoraSettings {
  readonly seed: number;
}

export interface LlamaOptions extends MemoryRequest {
  readonly lora?: LoraOptions;
  /** An example's prompt is run once for all its answers. */
  readonly sharePrompt: boolean;
}

export class LlamaEngine implements TrainingEngine {
  readonly fingerprint: string;
  readonly #gpu: Gpu;
  readonly #config: Architecture;
  readonly #options: LlamaOptions;
  readonly #parts: EngineParts;
  #reference: { readonly engine: LlamaEngine; readonly head: Program } | undefined;
  #logps: GPUBuffer | undefined;
  #kept: Kept | undefined;

  private constructor(gpu: Gpu, config: Architecture, options: LlamaOptions) {
    this.#gpu = gpu;
    this.#config = config;
    this.#options = options;
    this.#parts = buildParts(gpu, config, options);
    const { subgroups } = gpu.capabilities;
    this.fingerprint = `engine ${ENGINE_VERSION}; ${gpu.adapterName}; subgroups ${subgroups}; ` +
      `shared prompt ${options.sharePrompt}` + (options.storage === "f16" ? "; f16 storage" : "") +
      (gpu.tuning ? `; ${tuningName(gpu)}` : "");
  }

  get plan(): MemoryPlan {
    return this.#parts.plan;
  }

  /**
   * Allocates the model and fills it from `parameter`, which returns the values of a tensor by name.
   * Throws `GpuError` when it does not fit.
   */
  static async create(
    gpu: Gpu,
    config: Architecture,
    options: LlamaOptions,
    parameter: (name: string, shape: readonly number[]) => Float32Array | Promise<Float32Array>,
  ): Promise<LlamaEngine> {
    return await gpu.guarded("Loading the model", async () => {
      const engine = new LlamaEngine(gpu, config, options);
      for (const { name, shape } of parameterList(config)) {
        engine.#parts.weights.write(name, await parameter(name, shape));
        await gpu.settleWrites();
      }
      if (options.lora) engine.#startAdapters(options.lora);
      engine.#parts.halves?.refresh();
      return engine;
    });
  }

  /** New adapters: the model is its base. */
  #startAdapters(lora: LoraOptions): void {
    for (const spec of adapterList(this.#config, lora)) {
      this.#parts.trained.write(spec.name, initAdapter(spec, lora));
    }
  }

  /** The adapters that are trained in place of the weights; absent: none. */
  get lora(): LoraSettings | undefined {
    return this.#options.lora;
  }

  get adapterName(): string {
    return this.#gpu.adapterName;
  }

  /** Largest chunk: it decides in which order gradients are added. */
  get chunkPlan(): { readonly tokens: number; readonly scored: number } {
    const { tokens, scored } = this.plan.capacity;
    return { tokens, scored };
  }

  /** The adapter's largest binding, bytes. */
  get bindingLimit(): number {
    return this.#gpu.capabilities.bindingLimit;
  }

  /** Names and shapes of what is trained: all parameters, or the adapters'. */
  get parameterShapes(): ReadonlyMap<string, readonly number[]> {
    const { parameters } = this.#parts.trained.layout;
    const { lora } = this.#options;
    const list = lora ? adapterList(this.#config, lora) : parameterList(this.#config);
    return new Map(list.map(({ name }) => [name, parameters.get(name)!.shape]));
  }

  get maxSequenceLength(): number {
    return Math.min(this.#config.maxPositionEmbeddings, this.plan.capacity.tokens);
  }

  get counters(): EngineCounters {
    const { bytes: gpuBytes, dispatches, readbacks, submits } = this.#gpu;
    return { gpuBytes, dispatches, readbacks, submits };
  }

  async score(
    examples: readonly TokenizedExample[],
    extras: ScoreExtras = {},
  ): Promise<TokenLogps> {
    const chunks = planChunks(examples, this.plan.capacity, this.#options.sharePrompt);
    const total = examples.reduce((sum, example) => sum + scoredLength(example), 0);
    const offsets = answerOffsets(examples);
    const results = this.#results(extras);
    const words = results.reduce((sum, { width }) => sum + width, 0);
    if (total === 0) return takeResults(new ArrayBuffer(0), 0, offsets, extras);
    const logps = this.#logpsBuffer(total * words + STATUS_BYTES / 4);
    this.#kept = undefined;
    let at = 0;
    for (const chunk of chunks) {
      const sizes = this.#scoreChunk(this.#pack(chunk), extras.epsilon);
      const encoder = this.#gpu.device.createCommandEncoder();
      let before = 0;
      for (const { view, width } of results) {
        const to = (total * before + at * width) * 4;
        encoder.copyBufferToBuffer(view.buffer, 0, logps, to, sizes.scored * width * 4);
        before += width;
      }
      this.#gpu.submit(encoder);
      at += sizes.scored;
      if (chunks.length === 1) this.#kept = { examples, sizes };
    }
    const bytes = await this.#readWithStatus(logps, total * words * 4);
    return takeResults(bytes, total, offsets, extras);
  }

  /** The first bytes of the results, and with them the status of a step that has not been read. */
  async #readWithStatus(results: GPUBuffer, size: number): Promise<ArrayBuffer> {
    const { updates } = this.#parts, unread = updates?.unread;
    if (!unread) return await this.#gpu.read(results, size);
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(unread, 0, results, size, STATUS_BYTES);
    this.#gpu.submit(encoder);
    const bytes = await this.#gpu.read(results, size + STATUS_BYTES);
    await updates!.take(bytes.slice(size));
    return bytes;
  }

  /** Where the results of a score lie on the GPU, values a token each; in the order of a read-back. */
  #results(extras: ScoreExtras): { readonly view: View; readonly width: number }[] {
    const { logps, logSumP2 } = this.#parts.activations.head;
    const results = [{ view: logps, width: 1 }];
    if (extras.logSumP2) results.push({ view: logSumP2, width: 1 });
    if (extras.epsilon === undefined) return results;
    if (!this.#reference) throw new GpuError("There is no reference beside this model to mix with");
    results.push({ view: this.#reference.engine.#parts.activations.head.logps, width: 1 });
    results.push({ view: this.#parts.activations.mix!.logps, width: 2 });
    return results;
  }

  /** Forward of a chunk, with the reference's beside it where logits are mixed. */
  #scoreChunk(pack: Pack, epsilon: number | undefined): Record<string, number> {
    if (epsilon === undefined) return this.#forward(pack, true);
    const { engine, head } = this.#reference!;
    engine.#forward(pack, false);
    const sizes = this.#parts.inputs.upload(pack, this.#parts.gradients !== undefined);
    this.#parts.decoder.trunk.run(sizes);
    head.run({ ...sizes, epsilonBits: f32Bits(epsilon) });
    return sizes;
  }

  /**
   * Puts a frozen model of the same vocabulary beside this one, for mixtures of both logits: this one
   * must have been made with its config as `beside`, that one with this one's chunk capacity.
   */
  attachReference(engine: LlamaEngine): void {
    const { capacity } = this.plan, other = engine.plan.capacity;
    if (other.tokens < capacity.tokens || other.scored < capacity.scored) {
      throw new GpuError("The reference's chunks are smaller than the policy's");
    }
    const head = this.#parts.decoder.head.withReference(
      engine.#parts.decoder.head,
      this.#parts.activations.mix!,
    );
    this.#reference = { engine, head };
  }

  /**
   * Moves the weights towards another model's: (1 - alpha) own + alpha other; 1 copies them.
   *
   * @throws ModelError when the models differ in a shape
   */
  blend(other: LlamaEngine, alpha: number): void {
    if (this.#parts.adapters || other.#parts.adapters) {
      throw new ModelError(
        "Cannot move the reference towards the policy: adapters are trained, and the reference has none",
      );
    }
    const [own, its] = [this.parameterShapes, other.parameterShapes];
    for (const [name, shape] of own) {
      if (String(its.get(name)) === String(shape) && its.size === own.size) continue;
      throw new ModelError(
        `Cannot move the reference towards the policy: tensor "${name}" has the shape ` +
          `[${shape}] in one and [${its.get(name) ?? "none"}] in the other`,
      );
    }
    blendSlabs(this.#gpu, other.#parts.weights, this.#parts.weights, alpha);
    this.#parts.halves?.refresh();
  }

  /** Runs trunk and, if asked, head of one chunk; queued, not awaited. */
  #forward(pack: Pack, head: boolean): Record<string, number> {
    const sizes = this.#parts.inputs.upload(pack, this.#parts.gradients !== undefined && head);
    this.#parts.decoder.trunk.run(sizes);
    if (head) this.#parts.decoder.head.forward.run(sizes);
    return sizes;
  }

  #pack(examples: readonly TokenizedExample[]): Pack {
    const pack = packExamples(examples, this.#options.sharePrompt);
    checkPack(pack, examples, this.#config);
    return pack;
  }

  #logpsBuffer(count: number): GPUBuffer {
    const size = this.#logps?.size ?? 0;
    if (size < count * 4) {
      if (this.#logps) this.#gpu.destroyMemory(this.#logps);
      // A power of two, and not too small, so that its size settles in the first steps.
      const bytes = 2 ** Math.ceil(Math.log2(Math.max(count * 4, LEAST_LOGPS_BYTES)));
      this.#logps = this.#gpu.createBuffer("logps", bytes);
    }
    return this.#logps!;
  }

  async learn(examples: readonly TokenizedExample[], seeds: Float32Array): Promise<void> {
    if (!this.#parts.decoder.backward) throw new GpuError("A frozen model cannot learn");
    // Gradients of the step before must be gone; a score has seen to that already.
    await this.#parts.updates?.settle();
    const total = examples.reduce((sum, example) => sum + scoredLength(example), 0);
    if (seeds.length !== total) {
      throw new RangeError(`Got ${seeds.length} seeds for ${total} scored tokens`);
    }
    if (this.#kept?.examples === examples) {
      this.#parts.inputs.writeSeeds(seeds);
      this.#parts.decoder.backward.run(this.#kept.sizes);
      // Backward overwrites what forward kept.
      this.#kept = undefined;
      return;
    }
    const kept = withSeeds(examples, seeds);
    const chunks = planChunks(kept.examples, this.plan.capacity, this.#options.sharePrompt);
    let at = 0;
    for (const chunk of chunks) {
      const sizes = this.#forward(this.#pack(chunk), true);
      this.#parts.inputs.writeSeeds(kept.seeds.subarray(at, at + sizes.scored));
      this.#parts.decoder.backward.run(sizes);
      at += sizes.scored;
    }
  }

  update(settings: OptimizerSettings): QueuedUpdate {
    const { optimizer, updates } = this.#parts;
    if (!optimizer || !updates) throw new GpuError("A frozen model cannot take a step");
    if (settings.kind !== optimizer.kind) {
      throw new RangeError(`The engine was made for ${optimizer.kind}, not ${settings.kind}`);
    }
    this.#kept = undefined;
    const queued = updates.queue(settings);
    // Where the norm turns out not to be finite, of weights that have not changed.
    this.#parts.halves?.refresh();
    return queued;
  }

  /** The gradient of a parameter since the last optimizer step; for tests. */
  async gradient(name: string): Promise<Float32Array> {
    if (!this.#parts.gradients) throw new GpuError("A frozen model has no gradients");
    await this.#parts.updates?.settle();
    return await this.#parts.gradients.read(name);
  }

  /** Logits [prompts, V] after the last token of each prompt. */
  async nextLogits(prompts: readonly Uint32Array[]): Promise<Float32Array> {
    const empty = prompts.findIndex((prompt) => prompt.length === 0);
    if (empty >= 0) {
      throw new ModelError(
        `Cannot continue prompt ${empty}: it has no tokens, not even a first one`,
      );
    }
    const examples = prompts.map((prompt, row) => ({
      row,
      prompt: prompt,
      answers: [{ ids: new Uint32Array(0), scoredFrom: 0 }],
    }));
    const { vocabSize } = this.#config;
    const logits = new Float32Array(prompts.length * vocabSize);
    this.#kept = undefined;
    let at = 0;
    for (const chunk of planChunks(examples, this.plan.capacity, this.#options.sharePrompt)) {
      const ends: number[] = [];
      for (const { prompt } of chunk) ends.push((ends.at(-1) ?? -1) + prompt.length);
      this.#forward(this.#pack(chunk), false);
      logits.set(await this.#parts.logits.read(Uint32Array.from(ends)), at * vocabSize);
      at += chunk.length;
    }
    return logits;
  }

  generate(prompts: readonly Uint32Array[], options: GenerateOptions): Promise<Uint32Array[]> {
    return generate(this, this.#config.vocabSize, prompts, options);
  }

  weights(): AsyncIterable<NamedTensor> {
    return this.#parts.trained.tensors();
  }

  async *moments(): AsyncIterable<NamedTensor> {
    await this.#parts.updates?.settle();
    if (!this.#parts.optimizer || !this.#parts.updates?.hasMoments) return;
    if (this.#parts.optimizer.expAvg) yield* this.#parts.optimizer.expAvg.tensors("exp_avg.");
    yield* this.#parts.optimizer.expAvgSq.tensors("exp_avg_sq.");
  }

  async restore(source: AsyncIterable<NamedTensor> | Iterable<NamedTensor>): Promise<void> {
    await this.#parts.updates?.settle();
    this.#kept = undefined;
    for await (const { name, data } of source) {
      if (name.startsWith("exp_avg_sq.")) {
        this.#momentsOf(name).expAvgSq.write(name.slice("exp_avg_sq.".length), data);
      } else if (name.startsWith("exp_avg.")) {
        const set = this.#momentsOf(name).expAvg;
        if (!set) throw new ModelError(`Cannot restore "${name}": the optimizer keeps none`);
        set.write(name.slice("exp_avg.".length), data);
      } else this.#parts.trained.write(name, data);
      await this.#gpu.settleWrites();
    }
    this.#parts.halves?.refresh();
    this.#gpu.check("Restoring the model");
  }

  #momentsOf(name: string): Optimizer {
    if (!this.#parts.optimizer) {
      throw new ModelError(`Cannot restore "${name}" into a frozen model`);
    }
    this.#parts.updates!.hasMoments = true;
    return this.#parts.optimizer;
  }

  /** Frees all buffers; the GPU stays open. */
  destroy(): void {
    this.#reference?.head.destroy();
    destroyParts(this.#parts);
    if (this.#logps) this.#gpu.destroyMemory(this.#logps);
  }
}
