import assert from "node:assert/strict";
import { NamePattern } from "./name_pattern.ts";
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
