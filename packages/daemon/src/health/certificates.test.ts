/** Goal: a certificate that ends soon, or has, is told with its file and date, and one that was renewed is not. Method: real certificates, the wall clock as a number. */
import assert from "node:assert/strict";
import { utimesSync, writeFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Certificates } from "./certificates.ts";

const dayMs = 86_400_000;

test("told from the threshold on, critical from its end on, once for each file; missing and broken files are others' matter", () => {
  using folder = temporaryFolder("hl-certificates");
  const file = join(folder.path, "cert.pem");
  const broken = join(folder.path, "broken.pem");
  const { cert } = makeAuthority().issue("vm");
  writeFileSync(file, cert);
  writeFileSync(broken, "not a certificate");
  const endMs = new X509Certificate(cert).validToDate.getTime();
  const certificates = new Certificates([file, file, broken, join(folder.path, "missing.pem")]);
  const codes = (wallMs: number): string[] => certificates.conditions(wallMs, 14).map(({ code }) => code);
  assert.deepEqual(codes(endMs - 14 * dayMs), []);
  assert.deepEqual(codes(endMs - 14 * dayMs + 1), ["certificate_expiring"]);
  assert.deepEqual(codes(endMs - 1), ["certificate_expiring"]);
  assert.deepEqual(codes(endMs), ["certificate_expired"]);
  const [expired] = certificates.conditions(endMs, 14);
  assert.deepEqual(expired?.subject, file);
  assert.ok(expired?.text.includes(new Date(endMs).toISOString()));

  writeFileSync(file, "replaced by something else");
  utimesSync(file, 1, 1);
  assert.deepEqual(codes(endMs), [], "a file that has changed is read again");
});
