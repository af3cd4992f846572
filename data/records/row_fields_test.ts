import assert from "node:assert/strict";
import { parseString, parseText, saysNothing } from "./field_values.ts";
import { readMessageFields, reviewRest } from "./row_fields.ts";

const where = { file: "rows.jsonl", line: 3 };

/** What reviewRest() tells of columns; its error's message where it refuses them. */
function review(rest: Record<string, unknown>): unknown {
  const told: unknown[][] = [];
  try {
    reviewRest(rest, where, (...each) => void told.push(each));
  } catch (error) {
    return (error as Error).message;
  }
  return told;
}

/** The same of the fields of a message. */
function readFields(message: Record<string, unknown>): unknown {
  const told: unknown[][] = [];
  try {
    const fields = readMessageFields(message, {
      where,
      place: "messages[12]",
      onUnread: (...each) => void told.push(each),
    });
    return [{ ...fields }, ...told];
  } catch (error) {
    return (error as Error).message;
  }
}

const MEDIA = ["images", "image", "audio", "audios", "videos", "video"];
const BOOKKEEPING = [
  ...["id", "_id", "idx", "index", "uid", "uuid", "row_id", "sample_id", "message_id"],
  ...["parent_id", "source", "sources", "dataset", "dataset_name", "subset", "split", "origin"],
  ...["url", "license", "lang", "language", "category", "topic", "domain", "subject", "tags"],
  ...["difficulty", "score", "scores", "quality", "rating", "metrics", "metadata", "meta", "hash"],
  ...["model", "timestamp", "created", "created_at", "updated_at", "date", "num_tokens", "length"],
  ...["prompt_id", "conversation_id", "annotations", "logprobs", "finish_reason", "usage"],
];

Deno.test("reviewRest() passes over bookkeeping, and tells of columns that it does not know", () => {
  assert.deepEqual(review(Object.fromEntries(BOOKKEEPING.map((name) => [name, 1]))), []);
  assert.deepEqual(review({ hint: "h", other: 0, none: null }), [["hint"], ["other"]]);
  assert.deepEqual(
    review({ rejected: "b", chosen: [1], weight: 0.5, sample_weight: 2, loss_weight: 0 }),
    [
      ["rejected", 'rejected is "b": preferences are not trained on: the answer alone is learned'],
      ["chosen", "chosen is [1]: preferences are not trained on: the answer alone is learned"],
      ...[["weight", 0.5], ["sample_weight", 2], ["loss_weight", 0]].map(([name, value]) => [
        name,
        `${name} is ${value}: all rows weigh the same; repeat a row to weigh it more, or leave it out`,
      ]),
    ],
  );
  assert.deepEqual(review({ weight: 1, sample_weight: 1, loss_weight: 1 }), []);
  assert.doesNotThrow(() => reviewRest({ hint: "h", weight: 2 }, where));
});

Deno.test("reviewRest() refuses media, and none that holds nothing", () => {
  for (const name of MEDIA) {
    for (const nothing of [false, "", [], {}, "[]", "null", null]) {
      assert.deepEqual(review({ [name]: nothing }), [], `${name} ${JSON.stringify(nothing)}`);
    }
    assert.equal(
      review({ [name]: true }),
      `rows.jsonl:3:${name}: ${name} is true: the model reads text only; drop the row`,
    );
  }
  assert.equal(
    review({ hint: 1, images: ["a"], audio: "b", video: {}, videos: 1 }),
    'rows.jsonl:3:images: images is ["a"]: the model reads text only; drop the row; so of audio, videos',
  );
});

Deno.test("readMessageFields() gives fields by their meaning, and reviews the others", () => {
  assert.deepEqual(readFields({ From: "gpt", VALUE: "a", Thinking: "t", name: "n", mood: 1 }), [
    { role: "gpt", content: "a", reasoning_content: "t", name: "n", mood: 1 },
    ["messages[].mood"],
  ]);
  const read = {
    ...{ role: "assistant", content: "a", tool_calls: [], tool_call_id: "b", function_call: {} },
    ...{ weight: 1, train: true, training: 1, trainable: 1, loss: 1, loss_mask: 1, mask: 0 },
    ...{ masked: 0, id: 1, usage: 2 },
  };
  assert.deepEqual(readFields(read), [read]);
  // What one of two names leaves empty says nothing beside the other.
  for (
    const message of [
      { content: "a", value: "" },
      { content: "a", value: null },
      { content: "", value: "a" },
      { content: null, value: "a" },
      { content: "a", value: "a" },
      { content: undefined, value: "a" },
    ]
  ) {
    assert.deepEqual(readFields(message), [{ content: "a" }], JSON.stringify(message));
  }
  assert.deepEqual(readFields({ content: null, value: "" }), [{ content: "" }]);
  assert.deepEqual(readFields({ content: "", value: null }), [{ content: "" }]);
  assert.deepEqual(readFields({ content: null, value: null }), [{ content: null }]);
});

Deno.test("readMessageFields() refuses what would change the chat, and fields of one meaning that differ", () => {
  const at = "rows.jsonl:3:messages[12].";
  const whole = "only whole replies are learned or left out";
  const begun = "a reply that is begun cannot be gone on with in training";
  const cases: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ refusal: "No." }, 'refusal: refusal is "No.": write what the assistant says into content'],
    [{ train_detail: [{}] }, `train_detail: train_detail is [{}]: ${whole}`],
    [{ prefix: true }, `prefix: prefix is true: ${begun}`],
    [{ partial: true, image: "x" }, `partial: partial is true: ${begun}; so of image`],
    [
      { content: "a", value: 0 },
      'value: expected the same as in content, which means the same, got number 0 beside string "a"; keep one of the two',
    ],
  ];
  for (const [message, problem] of cases) assert.equal(readFields(message), `${at}${problem}`);
  const fields = { refusal: "", train_detail: [], prefix: false, partial: false, image: "" };
  assert.deepEqual(readFields(fields), [fields]);
});

Deno.test("saysNothing() knows what writers put where there is nothing", () => {
  const nothing = [null, undefined, false, "", "[]", "{}", "null", [], {}];
  for (const value of nothing) assert.equal(saysNothing(value), true, JSON.stringify(value));
  const something = [
    ...[true, 0, 1, NaN, " ", "a", "false", [null], { a: null }],
    ...[new Map(), new Map([["a", 1]])],
  ];
  for (const value of something) assert.equal(saysNothing(value), false, JSON.stringify(value));
});

Deno.test("parseString() and parseText() give a string back, and name what is none", () => {
  const message = (parse: typeof parseText, value: unknown): string => {
    try {
      return JSON.stringify(parse(value, where, "answer"));
    } catch (error) {
      return (error as Error).message;
    }
  };
  const at = "rows.jsonl:3:answer: ";
  const cases: readonly (readonly [unknown, string, string])[] = [
    [" a\n", '" a\\n"', '" a\\n"'],
    ["", '""', `${at}expected some text, got an empty string`],
    [" \n", '" \\n"', `${at}expected some text, got only blank space`],
    [4, `${at}expected a string, got number 4`, `${at}expected a string, got number 4`],
    [undefined, `${at}expected a string, got nothing`, `${at}expected a string, got nothing`],
    ...["a\ud800", "\udc00"].map((text) => {
      const problem = `${at}expected valid Unicode, got a lone surrogate`;
      return [text, problem, problem] as const;
    }),
  ];
  for (const [value, string, text] of cases) {
    assert.deepEqual([message(parseString, value), message(parseText, value)], [string, text]);
  }
});
