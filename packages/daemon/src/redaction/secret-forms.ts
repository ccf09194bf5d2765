/** Shorter values are words of every text: looking for them would replace what is not secret. */
export const secretBytesMin = 6;

/** Longer forms are looked for in pieces of this length, so that no text makes the search slow and a part of a secret is found too. */
export const formCharactersMax = 64;

/**
 * How a secret may look in a text: as it is, inside JSON (also where only ASCII is written, or slashes are escaped), URL-encoded, and in
 * base64, in whose middle it may stand. None for a value that is too short. Blanks around it are no part of it.
 */
export function formsOf(secret: string): string[] {
  const value = secret.trim();
  const bytes = Buffer.from(value);
  if (bytes.length < secretBytesMin) return [];
  const json = JSON.stringify(value).slice(1, -1);
  const ascii = json.replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const wholes = [
    ...[value, json, ascii, json.replaceAll("/", "\\/"), ascii.replaceAll("/", "\\/")],
    ...urlForms(bytes),
    ...base64Forms(bytes),
  ];
  return [...new Set(wholes.flatMap(piecesOf))];
}

/** By the two sets of characters that encoders leave alone, with digits of either case, and with + for a blank. */
function urlForms(bytes: Buffer): string[] {
  const forms = [/[A-Za-z0-9\-_.~]/, /[A-Za-z0-9\-_.!~*'()]/].flatMap((kept) => {
    const upper = [...bytes].map((byte) => encoded(byte, kept)).join("");
    return [upper, upper.replace(/%../g, (one) => one.toLowerCase())];
  });
  return [...forms, ...forms.map((form) => form.replaceAll("%20", "+"))];
}

function encoded(byte: number, kept: RegExp): string {
  const character = String.fromCharCode(byte);
  return kept.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** What surely stands in the base64 of any text around it, by where it begins in a group of three bytes; in both alphabets. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const first = Math.ceil((before * 8) / 6);
    const behind = Math.floor(((before + bytes.length) * 8) / 6);
    const form = text.slice(first, behind);
    return [form, form.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

function piecesOf(form: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at + formCharactersMax < form.length; at += formCharactersMax)
    pieces.push(form.slice(at, at + formCharactersMax));
  return [...pieces, form.slice(-formCharactersMax)];
}
