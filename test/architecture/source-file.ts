/**
 * Reads a TypeScript source just closely enough for the architecture's rules: which modules it imports and
 * re-exports, and its code without comments and without the contents of strings, so that a rule about
 * `Date.now` is neither broken by a comment that mentions it nor fooled by a text that contains it.
 */

export interface ImportedModule {
  readonly specifier: string;
  readonly line: number;
  /** `export … from`, in any form. */
  readonly reExport: boolean;
  /** `export * from` or `export * as x from`. */
  readonly star: boolean;
}

export interface SourceFile {
  /** From the project's root, with slashes. */
  readonly path: string;
  /** The same length and lines as the text; comments and string contents are spaces. */
  readonly code: string;
  readonly imports: readonly ImportedModule[];
  /** Lines on which a module is imported by a computed name. */
  readonly computedImports: readonly number[];
}

interface StringToken {
  /** Of the opening quote. */
  readonly start: number;
  readonly value: string;
}

/** What may stand before a slash that begins a regular expression (and not a division). */
const beforeRegex =
  /(^|[=(,[!&|?:;{}+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield))\s*$/;

export function parseSource(path: string, text: string): SourceFile {
  const { code, strings } = blank(text);
  const imports: ImportedModule[] = [];
  for (const token of strings) {
    const imported = importAt(code, token);
    if (imported !== undefined) imports.push(imported);
  }
  const literals = new Set(strings.map((token) => token.start));
  const computedImports: number[] = [];
  // In an ES module `require` is an ordinary name, unless it was made by createRequire.
  const loaders = /\bcreateRequire\b/.test(code) ? 'import|require' : 'import';
  for (const match of code.matchAll(new RegExp(`(?<![.\\w$#])(?:${loaders})\\s*\\(\\s*`, 'g'))) {
    const argument = match.index + match[0].length;
    if (!literals.has(argument)) computedImports.push(lineAt(code, match.index));
  }
  return { path, code, imports, computedImports };
}

/** Is this string the name of a module? The code before it tells. */
function importAt(code: string, token: StringToken): ImportedModule | undefined {
  const before = code.slice(0, token.start).trimEnd();
  const line = lineAt(code, token.start);
  if (/(?<![.\w$#])(?:import|require)\s*\($/.test(before) || /(?<![.\w$])import$/.test(before)) {
    return { specifier: token.value, line, reExport: false, star: false };
  }
  if (!/(?<![.\w$])from$/.test(before)) return undefined;
  // The clause between the keyword and `from` holds names, braces and commas only, so the last keyword is its own.
  const keyword = /(?<![.\w$])(import|export)(?![\w$])(?![\s\S]*(?<![.\w$])(?:import|export)(?![\w$]))/.exec(
    before,
  );
  if (keyword === null) return undefined;
  const clause = before.slice(keyword.index + keyword[0].length);
  const reExport = keyword[1] === 'export';
  return { specifier: token.value, line, reExport, star: reExport && /^\s*(?:type\s*)?\*/.test(clause) };
}

export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < index; i = text.indexOf('\n', i + 1)) line += 1;
  return line;
}

/** Replaces comments, string contents, template texts and regular expressions by spaces; line ends stay. */
function blank(text: string): { code: string; strings: StringToken[] } {
  const strings: StringToken[] = [];
  let code = '';
  let at = 0;
  /** For each template that is open: how many braces are open inside its current `${`. */
  const templates: number[] = [];

  const blankTo = (end: number): void => {
    code += text.slice(at, end).replace(/[^\n]/g, ' ');
    at = end;
  };
  const keep = (count = 1): void => {
    code += text.slice(at, at + count);
    at += count;
  };

  while (at < text.length) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === '/' && next === '/') {
      const end = text.indexOf('\n', at);
      blankTo(end < 0 ? text.length : end);
    } else if (char === '/' && next === '*') {
      const end = text.indexOf('*/', at + 2);
      blankTo(end < 0 ? text.length : end + 2);
    } else if (char === "'" || char === '"') {
      const end = endOfString(text, at);
      strings.push({ start: at, value: text.slice(at + 1, end) });
      keep();
      blankTo(end);
      keep();
    } else if (char === '`') {
      const start = at;
      keep();
      const end = endOfTemplatePart(text, at);
      // A template without a placeholder is a plain string.
      if (text.charAt(end) === '`') strings.push({ start, value: text.slice(start + 1, end) });
      blankTo(end);
      if (text.charAt(at) === '`') keep();
      else if (at < text.length) {
        keep(2);
        templates.push(0);
      }
    } else if (templates.length > 0 && char === '{') {
      templates.push((templates.pop() ?? 0) + 1);
      keep();
    } else if (templates.length > 0 && char === '}') {
      const open = templates.pop() ?? 0;
      keep();
      if (open > 0) {
        templates.push(open - 1);
        continue;
      }
      blankTo(endOfTemplatePart(text, at));
      if (text.charAt(at) === '`') keep();
      else if (at < text.length) {
        keep(2);
        templates.push(0);
      }
    } else if (char === '/' && beforeRegex.test(code.slice(-200))) {
      keep();
      blankTo(endOfRegex(text, at));
    } else {
      keep();
    }
  }
  return { code, strings };
}

function endOfString(text: string, start: number): number {
  const quote = text.charAt(start);
  let i = start + 1;
  while (i < text.length && text.charAt(i) !== quote && text.charAt(i) !== '\n')
    i += text.charAt(i) === '\\' ? 2 : 1;
  return Math.min(i, text.length);
}

/** The index of the closing back tick or of the next `${`. */
function endOfTemplatePart(text: string, start: number): number {
  let i = start;
  while (i < text.length) {
    const char = text.charAt(i);
    if (char === '`' || (char === '$' && text.charAt(i + 1) === '{')) return i;
    i += char === '\\' ? 2 : 1;
  }
  return text.length;
}

/** The index of the slash that closes it; a slash within brackets does not. */
function endOfRegex(text: string, start: number): number {
  let inBrackets = false;
  let i = start;
  while (i < text.length && text.charAt(i) !== '\n') {
    const char = text.charAt(i);
    if (char === '[') inBrackets = true;
    if (char === ']') inBrackets = false;
    if (char === '/' && !inBrackets) return i + 1;
    i += char === '\\' ? 2 : 1;
  }
  return i;
}
