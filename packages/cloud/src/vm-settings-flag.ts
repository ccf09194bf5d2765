import {
  boundsOf,
  linkSettingNames,
  withinBounds,
  type LinkSettingName,
  type LinkSettings,
} from "@hl/protocol/link-settings.ts";
import { InvalidArgumentError } from "commander";

export const vmSettingsVariable = "HL_CLOUD_VM_SETTINGS";

/** For the help: what may be set and within what. */
export function vmSettingsHelp(): string {
  const names = linkSettingNames.map((name) => `  ${name} (${boundsOf(name)})`);
  return `\nSettings of VMs, for --vm-setting (docs/reconnecting.md says the reasons):\n${names.join("\n")}`;
}

/** One `NAME=VALUE`, or several with commas, as the environment variable has them; added to what was read before. */
export function vmSettings(text: string, before: LinkSettings = {}): LinkSettings {
  return Object.fromEntries([...Object.entries(before), ...text.split(",").map((part) => setting(part.trim()))]);
}

function setting(text: string): readonly [LinkSettingName, number] {
  const [, word = "", value = ""] = /^([a-z_]+)=([0-9.]+)$/.exec(text) ?? [];
  const name = linkSettingNames.find((known) => known === word);
  if (word === "") throw new InvalidArgumentError(`${JSON.stringify(text)} is not NAME=VALUE.`);
  if (name === undefined) throw new InvalidArgumentError(`There is no setting ${word}; --help lists them.`);
  const number = Number(value);
  if (withinBounds(name, number) === number) return [name, number];
  throw new InvalidArgumentError(`${name} must be ${boundsOf(name)}: VMs obey nothing else.`);
}
