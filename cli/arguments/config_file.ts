/**
 * `--config run.yaml`: flags in a file. In: arguments. Out: the flags of the file before them, so that
 * flags win. A key is a flag's name, in snake_case, kebab-case or camelCase; a run.json is a file of the
 * arguments that it recorded.
 */

import type { Command, Option } from "commander";
import { CORE_SCHEMA, load } from "js-yaml";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { isAbsent, readCappedText } from "../../internal/regular_file.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { findFile } from "../../train/runs/find_file.ts";
import { argumentValues } from "./argument_values.ts";
import { objectText } from "./object_flags.ts";
import { recordedLoraFlags } from "./recorded_lora.ts";
import { isToggle } from "./toggle.ts";
import { explainName } from "./unknown_name.ts";

/** A screenful in use; beyond this a file is not what its name says. */
const MAX_BYTES = 1 << 20;
const REMEDY = "give a YAML file of flags, or the run.json of an output folder";
const CONFIG = "--config";
/** Flags that must not stand beside each other: the one that is typed drops the other's key. */
const INSTEAD: Readonly<Record<string, string>> = {
  "gradient-accumulation-steps": "tokens-per-step",
  "tokens-per-step": "gradient-accumulation-steps",
  "validation-file": "validation-split-percentage",
  "validation-split-percentage": "validation-file",
  "resume-from-checkpoint": "overwrite-output-dir",
  "overwrite-output-dir": "resume-from-checkpoint",
};

/**
 * Puts what the files of `--config` say before the arguments.
 *
 * @throws {UsageError} naming all keys that are no flags, and values that none can have
 */
export async function expandConfig(
  args: readonly string[],
  command: Command,
): Promise<readonly string[]> {
  const isTyped = (name: string) =>
    args.some((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  const flags: string[] = [];
  for (const [at, arg] of args.entries()) {
    const given = arg.startsWith(`${CONFIG}=`)
      ? arg.slice(CONFIG.length + 1)
      : arg === CONFIG
      ? args[at + 1]
      : undefined;
    if (!given) continue;
    const path = await findFile(given, { flag: CONFIG });
    for (const [option, text] of readValues(path, await readRecord(path), command)) {
      const name = option.name();
      if (name in INSTEAD && isTyped(INSTEAD[name])) continue;
      // A list that is typed would be added to.
      if (option.variadic && isTyped(name)) continue;
      flags.push(text === undefined ? `--${name}` : `--${name}=${text}`);
    }
  }
  return [...flags, ...args];
}

/** The keys and values of a file. */
async function readRecord(path: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readCappedText(path, { maxBytes: MAX_BYTES, remedy: REMEDY, root: null })
    .catch((cause) => {
      if (!isAbsent(cause)) throw cause;
      throw new UsageError(`Cannot read ${path}: it is missing; ${REMEDY}`, { cause });
    });
  let value: unknown;
  try {
    value = load(text, { schema: CORE_SCHEMA });
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new UsageError(`Cannot read ${path}: it is not YAML (${reason}); ${REMEDY}`, { cause });
  }
  if (!isRecord(value)) {
    throw new UsageError(`Cannot read ${path}: it is ${describeValue(value)}; ${REMEDY}`);
  }
  if (value.format !== 1 || !isRecord(value.arguments)) return value;
  return argumentValues(value.arguments, recordedLoraFlags(value.arguments.lora, path));
}

/** Each key's flag, with the text of its value, or none where the flag stands alone. */
function readValues(
  path: string,
  values: Readonly<Record<string, unknown>>,
  command: Command,
): (readonly [Option, string | undefined])[] {
  const faults: string[] = [];
  const read: (readonly [Option, string | undefined])[] = [];
  for (const [key, value] of Object.entries(values)) {
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll("_", "-");
    const option = command.options.find((each) => !each.negate && each.name() === name);
    if (option === undefined || option.long === CONFIG) {
      const said = explainName(name, command, (each) => each.replaceAll("-", "_"));
      faults.push(`${key}: ${said ?? `no flag of ${command.name()}`}`);
      continue;
    }
    if (value === null || value === undefined) continue;
    if (isRecord(value)) {
      const text = objectText(option.attributeName(), value);
      if (text !== undefined) read.push([option, text]);
      else faults.push(`${key}: it is an object, and a flag's value is text or a number`);
    } else if (typeof value === "boolean" && option.optional && !isToggle(option)) {
      // Such as resume_from_checkpoint, whose value is a folder.
      if (value) read.push([option, undefined]);
    } else if (Array.isArray(value) && option.variadic) {
      for (const each of value) read.push([option, String(each)]);
    } else if (Array.isArray(value)) {
      read.push([option, value.join() || "none"]);
    } else {
      read.push([option, String(value)]);
    }
  }
  if (faults.length === 0) return read;
  throw new UsageError(`Cannot use ${path}:\n  ${faults.join("\n  ")}`);
}
