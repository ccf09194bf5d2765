import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf } from "./cloud.ts";

// Goal: X2: no connection is made that is weaker than configured. Method: each kind of pinning against each kind of address.
test("X2: pinning that cannot be enforced refuses the connection and says what to change", () => {
  const https = "https://api.example.com";
  const rejectUnauthorized = true;
  assert.match(refusalOf(https, { pins: [], rejectUnauthorized }) ?? "", /placeholder/);
  assert.equal(refusalOf(https, { pins: ["sha256:x"], rejectUnauthorized }), undefined, "it is checked: tls.test.ts");
  const unchecked = { pins: ["sha256:x"], rejectUnauthorized: false };
  assert.match(refusalOf(https, unchecked) ?? "", /certificate_validation .* is false/);
  assert.equal(refusalOf(https, { pins: undefined, rejectUnauthorized }), undefined);
  assert.equal(refusalOf("http://127.0.0.1:7070", { pins: [], rejectUnauthorized }), undefined, "nothing to pin");
});

test("X2: a client certificate that is demanded and not there refuses the connection and says where it belongs", () => {
  const tls = { pins: undefined, rejectUnauthorized: true };
  const missing = { cert: "/a/client.crt", key: "/a/client.key" };
  assert.match(refusalOf("https://api.example.com", tls, missing) ?? "", /\/a\/client\.crt .* \/a\/client\.key/);
  assert.match(refusalOf("http://127.0.0.1:1", tls, missing) ?? "", /no TLS/);
});
