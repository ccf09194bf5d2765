import { clockStep, cloudClockStep } from "./clock-step.ts";
import { cloudKill } from "./cloud-kill.ts";
import { cloudRestore } from "./cloud-restore.ts";
import { daemonKill } from "./daemon-kill.ts";
import { daemonStop } from "./daemon-stop.ts";
import { diskFailing } from "./disk-failing.ts";
import { diskFull } from "./disk-full.ts";
import { diskInodes } from "./disk-inodes.ts";
import type { Fault } from "./fault.ts";
import { identityCopied } from "./identity-copied.ts";
import { pathAnswers } from "./path-answers.ts";
import { pathCut, pathRefusing } from "./path-cut.ts";
import { pathDark, pathDarkInBody } from "./path-dark.ts";
import { pathSlow } from "./path-slow.ts";

/** Every kind that the oracle knows. */
export const faults: readonly Fault[] = [
  daemonKill,
  daemonStop,
  diskFull,
  diskInodes,
  ...diskFailing,
  clockStep,
  identityCopied,
  pathCut,
  pathRefusing,
  pathDark,
  pathDarkInBody,
  pathSlow,
  ...pathAnswers,
  cloudKill,
  cloudRestore,
  cloudClockStep,
];
