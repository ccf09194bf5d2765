/** Goal: X4: what is kept from an agent and what is not. Method: environments in, environments out. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { coverKeys, judgeEnvironment } from "./key-account.ts";

const key = "sk-ant-the-real-key";

describe("the keys in an agent's environment", () => {
  test("a configured key is covered, with the address that it belongs to", () => {
    const judged = judgeEnvironment({ ANTHROPIC_API_KEY: key, A: "b" }, { C: "d" }, {});
    assert.equal(judged.account?.baseUrl.href, "https://api.anthropic.com/");
    assert.equal(judged.account.apiKey, key);
    const covered = { ANTHROPIC_API_KEY: "token", ANTHROPIC_BASE_URL: "http://127.0.0.1:1", A: "b", C: "d" };
    assert.deepEqual(coverKeys(judged, "token", "http://127.0.0.1:1"), covered);
    const gateway = judgeEnvironment({ ANTHROPIC_AUTH_TOKEN: key, ANTHROPIC_BASE_URL: "https://g/x" }, {}, {});
    assert.equal(gateway.account?.baseUrl.href, "https://g/x");
  });

  test("without a key nothing changes; a caller's own stays his, and the configured ones are not beside it", () => {
    const plain = { ANTHROPIC_BASE_URL: "http://h", ANTHROPIC_API_KEY: "" };
    assert.deepEqual(judgeEnvironment(plain, {}, {}), { environment: plain, account: undefined });
    const own = { ANTHROPIC_AUTH_TOKEN: "mine" };
    assert.deepEqual(judgeEnvironment({ ANTHROPIC_API_KEY: key, A: "b" }, own, {}), {
      environment: { A: "b", ANTHROPIC_AUTH_TOKEN: "mine" },
      account: undefined,
    });
  });

  test("X4: a configured key goes to the configured address only, whatever a caller names", () => {
    const configured = { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: "https://g/x" };
    const asks = (own: Record<string, string>, have: Record<string, string> = configured): void =>
      void judgeEnvironment(have, own, {});
    const refusal = /the caller names another ANTHROPIC_BASE_URL/;
    assert.throws(() => asks({ ANTHROPIC_BASE_URL: "https://evil.example" }), refusal);
    assert.throws(() => asks({ ANTHROPIC_BASE_URL: "https://g/x" }, { ANTHROPIC_API_KEY: key }), refusal);
    assert.throws(() => asks({ ANTHROPIC_BASE_URL: "" }), refusal);
    asks({ ANTHROPIC_BASE_URL: "https://g/x" });
    asks({ ANTHROPIC_BASE_URL: "https://evil.example", ANTHROPIC_API_KEY: "mine" });
  });

  test("X2: what the proxy cannot do is refused, and the key is in no error", () => {
    const refused = (more: Record<string, string>, why: RegExp, common: Record<string, string> = {}): void => {
      assert.throws(
        () => judgeEnvironment({ ANTHROPIC_API_KEY: key, ...more }, {}, common),
        (error: Error) => why.test(error.message) && /key_proxy/.test(error.message) && !error.message.includes(key),
      );
    };
    refused({ HTTPS_PROXY: "http://p" }, /HTTPS_PROXY/);
    refused({}, /all_proxy/, { all_proxy: "http://p" });
    refused({ ANTHROPIC_BASE_URL: "ftp://h" }, /http:\/\/ or https:\/\//);
    refused({ ANTHROPIC_BASE_URL: "nonsense" }, /http:\/\/ or https:\/\//);
    refused({ ANTHROPIC_BASE_URL: "https://u:p@h" }, /password/);
    assert.ok(judgeEnvironment({ ANTHROPIC_API_KEY: key, HTTPS_PROXY: "" }, {}, {}).account);
  });
});
