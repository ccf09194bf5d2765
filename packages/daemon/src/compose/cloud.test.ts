import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf } from "./cloud.ts";

// Goal: X2: no connection is made that is weaker than configured. Method: each kind of pinning against each kind of address.
test("X2: pinning that cannot be enforced refuses the connection and says what to change", () => {
  const https = "https://api.example.com";
  assert.match(refusalOf(https, { pins: [] }) ?? "", /placeholder/);
  assert.match(refusalOf(https, { pins: ["sha256:x"] }) ?? "", /cannot check pins.*turn it off/);
  assert.equal(refusalOf(https, { pins: undefined }), undefined);
  assert.equal(refusalOf("http://127.0.0.1:7070", { pins: [] }), undefined, "there is no certificate to pin");
});
