import assert from "node:assert/strict";
import { NumpyRandom } from "./numpy_random.ts";

Deno.test("random() is that of NumPy's default_rng(), for seeds of one and of two words", () => {
  // >>> r = np.random.default_rng(seed); r.random(4).tolist()  # NumPy 2.4.6
  const cases: readonly (readonly [number, readonly number[]])[] = [
    [0, [0.6369616873214543, 0.2697867137638703, 0.04097352393619469, 0.016527635528529094]],
    [1, [0.5118216247002567, 0.9504636963259353, 0.14415961271963373, 0.9486494471372439]],
    [42, [0.7739560485559633, 0.4388784397520523, 0.8585979199113825, 0.6973680290593639]],
    [
      2 ** 32 - 1,
      [0.2519435680449965, 0.21906579628685663, 0.28728472043517017, 0.6189813025326831],
    ],
    [2 ** 32, [0.8897387912781343, 0.5571380502062263, 0.8009080868919721, 0.9565138174753386]],
    [2 ** 32 + 7, [
      0.7701409510034741,
      0.1119272443176843,
      0.18909773329712753,
      0.15995526155905015,
    ]],
    [2 ** 53 - 1, [0.7862681066761149, 0.6063032385025929, 0.5376094823800641, 0.1563294447865048]],
    [
      123456789012,
      [0.5660646750946614, 0.08367085961515452, 0.27992288213578664, 0.47837000835745547],
    ],
  ];
  for (const [seed, expected] of cases) {
    const random = new NumpyRandom(seed);
    assert.deepEqual(expected.map(() => random.random()), expected, `seed ${seed}`);
  }
  const random = new NumpyRandom(42);
  for (let i = 0; i < 999; i++) random.random();
  assert.equal(random.random(), 0.2808963859641551);
});
