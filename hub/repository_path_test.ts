import assert from "node:assert/strict";
import { HubError } from "./hub_error.ts";
import { checkFilePath, checkRepositoryId, checkRevision } from "./repository_path.ts";

Deno.test("checkRepositoryId() takes an owner and a name, and nothing else", () => {
  for (const id of ["Qwen/Qwen3-0.6B", "a/b", `${"a".repeat(96)}/x_`]) {
    assert.equal(checkRepositoryId(id), id);
  }
  for (const id of ["a", "a/b/c", "a/b..c", "a..b/c", "a/", "/b", `${"a".repeat(97)}/x`, "a/b."]) {
    assert.throws(() => checkRepositoryId(id, "push to"), {
      name: "TypeError",
      message:
        `Cannot push to ${
          JSON.stringify(id.length > 80 ? `${id.slice(0, 80)}…` : id)
        }: it is not of the ` +
        "form owner/name, such as Qwen/Qwen3-0.6B",
    });
  }
  assert.throws(() => checkRepositoryId("x"), { message: /^Cannot fetch "x": / });
  // Shown whole up to 80 characters.
  for (const [length, end] of [[80, 'b"'], [81, 'b…"']] as const) {
    assert.throws(() => checkRepositoryId("b".repeat(length)), {
      message: `Cannot fetch "${
        "b".repeat(79)
      }${end}: it is not of the form owner/name, such as Qwen/Qwen3-0.6B`,
    });
  }
});

Deno.test("checkRevision() takes a branch, tag or commit", () => {
  for (const revision of ["main", "refs/convert/parquet", "v1.0-rc_1", "a".repeat(200)]) {
    assert.equal(checkRevision(revision), revision);
  }
  for (const revision of ["", "-x", "a..b", "a//b", "a b", "../x"]) {
    assert.throws(() => checkRevision(revision), {
      name: "TypeError",
      message: `Cannot fetch revision ${
        JSON.stringify(revision)
      }: it is not a branch, tag or commit, such as main`,
    });
  }
});

Deno.test("checkFilePath() takes a path inside the repository, and says what is wrong with another", () => {
  const long = `${"a/".repeat(511)}bb`;
  for (
    const path of [
      "a",
      "a/b.json",
      ".gitattributes",
      "a b/ü.txt",
      "console.txt",
      "x".repeat(255),
      "字".repeat(85),
      long,
      "...a",
    ]
  ) assert.equal(checkFilePath(path), path);
  for (
    const [path, problem] of [
      ["", "is empty"],
      [`${long}b`, "is longer than 1024 characters"],
      ["\ud800", "is not valid Unicode"],
      ["a\x1fb", "holds control characters"],
      ["a\x7fb", "holds control characters"],
      ["/a", "is absolute"],
      ["a\\b", "holds a backslash or a colon"],
      ["a:b", "holds a backslash or a colon"],
      ["a//b", 'holds the part ""'],
      ["a/", 'holds the part ""'],
      ["a/./b", 'holds the part "."'],
      ["../b", 'holds the part ".."'],
      ["a/b./c", "has a part that ends with a dot or a blank"],
      ["a/b ", "has a part that ends with a dot or a blank"],
      ["a/NUL", 'holds "NUL", the name of a Windows device'],
      ["com1.txt/b", 'holds "com1.txt", the name of a Windows device'],
      [`a/${"x".repeat(256)}`, "has a part of more than 255 bytes"],
      [`${"字".repeat(85)}x`, "has a part of more than 255 bytes"],
      ["a/.ORTUNE-partial/b", "holds a name that ortune keeps for itself"],
    ]
  ) {
    const shown = JSON.stringify(path.length > 80 ? `${path.slice(0, 80)}…` : path);
    assert.throws(() => checkFilePath(path), (error: HubError) => {
      assert.ok(error instanceof HubError);
      assert.deepEqual([error.message, error.file], [
        `Cannot fetch the file ${shown}: its path ${problem}. Nothing of it was written; report the repository if ` +
        "it is not yours",
        path,
      ]);
      return true;
    });
  }
});
