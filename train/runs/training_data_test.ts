import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readTrainingData } from "./training_data.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const row = (answer: string): string =>
  JSON.stringify({ question: "a", think: "t", answer }) + "\n";

Deno.test("readTrainingData() reads both files and says nothing where nothing is cut", async () => {
  await using folder = await tempFolder();
  const args = {
    model: folder.path,
    trainFile: await folder.write("train.jsonl", row("b") + row("c")),
    validationFile: await folder.write("val.jsonl", row("d")),
    maxLength: 512,
    system: "",
  };
  const { train, validation, report, notes } = await readTrainingData(args, tokenizer);
  assert.deepEqual([train.length, validation.length, report.rows, notes], [2, 1, 2, []]);
  const { train: alone, validation: none } = await readTrainingData(
    { ...args, validationFile: undefined, system: "Be brief." },
    tokenizer,
  );
  assert.equal(none.length, 0);
  assert.match(tokenizer.decode(alone.at(0).inputIds), /Be brief\./);
});

Deno.test("readTrainingData() notes the rows that are cut, ten at most", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)).repeat(12));
  const args = { model: folder.path, trainFile, maxLength: 128, system: "" };
  const { notes } = await readTrainingData(args, tokenizer);
  assert.deepEqual(notes, [
    `${trainFile}: 12 of 13 rows are cut to --max-length 128 and lose their end: ` +
    "lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more",
    "11 rows to train on repeat earlier ones; --dedup leaves such rows out: " +
    [3, 4, 5].map((line) => `${trainFile}, line ${line} (as line 2)`).join("; ") + " and 8 more",
  ]);
});

Deno.test("readTrainingData() cuts, leaves out or refuses long rows as it is told, and counts them", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)));
  const args = { model: folder.path, trainFile, maxLength: 128, system: "" };
  const left = await readTrainingData({ ...args, truncation: "left" }, tokenizer);
  assert.deepEqual([left.train.length, left.notes], [2, [
    `${trainFile}: 1 of 2 rows are cut to --max-length 128 and lose their oldest turns or tokens: line 2`,
  ]]);
  const drop = await readTrainingData({ ...args, truncation: "drop" }, tokenizer);
  assert.deepEqual([drop.train.length, drop.report.dropped, drop.notes], [1, [2], [
    `${trainFile}: examples of 1 of 2 rows are left out, as they are longer than --max-length 128 ` +
    "(--truncation drop): line 2",
  ]]);
  await assert.rejects(readTrainingData({ ...args, truncation: "error" }, tokenizer), {
    message:
      /train\.jsonl:2: Cannot make an example of message 1: its \d+ tokens exceed maxLength 128; /,
  });
  await assert.rejects(readTrainingData({ ...args, maxLength: 8, truncation: "drop" }, tokenizer), {
    message:
      `Cannot train on ${trainFile}: --truncation drop leaves none of 2 rows, as all are longer ` +
      "than --max-length 8; raise it",
  });
});

Deno.test("readTrainingData() learns the replies that it is told to, from the columns that it is told", async () => {
  await using folder = await tempFolder();
  const turns = ["one", "two", "three"].flatMap((text, index) => [
    { role: "user", content: "?" },
    { role: "assistant", content: text, ...index === 1 ? { train: true } : {} },
  ]);
  const trainFile = await folder.write("train.jsonl", JSON.stringify({ chat: turns }));
  const args = {
    model: folder.path,
    trainFile,
    maxLength: 512,
    system: "",
    columns: { messages: "chat" },
  };
  const taught = async (teach: "all" | "last" | "marked"): Promise<[string[], string]> => {
    const { train, notes } = await readTrainingData({ ...args, teach }, tokenizer);
    const texts = Array.from({ length: train.length }, (_, index) => {
      const { inputIds, promptLength } = train.at(index);
      return tokenizer.decode(inputIds.subarray(promptLength)).replace(/^[^]*<\/think>\n\n/, "");
    });
    return [texts, notes.find((note) => note.includes("not learned")) ?? ""];
  };
  assert.deepEqual(await taught("all"), [
    ["one", "two", "three"].map((text) => `${text}<|im_end|>`),
    "",
  ]);
  assert.deepEqual(await taught("last"), [
    ["three<|im_end|>"],
    `${trainFile}: 2 replies are read but not learned: they are not the last of their row (--teach last), ` +
    "marked so, or empty",
  ]);
  assert.deepEqual(await taught("marked"), [
    ["two<|im_end|>"],
    `${trainFile}: 2 replies are read but not learned: the rows do not mark them as learned (--teach marked)`,
  ]);
});

