/**
 * What the card of a dataset says of its files.
 *
 * In: the text of README.md. Out: subsets with the patterns of their files, and what is known of
 * splits and columns, from the YAML at its head.
 */

import { CORE_SCHEMA, load } from "js-yaml";
import { isCount } from "../internal/json/is_count.ts";
import { isRecord } from "../internal/json/is_record.ts";

/** Patterns of the files of a split; `path` of YAML is one or a list. */
export interface CardSplit {
  readonly name: string;
  readonly patterns: readonly string[];
}

/** A subset (`config` on Hugging Face) as a card names it. */
export interface CardSubset {
  readonly name: string;
  readonly isDefault: boolean;
  /** `undefined` where the files are found by their names. */
  readonly splits: readonly CardSplit[] | undefined;
  /** Folder of the files. @default the repository */
  readonly folder: string | undefined;
}

/** What a card tells of the rows of a subset. */
export interface CardFacts {
  /** Rows by split. */
  readonly rows: ReadonlyMap<string, number>;
  /** Names of columns with their types. */
  readonly columns: readonly string[];
}

/** The head of a card. */
export interface DatasetCard {
  readonly subsets: readonly CardSubset[];
  /** By the subset's name; `default` where the card has none. */
  readonly facts: ReadonlyMap<string, CardFacts>;
}

const EMPTY: DatasetCard = { subsets: [], facts: new Map() };
const HEAD = /^\ufeff?\s*---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/;
/** Most subsets, and patterns of one: a card in use has some hundreds. */
const MAX_LIST = 10_000;

/**
 * Reads the head of a card.
 *
 * @throws {TypeError} where it is no YAML, or its `configs` are not what they may be
 */
export function parseDatasetCard(text: string): DatasetCard {
  const head = HEAD.exec(text)?.[1];
  if (head === undefined) return EMPTY;
  let value: unknown;
  try {
    value = load(head, { schema: CORE_SCHEMA });
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new TypeError(`the head of its README.md is not YAML (${reason})`, { cause });
  }
  if (!isRecord(value)) return EMPTY;
  return { subsets: parseSubsets(value.configs), facts: parseFacts(value.dataset_info) };
}

function parseSubsets(configs: unknown): CardSubset[] {
  if (configs === null || configs === undefined) return [];
  if (!Array.isArray(configs) || configs.length > MAX_LIST) throw wrong("configs", "a list");
  return configs.map((config, i) => {
    if (!isRecord(config)) throw wrong(`configs[${i}]`, "an object with config_name");
    const { config_name, data_files, data_dir } = config;
    if (typeof config_name !== "string" && typeof config_name !== "number") {
      throw wrong(`configs[${i}].config_name`, "a text");
    }
    if (data_dir !== null && data_dir !== undefined && typeof data_dir !== "string") {
      throw wrong(`configs[${i}].data_dir`, "a folder");
    }
    return {
      name: String(config_name),
      isDefault: configs.length === 1 || config_name === "default" || config.default === true,
      splits: data_files === null || data_files === undefined
        ? undefined
        : parseDataFiles(data_files, `configs[${i}].data_files`),
      folder: data_dir?.replace(/^(?:\.?\/)+|\/+$/g, "") || undefined,
    };
  });
}

function parseDataFiles(value: unknown, place: string): CardSplit[] {
  const patterns = (each: unknown, at: string): string[] => {
    const list = Array.isArray(each) ? each : [each];
    if (list.length > MAX_LIST || !list.every((item) => typeof item === "string")) {
      throw wrong(at, "a path or a list of paths");
    }
    return list.map((item: string) => item.replace(/^(?:\.?\/)+/, ""));
  };
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.some(isRecord)) return [{ name: "train", patterns: patterns(value, place) }];
  return list.map((item, i) => {
    const split = isRecord(item) ? item.split : undefined;
    if (!isRecord(item) || typeof split !== "string" || item.path === undefined) {
      throw wrong(`${place}[${i}]`, "an object of split and path");
    }
    return { name: split, patterns: patterns(item.path, `${place}[${i}].path`) };
  });
}

/** What is only told is left out where it is not as it should be. */
function parseFacts(value: unknown): Map<string, CardFacts> {
  const infos: unknown[] = Array.isArray(value) ? value : [value];
  const facts = new Map<string, CardFacts>();
  for (const info of infos.filter(isRecord)) {
    const { config_name = "default", splits, features } = info;
    const rows = new Map<string, number>();
    for (const split of Array.isArray(splits) ? splits.filter(isRecord) : []) {
      const { name, num_examples } = split;
      if (typeof name === "string" && isCount(num_examples)) rows.set(name, num_examples);
    }
    const columns = Array.isArray(features) ? features.filter(isRecord).map(describeFeature) : [];
    facts.set(String(config_name), { rows, columns });
  }
  return facts;
}

/** A column with its type: `answer: string`, `messages: list`. */
function describeFeature(feature: Record<string, unknown>): string {
  const { name, dtype } = feature;
  const type = typeof dtype === "string"
    ? dtype
    : ["list", "sequence", "struct", "large_list"].find((each) => feature[each] !== undefined);
  return type === undefined ? String(name) : `${name}: ${type}`;
}

function wrong(place: string, what: string): TypeError {
  return new TypeError(`${place} of its README.md is not ${what}`);
}
