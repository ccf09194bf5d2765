/**
 * Text from the other side may hold escape sequences that move the cursor, rename the window or answer as if typed,
 * and direction marks that make a line read differently from what it says. They are shown, never obeyed.
 */
const dangerous = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const dangerousInText = /[^\P{Cc}\n\t]|[\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** For one line: line feeds are shown too. */
export function escapeLine(text: string): string {
  return text.replace(dangerous, show);
}

/** For text of several lines: line feeds and tabs stay what they are. */
export function escapeText(text: string): string {
  return text.replace(dangerousInText, show);
}

/** JSON whose strings a terminal does not obey either: the same value, with more of it escaped than `JSON.stringify` does. */
export function jsonText(value: unknown, indent = 0): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value, null, indent).replace(dangerousInText, escape);
}

function show(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return named[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`);
}
