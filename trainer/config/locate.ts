/**
 * Where a key stands in YAML text. The parser gives no positions for values, so this reads the
 * indentation: exact for block style, the way configs are written, and by name inside `{...}`.
 */

interface Region {
  /** Lines `start .. end` (exclusive), 0-based. */
  readonly start: number;
  readonly end: number;
  /** Columns the content must at least be indented by. */
  readonly indent: number;
}

const KEY = /^(?:"([^"]*)"|'([^']*)'|([^\s"'#:][^#]*?))\s*:(?=\s|$)/;

function isContent(line: string): boolean {
  return !/^\s*(#|$)|^(---|\.\.\.|%)/.test(line);
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/**
 * The 1-based line of the key at `path`; where that is not found, of its nearest parent that is;
 * `undefined` where there is none. List items are addressed by their number.
 */
export function lineOf(text: string, path: readonly string[]): number | undefined {
  const lines = text.split(/\r\n|\r|\n/);
  let region: Region = { start: 0, end: lines.length, indent: 0 };
  let found: number | undefined;
  for (let depth = 0; depth < path.length; depth++) {
    const at = findChild(lines, region, path[depth]);
    if (at === undefined) {
      // At the top, names count only where the whole document is one flow mapping.
      if (found === undefined && !lines.find(isContent)?.trimStart().startsWith("{")) {
        return undefined;
      }
      return findInline(lines, { ...region, start: found ?? region.start }, path.slice(depth)) ??
        (found === undefined ? undefined : found + 1);
    }
    found = at;
    region = { start: at + 1, end: endOf(lines, at, region.end), indent: indentOf(lines[at]) };
  }
  return found === undefined ? undefined : found + 1;
}

/** The line of one key, or of one list item, directly in a region. */
function findChild(lines: readonly string[], region: Region, part: string): number | undefined {
  let column: number | undefined;
  let item = -1;
  for (let i = region.start; i < region.end; i++) {
    if (!isContent(lines[i])) continue;
    const indent = indentOf(lines[i]);
    column ??= indent;
    if (indent !== column || indent < region.indent) continue;
    const content = lines[i].slice(indent);
    if (content === "-" || content.startsWith("- ")) {
      if (String(++item) === part) return i;
      continue;
    }
    const key = KEY.exec(content);
    if (key && (key[1] ?? key[2] ?? key[3]) === part) return i;
  }
  return undefined;
}

/** The first line after a key's block: the next content that is not indented deeper. */
function endOf(lines: readonly string[], at: number, end: number): number {
  const indent = indentOf(lines[at]);
  for (let i = at + 1; i < end; i++) {
    if (!isContent(lines[i])) continue;
    const own = indentOf(lines[i]);
    // A list may stand at the column of the key it belongs to.
    if (own < indent || (own === indent && !/^\s*-(\s|$)/.test(lines[i]))) return i;
  }
  return end;
}

/** The line of the last of `names` inside a flow mapping, each looked for after the one before. */
function findInline(
  lines: readonly string[],
  region: Region,
  names: readonly string[],
): number | undefined {
  let row = region.start;
  let column = 0;
  let found: number | undefined;
  for (const name of names) {
    const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const pattern = new RegExp(`[{,\\s]["']?${escaped}["']?\\s*:`, "g");
    let hit: RegExpExecArray | null = null;
    for (; row < region.end; row++, column = 0) {
      // The blank in front lets a name at the start of a line match.
      pattern.lastIndex = column;
      if (isContent(lines[row]) && (hit = pattern.exec(" " + lines[row]))) break;
    }
    if (!hit) return found;
    column = hit.index + hit[0].length - 1;
    found = row + 1;
  }
  return found;
}
