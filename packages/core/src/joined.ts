/**
 * One object of the members of both, the second's first. A member that is read anew each time (a getter) stays one, which a spread
 * would freeze at its present value.
 */
export function joined<First extends object, Second extends object>(first: First, second: Second): First & Second {
  const members = { ...Object.getOwnPropertyDescriptors(first), ...Object.getOwnPropertyDescriptors(second) };
  return Object.defineProperties({}, members) as First & Second;
}
