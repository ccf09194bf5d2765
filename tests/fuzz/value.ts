/**
 * Any bytes as a JSON value, so that no input is lost because it is no JSON: a byte says what comes, an object's keys are mostly those of the
 * schemas. Missing bytes are null.
 */
const numbers = [0, 1, -1, 0.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 1e-308];
const depthMax = 8;

export function valueOf(bytes: Buffer, keys: readonly string[], texts: readonly string[]): unknown {
  let at = 0;
  const next = (): number => bytes[at++] ?? 0;
  const text = (): string => {
    const length = next() % 32;
    const taken = bytes.subarray(at, at + length).toString("utf8");
    at += length;
    return taken;
  };
  const value = (depth: number): unknown => {
    const kind = next() % (depth < depthMax ? 9 : 6);
    switch (kind) {
      case 0:
        return null;
      case 1:
        return next() % 2 === 0;
      case 2:
        return numbers[next() % numbers.length];
      case 3:
        return next() - 128;
      case 4:
        return text();
      case 5:
        return texts[next() % texts.length];
      case 6:
        return Array.from({ length: next() % 6 }, () => value(depth + 1));
      default: {
        const entries = Array.from({ length: next() % 8 }, () => {
          const choice = next();
          return [choice < 230 ? keys[choice % keys.length] : text(), value(depth + 1)];
        });
        return Object.fromEntries(entries);
      }
    }
  };
  return value(0);
}

/** Bytes that are an object with a text under each of the keys. */
export function bytesOf(known: readonly string[], wanted: readonly string[], texts: readonly string[]): Buffer {
  const indexOf = (name: string): number => Math.max(0, known.indexOf(name));
  return Buffer.from([
    7,
    wanted.length % 8,
    ...wanted.slice(0, 7).flatMap((name, n) => [indexOf(name), 5, n % texts.length]),
  ]);
}
