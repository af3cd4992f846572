/** Data sets of every layout, listed and fetched from stand-in hubs: no wrong file is taken. */

import assert from "node:assert/strict";
import { listDataset, resolveDataset } from "../hub/resolve_dataset.ts";
import { content, ID, layouts } from "./support/hub_layouts.ts";
import { downloads, startHub } from "./support/hub_stub.ts";
import { tempFolder } from "./support/temp_folder.ts";

Deno.test(`${layouts.length} layouts are taken as the Python package datasets takes them, of both hubs`, async () => {
  assert.equal(layouts.length, 30);
  for (const source of ["huggingface", "modelscope"] as const) {
    for (const { name, files, readme, taken } of layouts) {
      await using hub = startHub(content(files, readme));
      await using folder = await tempFolder();
      const options = { source, cacheDir: folder.path, endpoint: hub.endpoint };
      const { subsets, sizes } = await listDataset(ID, options);
      assert.deepEqual(
        Object.fromEntries(
          subsets.map(({ name, splits }) =>
            [name, Object.fromEntries(splits.map(({ name, files }) => [name, files]))] as const
          ),
        ),
        taken,
        `${name} of ${source}`,
      );
      assert.deepEqual(downloads(hub), readme === null ? [] : ["README.md"], name);
      for (const subset of subsets) {
        for (const split of subset.splits) {
          hub.requests.length = 0;
          const which = { subset: subset.name, split: split.name };
          const found = await resolveDataset(ID, { ...options, ...which });
          const expected = taken[subset.name][split.name];
          assert.deepEqual(found.files, expected.map((path) => `${folder.path}/${ID}/${path}`));
          for (const [index, path] of found.files.entries()) {
            assert.equal(JSON.parse(await Deno.readTextFile(path)).path, expected[index]);
            assert.equal(sizes.get(expected[index]), (await Deno.stat(path)).size);
          }
          // Some files are of two splits, and are fetched once.
          const fetched = downloads(hub).filter((path) => path !== "README.md");
          assert.ok(fetched.every((path) => expected.includes(path)), name);
          const again = await resolveDataset(ID, { ...options, ...which, offline: true })
            .catch((error: Error) => error);
          // Of a set whose files are found by their names, the rest of them is not known offline.
          if (again instanceof Error) {
            assert.ok(subset.splits.length > 1 || subsets.length > 1, name);
          }
        }
      }
    }
  }
});
