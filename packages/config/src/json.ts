/**
 * A JSON reader for files that people write. Unlike `JSON.parse` it says the line and column of an error, reports duplicate
 * keys, bounds the nesting, and remembers where each value stands so that later problems can point at it.
 */

export interface JsonProblem {
  readonly offset: number;
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly suggestion?: string | undefined;
}

export interface JsonDocument {
  /** Objects have no prototype, so a key such as "constructor" is only a key. Undefined after a syntax error. */
  readonly value: unknown;
  readonly problems: readonly JsonProblem[];
  /** Offset of the value at a path, or of its nearest parent that stands in the text. */
  locate(path: readonly PropertyKey[]): number;
}

export const NESTING_MAX = 32;
const KEY_CHARACTERS_MAX = 256;

export const parseJson = (text: string): JsonDocument => {
  const reader = new Reader(text);
  let value: unknown;
  try {
    value = reader.document();
  } catch (error) {
    if (!(error instanceof SyntaxStop)) throw error;
    reader.problems.push(error.problem);
  }
  return { value, problems: reader.problems, locate: (path) => reader.locate(value, path) };
};

/** Line and column, both from 1, of an offset. */
export const lineAndColumn = (text: string, offset: number): { line: number; column: number } => {
  const before = text.slice(0, offset);
  const lastBreak = before.lastIndexOf("\n");
  return { line: before.split("\n").length, column: offset - lastBreak };
};

class SyntaxStop extends Error {
  readonly problem: JsonProblem;
  constructor(problem: JsonProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

class Reader {
  readonly problems: JsonProblem[] = [];
  readonly #text: string;
  readonly #offsets = new WeakMap<object, Map<PropertyKey, number>>();
  readonly #path: (string | number)[] = [];
  #at = 0;
  #root = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    this.#skipSpace();
    this.#root = this.#at;
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#stop("has text after the end of the JSON value");
    return value;
  }

  locate(root: unknown, path: readonly PropertyKey[]): number {
    let offset = this.#root;
    let container = root;
    for (const part of path) {
      if (typeof container !== "object" || container === null) break;
      const found = this.#offsets.get(container)?.get(part);
      if (found === undefined) break;
      offset = found;
      container = (container as Record<PropertyKey, unknown>)[part];
    }
    return offset;
  }

  #value(): unknown {
    if (this.#path.length > NESTING_MAX) this.#stop(`is nested deeper than ${NESTING_MAX} levels`);
    const character = this.#text[this.#at];
    if (character === "{") return this.#object();
    if (character === "[") return this.#array();
    if (character === '"') return this.#string();
    for (const [word, value] of WORDS)
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    NUMBER.lastIndex = this.#at;
    const digits = NUMBER.exec(this.#text)?.[0];
    if (digits === undefined) return this.#stopAtCharacter("a value");
    this.#at += digits.length;
    return Number(digits);
  }

  #object(): unknown {
    const object = Object.create(null) as Record<string, unknown>;
    const offsets = this.#remember(object);
    this.#at++;
    this.#skipSpace();
    if (this.#take("}")) return object;
    for (;;) {
      if (this.#text[this.#at] !== '"')
        this.#stopAtCharacter(offsets.size === 0 ? 'a key in double quotes or "}"' : "a key in double quotes");
      const keyAt = this.#at;
      const name = this.#string();
      this.#path.push(name);
      if (name.length > KEY_CHARACTERS_MAX) this.#stop(`has a key longer than ${KEY_CHARACTERS_MAX} characters`, keyAt);
      if (offsets.has(name) && !isComment(name))
        this.#report(keyAt, `has the key ${JSON.stringify(name)} twice; only one can be meant`);
      this.#skipSpace();
      if (!this.#take(":")) this.#stopAtCharacter('":"');
      this.#skipSpace();
      offsets.set(name, this.#at);
      object[name] = this.#value();
      this.#path.pop();
      this.#skipSpace();
      if (this.#take("}")) return object;
      this.#comma("}");
    }
  }

  #array(): unknown {
    const array: unknown[] = [];
    const offsets = this.#remember(array);
    this.#at++;
    this.#skipSpace();
    if (this.#take("]")) return array;
    for (;;) {
      this.#path.push(array.length);
      offsets.set(array.length, this.#at);
      array.push(this.#value());
      this.#path.pop();
      this.#skipSpace();
      if (this.#take("]")) return array;
      this.#comma("]");
    }
  }

  #comma(closing: string): void {
    if (!this.#take(",")) this.#stopAtCharacter(`"," or "${closing}"`);
    const commaAt = this.#at - 1;
    this.#skipSpace();
    if (this.#text[this.#at] === closing) this.#stop(`has a comma before "${closing}"`, commaAt, "remove the comma");
  }

  #string(): string {
    const start = this.#at;
    STRING.lastIndex = start;
    const literal = STRING.exec(this.#text)?.[0];
    if (literal !== undefined) {
      try {
        const value = JSON.parse(literal) as string;
        this.#at += literal.length;
        return value;
      } catch {
        // Falls through: an escape that JSON does not know.
      }
    }
    return this.#stop(
      literal === undefined ? "has a string that does not end on its line" : "has a string with an invalid escape",
      start,
    );
  }

  #remember(container: object): Map<PropertyKey, number> {
    const offsets = new Map<PropertyKey, number>();
    this.#offsets.set(container, offsets);
    return offsets;
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)?.[0].length ?? 0;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #stopAtCharacter(expected: string): never {
    const rest = this.#text.slice(this.#at, this.#at + 2);
    if (rest === "") return this.#stop(`ends where ${expected} is expected`);
    const hint =
      rest.startsWith("//") || rest === "/*" || rest.startsWith("#")
        ? 'a comment is written as a key: "// why": ""'
        : undefined;
    return this.#stop(
      `has ${JSON.stringify(String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0))} where ${expected} is expected`,
      this.#at,
      hint,
    );
  }

  #report(offset: number, message: string): void {
    this.problems.push({ offset, path: [...this.#path], message });
  }

  #stop(message: string, offset = this.#at, suggestion?: string): never {
    throw new SyntaxStop({ offset, path: [...this.#path], message, suggestion });
  }
}

/** A key that only comments: `"// …": ""`. */
export const isComment = (name: string): boolean => name.startsWith("//");

const WORDS: readonly (readonly [string, unknown])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\[^\u0000-\u001f])*"/y;
const SPACE = /[ \t\r\n]*/y;