Deno.test("readTrainingData() refuses rows without an answer left, in either file", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b"));
  const long = JSON.stringify({ question: "a".repeat(300), think: "t", answer: "b" }) + "\n";
  const validationFile = await folder.write("val.jsonl", row("b") + long);
  const args = { model: folder.path, trainFile, validationFile, maxLength: 128, system: "" };
  await assert.rejects(readTrainingData(args, tokenizer), {
    message: `Cannot train on ${validationFile}: line 2 has no answer left within --max-length ` +
      "128; raise it, shorten or remove the rows, or leave them out with --drop-unlabelled",
  });
});

Deno.test("readTrainingData() keeps tokens in the output folder, and says the same of them again", async () => {
  await using folder = await tempFolder();
  await folder.write("tokenizer.json", "{}");
  await folder.write("tokenizer_config.json", "{}");
  const long = JSON.stringify({ question: "a".repeat(300), think: "t", answer: "b" }) + "\n";
  const trainFile = await folder.write("train.jsonl", row("b") + row("c".repeat(900)) + long);
  const validationFile = await folder.write("val.jsonl", row("d"));
  const args = { model: folder.path, trainFile, validationFile, maxLength: 128, system: "" };
  const output = `${folder.path}/output`;
  const names = async (): Promise<string[]> =>
    (await Array.fromAsync(Deno.readDir(`${output}/tokens`), ({ name }) => name)).sort();
  await assert.rejects(readTrainingData(args, tokenizer, { output }), /line 3 has no answer left/);
  assert.equal((await names()).length, 1);

  const dropped = { ...args, dropUnlabelled: true };
  const encode = tokenizer.encode.bind(tokenizer);
  let encoded = 0;
  const counting = {
    ...tokenizer,
    encode: (text: string): Int32Array => {
      encoded++;
      return encode(text);
    },
  };
  using memory = await readTrainingData(dropped, tokenizer);
  using made = await readTrainingData(dropped, counting, { output });
  // Of the training file the refused run has left the tokens.
  assert.equal(encoded, 2);
  using again = await readTrainingData(dropped, counting, { output });
  assert.equal(encoded, 2);
  assert.equal(memory.notes.length, 2);
  for (const data of [made, again]) {
    const { train, validation, report, notes, sha256 } = data;
    assert.deepEqual([report, notes, sha256], [memory.report, memory.notes, memory.sha256]);
    for (const index of [0, 1]) assert.deepEqual(train.at(index), memory.train.at(index));
    assert.deepEqual(validation.at(0), memory.validation.at(0));
  }
  const kept = await names();
  assert.equal(kept.length, 2);
  using _other = await readTrainingData({ ...dropped, maxLength: 127 }, tokenizer, { output });
  assert.equal((await names()).length, 2);
  assert.ok((await names()).every((name) => !kept.includes(name)));
});

Deno.test("readTrainingData() tells what it leaves out and what it does not read, and refuses to leave out all", async () => {
  await using folder = await tempFolder();
  const user = { role: "user", content: "a" };
  const bot = { role: "assistant", content: "b" };
  const rows = [
    { question: "a", answer: "b", hint: 1 },
    { question: "a" },
    { question: "a", system: "Be brief.", answer: "Write </think> here.", weight: 2 },
    { messages: [user, { ...bot, train: false }, user, bot] },
  ];
  const trainFile = await folder.write(
    "train.jsonl",
    rows.map((each) => JSON.stringify(each)).join("\n"),
  );
  const args = { model: folder.path, trainFile, maxLength: 512, system: "" };
  await assert.rejects(
    readTrainingData(args, tokenizer),
    /:2:answer: expected a string, got nothing/,
  );
  const { notes } = await readTrainingData({ ...args, dropRefusedRows: true }, tokenizer);
  assert.deepEqual(notes.map((note) => note.replace(`${trainFile}: `, "")), [
    "1 of 4 rows are left out (--drop-refused-rows): line 2: answer: expected a string, got nothing",
    "weight is 2: all rows weigh the same; repeat a row to weigh it more, or leave it out (1 of 4 rows)",
    "not read: hint (1 of 4 rows); --columns names a column that belongs to the chat",
    'system prompt of 2 of 3 rows none, 1 of 3 rows "Be brief."; inference and serve send that ' +
    "of most rows, other clients must",
    "3 of 3 replies have no thinking: the empty thinking block is taught; --empty-think prompt or omit " +
    "leaves it out",
    "1 replies are read but not learned: the rows mark them so, or they are empty",
    "a <think> or </think> is left inside the thinking or the answer of 1 of 4 rows (line 3) and taught as " +
    "it stands; remove it unless that is meant",
  ]);
  const bad = await folder.write("bad.jsonl", JSON.stringify(rows[1]));
  await assert.rejects(
    readTrainingData({ ...args, trainFile: bad, dropRefusedRows: true }, tokenizer),
    {
      message:
        `Cannot train on ${bad}: --drop-refused-rows leaves none of 1 rows; line 1: answer: ` +
        "expected a string, got nothing",
    },
  );
  const silent = JSON.stringify({ messages: [user, { ...bot, weight: 0 }] });
  const none = await folder.write("none.jsonl", silent);
  await assert.rejects(readTrainingData({ ...args, trainFile: none }, tokenizer), {
    message:
      `Cannot train on ${none}: none of its 1 rows has a reply to learn; mark some (train: true, ` +
      "or weight: 1)",
  });
});

