/**
 * Arithmetic on the columns of a page: appending what a live run sends, thinning, smoothing. Pure
 * functions, which tests import and pages have inlined.
 */

/** Rows that a table keeps; at twice as many every other one goes. */
export const ROW_LIMIT = 2000;

/** Appends the rows of `more` to `table` in place; columns that one of them lacks get gaps. */
export function appendTable(table, more) {
  const before = table.step.length;
  if (more.step.length === 0) return;
  table.step = table.step.concat(more.step);
  const names = new Set([...Object.keys(table.columns), ...Object.keys(more.columns)]);
  for (const name of names) {
    const old = table.columns[name] ?? new Array(before).fill(null);
    table.columns[name] = old.concat(more.columns[name] ?? new Array(more.step.length).fill(null));
  }
  if (table.step.length <= 2 * ROW_LIMIT) return;
  const last = table.step.length - 1;
  const kept = (_, row) => (last - row) % 2 === 0;
  table.step = table.step.filter(kept);
  for (const name of names) table.columns[name] = table.columns[name].filter(kept);
}

/**
 * Exponential moving average with the given weight of the past, in [0, 1), corrected for its start as
 * in Adam (Kingma and Ba 2015, section 3). Gaps stay gaps.
 */
export function smoothed(values, weight) {
  if (weight <= 0) return values;
  let sum = 0, norm = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return null;
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return sum / norm;
  });
}

/** The last value of a column that is no gap; undefined when there is none. */
export function lastValue(values) {
  for (let row = (values?.length ?? 0) - 1; row >= 0; row--) {
    if (values[row] !== null && values[row] !== undefined) return values[row];
  }
  return undefined;
}

/** The value at `row`, or the nearest one before it that is no gap. */
export function valueAt(values, row) {
  return lastValue(values.slice(0, row + 1));
}

/** A number with as many digits as its size makes useful. */
export function numberText(value) {
  if (value === undefined || value === null) return "–";
  if (value === 0 || Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(3);
  return value.toPrecision(4);
}

/** Bytes as MiB or GiB. */
export function bytesText(value) {
  if (value === undefined || value === null) return "–";
  const gib = value / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(2)} GiB` : `${(value / 2 ** 20).toFixed(1)} MiB`;
}

/** The lines of a chart: each with its steps and values, over all runs that have its column. */
export function chartLines(spec, runs) {
  const lines = [];
  runs.forEach((run, at) => {
    const wanted = spec.series.filter((series) =>
      !series.without || run.data.tables[series.without].step.length === 0
    );
    if (spec.match) {
      const pattern = new RegExp(spec.match);
      const names = Object.keys(run.data.tables.metrics.columns).filter((key) => pattern.test(key));
      wanted.push(...names.sort().map((key) => ({ table: "metrics", key, label: key })));
    }
    wanted.forEach((series, index) => {
      const table = run.data.tables[series.table];
      const values = table.columns[series.key];
      if (lastValue(values) === undefined) return;
      const several = runs.length > 1;
      lines.push({
        ...series,
        label: several ? `${run.name}: ${series.label}` : series.label,
        steps: table.step,
        values,
        run: at,
        color: several ? at : series.edge ? 0 : index,
        faint: series.edge,
        dash: several && index > 0 ? [[6, 4], [2, 3], [10, 4]][(index - 1) % 3] : undefined,
      });
    });
  });
  return lines;
}
