import assert from "node:assert/strict";
import {
  byteArrays,
  dataPage,
  dictionaryPage,
  int32s,
  int64s,
  type ParquetColumn,
  parquetFile,
  type ParquetGroup,
  rowFileOf,
} from "../../tests/support/parquet_file.ts";
import { readParquet } from "./parquet.ts";
import type { RowFile } from "./row_file.ts";

const ID = { name: "id", kind: 2 } as const;
const TEXT = { name: "text", kind: 6, 6: 0 } as const;
const MOST_VALUES = 67_108_864;
const MOST_BYTES = 1_073_741_824;

/** A page of whole numbers. */
const ids = (...values: readonly number[]): Uint8Array =>
  dataPage(values.length, int64s(...values));

/** A group of one column of whole numbers. */
const group = (...values: readonly number[]): ParquetGroup => ({
  rows: values.length,
  chunks: [{ values: values.length, pages: [ids(...values)] }],
});

/** The rows' values, and an error's message at their end. */
async function read(file: RowFile): Promise<unknown[]> {
  const rows: unknown[] = [];
  try {
    for await (const row of readParquet(file)) rows.push("values" in row ? row.values : row);
  } catch (error) {
    rows.push(`${error}`);
  }
  return rows;
}

const readFile = (
  columns: readonly ParquetColumn[],
  groups: readonly ParquetGroup[],
): Promise<unknown[]> => read(rowFileOf(parquetFile(columns, groups)));

Deno.test("readParquet() reads groups of several pages and of none, and tells how far it is", async () => {
  const none = { rows: 0, chunks: [{ values: 0, pages: [] }, { values: 0, pages: [] }] };
  const file = rowFileOf(parquetFile([ID, TEXT], [
    none,
    {
      rows: 3,
      chunks: [
        { values: 3, pages: [ids(1), ids(), ids(2, 3), ids()] },
        { values: 3, pages: [dataPage(2, byteArrays("a", "")), dataPage(1, byteArrays("ß"))] },
      ],
    },
    none,
    {
      rows: 2,
      chunks: [
        { values: 2, pages: [ids(4, 5)] },
        { values: 2, pages: [dataPage(2, byteArrays("d", "e"))] },
      ],
    },
  ]));
  const told: unknown[] = [];
  for await (const row of readParquet(file, (bytes) => told.push(bytes))) told.push(row);
  const row = (line: number, text: string): unknown => ({
    where: { file: "a.parquet", line, unit: "row" },
    values: { id: BigInt(line), text },
  });
  assert.deepEqual(told, [
    ...[row(1, "a"), row(2, ""), row(3, "ß"), Math.floor(file.size * 0.6)],
    ...[row(4, "d"), row(5, "e"), file.size],
  ]);
  assert.equal((await Array.fromAsync(readParquet(file))).length, 5);
  assert.deepEqual(await readFile([ID], []), []);
  assert.deepEqual(await readFile([ID], [{ rows: 0, chunks: [{ values: 0, pages: [] }] }]), []);
  assert.deepEqual(await readFile([], [{ rows: 2, chunks: [] }]), [{}, {}]);
});

Deno.test("readParquet() writes dates and times as text, keeps JSON as text and bytes as bytes", async () => {
  const timestamp = (unit: number): Omit<ParquetColumn, "name"> => ({
    kind: 2,
    10: { 8: { 1: true, 2: { [unit]: {} } } },
  });
  const day = "1970-01-02T00:00:00";
  const cases: readonly (readonly [Omit<ParquetColumn, "name">, Uint8Array, unknown])[] = [
    [{ kind: 2, 6: 9 }, int64s(86_400_123), `${day}.123Z`],
    [{ kind: 2, 6: 10 }, int64s(86_400_123_999), `${day}.123Z`],
    [timestamp(1), int64s(86_400_123), `${day}.123Z`],
    [timestamp(2), int64s(86_400_123_999), `${day}.123Z`],
    [timestamp(3), int64s(86_400_123_999_999), `${day}.123Z`],
    [{ kind: 1, 6: 6 }, int32s(19_000), "2022-01-08"],
    [{ kind: 1, 6: 6 }, int32s(-1), "1969-12-31"],
    [{ kind: 1 }, int32s(-7), -7],
    [{ kind: 2 }, int64s(2n ** 60n), 2n ** 60n],
    [{ kind: 6, 6: 0 }, byteArrays("\ufeffé"), "\ufeffé"],
    [{ kind: 6, 10: { 1: {} } }, byteArrays("é"), "é"],
    [{ kind: 6, 6: 19 }, byteArrays('{"a": 1.0}'), '{"a": 1.0}'],
    [{ kind: 6 }, byteArrays(Uint8Array.of(0x61, 0xff)), Uint8Array.of(0x61, 0xff)],
  ];
  const columns = cases.map(([column], i) => ({ name: `c${i}`, ...column }));
  const chunks = cases.map(([, bytes]) => ({ values: 1, pages: [dataPage(1, bytes)] }));
  const expected = Object.fromEntries(cases.map(([, , value], i) => [`c${i}`, value]));
  assert.deepEqual(await readFile(columns as ParquetColumn[], [{ rows: 1, chunks }]), [expected]);
  // Also of what another program would read as a place on a map.
  const geo = '{"columns": {"place": {"encoding": "WKB"}}}';
  const place = parquetFile(
    [{ name: "place", kind: 6 }],
    [{ rows: 1, chunks: [{ values: 1, pages: [dataPage(1, byteArrays("x"))] }] }],
    { more: { 5: [{ 1: "geo", 2: geo }] } },
  );
  assert.deepEqual(await read(rowFileOf(place)), [{ place: Uint8Array.of(0x78) }]);
  // A dictionary, whose words are 1-bit numbers: a run of two 1, then of one 0.
  const words = dataPage(3, Uint8Array.of(1, 4, 1, 2, 0), { 5: { 1: 3, 2: 8, 3: 3, 4: 3 } });
  const pages = [dictionaryPage(2, byteArrays("no", "yes")), words, dataPage(1, byteArrays("no"))];
  assert.deepEqual(await readFile([TEXT], [{ rows: 4, chunks: [{ values: 4, pages }] }]), [
    ...[{ text: "yes" }, { text: "yes" }, { text: "no" }, { text: "no" }],
  ]);
});

