/**
 * parity.json, which tells of an export folder what it was made from and how far each file's answers are from that.
 *
 * In: figures as they were measured. Out: JSON, and the same read back and checked, as a folder may come from anybody.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { GGUF_FILE_TYPES, type WrittenBytes } from "../../gguf/mod.ts";
import { EXPORT_FORMATS } from "../../infer/export/export_format.ts";
import type { ParityReport } from "../../infer/export/parity.ts";
import type { GgufReport } from "../../infer/gguf/verify_gguf.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { FieldTable, listFields } from "../../internal/json/field_table.ts";
import { isCount } from "../../internal/json/is_count.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { readJson } from "../../internal/json/read_json.ts";

/** The name of the file. */
export const PARITY_FILE = "parity.json";
/** The name of the page that shows it, beside it. */
export const PARITY_PAGE = "parity.html";

/** What `--format` can be, and the dtypes of each. */
export const DTYPES: Readonly<Record<ParityFile["exportFormat"], readonly string[]>> = {
  onnx: Object.keys(EXPORT_FORMATS),
  hf: ["hf"],
  gguf: Object.keys(GGUF_FILE_TYPES),
};

/** Figures as they are kept: the tokens that an export went on with are kept as texts, apart. */
export interface KeptParity extends Omit<ParityReport, "greedy"> {
  readonly greedy: Omit<ParityReport["greedy"], "ids">;
}

/** What is kept of one exported model, which may be several files. */
export interface KeptExport extends Partial<Pick<GgufReport, "template" | "texts" | "ends">> {
  /** Of all its files. */
  readonly bytes: number;
  /** The files, for who checks a download: they are not read back. */
  readonly files?: readonly (WrittenBytes & { readonly path: string })[];
  /** How far it is from the checkpoint. @default it was not compared */
  readonly parity?: KeptParity;
  /** What it went on with after each prompt, as text. */
  readonly replies?: readonly string[];
}

/** What both sides were asked. */
export interface KeptQuestions {
  /** Of the token ids of prompts and text, and of how many tokens went on. */
  readonly sha256: string;
  /** The file of the text, or `built in`. */
  readonly text: string;
  /** Tokens after each prompt. */
  readonly greedyTokens: number;
  /** Each with its tokens, by the template, and what the checkpoint went on with. */
  readonly prompts: readonly {
    readonly text: string;
    readonly tokens: number;
    readonly reply: string;
  }[];
}

/** The file. */
export interface ParityFile {
  readonly format: typeof FORMAT;
  /** The model's folder. */
  readonly model: string;
  /** The folder of an adapter on it. */
  readonly adapter?: string;
  /** Whether the adapter is a file of its own in the export. */
  readonly adapterKept?: boolean;
  readonly checkpoint: {
    /** Of the weights and settings of the model, and of the adapter. */
    readonly sha256: string;
    /** Of the weights, as they lie in both folders. */
    readonly bytes: number;
    /** Numbers of the model. */
    readonly parameters: number;
  };
  readonly exportFormat: "onnx" | "hf" | "gguf";
  /** ONNX Runtime's version. */
  readonly onnxruntime: string;
  /** @default nothing was compared */
  readonly questions?: KeptQuestions;
  /** By dtype. */
  readonly exports: Readonly<Record<string, KeptExport>>;
}

const FORMAT = "ortune-parity-1";
const REMEDY = "export again with deno task export";
/** Most bytes: thousands of greedy tokens of each export, as text. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Most prompts: an export asks three, and each is a part of the page. */
const MAX_PROMPTS = 64;

const FILE = new FieldTable({
  honoured: [
    ...["format", "model", "adapter", "adapterKept", "checkpoint", "exportFormat"],
    ...["questions", "exports", "onnxruntime"],
  ],
});
const CHECKPOINT = new FieldTable({ honoured: ["sha256", "bytes", "parameters"] });
const QUESTIONS = new FieldTable({ honoured: ["sha256", "text", "greedyTokens", "prompts"] });
const PROMPT = new FieldTable({ honoured: ["text", "tokens", "reply"] });
const EXPORT = new FieldTable({
  honoured: ["bytes", "parity", "replies", "template", "texts", "ends"],
  ignored: ["files"],
});
const PARITY = new FieldTable({
  honoured: [
    "maxAbsolute",
    "meanAbsolute",
    "largestLogit",
    "positions",
    "greedy",
    "perplexity",
  ],
});
const AGREEMENT = new FieldTable({ honoured: ["all", "same"] });
const GREEDY = new FieldTable({ honoured: ["prompts", "tokens", "same"] });
const PERPLEXITY = new FieldTable({ honoured: ["tokens", "checkpoint", "export", "difference"] });

