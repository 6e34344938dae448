/**
 * Angles of the rotary position embedding: frequency i of a width R is theta^(-2i / R), stretched for
 * longer texts by a scaling. "linear": divided by the factor. "llama3" (Llama 3.1): by the factor where
 * the wavelength is beyond the original context / low_freq_factor, not at all below / high_freq_factor,
 * and in between by a mixture that is linear in the number of turns over the original context.
 */
import type { Rotary } from "./architecture.ts";

/** [width / 2] angular frequencies, radians a position. */
export function rotaryFrequencies(rotary: Rotary): Float64Array {
  const { theta, width, scaling } = rotary;
  return Float64Array.from({ length: width / 2 }, (_, i) => {
    const frequency = theta ** (-2 * i / width);
    return scaling === null ? frequency : scaled(frequency, scaling);
  });
}

function scaled(frequency: number, scaling: NonNullable<Rotary["scaling"]>): number {
  if (scaling.kind === "linear") return frequency / scaling.factor;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
  const turns = originalMaxPositionEmbeddings * frequency / (2 * Math.PI);
  if (turns > highFreqFactor) return frequency;
  if (turns < lowFreqFactor) return frequency / factor;
  const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return (1 - kept) * frequency / factor + kept * frequency;
}

/** [positions, width / 2] of (cos, sin), computed in float64. */
export function rotaryTable(rotary: Rotary, positions: number): Float32Array {
  const frequencies = rotaryFrequencies(rotary), half = frequencies.length;
  const table = new Float32Array(positions * half * 2);
  for (let i = 0; i < half; i++) {
    for (let p = 0; p < positions; p++) {
      table[(p * half + i) * 2] = Math.cos(p * frequencies[i]);
      table[(p * half + i) * 2 + 1] = Math.sin(p * frequencies[i]);
    }
  }
  return table;
}
