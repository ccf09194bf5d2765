/** Goal: what a test takes for the screen is what a person would read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { screenText } from "./screen-text.ts";

test("lines, colours, a line editor's prompt, and what was written over", () => {
  assert.equal(screenText("\u001b[1mone\u001b[22m\r\ntwo  \r\n"), "one\ntwo\n");
  assert.equal(screenText("\u001b[?2004h\u001b[1G\u001b[0J> \u001b[3Gab\r\r\nnext"), "> ab\nnext");
  assert.equal(screenText("wait\u001b[1G\u001b[0Jgone… 👍"), "gone… 👍");
  assert.equal(screenText("abc\u001b[2Dx\u001b[K|\u001b]0;title\u0007"), "ax|");
});
