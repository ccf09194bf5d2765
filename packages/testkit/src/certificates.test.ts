/** Goal: TLS takes every certificate that is made here, of whatever length it comes out. */
import { test } from "node:test";
import { createSecureContext } from "node:tls";
import { makeAuthority } from "./certificates.ts";

test("certificates of every length are read, also where the last line of the text is full", () => {
  const authority = makeAuthority();
  for (let length = 1; length <= 64; length += 1) {
    const { cert, key } = authority.issue("v".repeat(length));
    createSecureContext({ cert, key, ca: authority.cert });
  }
});
