/**
 * The llama3 scaling of a rotary embedding, which GGUF files hold as divisors of the frequencies: long
 * wavelengths are divided by `factor`, short ones stay, those between are blended.
 */
import type { RotaryScaling } from "../architecture.ts";
import type { JsonObject } from "../strict_json.ts";

type Llama3Scaling = Extract<RotaryScaling, { kind: "llama3" }>;

/**
 * Divisors of the frequencies.
 *
 * @param width values of a head that turn
 * @returns width / 2 values
 */
export function llama3Factors(
  scaling: Llama3Scaling,
  theta: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const { factor, lowFreqFactor: low, highFreqFactor: high } = scaling;
  const context = scaling.originalMaxPositionEmbeddings;
  return Float32Array.from({ length: width / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (2 * i / width);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = (context / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The scaling that gives these divisors; undefined where it is none of the published models'
 * (low_freq_factor 1, high_freq_factor 4, trained on 8192 tokens).
 */
export function llama3Scaling(
  factors: Float32Array,
  theta: number,
  original = 8192,
): JsonObject | undefined {
  // The longest wavelength is divided by the whole factor.
  const factor = factors.at(-1) ?? NaN;
  const scaling: Llama3Scaling = {
    kind: "llama3",
    factor,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: original,
  };
  const expected = llama3Factors(scaling, theta, 2 * factors.length);
  const close = factors.every((value, i) => Math.abs(value - expected[i]) <= 1e-4 * expected[i]);
  if (!close) return undefined;
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: original,
  };
}
