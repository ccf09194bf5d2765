/** Colours carry meaning, not decoration: good, warning, bad, and what may be overlooked. */
export type Tone = "plain" | "good" | "warning" | "bad" | "faint" | "strong";

export type Paint = (tone: Tone, text: string) => string;

const codes: Readonly<Record<Tone, readonly [on: number, off: number] | undefined>> = {
  plain: undefined,
  good: [32, 39],
  warning: [33, 39],
  bad: [31, 39],
  faint: [2, 22],
  strong: [1, 22],
};

/** Colours only on a terminal, and never against the wish of NO_COLOR (no-color.org) or TERM=dumb. */
export function paintFor(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const wanted = isTerminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  if (!wanted) return (_tone, text) => text;
  return (tone, text) => {
    const code = codes[tone];
    return code === undefined ? text : `\u001b[${code[0]}m${text}\u001b[${code[1]}m`;
  };
}
