/** Goal: the SQLite engine keeps the store's contract. Method: the conformance suite on a real file; a crash is a copy of the files. */
import { mkdirSync, readdirSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { storeConformance } from "./store-conformance.fixture.test.ts";
import { openSqliteStore } from "./sqlite-store.ts";

storeConformance("sqlite", async () => {
  const folder = temporaryFolder("hl-store");
  let home = join(folder.path, "0");
  const stores = [openSqliteStore(home)];
  return {
    get store() {
      return stores.at(-1)!;
    },
    /** What a crash leaves: the files as they are, without an orderly close. */
    async reopen() {
      const next = join(folder.path, String(stores.length));
      mkdirSync(next);
      for (const name of readdirSync(home).filter((file) => !file.endsWith("-shm"))) {
        copyFileSync(join(home, name), join(next, name));
      }
      home = next;
      const store = openSqliteStore(home);
      stores.push(store);
      return store;
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
});
