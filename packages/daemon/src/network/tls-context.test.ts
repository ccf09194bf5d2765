/**
 * Goal: a connection has the certificates that lie there now, and their files are not read for it again while they are the same.
 * Method: real files that are replaced the ways that tools replace them; what the process has read comes from the kernel's own count.
 */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rootCertificates } from "node:tls";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { systemAuthorities, TlsContexts, type ContextParts } from "./tls-context.ts";

const rules = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384" } as const;

function inFolder(): { file: (name: string, content: string) => string } & Disposable {
  const folder = temporaryFolder("hl-ctx");
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content);
    return path;
  };
  return { file, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Bytes that this process has read from files in its life. */
const bytesRead = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);

test("while the files are the same the context is, and nothing of them is read", () => {
  using folder = inFolder();
  const authority = makeAuthority();
  const client = authority.issue("vm-7");
  const ca = folder.file("ca.crt", authority.cert + "# padding\n".repeat(50_000));
  const own = { cert: folder.file("own.crt", client.cert), key: folder.file("own.key", client.key) };
  const parts: ContextParts = { ...rules, ca: [{ file: ca }], own };
  const contexts = new TlsContexts();
  const atFirst = bytesRead();
  const context = contexts.of(parts);
  assert.ok(bytesRead() - atFirst > 500_000, "the count sees what is read");
  const before = bytesRead();
  for (let time = 0; time < 100; time += 1) assert.equal(contexts.of(parts), context);
  const read = bytesRead() - before;
  assert.ok(read < 10_000, `${read} bytes`);
});

test("a file that is another one is read for the next connection, however it was replaced", () => {
  using folder = inFolder();
  const authority = makeAuthority();
  const [old, other] = [authority.issue("vm-7"), authority.issue("vm-7")];
  const ca = folder.file("ca.crt", authority.cert);
  const own = { cert: folder.file("own.crt", old.cert), key: folder.file("own.key", old.key) };
  const contexts = new TlsContexts();
  const of = (): unknown => contexts.of({ ...rules, ca: [{ file: ca }], own });
  let last = of();
  const isAnother = (how: string): void => {
    const now = of();
    assert.notEqual(now, last, how);
    assert.equal(of(), now, how);
    last = now;
  };
  appendFileSync(ca, makeAuthority().cert);
  isAnother("written on");
  renameSync(folder.file("new.crt", authority.cert), ca);
  isAnother("another file under its name");
  utimesSync(ca, 1, 1);
  isAnother("another time");
  const { size, mtimeMs } = statSync(ca);
  writeFileSync(ca, authority.cert);
  utimesSync(ca, 1, 1);
  assert.deepEqual([statSync(ca).size, statSync(ca).mtimeMs], [size, mtimeMs]);
  isAnother("in place, as long as it was and with its time");
  writeFileSync(own.cert, other.cert);
  assert.throws(of, /own\.crt and the key in .*own\.key cannot be used .*belong together/);
  writeFileSync(own.key, other.key);
  isAnother("the client's own");
  const narrower = contexts.of({ ...rules, minVersion: "TLSv1.2", ca: [{ file: ca }], own });
  assert.notEqual(narrower, last, "other rules");
});

test("what could not be used once is looked at again", () => {
  using folder = inFolder();
  const ca = folder.file("ca.crt", "nothing\n");
  const contexts = new TlsContexts();
  const of = (): unknown => contexts.of({ ...rules, ca: [{ file: ca }] });
  for (let time = 0; time < 2; time += 1) assert.throws(of, /ca\.crt has no certificate of an authority/);
  writeFileSync(ca, makeAuthority().cert);
  assert.ok(of());
});

test("a machine without a store of authorities has those of Node", () => {
  using folder = inFolder();
  const store = folder.file("store.crt", "x");
  assert.deepEqual(systemAuthorities([`${store}.none`, store]), { file: store });
  assert.equal(systemAuthorities([`${store}.none`]), "bundled");
  assert.ok(rootCertificates.length > 100);
  const contexts = new TlsContexts();
  assert.equal(contexts.of({ ...rules, ca: ["bundled"] }), contexts.of({ ...rules, ca: ["bundled"] }));
});
