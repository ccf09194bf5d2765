/**
 * `npm run docs`: writes the pages that are generated from declarations. With `--check` it writes nothing and exits 1 naming each
 * page that differs, so that a page can never say anything else than the program does.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderCliDocs } from "../packages/client/src/cli-docs.ts";
import { renderConfigurationDocs } from "../packages/config/src/docs.ts";
import { renderTlsDocs } from "../packages/daemon/src/network/tls-docs.ts";
import { operatorPaths } from "../packages/cloud/src/http/operator-paths.ts";
import { operatorRoles } from "../packages/cloud/src/operators/roles.ts";
import { daemonPaths } from "../packages/daemon/src/api/http-paths.ts";
import { renderHealthDocs } from "../packages/protocol/src/docs-health.ts";
import { renderPermissionDocs } from "../packages/protocol/src/docs-permissions.ts";
import { renderMetricsDocs } from "../packages/daemon/src/health/metrics-docs.ts";
import { renderEnforcement } from "./enforcement/render.ts";
import { renderErrorDocs, renderProtocolDocs } from "../packages/protocol/src/docs.ts";

const pages: Readonly<Record<string, () => string>> = {
  "docs/protocol.md": renderProtocolDocs,
  "docs/errors.md": renderErrorDocs,
  "docs/configuration.md": renderConfigurationDocs,
  "docs/enforcement.md": renderEnforcement,
  "docs/metrics.md": renderMetricsDocs,
  "docs/cli.md": renderCliDocs,
  "docs/tls.md": renderTlsDocs,
  "docs/health.md": renderHealthDocs,
  "docs/permissions.md": () => renderPermissionDocs({ daemonPaths, operatorRoles, operatorPaths }),
};

const root = join(import.meta.dirname, "..");
const options = process.argv.slice(2);
const check = options.includes("--check");
const unknown = options.find((option) => option !== "--check");

if (unknown !== undefined) {
  console.error(`unknown option ${JSON.stringify(unknown)}; usage: npm run docs -- [--check]`);
  process.exitCode = 64;
} else {
  for (const [name, render] of Object.entries(pages)) {
    const path = join(root, name);
    const wanted = render();
    if (textOf(path) === wanted) continue;
    if (check) {
      console.error(`${name} differs from its declarations: run \`npm run docs\``);
      process.exitCode = 1;
    } else {
      writeFileSync(path, wanted);
      console.log(`wrote ${name}`);
    }
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
