import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { testCloud } from "../testing/test-cloud.ts";

// Goal: every part of the page is served, needs no token, and may run nothing that is not a file of ours.
// Method: ask for each file in assets/, and look for inline scripts and styles in the page.
test("the dashboard is served whole, under a strict content security policy", async () => {
  await using fixture = await testCloud();
  const names = readdirSync(new URL("assets/", import.meta.url)).filter((name) => name !== "index.html");
  for (const path of ["", ...names]) {
    const response = await fetch(`${fixture.url}/${path}`);
    assert.equal(response.status, 200, path);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'; script-src 'self';/);
    assert.doesNotMatch(policy, /unsafe/);
    if (path !== "") continue;
    const page = await response.text();
    assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=/);
  }
});