Deno.test("readParquet() names the column and the rows whose pages are not what the file says", async () => {
  const failed = (fault: string, rows = "1 to 2"): string =>
    `JsonlError: a.parquet: cannot read column id of rows ${rows}: ${fault}`;
  const chunk = (values: number, ...pages: readonly Uint8Array[]): ParquetGroup => ({
    rows: 2,
    chunks: [{ values, pages }],
  });
  const cases: readonly (readonly [readonly ParquetGroup[], readonly unknown[]])[] = [
    [[chunk(2)], [failed("it has 0 values")]],
    [[chunk(2, ids(1))], [{ id: 1n }, failed("it has 1 values")]],
    [[chunk(2, ids(1), ids())], [{ id: 1n }, failed("it has 1 values")]],
    [[chunk(3, ids(1, 2, 3))], [{ id: 1n }, { id: 2n }, failed("it has more values")]],
    [[chunk(3, ids(1, 2), ids(3))], [{ id: 1n }, { id: 2n }, failed("it has more values")]],
    [[chunk(2, ids(1, 2), ids())], [{ id: 1n }, { id: 2n }]],
    [[group(1, 2, 3), chunk(2, ids(4))], [
      ...[{ id: 1n }, { id: 2n }, { id: 3n }, { id: 4n }, failed("it has 1 values", "4 to 5")],
    ]],
    // Values that end past the page.
    [[chunk(2, dataPage(2, int64s(1)))], [failed("it is damaged, fetch it again")]],
    // An encoding that is no longer in use.
    [[chunk(2, dataPage(2, int64s(1, 2), { 5: { 1: 2, 2: 4, 3: 3, 4: 3 } }))], [
      failed("unsupported encoding: BIT_PACKED"),
    ]],
  ];
  for (const [groups, expected] of cases) assert.deepEqual(await readFile([ID], groups), expected);
  const bad = dataPage(1, byteArrays(Uint8Array.of(0xc3, 0x28)));
  assert.deepEqual(
    await readFile([TEXT], [
      { rows: 1, chunks: [{ values: 1, pages: [dataPage(1, byteArrays("a"))] }] },
      { rows: 1, chunks: [{ values: 1, pages: [bad] }] },
    ]),
    [
      { text: "a" },
      "JsonlError: a.parquet: cannot read column text of rows 2 to 2: a column of text holds bytes that are no UTF-8",
    ],
  );
});

