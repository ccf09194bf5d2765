/** Makes the machine's disk, or says why none can be made here and exits 1. */
import { ensureImage, missingTools } from "./image.ts";

const missing = await missingTools();
if (missing === undefined) await ensureImage();
else process.stderr.write(`${missing}\n`);
process.exitCode = missing === undefined ? 0 : 1;
