// Goal: docs/systemd.md says how exposed the units are, by the word of the systemd that loads them, so that nobody loosens one unseen. Method: the
// units as they are installed, drop-ins of that systemd included, in a Debian that booted with it. Nothing of them is started.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { Container, missingForContainer, type Suite } from "./container.ts";

const missing = await missingForContainer();
if (missing !== undefined) process.stderr.write(`*** NOT RUN: exposure of the units: ${missing} ***\n`);

const units = ["hl-daemon", "hl-runner@developer", "hl-daemon-health", "hl-daemon-recovery"] as const;
const columns: Readonly<Record<Suite, string>> = { bookworm: "systemd 252", trixie: "systemd 257" };

/** The cells of the table by unit and column. */
function recorded(): Map<string, Map<string, string>> {
  const page = readFileSync(join(repositoryRoot, "docs/systemd.md"), "utf8");
  const cellsOf = (line: string): string[] => line.split("|").map((cell) => cell.trim());
  const [head = "", , ...rows] = (page.split("## Exposure\n")[1] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("|"));
  const names = cellsOf(head);
  return new Map(
    rows.map(cellsOf).map((cells) => [cells[1] ?? "", new Map(cells.map((cell, at) => [names[at] ?? "", cell]))]),
  );
}

describe("exposure of the units", { skip: missing ?? false }, () => {
  for (const [suite, column] of Object.entries(columns) as [Suite, string][]) {
    it(`is what docs/systemd.md says, on ${column}`, async (context) => {
      using folder = temporaryFolder("hl-exposure");
      const payload = join(folder.path, "units");
      mkdirSync(payload);
      cpSync(join(repositoryRoot, "packaging/systemd"), payload, { recursive: true });
      await using vm = await Container.boot(payload, suite);
      const version = /^systemd (\d+)/.exec(await vm.mustRun("systemctl --version"))?.[1] ?? "";
      assert.equal(`systemd ${version}`, column);
      await vm.mustRun(`cp /mnt/payload/*.service /etc/systemd/system/ && useradd -m developer
        for folder in /mnt/payload/drop-ins/*; do [ "$(basename "$folder")" -gt ${version} ] || cp -R "$folder/." /etc/systemd/system/; done
        systemctl daemon-reload`);
      const page = recorded();
      const measured = new Map<string, string>();
      for (const unit of units) {
        const said = await vm.mustRun(`systemd-analyze security --no-pager ${unit}.service`);
        measured.set(unit, /Overall exposure level for \S+: (\d+\.\d) /.exec(said)?.[1] ?? said);
      }
      context.diagnostic([...measured].map(([unit, level]) => `${unit} ${level}`).join(", "));
      assert.deepEqual(
        measured,
        new Map(units.map((unit) => [unit, page.get(`\`${unit}\``)?.get(column) ?? "missing"])),
      );
    });
  }
});
