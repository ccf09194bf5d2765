/** `${NAME}` and `${NAME:-default}` in the strings of a configuration file; `$${` stands for a plain `${`. */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Interpolation {
  readonly text: string;
  /** True where something was replaced. */
  readonly replaced: boolean;
  readonly problems: readonly { readonly message: string; readonly suggestion?: string }[];
}

const PLACEHOLDER = /\$\$\{|\$\{([^}]*)(\}?)/g;
const NAME = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/** As in a shell, `:-` also covers a variable that is set but empty. What is put in is not looked at again. */
export const interpolate = (text: string, environment: Environment): Interpolation => {
  const problems: { message: string; suggestion?: string }[] = [];
  let replaced = false;
  const result = text.replaceAll(PLACEHOLDER, (whole: string, inner: string | undefined, close: string | undefined) => {
    if (inner === undefined) return "${";
    if (close === "") {
      problems.push({ message: 'has a "${" without "}"', suggestion: 'a plain "${" is written "$${"' });
      return whole;
    }
    const [, name, fallback] = NAME.exec(inner) ?? [];
    if (name === undefined) {
      problems.push({
        message: `has ${whole}, which is not \${NAME} or \${NAME:-default}`,
        suggestion: 'a plain "${" is written "$${"',
      });
      return whole;
    }
    replaced = true;
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value !== undefined) return value;
    problems.push({
      message: `needs the environment variable ${name}, which is not set`,
      suggestion: `set ${name}, or write \${${name}:-default}`,
    });
    return whole;
  });
  return { text: result, replaced, problems };
};
