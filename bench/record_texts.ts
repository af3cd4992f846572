/** Texts of think/answer records to measure with. In: a seed. Out: texts, half in Chinese and half in English. */

import { MersenneTwister } from "../ort/tensor/mersenne_twister.ts";

const CHINESE =
  "患者男性五十二岁反复咳嗽咳痰伴发热三天查体双肺可闻及湿啰音建议完善血常规胸部影像学检查并给予抗感染治疗注意休息多饮水监测体温变化必要时复诊，。；";
const ENGLISH =
  'The patient reports intermittent chest pain, shortness of breath and "mild" fever; consider an ECG, troponin and a chest X-ray before discharge.'
    .split(" ");

/** Makes texts of about so many characters, the same ones again from the same seed. */
export function recordTexts(seed: number): (characters: number) => string {
  const random = MersenneTwister.fromSeed(seed);
  const pick = <Item>(items: ArrayLike<Item>): Item =>
    items[Math.floor(random.nextFloat53() * items.length)];
  return (characters) =>
    random.nextFloat53() < 0.5
      ? Array.from({ length: characters }, () => pick(CHINESE)).join("")
      : Array.from({ length: characters / 4 }, () => pick(ENGLISH)).join(" ");
}
