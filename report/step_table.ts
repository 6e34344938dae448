/**
 * Values over optimizer steps, column by column: what charts are drawn from. Columns may begin late
 * and have gaps; a gap is `null`, as NaN has no JSON.
 */

/** A table as plain data; every column is as long as `step`. */
export interface TableData {
  readonly step: readonly number[];
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Digits that a chart can show and a legend needs; f32 has about as many. */
const DIGITS = 7;

export class StepTable {
  #step: number[] = [];
  #columns = new Map<string, (number | null)[]>();

  get length(): number {
    return this.#step.length;
  }

  /** Step of the last row; 0 when there is none. */
  get lastStep(): number {
    return this.#step.at(-1) ?? 0;
  }

  /** Appends a row; what is no finite number becomes a gap. */
  add(step: number, values: Readonly<Record<string, unknown>>): void {
    const row = this.#step.length;
    this.#step.push(step);
    for (const [name, value] of Object.entries(values)) {
      let column = this.#columns.get(name);
      if (!column) this.#columns.set(name, column = new Array(row).fill(null));
      column.push(typeof value === "number" && Number.isFinite(value) ? value : null);
    }
    for (const column of this.#columns.values()) if (column.length === row) column.push(null);
  }

  /** The last value of a column that is no gap. */
  last(name: string): number | undefined {
    return this.#columns.get(name)?.findLast((value) => value !== null) ?? undefined;
  }

  /**
   * Rows from `from` on as data, rounded to seven digits. Of more than `limit` rows each k-th is taken,
   * and always the last: a chart has no more points than it has room for.
   */
  data(limit: number, from = 0): TableData {
    const count = this.#step.length - from;
    const stride = Math.max(1, Math.ceil(count / limit));
    const rows: number[] = [];
    for (let row = this.#step.length - 1; row >= from; row -= stride) rows.push(row);
    rows.reverse();
    const columns: Record<string, (number | null)[]> = {};
    for (const [name, column] of this.#columns) {
      columns[name] = rows.map((row) => rounded(column[row]));
    }
    return { step: rows.map((row) => this.#step[row]), columns };
  }
}

function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(DIGITS));
}