/** The file of a fresh export. */
export function parityFile(facts: Omit<ParityFile, "format">): ParityFile {
  return { format: FORMAT, ...facts };
}

/** What is kept of a report. */
export function keepParity(
  { greedy: { ids, ...greedy }, ...rest }: ParityReport,
  { decode }: Pick<Tokenizer, "decode">,
): Required<Pick<KeptExport, "parity" | "replies">> {
  return { parity: { ...rest, greedy }, replies: ids.map((each) => decode(each)) };
}

/**
 * Reads the file of an export folder.
 *
 * @throws {Error} where there is none
 * @throws {RangeError} naming the field that is wrong
 */
export async function readParityFile(folder: string): Promise<ParityFile> {
  const path = `${folder}/${PARITY_FILE}`;
  const json = await readJson(path, REMEDY, { maxBytes: MAX_BYTES });
  if (json !== undefined) return parseParityFile(json, path);
  throw new Error(
    `Cannot compare ${folder}: it has no ${PARITY_FILE}; give folders that deno task export wrote`,
  );
}

/** Checks the parsed file. */
export function parseParityFile(json: unknown, path: string = PARITY_FILE): ParityFile {
  const fail = (state: string): never => {
    throw new RangeError(`Cannot read ${path}: ${state}; ${REMEDY}`);
  };
  /** A value of a record that is as it should be. */
  const read = (place: string, fields: Readonly<Record<string, unknown>>): Reader => {
    const at = (name: string): string => place === "" ? name : `${place}.${name}`;
    const wrong = (name: string, expected: string): never =>
      fail(`${at(name)} is ${describeValue(fields[name])}, expected ${expected}`);
    return {
      has: (name) => fields[name] !== undefined,
      fail: wrong,
      text: (name) => {
        const value = fields[name];
        return typeof value === "string" ? value : wrong(name, "a text");
      },
      count: (name, most = Infinity) => {
        const value = fields[name];
        return isCount(value) && value <= most
          ? value
          : wrong(name, most === Infinity ? "a count" : `a count up to ${most}`);
      },
      // JSON has no NaN and no infinity: they are written as null.
      number: (name) => {
        const value = fields[name];
        return value === null ? NaN : typeof value === "number" ? value : wrong(name, "a number");
      },
      flag: (name) => {
        const value = fields[name];
        return typeof value === "boolean" ? value : wrong(name, "true or false");
      },
      list: (name, is, expected) => {
        const value = fields[name];
        return Array.isArray(value) && is(value) ? value : wrong(name, expected);
      },
      record: (name, table) => {
        const value = fields[name];
        return isRecord(value) ? known(at(name), value, table) : wrong(name, "an object");
      },
    };
  };
  const known = (
    place: string,
    fields: Readonly<Record<string, unknown>>,
    table: FieldTable,
  ): Reader => {
    const { unknown } = table.review(fields);
    if (unknown.length > 0) {
      fail(
        `${place === "" ? "it" : place} holds ${
          listFields(unknown)
        }, which this ortune does not know`,
      );
    }
    return read(place, fields);
  };
  if (!isRecord(json) || json.format !== FORMAT) return fail(`it is not of format ${FORMAT}`);
  const file = known("", json, FILE);
  const checkpoint = file.record("checkpoint", CHECKPOINT);
  const parameters = checkpoint.count("parameters");
  if (parameters === 0) checkpoint.fail("parameters", "one at least");
  const questions = file.has("questions") ? questionsOf(file, read) : undefined;
  const exportFormat = file.text("exportFormat");
  if (!Object.hasOwn(DTYPES, exportFormat)) {
    return file.fail("exportFormat", Object.keys(DTYPES).join(", "));
  }
  const format = exportFormat as ParityFile["exportFormat"];
  const byDtype = file.record("exports", new FieldTable({ honoured: DTYPES[format] }));
  const exports = DTYPES[format].filter(byDtype.has).map((dtype) =>
    [dtype, exportOf(byDtype.record(dtype, EXPORT), questions)] as const
  );
  if (exports.length === 0) return file.fail("exports", "one at least");
  return {
    format: FORMAT,
    model: file.text("model"),
    ...file.has("adapter")
      ? { adapter: file.text("adapter"), adapterKept: file.flag("adapterKept") }
      : {},
    checkpoint: {
      sha256: checkpoint.text("sha256"),
      bytes: checkpoint.count("bytes"),
      parameters,
    },
    exportFormat: format,
    onnxruntime: file.text("onnxruntime"),
    ...questions ? { questions } : {},
    exports: Object.fromEntries(exports),
  };
}

