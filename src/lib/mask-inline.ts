import { isSensitiveName } from "./sensitive-name.ts";

export const mask = "(masked)";

/** One line with its secrets masked, and what that says about the lines after it. */
export interface MaskedLine {
  readonly text: string;
  /** A quote that was opened around a secret and not closed on this line. */
  readonly openQuote: string | undefined;
  /** The secret stands on the next line (`--password \`). */
  readonly nextLine: boolean;
  /** A plain value that YAML lets go on over deeper indented lines. */
  readonly continues: boolean;
}

const quoted = String.raw`(?:"(?:[^"\\]|\\.){0,2000}"|'(?:[^'\\]|\\.|''){0,2000}')`;
const word = String.raw`(?:${quoted}|[^\s"']{1,2000})`;

/** Secrets known by their look, wherever they stand. */
const tokenShapes = new RegExp(
  [
    String.raw`\bgh[pousr]_\w{10,}`,
    String.raw`\bgithub_pat_\w{10,}`,
    // Newer ones go on after dots.
    String.raw`\bglpat-[\w-]{10,}(?:\.[\w-]+)*`,
    String.raw`\b(?:AKIA|ASIA)[A-Z0-9]{12,}`,
    String.raw`\bxox[abprs]-[\w-]{10,}`,
    String.raw`\b[sr]k_live_\w{10,}`,
    String.raw`\bhv[sb]\.[\w-]{10,}`,
    String.raw`\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?`,
    String.raw`\bAGE-SECRET-KEY-1\w+`,
    // crypt(3): $6$salt$hash and its relatives
    String.raw`\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2\w{1,2}|pbkdf2[\w-]*|scrypt)\$[^\s"',:]{6,}`,
  ].join("|"),
  "g",
);