Deno.test("readParquet() refuses a footer that is not of its groups, or of groups that are too large", async () => {
  const damaged =
    "JsonlError: a.parquet: cannot read its footer: its columns are not those of its row groups; it is damaged, fetch it again";
  const two = (name: string): readonly ParquetColumn[] => [ID, { name, kind: 2 }];
  const chunk = { values: 1, pages: [ids(1)] };
  const path = (...names: readonly string[]) => ({ ...chunk, more: { 3: names } });
  const inner = [{ name: "a", kind: 2, 1: undefined, 5: 1 }, { name: "b", kind: 2 }];
  const rows = 1;
  assert.deepEqual(await readFile(two("b"), [{ rows, chunks: [chunk, chunk] }]), [{
    id: 1n,
    b: 1n,
  }]);
  for (
    const chunks of [
      [],
      [chunk],
      [chunk, path("c")],
      [path("b"), chunk],
      [chunk, path("b", "c")],
    ]
  ) assert.deepEqual(await readFile(two("b"), [{ rows, chunks }]), [damaged]);
  // A struct of one field, whose path is of two names.
  const struct = (...names: readonly string[]): Promise<unknown[]> =>
    read(rowFileOf(parquetFile(inner, [{ rows, chunks: [path(...names)] }], { roots: 1 })));
  assert.deepEqual(await struct("a", "b"), [{ a: { b: 1n } }]);
  for (const names of [["b"], ["a"], ["b", "a"]]) {
    assert.deepEqual(await struct(...names), [damaged]);
  }
  assert.deepEqual(await readFile(two("__proto__"), [{ rows, chunks: [chunk, chunk] }]), [
    "JsonlError: a.parquet: expected other names of columns than __proto__; rename the column",
  ]);

  const large = (index: number, values: number, bytes: number): string =>
    `JsonlError: a.parquet: cannot read its footer: row group ${index} has ${values} values a column and ${bytes} ` +
    "bytes, and at most 67108864 and 1073741824 are held in memory; write the file again with " +
    "row_group_size=10000, as pyarrow calls it";
  const says = (values: number, bytes: number) => ({
    values,
    pages: [ids(1)],
    more: { 6: BigInt(bytes) },
  });
  const tooLarge: readonly (readonly [ParquetGroup, number, number])[] = [
    [{ rows: 1, chunks: [says(1, 0), says(MOST_VALUES + 1, 9)] }, MOST_VALUES + 1, 9],
    [{ rows: 1, chunks: [says(MOST_VALUES + 1, 9), says(1, 0)] }, MOST_VALUES + 1, 9],
    [{ rows: MOST_VALUES + 1, chunks: [says(2, 3), says(1, 4)] }, 2, 7],
    [{ rows: 1, chunks: [says(1, MOST_BYTES), says(1, 1)] }, 1, MOST_BYTES + 1],
    [{ rows: 1, chunks: [says(1, 1), says(1, MOST_BYTES)] }, 1, MOST_BYTES + 1],
  ];
  for (const [given, values, bytes] of tooLarge) {
    assert.deepEqual(await readFile(two("b"), [given]), [large(1, values, bytes)]);
    const before = { rows, chunks: [chunk, chunk] };
    assert.deepEqual(await readFile(two("b"), [before, given]), [large(2, values, bytes)]);
  }
  assert.deepEqual(await readFile([], [{ rows: MOST_VALUES + 1, chunks: [] }]), [large(1, 0, 0)]);
  const most = parquetFile(two("b"), [{
    rows: MOST_VALUES,
    chunks: [says(MOST_VALUES, MOST_BYTES / 2), says(1, MOST_BYTES / 2)],
  }]);
  for await (const row of readParquet(rowFileOf(most))) {
    assert.deepEqual("values" in row && row.values, { id: 1n, b: 1n });
    break;
  }
});

Deno.test("readParquet() reads a footer up to its limits, and asks for no more than it may", async () => {
  const cut =
    "JsonlError: a.parquet: expected the end of a Parquet file, got other bytes; it was cut, fetch it again";
  const footer = (bytes: number): string =>
    `JsonlError: a.parquet: its footer says that it has ${bytes} bytes; the file is damaged, fetch it again`;
  const unread = (fault: string): string =>
    `JsonlError: a.parquet: cannot read its footer: ${fault}`;
  /** A file of so many bytes that ends with a length; what else is asked for fails. */
  const file = (size: number, length: number): RowFile => ({
    ...rowFileOf(new Uint8Array()),
    size,
    slice(start, end) {
      assert.ok(start >= 0);
      if (end - start > 8) return Promise.reject(new Error("parquet file of no bytes"));
      const whole = Uint8Array.of(...int32s(length), 0x50, 0x41, 0x52, 0x31);
      return Promise.resolve(whole.slice(8 - (end - start)).buffer);
    },
  });
  const cases: readonly (readonly [number, number, string])[] = [
    [15, 0, cut],
    [8, 0, cut],
    [7, 0, cut],
    [16, 0, unread("of no bytes")],
    [16, 8, unread("of no bytes")],
    [16, 9, footer(9)],
    [1000, 992, unread("of no bytes")],
    [1000, 993, footer(993)],
    [2 ** 31, 67_108_864, unread("of no bytes")],
    [2 ** 31, 67_108_865, footer(67_108_865)],
  ];
  for (const [size, length, expected] of cases) {
    assert.deepEqual(await read(file(size, length)), [expected], `${size} ${length}`);
  }
  assert.deepEqual(await read(rowFileOf(new Uint8Array())), [cut]);
  const good = parquetFile([ID], [group(1)]);
  assert.deepEqual(await read(rowFileOf(good.with(-1, 0x32))), [cut]);
  assert.deepEqual(await read(rowFileOf(good.with(-4, 0x51))), [cut]);
  // Of the footer's fields there is none.
  const empty = Uint8Array.of(...new Uint8Array(8), 0, ...int32s(1), 0x50, 0x41, 0x52, 0x31);
  assert.deepEqual(await read(rowFileOf(empty)), [unread("it is damaged, fetch it again")]);
  const asked: number[][] = [];
  assert.deepEqual(await read(rowFileOf(good, asked)), [{ id: 1n }]);
  assert.deepEqual(asked[0], [good.length - 8, good.length]);
});
