/** Goal: S2: what is told of a path is what became of it between two tellings. Method: any sequence of lives of a path against a model of two looks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PendingChanges } from "./pending-changes.ts";

test("S2: of whatever happened to a path the one change is told that leads from the look before to the look after", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(fc.boolean(), { maxLength: 12 }), (was, steps) => {
      const pending = new PendingChanges(1_000);
      let exists = was;
      for (const wanted of steps) {
        if (!wanted && !exists) continue; // What is not there cannot go.
        pending.add("p", wanted ? (exists ? "modified" : "created") : "deleted");
        exists = wanted;
      }
      const told = pending.take().changes.map(({ type }) => type);
      if (was && exists) assert.deepEqual(told, steps.length === 0 ? [] : ["modified"]);
      else if (was) assert.deepEqual(told, ["deleted"]);
      else if (exists) assert.deepEqual(told, ["created"]);
      else assert.ok(told.length === 0 || told[0] === "deleted");
      assert.ok(pending.isEmpty);
    }),
  );
});

test("P7: a batch is bounded and the rest comes with the next; what is lost is told once", () => {
  const pending = new PendingChanges(1_000);
  const long = "x".repeat(1_000);
  for (let index = 0; index < 200; index += 1) pending.add(`${long}${index}`, "created");
  const sizes: number[] = [];
  while (!pending.isEmpty) sizes.push(pending.take().changes.length);
  assert.ok(sizes.length > 1);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    200,
  );
  pending.lose();
  assert.deepEqual(
    [pending.take(), pending.take()],
    [
      { changes: [], gap: true },
      { changes: [], gap: false },
    ],
  );
});
