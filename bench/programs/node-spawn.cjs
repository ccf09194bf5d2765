"use strict";
// What a program without hl-daemon would do: child_process.spawn in an otherwise empty Node program.
// Same lines as native/spawn-loop.c: "STARTS AT_ONCE" in, the nanoseconds of each out. Usage: node-spawn.cjs PROGRAM
const { spawn } = process.getBuiltinModule("node:child_process");
const { createInterface } = process.getBuiltinModule("node:readline");

const program = process.argv[2];

function startOne() {
  const startedAt = process.hrtime.bigint();
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], { env: { PATH: "/usr/bin:/bin" }, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.resume();
    child.stderr.resume();
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(process.hrtime.bigint() - startedAt);
      else reject(new Error(`${program} ended with ${code}`));
    });
  });
}

async function serve(starts, atOnce) {
  const took = [];
  let left = starts;
  const worker = async () => {
    while (left-- > 0) took.push(await startOne());
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  process.stdout.write(`${took.join(" ")}\n`);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [starts, atOnce] = line.split(" ").map(Number);
  void serve(starts, atOnce);
});