Deno.test("readTrainingData() with compat seed keeps rows without an answer left, and says so", async () => {
  await using folder = await tempFolder();
  const long = JSON.stringify({ question: "a".repeat(300), think: "t", answer: "b" }) + "\n";
  const trainFile = await folder.write("train.jsonl", row("b") + long);
  const args = {
    model: folder.path,
    trainFile,
    maxLength: 128,
    system: "",
    compat: "seed",
  } as const;
  const { train, notes } = await readTrainingData(args, tokenizer);
  assert.deepEqual([train.length, train.at(1).supervised], [2, 0]);
  assert.ok(notes.includes(
    `${trainFile}: rows without an answer left within --max-length 128 add nothing to their updates, ` +
      "as in the seed: line 2",
  ));
});

Deno.test("readTrainingData() refuses pairs for a loss of single replies, and single replies for one of pairs", async () => {
  await using folder = await tempFolder();
  const pair = JSON.stringify({ prompt: "a", chosen: "b", rejected: "c" }) + "\n";
  const args = { model: folder.path, maxLength: 128, system: "", dropRefusedRows: true };
  const read = async (text: string, loss?: string): Promise<number> => {
    const trainFile = await folder.write("train.jsonl", text);
    using data = await readTrainingData({ ...args, trainFile, loss }, tokenizer);
    return data.train.length;
  };
  const path = `${folder.path}/train.jsonl`;
  // Of a pair both replies are examples. Rows that are left out count for neither.
  for (const loss of ["dpo", "orpo"]) assert.equal(await read(pair + pair + "{}\n", loss), 4);
  for (const loss of [undefined, "dft"]) assert.equal(await read(row("b") + "{}\n", loss), 1);
  await assert.rejects(read(pair + row("b") + row("c") + "{}\n", "dpo"), {
    message:
      `Cannot train on ${path} with --loss dpo: 2 of 3 rows are no pairs of a chosen and a rejected ` +
      "reply; leave the flag out, or give such rows",
  });
  await assert.rejects(read(pair + row("b") + "{}\n"), {
    message:
      `Cannot train on ${path} with the loss cross_entropy: 1 of 2 rows are pairs of a chosen and a ` +
      "rejected reply; give --loss dpo or --loss orpo, or learn the chosen replies alone with --columns " +
      "question=prompt,answer=chosen, of chats with --columns messages=chosen",
  });
});

Deno.test("readTrainingData() tells how to leave out a row that cannot be used, but for the first one", async () => {
  await using folder = await tempFolder();
  const args = { model: folder.path, maxLength: 128, system: "" };
  const failure = async (text: string): Promise<string> => {
    const trainFile = await folder.write("train.jsonl", text);
    return await readTrainingData({ ...args, trainFile }, tokenizer).then(
      () => "",
      ({ message }: Error) => message.replace(trainFile, "FILE"),
    );
  };
  const first = await failure("{}\n" + row("b"));
  assert.ok(first.startsWith("FILE:1") && !first.includes("--drop-refused-rows"), first);
  const second = await failure(row("b") + "{}\n");
  assert.match(second, /^FILE:2.* \(--drop-refused-rows leaves such rows out\)$/);
});

Deno.test("readTrainingData() leaves out rows without an answer left where it is told to, but not all", async () => {
  await using folder = await tempFolder();
  const long = JSON.stringify({ question: "a".repeat(300), think: "t", answer: "b" }) + "\n";
  const other = long.replace("aaa", "bbb");
  const args = { model: folder.path, maxLength: 128, system: "", dropUnlabelled: true };
  const read = async (text: string): Promise<string> => {
    const trainFile = await folder.write("train.jsonl", text);
    return (await readTrainingData({ ...args, trainFile }, tokenizer)).notes[0];
  };
  const path = `${folder.path}/train.jsonl`;
  assert.equal(
    await read(row("b") + long),
    `${path}: 1 of 2 rows are left out, line 2 has no answer left within --max-length 128`,
  );
  assert.equal(
    await read(row("b") + long + other),
    `${path}: 2 of 3 rows are left out, lines 2, 3 have no answer left within --max-length 128`,
  );
  await assert.rejects(read(long), {
    message:
      `Cannot train on ${path}: --drop-unlabelled leaves no row, line 1 has no answer left within ` +
      "--max-length 128; raise it",
  });
});

