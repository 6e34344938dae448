/** Means of named numbers, each value with a weight, in the order in which names first came. */
export class WeightedMeans {
  #sums = new Map<string, { total: number; weight: number }>();

  add(name: string, value: number, weight: number): void {
    const sum = this.#sums.get(name) ?? { total: 0, weight: 0 };
    this.#sums.set(name, { total: sum.total + value * weight, weight: sum.weight + weight });
  }

  addAll(values: Readonly<Record<string, number>>, weight: number): void {
    for (const [name, value] of Object.entries(values)) this.add(name, value, weight);
  }

  values(): Record<string, number> {
    return Object.fromEntries(
      [...this.#sums].map(([name, { total, weight }]) => [name, total / weight]),
    );
  }
}
