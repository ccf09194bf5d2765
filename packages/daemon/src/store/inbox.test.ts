/**
 * Goal: C1, C2: of a request of the cloud it is known whether it is new, under way or answered, also after a kill.
 * Method: the file is opened anew between all steps.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "./database.ts";
import { Inbox } from "./inbox.ts";

const inFolder =
  (folder: string) =>
  async <T>(wallMs: number, act: (inbox: Inbox) => Promise<T>): Promise<T> => {
    using database = new Database(join(folder, "daemon.db"));
    return await act(new Inbox(database, () => wallMs));
  };

test("C1, C2: new, then unanswered, then answered, each across a restart", async () => {
  using folder = temporaryFolder("hl-inbox");
  const inbox = inFolder(folder.path);
  assert.equal(await inbox(1, (one) => one.receive("r", "m")), "new");
  assert.equal(await inbox(2, (one) => one.receive("r", "m")), "unanswered");
  await inbox(3, (one) => one.answer("r", '{"result":1}'));
  assert.deepEqual(await inbox(4, (one) => one.receive("r", "m")), { answer: '{"result":1}' });
  assert.equal(await inbox(5, (one) => one.receive("s", "m")), "new");
});

test("C1: of two that come in one turn exactly one is new", async () => {
  using folder = temporaryFolder("hl-inbox");
  const states = await inFolder(folder.path)(1, (one) => Promise.all([one.receive("r", "m"), one.receive("r", "m")]));
  assert.deepEqual(states, ["new", "unanswered"]);
});

test("P7: pruned by age and by number, the oldest first", async () => {
  using folder = temporaryFolder("hl-inbox");
  const inbox = inFolder(folder.path);
  for (const at of [10, 20, 30, 40]) await inbox(at, (one) => one.receive(`r${at}`, "m"));
  await inbox(50, (one) => one.prune(20, 2)); // r10 is too old, r20 is one too many.
  const known = async (id: string): Promise<boolean> => (await inbox(60, (one) => one.receive(id, "m"))) !== "new";
  assert.deepEqual(
    [await known("r30"), await known("r40"), await known("r20"), await known("r10")],
    [true, true, false, false],
  );
});
