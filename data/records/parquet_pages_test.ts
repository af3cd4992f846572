import assert from "node:assert/strict";
import type { RowGroup, SchemaTree } from "hyparquet";
import {
  byteArrays,
  dataPage,
  dataPageV2,
  dictionaryPage,
  int64s,
  rowFileOf,
  type ThriftStruct,
} from "../../tests/support/parquet_file.ts";
import { JsonlError } from "./jsonl_error.ts";
import { findPages, isPaged, MAX_GROUP_BYTES, type ParquetPage } from "./parquet_pages.ts";

/** Bytes before the first page. */
const START = 5;

/** A column of a group, of pages that begin at byte 5, with bytes after them. */
function groupOf(
  pages: readonly Uint8Array[],
  { values = 3, more = 0, dictionary = undefined as bigint | undefined } = {},
): { bytes: Uint8Array<ArrayBuffer>; group: RowGroup } {
  const bytes = Uint8Array.from([...new Uint8Array(START), ...pages.flatMap((each) => [...each])]);
  const meta_data = {
    path_in_schema: ["a", "b"],
    num_values: BigInt(values),
    data_page_offset: dictionary === undefined ? BigInt(START) : BigInt(START + pages[0].length),
    dictionary_page_offset: dictionary,
    total_compressed_size: BigInt(bytes.length - START + more),
  };
  return {
    bytes: Uint8Array.of(...bytes, ...new Uint8Array(more)),
    group: { columns: [{ meta_data }] } as unknown as RowGroup,
  };
}

/** The pages that are found, or undefined where the column is refused. */
async function find(
  pages: readonly Uint8Array[],
  options: Parameters<typeof groupOf>[1] = {},
  asked: number[][] = [],
): Promise<readonly ParquetPage[] | undefined> {
  const { bytes, group } = groupOf(pages, options);
  try {
    const [found, ...others] = await findPages(rowFileOf(bytes, asked), group);
    assert.deepEqual(others, []);
    return found;
  } catch (error) {
    assert.deepEqual(error instanceof JsonlError && error.message, REFUSED, `${error}`);
    return undefined;
  }
}

const REFUSED =
  "a.parquet: cannot read column a.b: its pages are not what the file says; it is damaged, fetch it again";

Deno.test("findPages() tells where pages begin and end, and what they hold", async () => {
  const pages = [
    dictionaryPage(2, int64s(7, 8)),
    dataPage(1, new Uint8Array(3), { 5: { 1: 1, 2: 8, 3: 3, 4: 3 } }),
    dataPage(0, new Uint8Array(), { 5: { 1: 0, 2: 2, 3: 3, 4: 3 } }),
    dataPageV2(1, int64s(9)),
    dataPageV2(1, new Uint8Array(6), { 2: 1, 4: 8, 5: 2, 6: 3 }),
  ];
  const ends = pages.map((_, i) =>
    START + pages.slice(0, i + 1).flatMap((each) => [...each]).length
  );
  const found = [
    { start: START, end: ends[0], values: undefined, usesDictionary: false, words: 2 },
    { start: ends[0], end: ends[1], values: 1, usesDictionary: true, words: 0 },
    { start: ends[1], end: ends[2], values: 0, usesDictionary: true, words: 0 },
    { start: ends[2], end: ends[3], values: 1, usesDictionary: false, words: 0 },
    { start: ends[3], end: ends[4], values: 1, usesDictionary: true, words: 0 },
  ];
  // The dictionary lies at its own offset, or else at that of the data.
  for (const dictionary of [BigInt(START), undefined]) {
    const given = dictionary === undefined ? { values: 3 } : { values: 3, dictionary };
    assert.deepEqual(await find(pages, given), found);
  }
  const { bytes, group } = groupOf(pages.slice(0, 2), { values: 2 });
  const two = { columns: [...group.columns, ...group.columns] } as RowGroup;
  assert.deepEqual(
    await findPages(rowFileOf(bytes), two),
    [found.slice(0, 2), found.slice(0, 2)],
  );
  assert.deepEqual(await findPages(rowFileOf(bytes), { columns: [] } as unknown as RowGroup), []);
});