Deno.test("readTrainingData() opens no file beyond --max-rows, and counts rows rather than examples", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/one`);
  await folder.write("one/a.jsonl", ["b", "c", "d"].map(row).join(""));
  await folder.write("one/b.jsonl", "{");
  const args = { model: folder.path, trainFile: `${folder.path}/one`, maxLength: 128, system: "" };
  using data = await readTrainingData({ ...args, maxRows: 3 }, tokenizer);
  assert.equal(data.train.length, 3);
  assert.deepEqual(data.notes, [
    `${folder.path}/one: 2 files, ${folder.path}/one/a.jsonl, ${folder.path}/one/b.jsonl`,
  ]);
  await assert.rejects(readTrainingData({ ...args, maxRows: 4 }, tokenizer), /b\.jsonl/);
  using one = await readTrainingData({ ...args, maxRows: 1 }, tokenizer);
  assert.equal(one.train.length, 1);
});

Deno.test("readTrainingData() gives hashes of both parts, and reports of all files to train on", async () => {
  await using folder = await tempFolder();
  const [a, b] = [
    await folder.write("a.jsonl", row("b") + row("c")),
    await folder.write("b.jsonl", row("d")),
  ];
  const read = async (trainFile: string | string[], validationFile?: string | string[]) => {
    const args = { model: folder.path, maxLength: 128, system: "", trainFile, validationFile };
    using data = await readTrainingData(args, tokenizer);
    const { sha256, validationSha256, report, validation } = data;
    return { sha256, validationSha256, rows: report.rows, evaluated: validation.length };
  };
  const [alone, both] = [await read(a), await read([a, b], a)];
  assert.deepEqual(alone, { sha256: alone.sha256, validationSha256: "", rows: 2, evaluated: 0 });
  assert.deepEqual([both.validationSha256, both.rows, both.evaluated], [alone.sha256, 3, 2]);
  assert.notEqual(both.sha256, alone.sha256);
  const joined = await read(b, [a, b]);
  assert.deepEqual([joined.validationSha256, joined.evaluated], [both.sha256, 3]);
});

Deno.test("readTrainingData() says how far it is where that takes long, and can be stopped", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("c"));
  const args = { model: folder.path, trainFile, maxLength: 128, system: "" };
  const writes: string[] = [];
  let now = 0;
  const progress = {
    ...{ write: (text: string) => void writes.push(text), isTty: true, columns: () => 200 },
    now: () => now += 10_000,
  };
  using data = await readTrainingData(args, tokenizer, { progress });
  const tokens = data.report.tokens;
  assert.ok(writes[0].includes(`preparing ${trainFile}: 100 %`), writes[0]);
  assert.equal(writes.at(-2), "\r\x1b[K");
  assert.match(
    writes.at(-1)!,
    new RegExp(`^prepared .*: 2 rows, ${tokens} tokens in 0:\\d\\d:\\d\\d\n$`),
  );
  // A file that cannot be read ends its line.
  writes.length = 0;
  const bad = await folder.write("bad.jsonl", row("b") + "{}\n");
  await assert.rejects(readTrainingData({ ...args, trainFile: bad }, tokenizer, { progress }));
  if (writes.length > 0) assert.equal(writes.at(-1), "\n");
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(readTrainingData(args, tokenizer, { signal }), { message: "enough" });
});

Deno.test("readTrainingData() tells what --compat seed changes", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b"));
  const args = { model: folder.path, trainFile, maxLength: 512, system: "" };
  const { notes } = await readTrainingData({ ...args, compat: "seed" }, tokenizer);
  assert.deepEqual(notes, [
    "--compat seed: replies end with the padding token instead of the template's end of turn, thinking has " +
    "the seed's spacing, and updates are counted rounding down, as its transformers did",
  ]);
});

Deno.test("readTrainingData() refuses shares and --dedup that leave nothing", async () => {
  await using folder = await tempFolder();
  const trainFile = await folder.write("train.jsonl", row("b") + row("b"));
  const validationFile = await folder.write("val.jsonl", row("b"));
  const args = { model: folder.path, trainFile, maxLength: 512, system: "" };
  await assert.rejects(readTrainingData({ ...args, mix: [0.5, 0.5] }, tokenizer), {
    message: "Cannot mix 1 name of --train-file by 2 shares: give one for each",
  });
  await assert.rejects(readTrainingData({ ...args, validationFile, dedup: true }, tokenizer), {
    message: `Cannot train on ${trainFile}: --dedup leaves none of its 2 rows`,
  });
  const { train, notes } = await readTrainingData({ ...args, mix: [1] }, tokenizer);
  assert.deepEqual([train.length, notes.at(-1)], [
    2,
    `an epoch has 2 rows: 2 of ${trainFile} (which has 2)`,
  ]);
});