/** Pattern with the secret as the group named `secret`; everything else of the match stays. */
const phrases: readonly RegExp[] = [
  /:\/\/[^\s:/@"']{0,200}:(?!\d{1,5}\/)(?<secret>[^\s"']{1,500})@/dg,
  /:\/\/(?<secret>[^\s:/@"']{12,500})@/dg,
  /\bauthorization["']?\s{0,9}[:=]\s{0,9}["']?(?:(?:bearer|basic|token|digest)\s{1,9})?(?<secret>[^"']{1,4000})/dgi,
  /\bbearer\s{1,9}(?<secret>[\w.~+/=-]{8,})/dgi,
  phrase(
    String.raw`\bidentified\s{1,9}(?:with\s{1,9}\S{1,99}\s{1,9})?(?:by|as)\s{1,9}(?:password\s{1,9})?(?<secret>${word})`,
  ),
  phrase(String.raw`\bpassword\s{0,9}\(?\s{0,9}(?<secret>${quoted})`),
  phrase(String.raw`\bConvertTo-SecureString\s{1,9}(?:-\w{1,30}\s{1,9}){0,5}(?<secret>(?!-)${word})`),
  phrase(String.raw`\b(?:mysql|mariadb)\w{0,20}\s[^|;&]{0,500}?-p(?<secret>${word})`),
  phrase(String.raw`\b(?:sshpass|useradd|usermod)\s[^|;&]{0,500}?-p\s{0,9}(?<secret>${word})`),
  phrase(
    String.raw`(?:\s-u|--user|--proxy-user)[\s=]{1,9}(?:["'](?=[^"']{1,500}["']))?[^\s:"']{1,200}:(?<secret>[^\s"']{1,500})`,
  ),
  phrase(String.raw`\bnet1?(?:\.exe)?\s{1,9}user\s{1,9}${word}\s{1,9}(?<secret>(?!/)${word})`),
  phrase(String.raw`\bopenssl\s{1,9}passwd\s{1,9}(?:-(?!salt)\w{1,20}\s{1,9}){0,5}(?<secret>(?!-)${word})`),
  phrase(String.raw`\bhtpasswd\s{1,9}-\w{0,9}b\w{0,9}\s{1,9}${word}\s{1,9}${word}\s{1,9}(?<secret>${word})`),
  phrase(
    String.raw`\b(?:echo|printf)\s{1,9}(?:-\w{1,3}\s{1,9})?(?<secret>[^|]{1,1000}?)\s{0,9}\|\s{0,9}(?:sudo\s{1,9})?[^|]{0,200}(?:passwd\b|--password-stdin)`,
  ),
  /<[\w:]{0,60}(?:password|passwd|secret|token|apikey)\w{0,60}(?:\s[^>]{0,300})?>(?:\s{0,20}<[\w:]{1,60}>)?(?<secret>[^<]{1,2000})<\//dgi,
];

/** `-----BEGIN ... PRIVATE KEY-----` up to its end on the same line (as in JSON, with `\n` written out). */
const inlineKey = /(-----BEGIN [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----)[^\n]*?(-----END [A-Z ]{0,40}PRIVATE KEY)/g;

const flag = /(?<![\w-])--?([A-Za-z][\w-]{0,60})(=|\s{1,9})(?!-)/g;
const assignment = /(?<![\w.$-])([A-Za-z_$@%][\w.$-]{0,80})(?:\\?["'\]])?(\s{0,20}(?::=|=>|={1,3}|:)[^\S\n]{0,20})/g;

/** Masks what is secret on one line by itself. */
export function maskLine(line: string): MaskedLine {
  let text = line.replaceAll(inlineKey, `$1${mask}$2`).replaceAll(tokenShapes, mask);
  for (const pattern of phrases) text = maskGroup(text, pattern);
  const flags = maskFlags(text);
  const assigned = maskAssignments(flags.text);
  return { ...assigned, nextLine: flags.nextLine };
}

function phrase(source: string): RegExp {
  return new RegExp(source, "dgi");
}

function maskGroup(text: string, pattern: RegExp): string {
  let result = "";
  let rest = 0;
  for (const match of text.matchAll(pattern)) {
    const place = match.indices?.groups?.["secret"];
    if (place === undefined) continue;
    const secret = text.slice(place[0], place[1]);
    result += text.slice(rest, place[0]) + (isReference(secret) ? secret : maskValue(secret));
    rest = place[1];
  }
  return result + text.slice(rest);
}

/** Keeps the quotes of a quoted secret. */
function maskValue(secret: string): string {
  const quote = /^["']/.exec(secret)?.[0];
  return quote !== undefined && secret.length > 1 && secret.endsWith(quote) ? `${quote}${mask}${quote}` : mask;
}

/** A value that only names where the secret is: `${DB_PASSWORD}`, `{{ password }}`. */
function isReference(value: string): boolean {
  return /^(["']?)(?:\$\{\w+\}|\{\{[^{}]{1,100}\}\})\1$/.test(value.trim());
}

function maskFlags(text: string): { readonly text: string; readonly nextLine: boolean } {
  let nextLine = false;
  let result = "";
  let rest = 0;
  for (const match of text.matchAll(flag)) {
    const start = match.index + match[0].length;
    if (start < rest || !isSensitiveName(match[1] ?? "")) continue;
    const value = new RegExp(`${word}|\\S.*`, "y");
    value.lastIndex = start;
    const secret = value.exec(text)?.[0];
    if (secret === undefined) continue;
    if (secret === "\\") {
      nextLine = true;
      continue;
    }
    result += text.slice(rest, start) + (isReference(secret) ? secret : maskValue(secret));
    rest = start + secret.length;
  }
  return { text: result + text.slice(rest), nextLine };
}

function maskAssignments(text: string): Omit<MaskedLine, "nextLine"> {
  let result = "";
  let rest = 0;
  let openQuote: string | undefined;
  let continues = false;
  for (const match of text.matchAll(assignment)) {
    const start = match.index + match[0].length;
    if (match.index < rest || !isSensitiveName(match[1] ?? "")) continue;
    const value = valueAt(text, start, { name: match.index, separator: (match[2] ?? "").trim() });
    result += text.slice(rest, start) + value.shown;
    rest = value.end;
    openQuote = value.openQuote;
    continues ||= value.plain && match[2]?.trim() === ":" && isLineStart(text.slice(0, match.index));
  }
  return { text: result + text.slice(rest), openQuote, continues };
}

interface Value {
  readonly shown: string;
  readonly end: number;
  readonly openQuote?: string;
  readonly plain: boolean;
}

/** The value that begins at `start`: a quoted text, a reference, a word, or the rest of the line. */
function valueAt(text: string, start: number, place: { readonly name: number; readonly separator: string }): Value {
  const rest = text.slice(start);
  const quote = /^(?:\\?["'])/.exec(rest)?.[0];
  if (quote !== undefined) return quotedValue(text, start, quote);
  const run = plainRun(text, start, place);
  const value = text.slice(start, run);
  const keep = value.trim() === "" || isHarmless(value.trim()) || isReference(value);
  return { shown: keep ? value : mask, end: run, plain: !keep };
}

function quotedValue(text: string, start: number, quote: string): Value {
  const from = start + quote.length;
  const end = closingQuote(text, from, quote);
  if (end === undefined) return { shown: `${quote}${mask}`, end: text.length, openQuote: quote, plain: false };
  const value = text.slice(from, end);
  // "abc"def is one word to a shell
  const tail = /^[^\s,;)}\]&|"'\\]*/.exec(text.slice(end + quote.length))?.[0] ?? "";
  const keep = (value === "" || isReference(value)) && tail === "";
  return {
    shown: keep ? `${quote}${value}${quote}` : `${quote}${mask}${quote}`,
    end: end + quote.length + tail.length,
    plain: false,
  };
}

/** Index of the closing quote: a backslash escapes in double quotes, a doubled quote in single ones. */
export function closingQuote(text: string, from: number, quote: string): number | undefined {
  for (let index = from; index < text.length; index += 1) {
    if (text.startsWith(quote, index)) {
      if (quote === "'" && text[index + 1] === "'") index += 1;
      else return index;
    } else if (text[index] === "\\" && quote !== "'") index += 1;
  }
  return undefined;
}

/** Where an unquoted value ends: at the flow collection's next comma, the shell's next blank, or the end of the line. */
function plainRun(text: string, start: number, place: { readonly name: number; readonly separator: string }): number {
  const before = text.slice(0, place.name);
  const inFlow = /\{[^}]*$/.test(before);
  if (inFlow && !/^\$?[{[]/.test(text.slice(start)))
    return start + (/^[^,}\n]*/.exec(text.slice(start))?.[0].length ?? 0);
  if (place.separator !== "=" || isLineStart(before)) return text.length;
  return start + (/^\S*/.exec(text.slice(start))?.[0].length ?? 0);
}

function isLineStart(before: string): boolean {
  return /^\s*(?:- )*(?:export |set |env |Environment=)?["'$]?$/.test(before);
}

/** Values no secret has, block scalars (their lines follow), and what is masked already. */
function isHarmless(value: string): boolean {
  return /^(?:true|false|yes|no|null|~|[|>][+-]?\d?[+-]?(?:\s+#.*)?|\(masked\).*)$/i.test(value);
}
