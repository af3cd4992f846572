import assert from "node:assert/strict";
import { NamePattern, StepLimit } from "./name_pattern.ts";
import { processorSeconds } from "../tests/support/processor_seconds.ts";

interface Patterns {
  readonly names: readonly string[];
  readonly expressions: readonly (readonly [string, readonly string[] | null])[];
}

// Whatever depends on the order in which matches are tried, and what is rare.
const UNSUPPORTED =
  /possessive|backreference|a condition|atomic group|the flag x|flags that are not at its start|nothing to repeat|bad escape|unknown extension/;

Deno.test("a pattern matches the names that Python's re matches, or is refused with a reason", async () => {
  const { names, expressions } = JSON.parse(
    await Deno.readTextFile(new URL("../tests/fixtures/adapters/patterns.json", import.meta.url)),
  ) as Patterns;
  const refused: string[] = [];
  for (const [source, wanted] of expressions) {
    let pattern: NamePattern;
    try {
      pattern = new NamePattern("target_modules", source);
    } catch (error) {
      assert.ok(error instanceof RangeError, source);
      assert.match(error.message, /^Cannot use target_modules, the regular expression "/);
      if (wanted !== null) {
        assert.match(error.message, UNSUPPORTED, source);
        refused.push(source);
      }
      continue;
    }
    assert.notEqual(wanted, null, `Python refuses ${source}`);
    assert.deepEqual(names.filter((name) => pattern.matches(name)), wanted, source);
  }
  // Those that Python takes and ortune does not: no more than these.
  assert.deepEqual(refused, [
    "(?x) .* q_proj",
    "(?P<a>l).*(?P=a).*",
    "(m)odel.*\\1",
    ".*+",
    "(?>model)",
  ]);
});

Deno.test("patterns drawn from all of the syntax match what Python's re matches, and are refused where it refuses", async () => {
  const fixture = new URL("../tests/fixtures/adapters/random_patterns.json", import.meta.url);
  const { names, expressions } = JSON.parse(await Deno.readTextFile(fixture)) as {
    readonly names: readonly string[];
    /** A digit a name, 1 where it matches; null where Python refuses the expression. */
    readonly expressions: readonly (readonly [string, string | null])[];
  };
  assert.equal(expressions.length, 700);
  for (const [source, wanted] of expressions) {
    if (wanted === null) {
      assert.throws(() => new NamePattern("target_modules", source), RangeError, source);
      continue;
    }
    const pattern = new NamePattern("target_modules", source);
    assert.equal(names.map((name) => Number(pattern.matches(name))).join(""), wanted, source);
  }
});

Deno.test("patterns that backtracking would never end on take milliseconds, and the worst are refused", () => {
  const names = Array.from(
    { length: 80 },
    (_, layer) =>
      ["self_attn.q_proj", "self_attn.k_norm", "mlp.down_proj", "post_attention_layernorm"].map((
        name,
      ) => `model.layers.${layer}.${name}`),
  ).flat();
  const count = (source: string): number => {
    const pattern = new NamePattern("exclude_modules", source);
    return names.filter((name) => pattern.matches(name)).length;
  };
  const began = processorSeconds();
  assert.equal(count("(.*)*"), names.length);
  assert.equal(count("((.+)+)+x"), 0);
  assert.equal(count("(((((.*)*)*)*)*)*!"), 0);
  assert.equal(count("(m|mo|mod|[a-z])*\\.(l|la|[a-z])*\\.\\d+\\..*"), names.length);
  assert.equal(count("(x?){999999999}(.*){999999999}"), names.length);
  assert.throws(
    () => count("(.|.)*".repeat(2000)),
    /^RangeError: Cannot use exclude_modules, .*: it takes more than 10000000 steps/,
  );
  assert.throws(() => count("(".repeat(60) + ")".repeat(60)), /more than 50 groups in a group/);
  assert.throws(() => count("a".repeat(70_000)), /it has 70000 characters, more than 65536/);
  // Far above what it takes, far below what backtracking would.
  assert.ok(processorSeconds() - began < 10);
});

Deno.test("a pattern takes a step and one for each position at each of its parts, ten million in all", () => {
  const limit = new StepLimit();
  assert.equal(limit.take(1e7), true);
  assert.equal(limit.take(0), true);
  assert.equal(limit.take(1), false);
  const almost = new StepLimit();
  almost.take(1e7 - 5);
  const pattern = new NamePattern("rank_pattern", "a", { limit: almost });
  assert.equal(pattern.matches("a"), true);
  assert.deepEqual([...pattern.ends("aa", [0, 1])], [1, 2]);
  assert.throws(() => pattern.matches("a"), {
    name: "RangeError",
    message:
      'Cannot use rank_pattern, the regular expression "a": it takes more than 10000000 steps; ' +
      "write it without repeating what repeats, or list the names of the modules",
  });
  // By default each has a limit of its own.
  assert.equal(new NamePattern("rank_pattern", "a").matches("a"), true);
});

Deno.test("a pattern is shown as JSON, its first 60 characters where it is longer", () => {
  const [fits, long] = [59, 60].map((count) => "(" + "é".repeat(count));
  const message = (shown: string) =>
    `Cannot use x, the regular expression "${shown}": it has a parenthesis without an end at character 1`;
  assert.throws(() => new NamePattern("x", fits), { message: message(fits) });
  assert.throws(() => new NamePattern("x", long), { message: message(`${fits}…`) });
  assert.throws(() => new NamePattern("x", '("\ud800'), { message: message('(\\"\ufffd') });
  assert.throws(
    () => new NamePattern("x", "(?i)a", { flags: false }),
    /flags that are not at its start/,
  );
});

Deno.test("ends() are all positions at which a pattern may end, from any of some positions", () => {
  const cases: readonly (readonly [string, string, readonly number[], readonly number[]])[] = [
    ["a|ab|", "xab", [1], [2, 3, 1]],
    ["a|ab", "abab", [0, 2, 3], [1, 3, 2, 4]],
    ["a*", "aaab", [1], [1, 2, 3]],
    ["a+", "aaab", [1], [2, 3]],
    ["a?", "aa", [0, 2], [0, 2, 1]],
    ["a{2}", "aaaa", [0, 1], [2, 3]],
    ["a{2,3}", "aaaaa", [0], [2, 3]],
    ["a{2,}", "aaaa", [0], [2, 3, 4]],
    ["a{0}", "aa", [1], [1]],
    ["(a*)*", "aa", [0], [0, 1, 2]],
    ["(?:){5}", "a", [1], [1]],
    ["(a|b){9}", "ab", [0], []],
    [".", "a\nb", [0, 1, 2, 3], [1, 3]],
    ["", "ab", [0, 2], [0, 2]],
    ["ab", "ab", [0, 1], [2]],
    ["^", "ab", [0, 1], [0]],
    ["$", "ab\n", [0, 1, 2, 3], [2, 3]],
    ["$", "a\nb", [0, 1, 2, 3], [3]],
    ["\\A", "ab", [0, 1], [0]],
    ["\\Z", "a\n", [0, 1, 2], [2]],
    ["\\b", "ab c", [0, 1, 2, 3, 4], [0, 2, 3, 4]],
    ["\\B", "ab c", [0, 1, 2, 3, 4], [1]],
    ["\\b", "", [0], []],
    ["(?=b)", "ab", [0, 1, 2], [1]],
    ["(?!b)", "ab", [0, 1, 2], [0, 2]],
    ["(?<=a)", "ab", [0, 1, 2], [1]],
    ["(?<!a)", "ab", [0, 1, 2], [0, 2]],
    ["(?<=ab)", "ab", [0, 1, 2], [2]],
    ["(?<!ab)", "ab", [0, 1, 2], [0, 1]],
    ["a", "a", [], []],
  ];
  for (const [source, text, starts, ends] of cases) {
    const found = new NamePattern("x", source).ends(text, starts);
    assert.deepEqual([...found].sort(), [...ends].sort(), JSON.stringify([source, text, starts]));
  }
});
