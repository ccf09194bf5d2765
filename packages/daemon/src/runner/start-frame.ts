import { encodeFrame, frameType, tag, type Field } from "./frames.ts";
import type { NetworkKind, Preparation, SandboxRules, StartRequest } from "./records.ts";

/** @param hold everything is prepared, and the program is executed at GO. Throws where the request is larger than a frame. */
export function startFrame(request: StartRequest, hold: boolean): Buffer {
  const fields: Field[] = [[tag.id, request.id]];
  for (const argument of request.argv) fields.push([tag.argv, argument]);
  if (request.argv0 !== undefined) fields.push([tag.argv0, request.argv0]);
  for (const [name, value] of Object.entries(request.env)) fields.push([tag.env, `${name}=${value}`]);
  fields.push([tag.cwd, request.cwd], ...stdinFields(request.stdin), [tag.graceMs, request.graceMs]);
  if (request.timeoutMs !== undefined) fields.push([tag.timeoutMs, request.timeoutMs]);
  if (request.idleTimeoutMs !== undefined) fields.push([tag.idleTimeoutMs, request.idleTimeoutMs]);
  fields.push([tag.openFilesMax, request.openFilesMax], [tag.logBytesMax, request.logBytesMax]);
  if (request.memoryBytesMax !== undefined) fields.push([tag.memoryBytesMax, request.memoryBytesMax]);
  if (request.cpuPercentMax !== undefined) fields.push([tag.cpuPercentMax, request.cpuPercentMax]);
  if (request.processesMax !== undefined) fields.push([tag.processesMax, request.processesMax]);
  if (hold) fields.push([tag.hold, 1]);
  for (const path of request.directories ?? []) fields.push([tag.makeDirectory, path]);
  if (request.temporary !== undefined) fields.push([tag.temporary, request.temporary]);
  if (request.sandbox !== undefined) fields.push([tag.sandbox, 1], ...rules(request.sandbox));
  fields.push(...networkFields(request));
  if (request.allowNamespaces === true) fields.push([tag.allowNamespaces, 1]);
  return encodeFrame(frameType.start, fields);
}

export function prepareFrame({ directories, sandbox }: Preparation): Buffer {
  const folders = directories.map((path): Field => [tag.makeDirectory, path]);
  const ahead = sandbox === undefined ? [] : rules(sandbox);
  return encodeFrame(frameType.prepare, [...folders, ...ahead]);
}

function rules({ read, write }: SandboxRules): Field[] {
  return [...read.map((path): Field => [tag.allowRead, path]), ...write.map((path): Field => [tag.allowWrite, path])];
}

const networkNumbers: Readonly<Record<NetworkKind, number>> = { host: 0, none: 1, proxy: 2 };

function networkFields({ network = "host", proxySocket }: StartRequest): Field[] {
  if (network === "host") return [];
  const fields: Field[] = [[tag.network, networkNumbers[network]]];
  if (proxySocket !== undefined) fields.push([tag.proxySocket, proxySocket]);
  return fields;
}

function stdinFields(stdin: StartRequest["stdin"]): Field[] {
  if (typeof stdin === "string") return [[tag.stdin, stdin === "pipe" ? 1 : 0]];
  return [
    [tag.stdin, 2],
    [tag.rows, stdin.rows],
    [tag.columns, stdin.columns],
  ];
}