/** Reads fields of one record; what is not as expected is an error that names its place. */
interface Reader {
  has(name: string): boolean;
  fail(name: string, expected: string): never;
  text(name: string): string;
  count(name: string, most?: number): number;
  number(name: string): number;
  flag(name: string): boolean;
  list(
    name: string,
    is: (values: readonly unknown[]) => boolean,
    expected: string,
  ): readonly unknown[];
  record(name: string, table: FieldTable): Reader;
}

function questionsOf(
  file: Reader,
  read: (place: string, fields: Readonly<Record<string, unknown>>) => Reader,
): KeptQuestions {
  const fields = file.record("questions", QUESTIONS);
  const prompts = fields.list(
    "prompts",
    (values) => values.length > 0 && values.length <= MAX_PROMPTS,
    `a list of 1 to ${MAX_PROMPTS}`,
  );
  const list = read("questions.prompts", Object.fromEntries(prompts.entries()));
  return {
    sha256: fields.text("sha256"),
    text: fields.text("text"),
    greedyTokens: fields.count("greedyTokens"),
    prompts: prompts.map((_, i) => {
      const prompt = list.record(`${i}`, PROMPT);
      return {
        text: prompt.text("text"),
        tokens: prompt.count("tokens"),
        reply: prompt.text("reply"),
      };
    }),
  };
}

function exportOf(fields: Reader, questions: KeptQuestions | undefined): KeptExport {
  const bytes = fields.count("bytes");
  if (!fields.has("parity")) return { bytes };
  if (questions === undefined) return fields.fail("parity", "questions beside it");
  const many = questions.prompts.length;
  const isText = (value: unknown): boolean => typeof value === "string";
  const replies = fields.list(
    "replies",
    (values) => values.length === many && values.every(isText),
    `${many} texts`,
  ) as readonly string[];
  return {
    bytes,
    parity: parityOf(fields.record("parity", PARITY), questions),
    replies,
    ...fields.has("template")
      ? {
        template: fields.flag("template"),
        texts: agreementOf(fields.record("texts", AGREEMENT)),
        ends: agreementOf(fields.record("ends", AGREEMENT)),
      }
      : {},
  };
}

function agreementOf(fields: Reader): { readonly all: number; readonly same: number } {
  const all = fields.count("all");
  return { all, same: fields.count("same", all) };
}

function parityOf(fields: Reader, { prompts, greedyTokens }: KeptQuestions): KeptParity {
  const greedy = fields.record("greedy", GREEDY);
  const perplexity = fields.record("perplexity", PERPLEXITY);
  return {
    maxAbsolute: fields.number("maxAbsolute"),
    meanAbsolute: fields.number("meanAbsolute"),
    largestLogit: fields.number("largestLogit"),
    positions: agreementOf(fields.record("positions", AGREEMENT)),
    greedy: {
      prompts: greedy.count("prompts", prompts.length),
      tokens: greedy.count("tokens", greedyTokens),
      same: greedy.list(
        "same",
        (values) =>
          values.length === prompts.length &&
          values.every((value) => isCount(value) && value <= greedyTokens),
        `${prompts.length} counts up to ${greedyTokens}`,
      ) as readonly number[],
    },
    perplexity: {
      tokens: perplexity.count("tokens"),
      checkpoint: perplexity.number("checkpoint"),
      export: perplexity.number("export"),
      difference: perplexity.number("difference"),
    },
  };
}
