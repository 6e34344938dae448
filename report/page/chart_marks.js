/** What a chart has beside its lines: levels to compare with, and the margins of single pairs. */

/**
 * The range of a vertical axis: all values, the dots and nearby levels, with a margin. A flat line gets
 * room on both sides.
 */
export function extent(low, high, spec, dots) {
  let [from, to] = [low ?? Infinity, high ?? -Infinity];
  for (const { kept, dropped } of dots) {
    for (const value of [...kept, ...dropped]) {
      from = Math.min(from, value);
      to = Math.max(to, value);
    }
  }
  if (from > to) [from, to] = [0, 1];
  const span = to - from;
  for (const { at } of spec.levels ?? []) {
    // A level far away would press the lines flat.
    if (at < from && from - at <= span || at > to && at - to <= span) {
      from = Math.min(from, at);
      to = Math.max(to, at);
    }
  }
  const room = to > from ? 0.06 * (to - from) : Math.max(Math.abs(to) * 0.1, 1e-6);
  return [from - room, to + room];
}

/** Dashed lines across the plot, each with its name. */
export function drawLevels(plot, levels, stroke) {
  const { ctx, bbox } = plot;
  for (const { at, label } of levels) {
    if (at < plot.scales.y.min || at > plot.scales.y.max) continue;
    const y = plot.valToPos(at, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = stroke;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px sans-serif`;
    ctx.textAlign = "right";
    ctx.textBaseline = "bottom";
    ctx.fillText(label, bbox.left + bbox.width - 4, y - 3 * devicePixelRatio);
    ctx.restore();
  }
}

/** A dot for each kept pair, a cross for each dropped one. */
export function drawDots(plot, dots, colors) {
  if (dots.length === 0) return;
  const { ctx } = plot;
  const size = 2 * devicePixelRatio;
  const { min, max } = plot.scales.x;
  ctx.save();
  ctx.fillStyle = colors.kept + "99";
  ctx.strokeStyle = colors.dropped;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (const { step, kept, dropped } of dots) {
    if (step < min || step > max) continue;
    const x = plot.valToPos(step, "x", true);
    for (const margin of kept) {
      const y = plot.valToPos(margin, "y", true);
      ctx.fillRect(x - size / 2, y - size / 2, size, size);
    }
    for (const margin of dropped) {
      const y = plot.valToPos(margin, "y", true);
      ctx.moveTo(x - size, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.moveTo(x - size, y + size);
      ctx.lineTo(x + size, y - size);
    }
  }
  ctx.stroke();
  ctx.restore();
}
