/** The known name that a misspelt one most likely meant. */

/** Number of single-letter insertions, deletions, replacements and swaps of neighbours between words. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, last[j] + 1, current[j - 1] + 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) current[j] = Math.min(current[j], beforeLast[j - 2] + 1);
    }
    [beforeLast, last] = [last, current];
  }
  return last[b.length];
}

/** The closest of `known` to `name` (the first of equals), or undefined when none is at all alike. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  // More than half of the letters wrong is another word, not a slip.
  let bestDistance = Math.floor(name.length / 2) + 1;
  // A megabyte of key is no slip either, and the distance would take for ever.
  if (name.length > 100) return undefined;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}
