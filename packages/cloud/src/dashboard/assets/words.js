/** Splits a line into words: quotes keep them together, a backslash keeps the next character as it is. No shell. */
export function splitWords(line) {
  const words = [];
  let word;
  let quote;
  for (let index = 0; index < line.length; index += 1) {
    const character = line[index];
    if (quote === "'" ? false : character === "\\") {
      index += 1;
      if (index === line.length) throw new Error("a backslash stands at the end");
      word = (word ?? "") + line[index];
    } else if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== undefined) throw new Error(`a ${quote} is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}
