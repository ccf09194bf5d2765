import assert from "node:assert/strict";
import { test } from "node:test";
import { joined } from "./joined.ts";

test("what is read anew stays so, and the second one's members win", () => {
  let now = 1;
  const both = joined(
    {
      get changing() {
        return now;
      },
      fixed: "first",
    },
    { fixed: "second" },
  );
  now = 2;
  assert.deepEqual({ ...both }, { changing: 2, fixed: "second" });
});
