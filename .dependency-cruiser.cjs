// Which part may know which. Run by `npm run check`; scripts/check.ts also fails when fewer modules are cruised than exist.
const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });
// Tests, and helpers of tests that live beside what they help to test.
const test = "\\.test\\.ts$|/testing/";
module.exports = {
  forbidden: [
    rule("no-cycles", "Two modules in a cycle are one module.", {}, { circular: true }),
    rule("resolvable", "An import the tool cannot follow is an import it cannot check.", {}, { couldNotResolve: true }),
    rule(
      "core-is-bottom",
      "core has no domain words.",
      { path: "^packages/core/", pathNot: test },
      { path: "^packages/(?!core/)" },
    ),
    rule(
      "contract",
      "protocol must not know who implements it.",
      { path: "^packages/protocol/", pathNot: test },
      { path: "^packages/(?!core/|protocol/)" },
    ),
    rule(
      "config-knows-core",
      "config is data about keys; it runs nothing.",
      { path: "^packages/config/", pathNot: test },
      { path: "^packages/(?!core/|config/)" },
    ),
    rule(
      "apps-are-strangers",
      "They meet in protocol.",
      { path: "^packages/(daemon|client|cloud|workspace)/", pathNot: test },
      { path: "^packages/(daemon|client|cloud|workspace)/", pathNot: "^packages/$1/" },
    ),
    rule(
      "workspace-knows-little",
      "What runs in the sandbox brings nothing along that it does not need.",
      { path: "^packages/workspace/", pathNot: test },
      { path: "^packages/(?!core/|protocol/|workspace/)" },
    ),
    rule(
      "bridge-knows-the-engine",
      "The bridge is the stream-json engine with another end; of the daemon it knows nothing that has a process, a disk or a caller.",
      { path: "^packages/bridge/", pathNot: test },
      {
        path: "^packages/(?!core/|protocol/|bridge/)",
        pathNot: "^packages/daemon/src/claude/(agent|stream-json|stream-json-arguments)\\.ts$",
      },
    ),
    rule(
      "nobody-knows-the-bridge",
      "It is a program of its own.",
      { path: "^packages/(?!bridge/)", pathNot: test },
      { path: "^packages/bridge/" },
    ),
    rule(
      "features-are-strangers",
      "Only compose/ may join two features; all stand on the same floor: network, runner, store, sandbox.",
      { path: "^packages/daemon/src/([^/]+)/", pathNot: "^packages/daemon/src/compose/|" + test },
      { path: "^packages/daemon/src/", pathNot: "^packages/daemon/src/($1|network|runner|store|sandbox)/" },
    ),
    rule(
      "floor-is-below",
      "network, runner, store and sandbox know no feature and not each other.",
      { path: "^packages/daemon/src/(network|runner|store|sandbox)/", pathNot: test },
      { path: "^packages/daemon/src/", pathNot: "^packages/daemon/src/$1/" },
    ),
    rule(
      "one-door-to-sqlite",
      "store/ owns durability.",
      { path: "^packages/", pathNot: "/store/|" + test },
      { path: "^(node:)?sqlite$" },
    ),
    rule(
      "one-door-to-the-network",
      "network/ judges, secures and opens every connection of the daemon; tests/tidy looks at what node:net and node:http have beside that.",
      { path: "^packages/daemon/src/", pathNot: "^packages/daemon/src/network/|" + test },
      { path: "^(node:)?(https|http2|dgram|dns|dns/promises|quic)$|node_modules/undici/" },
    ),
    rule(
      "one-door-to-spawn",
      "hl-runner starts every process; only runner/ starts hl-runner itself in development, the bridge starts the one program that it stands for, and the user's own hl-client asks stty for what Node cannot do to a terminal.",
      {
        path: "^packages/(?!testkit)",
        pathNot:
          "^packages/daemon/src/runner/|^packages/client/src/main.ts$|^packages/bridge/src/cli-process.ts$|" + test,
      },
      { path: "^(node:)?child_process$" },
    ),
    rule(
      "src-not-test",
      "Production never sees test code.",
      { path: "^packages/(?!testkit)", pathNot: test },
      { path: test + "|^packages/testkit/" },
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