Deno.test("findPages() reads pages up to their limits, and refuses what is past them", async () => {
  const v2 = (says: ThriftStruct, more: ThriftStruct = {}): Uint8Array =>
    dataPageV2(2, new Uint8Array(7), { 3: 2, ...says }, more);
  const cases: readonly (readonly [string, readonly Uint8Array[], boolean])[] = [
    ["as many values as the column", [dataPage(3, new Uint8Array(1))], true],
    ["more", [dataPage(4, new Uint8Array(1))], false],
    ["as many in two pages", [dataPage(1, int64s(1)), dataPage(2, int64s(1, 2))], true],
    ["more in two pages", [dataPage(2, int64s(1, 2)), dataPage(2, int64s(1, 2))], false],
    ["a dictionary of as many words", [dictionaryPage(3, int64s(1))], true],
    ["a dictionary of more", [dictionaryPage(4, int64s(1))], false],
    ["fewer than no values", [dataPage(-1, new Uint8Array(1))], false],
    ["fewer than no words", [dictionaryPage(-1, new Uint8Array(1))], false],
    ["no bytes", [dataPage(0, new Uint8Array())], true],
    ["fewer than no bytes", [dataPage(0, new Uint8Array(), { 2: -1 })], false],
    ["fewer than no packed bytes", [dataPage(0, new Uint8Array(), { 3: -1 })], false],
    ["no size", [dataPage(0, new Uint8Array(), { 2: undefined })], false],
    ["no packed size", [dataPage(0, new Uint8Array(), { 3: undefined })], false],
    ["the most bytes", [dataPage(1, new Uint8Array(9), { 2: MAX_GROUP_BYTES })], true],
    ["one more", [dataPage(1, new Uint8Array(9), { 2: MAX_GROUP_BYTES + 1 })], false],
    ["the most packed bytes", [dataPage(1, new Uint8Array(9), { 3: MAX_GROUP_BYTES })], true],
    ["one packed byte more", [dataPage(1, new Uint8Array(9), { 3: MAX_GROUP_BYTES + 1 })], false],
    ["nulls alone", [v2({ 2: 2 })], true],
    ["more nulls than values", [v2({ 2: 3 })], false],
    ["fewer than no nulls", [v2({ 2: -1 })], false],
    ["no count of nulls", [v2({ 2: undefined })], false],
    ["as many rows as values", [v2({ 3: 2 })], true],
    ["more rows than values", [v2({ 3: 3 })], false],
    ["no count of rows", [v2({ 3: undefined })], false],
    ["levels alone", [v2({ 5: 3, 6: 4 })], true],
    ["more levels than bytes", [v2({ 5: 4, 6: 4 })], false],
    ["levels as the packed bytes", [v2({ 5: 3, 6: 4 }, { 2: 9 })], true],
    ["more levels than packed bytes", [v2({ 5: 4, 6: 4 }, { 2: 9 })], false],
    ["more levels than unpacked bytes", [v2({ 5: 3, 6: 4 }, { 2: 6 })], false],
    ["fewer than no definition levels", [v2({ 5: -1, 6: 4 })], false],
    ["fewer than no repetition levels", [v2({ 5: 3, 6: -1 })], false],
    ["no length of definition levels", [v2({ 5: undefined })], false],
    ["no length of repetition levels", [v2({ 6: undefined })], false],
  ];
  for (const [what, pages, isRead] of cases) {
    assert.deepEqual(await find(pages) !== undefined, isRead, what);
  }
  // A column without values has pages without.
  assert.deepEqual((await find([dataPage(0, new Uint8Array())], { values: 0 }))?.length, 1);
  assert.deepEqual((await find([], { values: 0 }))?.length, 0);
  // One byte after the last page is no page, as the decoder has it.
  for (const [more, isRead] of [[0, true], [1, true], [2, false]] as const) {
    const found = await find([dataPage(3, int64s(1, 2, 3))], { more });
    assert.deepEqual(found !== undefined, isRead, `${more}`);
  }
  assert.deepEqual(MAX_GROUP_BYTES, 1_073_741_824);
});

Deno.test("findPages() reads headers of long statistics, more bytes at a time", async () => {
  // The least and the greatest text of a page stand in its header.
  for (const [least, greatest] of [[10, 20], [5000, 20], [3000, 3000], [20, 70_000], [9, 4096]]) {
    const statistics = { 5: "z".repeat(greatest), 6: "a".repeat(least) };
    const header = { 5: { 1: 3, 2: 0, 3: 3, 4: 3, 5: statistics } };
    const long = dataPage(3, byteArrays("a", "b", "z"), header);
    const asked: number[][] = [];
    const found = await find([long], {}, asked);
    const end = START + long.length;
    assert.deepEqual(
      found,
      [{ start: START, end, values: 3, usesDictionary: false, words: 0 }],
      `${least} ${greatest}`,
    );
    const pieces = least + greatest > 65_536 ? 3 : least + greatest > 4000 ? 2 : 1;
    const sizes = [4096, 65_536, 1_048_576].slice(0, pieces);
    assert.deepEqual(asked, sizes.map((size) => [START, Math.min(end, START + size)]));
  }
  // A header that the column ends in.
  const cut: number[][] = [];
  const whole = dataPage(3, new Uint8Array(), { 5: { 1: 3, 2: 0, 5: { 5: "z".repeat(5000) } } });
  assert.deepEqual(await find([whole.slice(0, 4500)], {}, cut), undefined);
  assert.deepEqual(cut, [[START, START + 4096], [START, START + 4500]]);
  const full: number[][] = [];
  assert.deepEqual(await find([whole.slice(0, 4096)], {}, full), undefined);
  assert.deepEqual(full, [[START, START + 4096]]);
});

Deno.test("findPages() names the column whose pages are none", async () => {
  const { bytes, group } = groupOf([dataPage(4, int64s(1))]);
  await assert.rejects(findPages(rowFileOf(bytes), group), {
    ...{ name: "JsonlError", message: REFUSED },
    cause: new RangeError("the page is of another column"),
  });
});

Deno.test("isPaged() takes columns whose values are one a row", () => {
  const tree = (repetition_type: string, children: unknown[] = []): SchemaTree =>
    ({ children, element: { repetition_type } }) as unknown as SchemaTree;
  assert.deepEqual(isPaged(tree("REQUIRED")), true);
  assert.deepEqual(isPaged(tree("OPTIONAL")), true);
  assert.deepEqual(isPaged(tree("REPEATED")), false);
  assert.deepEqual(isPaged(tree("REQUIRED", [tree("REQUIRED")])), false);
  assert.deepEqual(isPaged(tree("OPTIONAL", [tree("REPEATED"), tree("OPTIONAL")])), false);
});
